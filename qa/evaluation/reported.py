"""The result of an evaluation: its summary, its questions, its files."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.evaluation.folder import REPORT, RunFolder
from qa.evaluation.report import write_report
from qa.evaluation.types import Measured, Record

if TYPE_CHECKING:
    from qa.evaluation.compare import Comparison


class Report:
    """A run that was evaluated. Its questions stay in its folder and are read when they are asked for."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @classmethod
    def in_folder(cls, out: str | Path | None) -> Report:
        """The report of a run in `out`, or in a temporary folder that is gone when nobody reads it any more."""
        if out is not None:
            return cls(RunFolder(Path(out)))
        folder = RunFolder(Path(tempfile.mkdtemp(prefix="refdesk-run-")))
        weakref.finalize(folder, shutil.rmtree, folder.path, ignore_errors=True)
        return cls(folder)

    @classmethod
    def open(cls, path: str | Path) -> Report:
        """The report in a folder that an earlier evaluation wrote.

        Raises:
            QuestionsError: there is none.
        """
        report = cls(RunFolder(Path(path)))
        report.folder.summary()
        return report

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What summary.json holds; docs/evaluation.md describes it."""
        return self.folder.summary()

    @property
    def measures(self) -> dict[str, Measured]:
        """Each measure's mean, 95 % interval and number of questions, by name."""
        return {name: Measured(**values) for name, values in self.summary.get("measures", {}).items()}

    def records(self) -> Iterator[Record]:
        """What became of each question, in order; docs/evaluation.md describes a record."""
        return self.folder.records()

    def failures(self) -> Iterator[Record]:
        """The questions that went wrong."""
        return (record for record in self.records() if record["failure"])

    def add(self, comparisons: Sequence[Comparison]) -> None:
        """Keep comparisons of this run with others in its summary and in its page."""
        self.write({**self.summary, "comparisons": [comparison.as_json() for comparison in comparisons]})

    def write(self, summary: dict[str, Any]) -> None:
        """Write summary.json and report.html; the summary last, because it says that all is there."""
        write_report(self.folder.path / REPORT, summary, self.records)
        self.folder.write_summary(summary)
        self.__dict__.pop("summary", None)

    def __str__(self) -> str:
        """The table that `refdesk eval` prints."""
        from qa.evaluation.tables import report_lines

        return "\n".join(report_lines(self))

    def rows(self) -> list[dict[str, Any]]:
        """A flat row a question, as `pandas.DataFrame(report.rows())` takes it."""
        return [_row(record) for record in self.records()]


def _row(record: Record) -> dict[str, Any]:
    best = record["hits"][0] if record["hits"] else None
    return {
        **{name: record[name] for name in ("id", "question", "kind", "answerable", "found", "score", "rank")},
        "failure": record["failure"]["class"] if record["failure"] else None,
        "source": best["citation"]["source"] if best else None,
        "quote": best["citation"]["quote"] if best else None,
        **record["measures"],
    }
