"""The command `refdesk feedback`: the answers that people rated, as a question set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from qa.library import Library

Command = Callable[..., argparse.ArgumentParser]


def add_feedback(command: Command, commands: Any) -> None:  # noqa: ANN401
    """Add `refdesk feedback`."""
    command(commands, "feedback", _feedback, "print the answers that people rated on the page, for `refdesk eval`")


def _feedback(arguments: argparse.Namespace, _: object) -> int:
    """Print all rated answers as JSON lines; 1 where there is none, or one that cannot be read."""
    from qa.export import question_set  # no other command needs them
    from qa.history import FILE_NAME, History

    told, damaged = 0, 0

    def skip(exchange_id: str) -> None:
        nonlocal damaged
        damaged += 1
        print(f"refdesk: the rated answer {exchange_id} is damaged and left out", file=sys.stderr)  # noqa: T201

    Library.open(arguments.library).close()  # says what is wrong with the folder
    if (arguments.library / FILE_NAME).exists():
        with History.open(arguments.library) as history:
            for line in question_set(history.feedback(on_damaged=skip)):
                sys.stdout.write(line)
                told += 1
    if not told and not damaged:
        print("refdesk: no answer has been rated yet: that is done on the page, below an answer", file=sys.stderr)  # noqa: T201
    return 0 if told and not damaged else 1
