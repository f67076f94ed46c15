"""Indexing in a process of its own: questions are answered meanwhile, and the memory it takes is given back.

In the server's process a group of files held Python's lock and both cores against the answers, and left half a gigabyte
behind (benchmarks.load). The process has less right to the cores than those who answer.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa import child
from qa.errors import LibraryBusyError, QAError
from qa.sync import OnProgress
from qa.types import FileOutcome, Progress

if TYPE_CHECKING:
    from qa.library import Library

NICENESS = 10
"""Of 19: a process that wants a core as well gets nine times as much of it."""
LEAVING_SECONDS = 1.0
"""How long the process may take to put its things in order when it is ended."""


class IndexerError(QAError):
    """The process ended, or met a bug, which it has printed."""


_ERRORS = {"busy": LibraryBusyError, "bug": IndexerError, "own": QAError}
_BUG = "something went wrong while it was indexed; the terminal that runs Refdesk shows what"


class Indexer:
    """Brings files into one library, in a process that starts with the first call and stays until `close`.

    One thread calls `sync`; any may call `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def sync(
        self,
        paths: Iterable[Path],
        *,
        again: Iterable[Path] = (),
        on_progress: OnProgress = lambda _: None,
        wait: float = 30.0,
    ) -> list[FileOutcome]:
        """What `Library.sync` says of the paths; files of `again` are read though nothing about them has changed.

        Raises:
            QAError: as `Library.sync`.
            LibraryBusyError: another process is still writing after `wait` seconds.
            IndexerError: the process ended over it.
        """
        asked = {"paths": list(map(str, paths)), "again": list(map(str, again)), "wait": wait}
        used = self._child is not None
        outcomes = self._asked(asked, on_progress)
        if isinstance(outcomes, int) and used:  # something else may have ended it before this call
            outcomes = self._asked(asked, on_progress)
        if isinstance(outcomes, int):
            raise IndexerError(f"the process that indexes ended ({child.ending(outcomes)}): try again")
        return outcomes

    def _asked(self, asked: dict[str, Any], on_progress: OnProgress) -> list[FileOutcome] | int:
        """What the process answers; its exit code where it ended over it."""
        running = self._running()
        if running.stdin is None or running.stdout is None:
            raise RuntimeError("the process that indexes was started without pipes")
        try:
            running.stdin.write(json.dumps(asked).encode() + b"\n")
            running.stdin.flush()
            for line in running.stdout:
                said: dict[str, Any] = json.loads(line)
                if "progress" in said:
                    on_progress(Progress(**said["progress"]))
                elif "error" in said:
                    raise _ERRORS[said["kind"]](said["error"])
                else:
                    return [FileOutcome(**{**one, "warnings": tuple(one["warnings"])}) for one in said["outcomes"]]
        except (BrokenPipeError, ValueError):  # the latter where it died in the middle of a line
            pass
        except BaseException as error:
            if isinstance(error, IndexerError) or not isinstance(error, QAError):  # its next answer would be this one's
                self.close()
            raise
        return self.close()

    def close(self) -> int:
        """End the process, if there is one; returns its exit code, negative for a signal."""
        with self._lock:
            running, self._child = self._child, None
        if running is None:
            return 0
        running.terminate()
        try:
            running.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:  # what is lost is the document in hand
            running.kill()
        for pipe in (running.stdin, running.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        return running.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                name = Path(sys.argv[0]).name
                self._child = child.start("qa.indexer", self.path.absolute(), name, whole=True, stderr=None)
            return self._child


# In the process


def main() -> None:
    """The process: a line of JSON for each call of `sync`, answered by lines on how far it is and one on the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    questions, answers = child.pipes()
    sys.argv[0] = sys.argv[2]  # whoever finds the library busy reads this name
    if sys.platform != "win32":
        os.nice(NICENESS)

    def say(what: dict[str, Any]) -> None:
        try:
            answers.write(json.dumps(what).encode() + b"\n")
            answers.flush()
        except BrokenPipeError:  # nobody listens any more
            os._exit(0)

    from qa.library import Library

    library: Library | None = None
    for line in questions:
        try:
            library = library or Library.open(sys.argv[1])
            say({"outcomes": _outcomes(library, json.loads(line), lambda now: say({"progress": asdict(now)}))})
        except LibraryBusyError as error:
            say({"error": str(error), "kind": "busy"})
        except QAError as error:
            say({"error": str(error), "kind": "own"})
        except Exception:  # noqa: BLE001 - the next call is not to blame
            traceback.print_exc()
            say({"error": _BUG, "kind": "bug"})


def _outcomes(library: Library, asked: dict[str, Any], on_progress: OnProgress) -> list[dict[str, Any]]:
    if asked["again"]:
        library.read_again(asked["again"], wait=asked["wait"])
    report = library.sync(asked["paths"], on_progress=on_progress, wait=asked["wait"])
    return [asdict(outcome) for outcome in report.outcomes]
