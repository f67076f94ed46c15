"""Evaluations that visitors of the page start: one at a time, in a thread, each in a private folder of its own."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Literal

from qa import Library, QAError
from qa.escape import plain
from qa.page import evaluation

if TYPE_CHECKING:
    from qa.evaluation import EvaluationProgress

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json")
KEPT = 3
"""Runs that can be read; older ones are deleted."""
CLOSING_SECONDS = 1.0
"""How long closing waits for what is in hand: a batch, or the first import of torch."""
LONGEST_NAME = 120
"""Characters of a question set's name as it is shown."""
_LONGEST_STEM = 60  # characters of up to four bytes; a file system has 255 for a name
_BUG = "something went wrong in the evaluation; the terminal that runs Refdesk shows what"
_UNSAFE = re.compile(r"[^\w-]+")

State = Literal["running", "done", "stopped", "failed"]


class BusyError(QAError):
    """Another evaluation is running."""


class _Stopped(Exception):  # noqa: N818
    """Ends a run from within."""


@dataclass(slots=True)
class Run:
    """An evaluation: how far it is, and how it ended. `html` shows it, as the state that it is in."""

    id: str
    name: str
    folder: Path
    state: State = "running"
    done: int = 0
    total: int = 0
    seconds: float = 0.0
    stopping: bool = False
    html: str = ""

    def as_json(self) -> dict[str, Any]:
        """What the page asks for again and again."""
        return {
            "id": self.id,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "seconds": round(self.seconds, 3),
            "html": self.html or evaluation.running(self.name, self.done, self.total, self.seconds, self.stopping),
        }


class Evaluations:
    """The evaluations of one server. Whoever knows a run's id may read and stop it; ids cannot be guessed."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._lock = threading.Lock()
        self._runs: dict[str, Run] = {}  # by id, the oldest first
        self.thread: threading.Thread | None = None
        self._closed = False

    def start(self, name: str, content: bytes) -> Run:
        """Start to evaluate a question set, given as a file's name and bytes.

        Raises:
            BusyError: another one is running.
            QAError: the name is not that of a question set.
        """
        suffix = PurePath(name).suffix.lower()
        if suffix not in SUFFIXES:
            raise QAError(f"expected a question set as {', '.join(SUFFIXES)}, came {suffix or 'a name without suffix'}")
        with self._lock:
            self._check_free()
            folder = Path(tempfile.mkdtemp(prefix="refdesk-evaluation-"))
            run = Run(secrets.token_urlsafe(18), plain(name)[:LONGEST_NAME], folder)
            self._runs[run.id] = run
            old = [self._runs.pop(run_id).folder for run_id in list(self._runs)[:-KEPT]]
            file = folder / f"{_UNSAFE.sub('-', PurePath(name).stem)[:_LONGEST_STEM] or 'questions'}{suffix}"
            self.thread = threading.Thread(target=self._evaluate, args=(run, file, content), daemon=True)
            self.thread.start()
        for unread in old:
            _delete(unread)
        return run

    def find(self, run_id: str) -> Run | None:
        """The run with an id, None where there is none (any more)."""
        return self._runs.get(run_id)

    def stop(self, run: Run) -> None:
        """Let a run end soon; one that writes its report already is finished all the same."""
        run.stopping = True

    def working(self) -> bool:
        """Is the thread of a run still at work, maybe after it was stopped?"""
        return self.thread is not None and self.thread.is_alive()

    def close(self) -> None:
        """Stop what is running and delete all runs."""
        with self._lock:
            self._closed = True
            runs, self._runs = list(self._runs.values()), {}
        for run in runs:
            self.stop(run)
        if self.thread is not None:
            self.thread.join(CLOSING_SECONDS)
        for run in runs:
            _delete(run.folder)

    def _check_free(self) -> None:
        if self._closed:
            raise BusyError("the server is closing")
        for run in self._runs.values():
            if run.state == "running":
                raise BusyError(
                    "another evaluation is running "
                    f"({evaluation.progress(run.done, run.total)}): try again when it has ended"
                )

    def _evaluate(self, run: Run, file: Path, content: bytes) -> None:
        from qa.evaluation import evaluate

        def on_progress(progress: EvaluationProgress) -> None:
            run.done, run.total, run.seconds = progress.done, progress.total, progress.seconds
            if run.stopping:
                raise _Stopped

        try:
            file.write_bytes(content)
            report = evaluate(self.library, file, out=files(run), on_progress=on_progress)
            html = evaluation.done(run.id, run.name, report.summary, report.failures())
        except Exception as error:
            if run.stopping:  # while closing, folder and library are taken away from it
                end(run, "stopped", evaluation.stopped(run.name, run.done, run.total))
            elif isinstance(error, QAError):
                end(run, "failed", evaluation.failed(str(error).replace(str(file), run.name)))
            else:
                end(run, "failed", evaluation.failed(_BUG))
                raise
        else:
            end(run, "done", html)


def end(run: Run, state: State, html: str) -> None:
    """Say how a run ended; its state last, because it says that `html` is there."""
    run.html = html
    run.state = state


def files(run: Run) -> Path:
    """The folder with the files that a run writes."""
    return run.folder / "run"


def _delete(folder: Path) -> None:
    for _ in range(2):  # a run that did not end in time may write once more in between
        shutil.rmtree(folder, ignore_errors=True)
