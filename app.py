"""Refdesk's top: the command line with the web page. `python app.py PATHS…` is `refdesk serve PATHS…`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from qa.cli import main as run


def serve(*arguments: Any, **options: Any) -> None:  # noqa: ANN401 - those of the page's
    """Show the page. It is loaded only for this: a question on the command line does without."""
    from qa.page.server import serve as show

    show(*arguments, **options)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    return run(argv, serve=serve)


if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
