"""Runs in TREC's form: `question Q0 label rank score system`, a line for each ranked label."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from qa.errors import QuestionsError

_STEP = 1e-6


def label_of(source: str) -> str:
    """A source as a run can hold it: white space is percent-encoded."""
    return re.sub(r"\s", lambda found: quote(found[0]), source)


def strictly_decreasing(scores: Sequence[float]) -> list[float]:
    """Scores to six places, each below the one before, so that every program ranks them alike."""
    done: list[float] = []
    for score in scores:
        done.append(round(score if not done else min(score, done[-1] - _STEP), 6))
    return done


def run_lines(question: str, ranking: Sequence[tuple[str, float]], system: str = "refdesk") -> Iterator[str]:
    """The lines of one question."""
    for rank, (label, score) in enumerate(ranking, 1):
        yield f"{label_of(question)} Q0 {label_of(label)} {rank} {score:.6f} {system}\n"


class RunFile:
    """A run of any system, read question by question: only the places of the questions are in memory."""

    def __init__(self, path: Path, places: dict[str, list[tuple[int, int]]], system: str) -> None:
        self.path = path
        self.system = system
        self._places = places

    @classmethod
    def open(cls, path: str | Path) -> RunFile:
        """A run file, all of its lines checked.

        Raises:
            QuestionsError: it cannot be read, or a line is not `question Q0 label rank score system`.
        """
        path = Path(path)
        places: dict[str, list[tuple[int, int]]] = {}
        system, last, place = "", None, 0
        _check_encoding(path)
        try:
            with path.open("rb") as lines:
                for number, line in enumerate(lines, 1):
                    start, place = place, place + len(line)
                    if not line.strip():
                        continue
                    question, _, _, system = _fields(line, path, number)
                    if question != last:
                        places.setdefault(question, []).append((start, place))
                        last = question
                    else:
                        places[question][-1] = (places[question][-1][0], place)
        except OSError as error:
            raise QuestionsError(f"run {path} cannot be read ({error.strerror}): give a file in TREC's form") from error
        if not places:
            raise QuestionsError(f"run {path} is empty: expected lines of `question Q0 label rank score system`")
        return cls(path, places, system)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, question: str) -> bool:
        return label_of(question) in self._places

    def ranking(self, question: str) -> list[tuple[str, float]]:
        """(label, score) of a question by score, ties by label from the last to the first as trec_eval does; empty if
        there is none. Of a label that is there twice the better one counts."""
        found: dict[str, float] = {}
        with self.path.open("rb") as file:
            for start, end in self._places.get(label_of(question), ()):
                file.seek(start)
                for line in file.read(end - start).splitlines():
                    if line.strip():
                        _, label, score, _ = _fields(line, self.path, 0)
                        found[label] = max(score, found.get(label, -math.inf))
        by_label = sorted(found.items(), reverse=True)
        return sorted(by_label, key=lambda item: -item[1])


def _check_encoding(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise QuestionsError(f"run {path} cannot be read ({error.strerror}): give a file in TREC's form") from error
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise QuestionsError(f"run {path} is in UTF-16: save it as UTF-8")


def _fields(line: bytes, path: Path, number: int) -> tuple[str, str, float, str]:
    """(question, label, score, system) of a line."""
    parts = line.decode("utf-8", "replace").removeprefix("\ufeff").split()
    try:
        question, _, label, _, score, system = parts
        value = float(score)
        if math.isfinite(value):
            return question, label, value, system
    except ValueError:
        pass
    shown = " ".join(parts)[:60]
    raise QuestionsError(
        f"run {path}, line {number}: expected `question Q0 label rank score system`, found {shown!r}: mend the line"
    )
