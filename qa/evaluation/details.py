"""What the page of a run shows of its questions: chosen by worth, cut around their marks, within a bounded size."""

from __future__ import annotations

import heapq
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, TypeVar

from qa import escape
from qa.evaluation.types import Record

LARGEST = 2_500_000
"""Bytes of a report at most: small enough to mail and to open on a phone, and room for the details of a few hundred
failures. Whatever does not fit is in questions.jsonl."""
ROWS = LARGEST // 4
"""Bytes of the one-line rows at most: some 5,000 questions to search and filter; the details get the rest."""
HELD = 8 * LARGEST
"""Bytes of details held while choosing, before those that share a passage are found to."""
EXCERPTS = (1_600, 1_000, 600, 400)
"""Characters of a passage. The first with which the details of all questions fit is taken; if none does, the first with
which those of all failures do."""
TURN = 25
"""Failures of one class before the next class has its turn, so that a frequent class leaves room for the others."""
MOST_HITS = 20
MOST_KINDS = 24
LONGEST_NAME = 160
LONGEST_ROW = 180
LONGEST_TEXT = 1_200
_LINE_FULL, _LINE_LONG = 45, 120  # a line between was ended by the page's width and not on purpose

CLASSES = {
    "ranked below k": "It was scored, and k or more other passages were better.",
    "refused by the threshold": "It is among the passages shown, and the answer was “no passage found”.",
    "not among the candidates": "Neither the words nor the meaning brought it among the passages that are scored.",
    "answered although unanswerable": "Nothing answers, and an answer was given.",
    "passage split apart": "The document holds the answer, but no single passage does.",
    "document not in the library": "No gold source was indexed, or no document holds the gold answer.",
}
"""Failure classes with what they mean, the most instructive first: what the ranking did, then what the library or the
question set lacks."""

_ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}

Span = tuple[int, int]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A text, or the part of it around its marks: the spans that were quoted, and those of the gold words."""

    text: str
    quotes: tuple[Span, ...] = ()
    golds: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage with its place (title, source, page, heading, line) and what the ranking said of it."""

    rank: int | None
    score: float | None
    strength: str | None
    relevant: bool | None
    place: tuple[str, str, int | None, str, int | None, int | None]
    excerpt: Excerpt


@dataclass(frozen=True, slots=True)
class Details:
    """What opens under a question: plain facts as JSON holds them, its hits, and the passage that answers."""

    facts: dict[str, Any]
    hits: tuple[Shown, ...]
    gold: Shown | None

    def size(self) -> int:
        """Bytes, roughly: what holding it costs, and writing it if nothing is shared."""
        texts = [shown.excerpt.text for shown in (*self.hits, *filter(None, (self.gold,)))]
        return 200 + len(_json(self.facts)) + sum(200 + len(text) for text in texts)


@dataclass
class Best(Generic[T]):
    """The first in order of what was added, as many as are no larger than `room` together."""

    room: int
    used: int = 0
    full: bool = False
    heap: list[tuple[tuple[int, ...], int, T]] = field(default_factory=list)

    def takes(self, order: tuple[int, ...]) -> bool:
        """Would something of this order have a chance to stay?"""
        return not self.full or (bool(self.heap) and _reversed(order) > self.heap[0][0])

    def add(self, order: tuple[int, ...], size: int, item: T) -> None:
        """Add an item, and let go of the last ones where it gets too much. `order` is unique."""
        heapq.heappush(self.heap, (_reversed(order), size, item))
        self.used += size
        while self.used > self.room:
            self.used -= heapq.heappop(self.heap)[1]
            self.full = True

    def items(self) -> list[T]:
        """What stayed, in order."""
        return [item for _, _, item in sorted(self.heap, reverse=True)]


def _reversed(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-part for part in order)


@dataclass(slots=True)
class Chosen:
    """What of the questions may be shown, in order of worth, and counts of all of them."""

    rows: Best[tuple[int, int, str]] = field(default_factory=lambda: Best(ROWS))
    details: Best[tuple[int, Details]] = field(default_factory=lambda: Best(HELD))
    kinds: dict[str, int] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    questions: int = 0
    refused: int = 0
    right: int = 0


def choose(records: Iterable[Record], summary: Mapping[str, Any]) -> Chosen:
    """Go through the questions and keep those worth showing: failures first, the classes taking turns."""
    chosen = Chosen()
    measures = list(summary["measures"])
    for index, record in enumerate(records):
        failure = record["failure"]["class"] if record.get("failure") else None
        judged = failure is not None or _is_judged(record)
        chosen.questions += 1
        chosen.refused += record.get("found") is False
        chosen.right += judged and failure is None
        order = (1, 0, 0, index)
        if failure is not None:
            order = (0, chosen.failures[failure] // TURN, class_order(failure), index)
            chosen.failures[failure] += 1
        if chosen.rows.takes(order):
            row = _json(_row(index, record, failure, judged, chosen.kinds))
            chosen.rows.add(order, len(row.encode()) + 2, (class_order(failure), index, row))
        if chosen.details.takes(order):
            details = _details(record, measures)
            chosen.details.add(order, details.size(), (index, details))
    return chosen


def _is_judged(record: Record) -> bool:
    """Is there gold to tell right from wrong?"""
    return record.get("answerable") is False or _has_gold(record)


def _has_gold(record: Record) -> bool:
    """Has the question an answer that can be looked for? `judged_by` says so where the run knows it."""
    if record.get("answerable") is False:
        return False
    return bool(record["judged_by"] if "judged_by" in record else any((record.get("gold") or {}).values()))


def class_order(failure: str | None) -> int:
    """The place of a class; one that is not known comes after the others, and no failure last."""
    if failure is None:
        return len(CLASSES) + 1
    return next((place for place, name in enumerate(CLASSES) if name == failure), len(CLASSES))


def _row(index: int, record: Record, failure: str | None, judged: bool, kinds: dict[str, int]) -> list[Any]:
    """A question's line: number, id, question, kind, failure class, state, rank (0: not found), score."""
    kind = plain(record.get("kind") or "")
    if len(kinds) < MOST_KINDS:
        kinds.setdefault(kind, len(kinds))
    refused = record.get("found") is False
    state = ("failed" if failure else "right" if judged else "unjudged") + (" refused" if refused else "")
    return [
        index,
        plain(record["id"], 60),
        plain(record["question"], LONGEST_ROW),
        kinds.get(kind, -1),
        failure and plain(failure),
        state,
        record.get("rank") or (0 if _has_gold(record) else None),
        _rounded(record.get("score")) if record.get("hits") else None,
    ]


def _details(record: Record, measures: Sequence[str]) -> Details:
    failure = record.get("failure") or {}
    gold = failure.get("gold")
    hits = [hit for hit in record.get("hits") or () if hit["rank"] <= MOST_HITS]
    found = failure.get("wrong")
    facts = {
        "question": _clip(record["question"], LONGEST_TEXT),
        "history": [_clip(turn, 300) for turn in (record.get("history") or ())[-6:]],
        "searched": _clip(record.get("searched") or "", LONGEST_TEXT),
        **_gold_facts(record.get("gold") or {}),
        "answerable": record.get("answerable"),
        "threshold": _rounded(record.get("threshold")),
        "answer": [_clip(sentence["text"], 400) for sentence in (record.get("answer") or ())[:4]],
        "why": _clip(failure.get("detail") or "", 600),
        "wrong": next((place for place, hit in enumerate(hits) if hit["rank"] == found), None),
        "documents": [] if hits else [_label(*document) for document in (record.get("documents") or ())[:10]],
        "measures": [_rounded((record.get("measures") or {}).get(name)) for name in measures],
    }
    marks = {gold["passage_id"]: _spans(gold.get("marks") or (), gold["text"])} if gold else {}
    shown = tuple(_hit(hit, marks.get(hit["passage_id"], ())) for hit in hits)
    kept = {name: value for name, value in facts.items() if value not in (None, [], "")}
    return Details(kept, shown, _gold(gold, hits) if gold else None)


def _gold_facts(gold: Mapping[str, Any]) -> dict[str, Any]:
    """What the question set says that the answer is, the first ten of each."""
    sources = list((gold.get("sources") or {}).items())
    lists = {"answers": gold.get("answers") or [], "sources": sources, "passages": gold.get("passages") or []}
    return {
        "answers": [_clip(answer, 300) for answer in lists["answers"][:10]],
        "sources": [[plain(source), grade] for source, grade in sources[:10]],
        "pages": (gold.get("pages") or [])[:10],
        "passages": [_clip(passage, 300) for passage in lists["passages"][:10]],
        "more": {name: len(values) - 10 for name, values in lists.items() if len(values) > 10} or None,
    }


def _label(label: str, score: float | None, grade: int | None) -> list[Any]:
    return [plain(label), _rounded(score), grade]


def _hit(hit: Mapping[str, Any], golds: tuple[Span, ...]) -> Shown:
    quotes = _quoted(hit)
    excerpt = excerpted(Excerpt(_flowing(hit["text"]), quotes, golds), EXCERPTS[0])
    return Shown(hit["rank"], hit["score"], hit["strength"], hit["relevant"], _place(hit["citation"]), excerpt)


def _gold(gold: Mapping[str, Any], hits: Sequence[Mapping[str, Any]]) -> Shown:
    """The passage that answers, with what was quoted of it where it is among the hits."""
    quotes = next((_quoted(hit) for hit in hits if hit["passage_id"] == gold["passage_id"]), ())
    golds = _spans(gold.get("marks") or (), gold["text"])
    excerpt = excerpted(Excerpt(_flowing(gold["text"]), quotes, golds), EXCERPTS[0])
    return Shown(gold.get("rank"), gold.get("score"), None, True, _place(gold), excerpt)


def _place(where: Mapping[str, Any]) -> tuple[str, str, int | None, str, int | None, int | None]:
    heading = where.get("heading") or ""
    path = heading if isinstance(heading, str) else " › ".join(heading)
    return (
        plain(where.get("title") or where["source"]),
        plain(where["source"]),
        where.get("page"),
        plain(path),
        where.get("line"),
        where.get("row"),
    )


def _quoted(hit: Mapping[str, Any]) -> tuple[Span, ...]:
    """Where a hit's quote stands in its text; none where it does not stand there word for word."""
    citation = hit["citation"]
    start = int(hit["passage_id"].rsplit(".", 2)[1])
    span = (citation["start"] - start, citation["end"] - start)
    return (span,) if span[0] >= 0 and hit["text"][slice(*span)] == citation["quote"] else ()


def _spans(marks: Iterable[Sequence[int]], text: str) -> tuple[Span, ...]:
    """Marks in order, without those outside the text and with those that overlap joined."""
    spans: list[Span] = []
    for start, end in sorted((start, end) for start, end in marks if 0 <= start < end <= len(text)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return tuple(spans)


def _flowing(text: str) -> str:
    """A passage whose lines were ended by the page's width as flowing text, each character in its place."""
    lines = text.split("\n")
    ends = [" " if _LINE_FULL <= len(line) <= _LINE_LONG and after.strip() else "\n" for line, after in pairwise(lines)]
    return "".join(part for pair in zip(lines, [*ends, ""], strict=True) for part in pair)


def excerpted(excerpt: Excerpt, most: int) -> Excerpt:
    """The part of a text around its marks, about `most` characters; its first gold word where not all of them fit."""
    text, marks = excerpt.text, sorted((*excerpt.golds, *excerpt.quotes))
    if len(text) <= most:
        return excerpt
    start, end = (marks[0][0], max(end for _, end in marks)) if marks else (0, 0)
    if end - start > most:
        start, end = (excerpt.golds or excerpt.quotes)[0]
    end = min(end, start + most)
    first = max(0, min(start - (most - (end - start)) // 2, len(text) - most))
    last = min(len(text), first + most)
    first = (text.find(" ", first, start) + 1 or first) if first else 0  # at a word's beginning, where there is one
    last = max(end, text.rfind(" ", end, last)) if last < len(text) else last
    lead = "… " if first else ""
    tail = " …" if last < len(text) else ""

    def moved(spans: Iterable[Span]) -> tuple[Span, ...]:
        inside = ((max(start, first), min(end, last)) for start, end in spans)
        return tuple((start - first + len(lead), end - first + len(lead)) for start, end in inside if start < end)

    return Excerpt(f"{lead}{text[first:last]}{tail}", moved(excerpt.quotes), moved(excerpt.golds))


# The data in the page


@dataclass(slots=True)
class Pool:
    """Texts by number, each once, and the bytes that they take."""

    numbers: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def number(self, text: str) -> int:
        """The number of a text, which is added if it is new."""
        if text not in self.numbers:
            self.numbers[text] = len(self.numbers)
            self.size += len(_json(text).encode()) + 1
        return self.numbers[text]

    def shrink(self, count: int) -> None:
        """Let go of what was added after the first `count` texts."""
        while len(self.numbers) > count:
            self.size -= len(_json(self.numbers.popitem()[0]).encode()) + 1


def data(summary: Mapping[str, Any], chosen: Chosen, budget: int) -> str:
    """The questions as JSON, `budget` bytes at most: failures by class, then the others in their order."""
    rows = [row for _, _, row in sorted(chosen.rows.items())]
    head = {
        "k": summary["settings"]["k"],
        "measures": [plain(name) for name in summary["measures"]],
        "kinds": list(chosen.kinds),
        "classes": {name: CLASSES.get(name, "") for name in sorted(map(plain, chosen.failures), key=class_order)},
        "counts": {
            "all": chosen.questions,
            "failed": chosen.failures.total(),
            "refused": chosen.refused,
            "right": chosen.right,
        },
        "failures": {plain(name): count for name, count in chosen.failures.items()},
        "more": chosen.questions - len(rows),
    }
    left = budget - len(_json(head).encode()) - sum(len(row.encode()) + 2 for row in rows) - 100
    details, pool = _fitting(chosen, left)
    parts = [_json(head)[:-1], ',"rows":[', ",\n".join(rows), '],"details":{', ",\n".join(details), '},"pool":']
    return "".join([*parts, _json(list(pool.numbers)), "}"])


def _fitting(chosen: Chosen, budget: int) -> tuple[list[str], Pool]:
    """The details that fit, with excerpts as long as they can be; see `EXCERPTS`."""
    listed = {index for _, index, _ in chosen.rows.items()}
    details = [(index, details) for index, details in chosen.details.items() if index in listed]
    tries = [_packed(details, most, budget) for most in EXCERPTS]
    for wanted in (chosen.questions, chosen.failures.total()):
        for packed, pool in tries:
            if len(packed) >= wanted:
                return packed, pool
    return tries[-1]


def _packed(details: Iterable[tuple[int, Details]], most: int, budget: int) -> tuple[list[str], Pool]:
    """The first details, as many as fit, with excerpts of `most` characters."""
    packed: list[str] = []
    pool, used = Pool(), 0
    for index, one in details:
        before = len(pool.numbers)
        written = f'"{index}":{_json(_pooled(one, most, pool))}'
        used += len(written.encode()) + 2
        if used + pool.size > budget:
            pool.shrink(before)
            break
        packed.append(written)
    return packed, pool


def _pooled(details: Details, most: int, pool: Pool) -> dict[str, Any]:
    hits = {"hits": [_shown(hit, most, pool) for hit in details.hits]} if details.hits else {}
    gold = {"gold": _shown(details.gold, most, pool)} if details.gold else {}
    return {**details.facts, **hits, **gold}


def _shown(shown: Shown, most: int, pool: Pool) -> list[Any]:
    title, source, page, heading, line, row = shown.place
    excerpt = excerpted(shown.excerpt, most)
    return [
        shown.rank,
        _rounded(shown.score),
        shown.strength,
        shown.relevant,
        [pool.number(title), pool.number(source), page, pool.number(heading), line, row],
        pool.number(excerpt.text),
        _units(excerpt.text, excerpt.quotes),
        _units(excerpt.text, excerpt.golds),
    ]


def _units(text: str, spans: Iterable[Span]) -> list[list[int]]:
    """Spans as scripts count them: a character beyond the first 65,536 is two units there."""
    return [[end + sum(letter > "\uffff" for letter in text[:end]) for end in span] for span in spans]


def _json(value: object) -> str:
    """JSON for a script element: nothing in it ends the element, and every browser reads it."""
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).translate(_ESCAPED)
    return re.sub("[\ud800-\udfff]", "\ufffd", written)


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 4)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def plain(text: str, most: int = LONGEST_NAME) -> str:
    """A name on one line, `most` characters of it; what nobody sees, such as a turn of direction, becomes U+FFFD."""
    return visible(_clip(" ".join(_clip(text, 4 * most).split()), most))


def visible(text: str) -> str:
    """A text on one line without characters that nobody sees, `LONGEST_TEXT` characters of it."""
    return escape.plain(_clip(text, LONGEST_TEXT))
