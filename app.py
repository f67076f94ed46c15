"""Refdesk's top: the command line with the web page. `python app.py PATHS…` is `refdesk serve PATHS…`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from qa.cli import main as run


def serve(library: Any, *, host: str, port: int, open_browser: bool, **given: Any) -> None:  # noqa: ANN401
    """Show the page of a library, or of several by name, with settings that were given.

    The page is loaded only for this: a question on the command line does without.
    """
    from qa.page.server import serve as show
    from qa.page.site import Settings

    if "trusted_hosts" in given:
        given["trusted_hosts"] = tuple(given["trusted_hosts"])
    show(library, host=host, port=port, open_browser=open_browser, settings=Settings(**given))


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    return run(argv, serve=serve)


if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
