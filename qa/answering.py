"""Hits and answers from a ranking: the sentence that fits best in each passage, quoted and cited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import PurePath

import numpy as np

from qa.errors import LibraryError
from qa.language import question_terms, terms
from qa.retrieval import DENSE_WEIGHT, Floats, Query, Ranking, strength
from qa.snapshot import Snapshot
from qa.store import PassageRow, Store, public_id
from qa.types import Answer, AnswerSentence, Citation, Hit, Passage

ANSWER_SENTENCES = 3
"""Sentences of an answer at most; more is a list of sources, which stands below it."""
ANSWER_SHARE = 0.75
"""Of the first sentence's fit: what a further one must reach to be quoted. On XQuAD en answers
then hold the gold string for 89 % with 1.5 sentences, the first sentence alone for 78 % (docs/quality.md)."""
ANSWER_NEWS = 0.2
"""Or: the idf share of the question's terms that no sentence before it holds."""
_OWN_LINES = ("text", "markdown")
"""Kinds whose stored text is the file's own, so that a line number means something."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence of a passage that was found, and how well it fits the question."""

    document: int
    start: int
    end: int
    text: str
    score: float
    held: Mapping[str, float]  # the question's terms that it holds, with what they count


@dataclass(frozen=True, slots=True)
class Found:
    """A hit with the sentences of its passage, best first."""

    hit: Hit
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Searched:
    """A question after its search: what was searched, all candidates ranked, and the first `k` as hits."""

    asked: str
    searched: str
    snapshot: Snapshot
    ranking: Ranking
    found: tuple[Found, ...]


def find(store: Store, snapshot: Snapshot, query: Query, ranking: Ranking, k: int) -> tuple[Found, ...]:
    """The first `k` passages of a ranking as hits. Repeated text comes with all its sources."""
    chosen = _first(store, snapshot.ids[ranking.rows].tolist(), k)
    if not chosen:
        return ()
    rows = ranking.rows[[place for place, _ in chosen]]
    ordered = np.sort(rows)
    vectors, starts = snapshot.sentences_of(ordered)
    of_row = dict(zip(ordered.tolist(), np.split(vectors, starts[1:]), strict=True))
    wanted = cache(partial(_wanted, snapshot, query))
    found: list[Found] = []
    for place, row in chosen:
        passage = store.passage(row)
        at = int(ranking.rows[place])
        language = snapshot.language(at)
        candidates = _candidates(store, query, row, passage, of_row[at], language, wanted(language))
        score = float(ranking.scores[place])
        hit = Hit(
            rank=len(found) + 1,
            passage=passage,
            score=score,
            strength=strength(score, float(ranking.thresholds[place])),
            citation=_cite(store, candidates[0]),
            dense=float(ranking.dense[place]),
            lexical=float(ranking.lexical[place]),
        )
        found.append(Found(hit, candidates))
    return tuple(found)


def _first(store: Store, ids: Sequence[int], k: int) -> list[tuple[int, PassageRow]]:
    """The first `k` passages that are still there, with their places among `ids`."""
    chosen: list[tuple[int, PassageRow]] = []
    for start in range(0, len(ids), k):
        rows = store.passages(ids[start : start + k])
        chosen += [
            (start + place, rows[row_id]) for place, row_id in enumerate(ids[start : start + k]) if row_id in rows
        ]
        if len(chosen) >= k:
            break
    return chosen[:k]


def _candidates(
    store: Store,
    query: Query,
    row: PassageRow,
    passage: Passage,
    vectors: Floats,
    language: str,
    wanted: Mapping[str, float],
) -> tuple[Candidate, ...]:
    """The sentences of a passage by their cosine and their share of the question's terms by idf, best first.

    Terms that the title or a heading names say what all of the passage is about, so they choose no sentence in it:
    below "The Juno", "How many passengers does the Juno carry?" is about passengers. So are those that all rows of a
    table hold: the names of its columns. Headings themselves are left out where there is anything else, and so is the
    row that names the columns where each row below says the names itself.
    """
    sentences = store.sentences(row.id)
    shown = [kind != "heading" for _, _, kind in sentences]
    rows = [passage.text[start - row.start : end - row.start] for start, end, kind in sentences if kind == "table"]
    if len(rows) > 1 and _names_columns(*rows[:2]):
        shown[next(place for place, (_, _, kind) in enumerate(sentences) if kind == "table")] = False
    shown = shown if any(shown) else [True] * len(sentences)
    body = [sentence for sentence, is_shown in zip(sentences, shown, strict=True) if is_shown]
    weights = np.array(query.weights, dtype=np.float32)
    cosines = (weights @ query.vectors) @ vectors[shown].T  # (dim,) @ (dim, sentences)
    texts = [passage.text[start - row.start : end - row.start] for start, end, _ in body]
    holding = [wanted.keys() & set(terms(text, language)) for text in texts]
    common = set(terms(" ".join(store.names_above(row.document, row.start)), language))
    in_rows = [held for held, (_, _, kind) in zip(holding, body, strict=True) if kind == "table"]
    if len(in_rows) > 1:
        common |= set.intersection(*in_rows)
    asked = {term: weight for term, weight in wanted.items() if term not in common} or wanted
    whole = sum(asked.values()) or 1
    scored = []
    for (start, end, _), text, held, cosine in zip(body, texts, holding, cosines.tolist(), strict=True):
        score = DENSE_WEIGHT * cosine + (1 - DENSE_WEIGHT) * sum(asked.get(term, 0) for term in held) / whole
        scored.append(Candidate(row.document, start, end, text, score, {term: wanted[term] for term in held}))
    return tuple(sorted(scored, key=lambda candidate: (-candidate.score, candidate.start)))


def _names_columns(row: str, below: str) -> bool:
    """Does a row of a table name the columns that the one below says, as in "Ship: Albatross | Captain: Ines Sol"?"""
    names = {part.split(": ")[0] for part in below.split(" | ") if ": " in part}
    return bool(names) and names <= set(row.split(" | "))


def _wanted(snapshot: Snapshot, query: Query, language: str) -> dict[str, float]:
    """What each term of a query counts: its share of the idf of all terms; they sum to 1."""
    wanted: dict[str, float] = {}
    for weight, text in zip(query.weights, query.texts, strict=True):
        some = [(term, snapshot.idf(term)) for term in question_terms(text, language)]
        whole = sum(idf for _, idf in some)
        for term, idf in some:
            wanted[term] = wanted.get(term, 0.0) + weight * idf / (whole or 1)
    return wanted


def cite(store: Store, document: int, start: int, end: int, quote: str) -> Citation:
    """The citation of `quote` at `text[start:end]` of a document.

    Raises:
        LibraryError: the document's text does not hold the quote there.
    """
    place = store.place(document, start, end)
    if place.quote != quote:
        raise LibraryError(
            f"the library is damaged: {place.sources[0] if place.sources else 'a document'} does not hold the words "
            f"of its passage at {start}-{end}; run `refdesk doctor`"
        )
    block = store.block_at(document, start)
    others = store.sources_repeating(document, start) if block is not None and block.zone == "repeated" else ()
    return Citation(
        id=f"{public_id(place.key)}.{start}.{end}",
        source=place.sources[0],
        title=place.title or PurePath(place.sources[0]).stem,
        page=block.page if block else None,
        heading=block.heading if block else (),
        line=place.line if place.kind in _OWN_LINES else None,
        start=start,
        end=end,
        quote=quote,
        sources=tuple(dict.fromkeys((*place.sources, *others))),
        row=block.row + store.lines(document, block.start, start) if block and block.row is not None else None,
    )


def answer(store: Store, search: Searched) -> Answer:
    """An answer from hits: the best sentences of those that are not weak, or none found with the nearest misses.

    The first sentence is the best one of the best passage. Others follow, of the same or of further passages, that
    fit ANSWER_SHARE as well; a sentence counts by its passage's score, too.
    """
    hits = tuple(one.hit for one in search.found)
    above = [one for one in search.found if one.hit.strength != "weak"]
    if not above:
        return Answer(search.asked, search.searched, found=False, sentences=(), hits=(), misses=hits)
    chosen = _chosen(above)
    quoted: dict[str, list[Citation]] = {}
    for candidate in chosen:
        quoted.setdefault(candidate.text, []).append(_cite(store, candidate))
    sentences = tuple(AnswerSentence(text, tuple(citations)) for text, citations in quoted.items())
    return Answer(search.asked, search.searched, found=True, sentences=sentences, hits=hits)


def _chosen(above: Sequence[Found]) -> list[Candidate]:
    """The sentences of an answer, the best first, then what fits nearly as well or says what the first left out."""
    first = above[0].candidates[0]
    chosen = [first]
    rest = [(one.hit.score / above[0].hit.score, candidate) for one in above for candidate in one.candidates]
    rest.remove((1.0, first))
    while rest and len(chosen) < ANSWER_SENTENCES:
        said = {term for candidate in chosen for term in candidate.held}
        rated = [
            (factor * candidate.score, factor * sum(v for term, v in candidate.held.items() if term not in said), place)
            for place, (factor, candidate) in enumerate(rest)
        ]
        fit, new, place = max(rated, key=lambda item: (item[1] >= ANSWER_NEWS, item[0], -item[2]))
        if fit < ANSWER_SHARE * first.score and new < ANSWER_NEWS:
            break
        chosen.append(rest.pop(place)[1])
    return chosen


def _cite(store: Store, candidate: Candidate) -> Citation:
    return cite(store, candidate.document, candidate.start, candidate.end, candidate.text)
