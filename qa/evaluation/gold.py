"""Gold against a library: which of its passages answer a question, judged by the finest gold that the row has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from qa.answering import Searched, cite
from qa.as_json import citation_as_json
from qa.evaluation.naming import SourceNames
from qa.evaluation.runs import label_of
from qa.evaluation.text import collapsed, holds, spans, wanted
from qa.evaluation.types import Question, Unit
from qa.language import terms
from qa.library import Library
from qa.snapshot import Snapshot
from qa.store import PassageRow
from qa.types import Passage

JudgedBy = Literal["passage", "answer", "page", "source"]

_CACHED = 8_192
"""Passages kept with their text: about 16 MB."""
_CACHED_DOCUMENTS = 16
_LIKELY = 50
"""Documents looked through for words whose source is not given, the most likely ones by BM25."""

Span = tuple[int, int, int]  # document row, start, end


@dataclass(frozen=True, slots=True)
class Target:
    """What counts as an answer to a question in this library.

    `documents` are the rows of its gold sources (empty: any may answer), `spans` the places of its gold passages and
    `numbers` which of these each is of, `answers` its answer strings, `wanted`, `grades` the grade of each label of the
    judged ranking.
    """

    by: JudgedBy | None
    documents: frozenset[int] = frozenset()
    spans: tuple[Span, ...] = ()
    numbers: tuple[int, ...] = ()
    answers: tuple[str, ...] = ()
    pages: frozenset[int] = frozenset()
    grades: dict[str, int] = field(default_factory=dict)
    missing: bool = False  # gold was named, and no document of the library is or holds it


class Judge:
    """Tells which passages of one state of a library answer a question."""

    def __init__(self, library: Library, current: Snapshot, unit: Unit | None) -> None:
        self.store = library.store
        self.current = current
        self.unit = unit
        self.sources: dict[int, list[str]] = {}
        self._documents: dict[str, set[int]] = {}  # by source; none where the file could not be read
        for file in self.store.files():
            self._documents.setdefault(file.source, set())
            if file.document is not None:
                self.sources.setdefault(file.document, []).append(file.source)
                self._documents[file.source].add(file.document)
        self._names = SourceNames(self._documents)
        self._twins = _twins(current)
        self._rows = {row_id: row for row, row_id in enumerate(current.ids.tolist())}
        self.passage = lru_cache(_CACHED)(self._passage)
        self._collapsed = lru_cache(_CACHED)(lambda row_id: collapsed(self.passage(row_id)[1].text))
        self._pages = lru_cache(_CACHED)(self._pages_of)
        self._whole = lru_cache(_CACHED_DOCUMENTS)(lambda document: collapsed(self.store.text(document)[0]))

    # What a question wants

    def documents_of(self, source: str) -> frozenset[int]:
        """The documents that a gold source means; none where it is unclear which one."""
        names = self._names.matching(source)
        documents = frozenset(document for name in names for document in self._documents[name])
        return documents if len(set(names)) == 1 or len(documents) == 1 else frozenset()

    def hint(self, source: str) -> str:
        """What to do about a gold source that the library does not have."""
        if any(mark in source for mark in ",;") and any(map(self.documents_of, re.split(r"[,;]\s*", source))):
            return " (several sources have | between them)"
        near = self._names.near(source)
        return f" (did you mean {near}?)" if near and self._documents[near] else ""

    def target(self, question: Question) -> Target:
        """What counts as an answer to a question."""
        if question.answerable is False:
            return Target(None)
        named = {source: grade for source, grade in question.sources.items() if grade > 0}
        documents = frozenset().union(*(self.documents_of(source) for source in named))
        answers = tuple(filter(None, map(wanted, question.answers)))
        located = [self._locate(passage, documents) for passage in question.passages]
        found = tuple(span for spans in located for span in spans)
        grades = self._grades(question, located)
        if named and not documents:
            return Target(_first_of(question), grades=grades, missing=True)
        if found:
            numbers = tuple(number for number, spans in enumerate(located) for _ in spans)
            return Target("passage", frozenset(span[0] for span in found), found, numbers, grades=grades)
        if question.passages and not named:
            return Target("passage", grades=grades, missing=True)
        if answers and (not documents or any(self.document_holds(document, answers) for document in documents)):
            return Target("answer", documents, answers=answers, grades=grades)
        if question.pages and documents:
            return Target("page", documents, pages=frozenset(question.pages), grades=grades)
        return Target("source" if documents else None, documents, grades=grades)

    def _grades(self, question: Question, located: Sequence[Sequence[Span]]) -> dict[str, int]:
        """The gold labels of the judged ranking."""
        if self.unit == "document":
            grades: dict[str, int] = {}
            for source, grade in question.sources.items():
                for label in {self.label(document) for document in self.documents_of(source)} or {label_of(source)}:
                    grades[label] = max(grade, grades.get(label, 0))
            return grades
        if self.unit == "page":
            return {
                f"{label}#page={page}": grade
                for source, grade in question.sources.items()
                for label in {self.label(document) for document in self.documents_of(source)} or {label_of(source)}
                for page in question.pages
            }
        if self.unit == "passage":
            return {_gold_label(number): 1 for number in range(len(located))}
        return {}

    def label(self, document: int) -> str:
        """A document's name in a ranking: the first of its sources."""
        return label_of(self.sources[document][0])

    def _locate(self, passage: str, documents: frozenset[int]) -> list[Span]:
        """Where a gold passage, given as an id or as text, stands in the library: every place."""
        parts = passage.split(".")
        if len(parts) == 3 and len(parts[0]) == 16 and parts[1].isdecimal() and parts[2].isdecimal():
            document, start, end = self.store.find_document(parts[0]), int(parts[1]), int(parts[2])
            whole = document is not None and start < end <= len(self.store.text(document)[0])
            return [(document, start, end)] if document is not None and whole else []
        return [
            (document, start, end)
            for document in sorted(documents) or self.likely(passage)
            for start, end in spans(self.store.text(document)[0], passage)
        ]

    def likely(self, text: str) -> list[int]:
        """The documents that may hold a text, the likeliest first, by BM25."""
        best = np.zeros(len(self.current), dtype=np.float32)
        for language, here in self.current.rows_by_language.items():
            best[here] = self.current.bm25(terms(text, language))[here]
        order = np.argsort(-best, kind="stable")[: 4 * _LIKELY]
        documents = self.current.documents[order[best[order] > 0]].tolist()
        return list(dict.fromkeys(documents))[:_LIKELY]

    def document_holds(self, document: int, answers: Sequence[str]) -> bool:
        """Does a document's text hold one of the answers, all of them `wanted`?"""
        return any(holds(self._whole(document), answer) for answer in answers)

    # What a passage gives

    def _passage(self, row_id: int) -> tuple[PassageRow, Passage]:
        row = self.store.passages([row_id])[row_id]
        return row, self.store.passage(row)

    def _pages_of(self, row_id: int) -> tuple[int, ...]:
        row, _ = self.passage(row_id)
        ends = [self.store.block_at(row.document, place) for place in (row.start, row.end - 1)]
        pages = [block.page for block in ends if block is not None and block.page is not None]
        return tuple(range(pages[0], pages[-1] + 1)) if pages else ()

    def _twins_of(self, row: int) -> tuple[int, ...]:
        """The passage rows with the text of one: several, where it is repeated; itself first."""
        return self._twins.get(int(self.current.same[row]), (row,))

    def documents_at(self, row: int) -> tuple[int, ...]:
        """The documents that hold the text of a passage row."""
        return tuple(int(self.current.documents[twin]) for twin in self._twins_of(row))

    def pages_at(self, row: int) -> frozenset[int]:
        """The pages on which the text of a passage row stands."""
        ids = self.current.ids
        return frozenset(page for twin in self._twins_of(row) for page in self._pages(int(ids[twin])))

    def gold_at(self, target: Target, row: int) -> list[int]:
        """Which of a target's spans the text of a passage row covers, by number."""
        places = [self.passage(int(self.current.ids[twin]))[0] for twin in self._twins_of(row)]
        return [n for n, span in enumerate(target.spans) if any(_overlap(place, span) for place in places)]

    def answers_question(self, target: Target, row: int) -> bool:
        """Does a passage, by its row in the snapshot, answer?"""
        if target.missing or target.by is None:
            return False
        held = self.documents_at(row)
        if target.documents and target.documents.isdisjoint(held):
            return False
        row_id = int(self.current.ids[row])
        if target.by == "answer":
            return any(holds(self._collapsed(row_id), answer) for answer in target.answers)
        if target.by == "page":
            return not target.pages.isdisjoint(self.pages_at(row))
        if target.by == "passage":
            return bool(self.gold_at(target, row))
        return True

    def rows_of(self, document: int) -> list[int]:
        """The passage rows of a document, in order."""
        return [self._rows[row.id] for row in self.store.passages_of(document) if row.id in self._rows]

    def answer_depth(self, ranking: Sequence[int], answers: Sequence[str], depth: int) -> int | None:
        """The rank of the first of `depth` passage rows whose text holds an answer string."""
        gold = [wanted(answer) for answer in answers]
        for rank, row in enumerate(ranking[:depth], 1):
            text = self._collapsed(int(self.current.ids[row]))
            if any(holds(text, answer) for answer in gold):
                return rank
        return None

    # Rankings

    def labels(self, search: Searched, target: Target) -> list[tuple[str, float]]:
        """The ranking as it is judged: each label once, at its best passage, with that passage's score."""
        scores: dict[str, float] = {}
        pairs = zip(search.ranking.rows.tolist(), search.ranking.scores.tolist(), strict=True)
        for row, score in pairs:
            for label in self._labels_at(row, target):
                scores.setdefault(label, score)
        return list(scores.items())

    def _labels_at(self, row: int, target: Target) -> Iterator[str]:
        if self.unit == "passage":
            found = dict.fromkeys(_gold_label(target.numbers[n]) for n in self.gold_at(target, row))
            yield from found or [self.passage(int(self.current.ids[row]))[1].id]
            return
        held = self.documents_at(row)
        gold_ones = [document for document in held if document in target.documents]
        for document in gold_ones or held[:1]:
            if self.unit == "page":
                pages = sorted(self.pages_at(row)) or [0]
                named = [f"{self.label(document)}#page={page}" for page in pages]
                yield from sorted(named, key=lambda label: label not in target.grades)  # a passage can be of two pages
            else:
                yield self.label(document)

    def gold_passage(self, target: Target, row: int) -> dict[str, Any]:
        """A passage that answers, for showing: where it stands, its text, and the gold words in it."""
        place, passage = self.passage(int(self.current.ids[row]))
        marks = self._marks(target, place, passage.text)
        start, end = marks[0] if marks else (0, len(passage.text))
        quote = passage.text[start:end]
        citation = cite(self.store, place.document, place.start + start, place.start + end, quote)
        where = citation_as_json(citation)
        return {
            "passage_id": passage.id,
            **{name: where[name] for name in ("source", "title", "page", "heading", "line", "row")},
            "text": passage.text,
            "marks": marks,
            "citation": citation.id,
        }

    def _marks(self, target: Target, place: PassageRow, text: str) -> list[tuple[int, int]]:
        if target.by == "answer":
            for answer in target.answers:
                found = list(spans(text, answer, whole_words=True))
                if found:
                    return found
        inside = [
            (max(start, place.start) - place.start, min(end, place.end) - place.start)
            for document, start, end in target.spans
            if document == place.document and start < place.end and end > place.start
        ]
        return sorted(inside)


def _first_of(question: Question) -> JudgedBy:
    """The finest gold that a row names."""
    if question.passages:
        return "passage"
    return "answer" if question.answers else "page" if question.pages else "source"


def _gold_label(number: int) -> str:
    """The name of a question's gold passage in a ranking."""
    return f"gold-{number + 1}"


def _twins(current: Snapshot) -> dict[int, tuple[int, ...]]:
    """The rows of each group of passages with the same text, by the group's number; groups of one are left out."""
    groups: dict[int, list[int]] = {}
    for row in np.flatnonzero(current.same).tolist():
        if current.kept is None or current.kept[row]:
            groups.setdefault(int(current.same[row]), []).append(row)
    return {
        number: tuple(sorted(rows, key=lambda row: (current.keys[row], row)))
        for number, rows in groups.items()
        if len(rows) > 1
    }


def _overlap(row: PassageRow, span: Span) -> bool:
    """Is at least half of a passage or of a gold span, whichever is shorter, in the other?"""
    document, start, end = span
    common = min(row.end, end) - max(row.start, start)
    return row.document == document and common > 0 and 2 * common >= min(row.end - row.start, end - start)
