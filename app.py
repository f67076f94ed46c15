"""Refdesk's top: the command line with the web page. `python app.py PATHS…` is `refdesk serve PATHS…`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from qa.cli import main as run
from qa.page.server import serve


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    return run(argv, serve=serve)


if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
