"""The files of a run: questions.jsonl and run.trec grow line by line, so that a stopped run can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from qa.errors import QuestionsError
from qa.evaluation.runs import label_of
from qa.evaluation.types import Record

QUESTIONS, RUN, SUMMARY, REPORT = "questions.jsonl", "run.trec", "summary.json", "report.html"
FORMAT = 1


class RunFolder:
    """A folder with one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def summary(self) -> dict[str, Any]:
        """What summary.json holds.

        Raises:
            QuestionsError: there is no run, or a newer version wrote it.
        """
        try:
            found = json.loads((self.path / SUMMARY).read_text(encoding="utf-8"))
            version = int(found["format"])
        except FileNotFoundError:
            raise QuestionsError(
                f"{self.path} holds no run: make one with `refdesk eval QUESTIONS --out {self.path}`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise QuestionsError(f"the run in {self.path} cannot be read ({error}): evaluate again") from error
        if version > FORMAT:
            raise QuestionsError(
                f"the run in {self.path} has format {version}, this Refdesk reads up to {FORMAT}: upgrade it"
            )
        return dict(found)

    def exists(self) -> bool:
        """Is there a run?"""
        return (self.path / SUMMARY).exists()

    def start(self, header: Mapping[str, Any], *, over: bool = False) -> None:
        """Make room for a new run; a complete one that stands there is replaced, and a stopped one if it may be.

        Raises:
            QuestionsError: an incomplete run or other files are there, or nothing can be written.
        """
        try:
            self.check(resume=over)
            self.path.mkdir(parents=True, exist_ok=True)
            self.write_summary({**header, "complete": False})
            (self.path / REPORT).unlink(missing_ok=True)
            (self.path / RUN).write_text("")
            (self.path / QUESTIONS).write_text("")
        except OSError as error:
            raise QuestionsError(f"{self.path} cannot be written ({error}): check its permissions and disk") from error

    def resume(self, header: Mapping[str, Any], batch: int) -> set[str]:
        """The ids of the questions that are done in whole batches, after mending what an interrupted write left.

        Raises:
            QuestionsError: there is no run, or it was made with something else.
        """
        before = self.summary()
        for name in ("refdesk", "settings", "questions", "library"):
            if before.get(name) != json.loads(json.dumps(header[name])):
                raise QuestionsError(
                    f"the run in {self.path} was made with other {name}: choose another folder with --out DIR"
                )
        try:
            with (self.path / QUESTIONS).open("rb+") as lines:
                whole = list(_whole(lines))
                # Only whole batches, so that the rest is encoded in the same ones as in an undisturbed run.
                kept = whole if len(whole) == before["questions"]["count"] else whole[: len(whole) // batch * batch]
                lines.truncate(kept[-1][1] if kept else 0)
            done = {name for name, _ in kept}
            self._keep_ranked({label_of(question) for question in done})
        except OSError as error:
            raise QuestionsError(f"the run in {self.path} cannot be resumed ({error}): delete the folder") from error
        return done

    def _keep_ranked(self, done: set[str]) -> None:
        part = self.path / f"{RUN}.part"
        with (self.path / RUN).open(encoding="utf-8") as old, part.open("w", encoding="utf-8") as new:
            new.writelines(line for line in old if line.endswith("\n") and line.partition(" ")[0] in done)
        os.replace(part, self.path / RUN)

    def append(self, records: Sequence[Record], run: Sequence[str]) -> None:
        """Write some questions: their ranking first, so that a question with a record has one."""
        for name, lines in (
            (RUN, run),
            (QUESTIONS, [json.dumps(record, ensure_ascii=False) + "\n" for record in records]),
        ):
            with (self.path / name).open("a", encoding="utf-8", errors="replace") as file:
                file.writelines(lines)

    def records(self) -> Iterator[Record]:
        """The questions that are done, in order."""
        try:
            with (self.path / QUESTIONS).open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)
        except (OSError, ValueError) as error:
            raise QuestionsError(f"the run in {self.path} cannot be read ({error}): evaluate again") from error

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replace summary.json at once."""
        part = self.path / f"{SUMMARY}.part"
        part.write_text(json.dumps(summary, ensure_ascii=False, indent=1), encoding="utf-8")
        os.replace(part, self.path / SUMMARY)

    def check(self, *, resume: bool) -> None:
        """Can a run be written here, or gone on with?

        Raises:
            QuestionsError: an incomplete run or other files are there.
        """
        if self.path.exists() and (not self.path.is_dir() or self._foreign()):
            raise QuestionsError(f"{self.path} is not an empty folder: choose another one for the run (--out DIR)")
        if self.exists() and not resume and not self.summary()["complete"]:
            raise QuestionsError(
                f"{self.path} holds a run that was stopped: add --resume to go on with it, or delete the folder"
            )

    def _foreign(self) -> list[str]:
        """The visible files that no run of ours wrote; without its summary, files with our names are not ours."""
        own = (QUESTIONS, RUN, SUMMARY, REPORT) if self.exists() else ()
        return [entry.name for entry in self.path.iterdir() if not entry.name.startswith((*own, "."))]


def _whole(lines: Iterable[bytes]) -> Iterator[tuple[str, int]]:
    """(id, end) of each record up to the first that was not written whole."""
    end = 0
    for line in lines:
        end += len(line)
        try:
            yield str(json.loads(line)["id"]), end
        except (ValueError, KeyError, TypeError):
            return
