"""Passages for a question: cosine of the best sentence and BM25, fused by score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from qa.language import question_terms
from qa.segment import language_name
from qa.snapshot import Snapshot
from qa.types import Strength, Tuned

DENSE_WEIGHT = 0.4
"""Share of the cosine where the encoder knows the language: .4·cos + .6·BM25/max has R@1 83.5 on SQuAD, dense alone
70.3, BM25 alone 78.9, reciprocal ranks 73.4 (docs/design.md, "Fusion")."""
KNOWN_FROM, KNOWN_TO = 1.5, 4.0
"""Characters a token of a language that the encoder does not know, and of one that it knows. all-MiniLM-L6-v2 reads
English at 4.9, Spanish at 3.2, German at 3.0, Russian at 1.2, its dense nDCG@10 on XQuAD falling in the same order."""
DENSE_SCRIPTS = {"zh": 1.2, "ja": 1.4, "ko": 1.7, "th": 2.0}
"""Characters a token where one character is a syllable or a word: known from there on."""
SET_BACK = 0.85
"""Factor for repeated text and text around the main one, so that it ranks below what it surrounds."""
SHOWN_PENALTY = 0.1
"""Taken from a passage that an earlier turn has shown: CAsT-21 R@5 63.9 → 77.9 together with the mixing of turns."""
NOTHING_FOUND = 0.20
NOTHING_FOUND_DENSE = 0.325
"""A hit below `NOTHING_FOUND + NOTHING_FOUND_DENSE · weight of the cosine` is weak, and an answer of weak hits is none.
With half of XQuAD's articles removed this keeps 97 % of the answerable questions in English and rejects 97 % of the
others; German 93/91, Spanish 97/75, Russian 96/78 (docs/quality.md, "Nothing found")."""
STRONG = 0.15
"""Above that threshold, from where a hit is strong: the first passage is right for 95 % and more of such questions."""
_CANDIDATES = 100
"""Passages taken from each of the two rankings before the exact scores are fused, at least. With 200 the first ten are
the same for 99.9 % on SciFact and XQuAD en, 99.7 % on XQuAD ru, and a question takes .8 ms longer."""
_BLOCK = 512
"""Scores of which only the largest is looked at first, where there are many."""

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Number = TypeVar("Number", float, Floats)


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is searched: texts with weights that sum to 1 and their vectors (n, dimension)."""

    texts: tuple[str, ...]
    weights: tuple[float, ...]
    vectors: Floats
    shown: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passage rows of a snapshot, best first, with their scores."""

    rows: Ids
    scores: Floats
    dense: Floats
    lexical: Floats
    thresholds: Floats  # under which a score is weak

    @property
    def best(self) -> Strength:
        """How well the best passage fits; weak where there is none."""
        return strength(float(self.scores[0]), float(self.thresholds[0])) if len(self.rows) else "weak"


_NONE = np.zeros(0, dtype=np.float32)
NO_RANKING = Ranking(np.zeros(0, dtype=np.int64), _NONE, _NONE, _NONE, _NONE)
"""Of a library, or a part of it, that holds nothing."""


def rank(
    snapshot: Snapshot,
    query: Query,
    k: int,
    *,
    allowed: NDArray[np.bool_] | None,
    dense_weight: float | None,
    exact: bool = False,
) -> Ranking:
    """All candidates for the `k` best passages for a query among `allowed` (passages,), several times `k`.

    Ties are broken by document and place. `dense_weight` in [0, 1] replaces the weight chosen by language: 1 ranks by
    cosine alone, 0 by BM25 alone. `exact` compares every vector, however many there are.
    """
    weights = np.array(query.weights, dtype=np.float32)
    mixed = np.zeros(len(snapshot), dtype=np.float32)
    for weight, text in zip(weights, query.texts, strict=True):
        mixed += weight * lexical_scores(snapshot, text)
    rows = _candidates(snapshot, query.vectors, mixed, max(_CANDIDATES, 4 * k), allowed, exact=exact)
    if not len(rows):
        return NO_RANKING
    dense = weights @ best_sentence_scores(snapshot, query.vectors, rows)  # (rows,)
    share, thresholds = weights_of(snapshot, rows, dense_weight)
    taken = np.zeros(len(rows), dtype=np.float32)
    if query.shown:
        taken += SHOWN_PENALTY * np.isin(snapshot.ids[rows], np.array(sorted(query.shown), dtype=np.int64))
    scores = fused(dense, mixed[rows], share, factor=set_back(snapshot, rows), taken=taken)
    order = np.lexsort((rows, snapshot.keys[rows], -scores))
    return Ranking(rows[order], scores[order], dense[order], mixed[rows][order], thresholds[order])


def fused(dense: Floats, lexical: Floats, share: Floats, *, factor: Floats, taken: Floats) -> Floats:
    """The scores of passages from their two parts, (rows,); rounded, so that the last bits of a batch's arithmetic
    decide no order."""
    scores = (share * dense + (1 - share) * lexical) * factor - taken
    return np.clip(np.round(scores, 6), 0, 1).astype(np.float32)


def set_back(snapshot: Snapshot, rows: Ids) -> Floats:
    """The factor of each row's score: SET_BACK for text that is repeated or around the main one, (rows,)."""
    return np.where(snapshot.set_back[rows], np.float32(SET_BACK), np.float32(1))


def weights_of(snapshot: Snapshot, rows: Ids, dense_weight: float | None = None) -> tuple[Floats, Floats]:
    """The weight of the cosine for each passage row and the threshold under which its score is weak, (rows,) both.

    The weight is lower where the encoder does not know the language; both can be tuned for a language.
    """
    share = np.full(len(rows), dense_weight or 0, dtype=np.float32)
    thresholds = threshold(share)
    if dense_weight is not None:
        return share, thresholds
    numbers = snapshot.languages[rows]
    for number in np.unique(numbers).tolist():
        here, language = numbers == number, language_name(number)
        tuned = snapshot.tuned.get(language, Tuned())
        share[here] = own = weight_of(snapshot, language) if tuned.dense_weight is None else tuned.dense_weight
        thresholds[here] = threshold(own) if tuned.nothing_found is None else tuned.nothing_found
    return share, thresholds


def threshold(share: Number) -> Number:
    """The score under which a hit is weak, by the weight of its cosine."""
    return NOTHING_FOUND + NOTHING_FOUND_DENSE * share


def weight_of(snapshot: Snapshot, language: str) -> float:
    """The weight of the cosine for a language, by how well the encoder knows it."""
    return _dense_weight(language, snapshot.known[language])


def lexical_scores(snapshot: Snapshot, text: str) -> Floats:
    """BM25 over its maximum of every passage, each by the stemmer and stop words of its own language, (passages,)."""
    by_terms: dict[tuple[str, ...], list[NDArray[np.bool_]]] = {}
    for language, here in snapshot.rows_by_language.items():
        by_terms.setdefault(question_terms(text, language), []).append(here)
    if len(by_terms) == 1:
        return snapshot.bm25(next(iter(by_terms)))
    scores = np.zeros(len(snapshot), dtype=np.float32)
    for terms, places in by_terms.items():
        found = snapshot.bm25(terms)
        for here in places:
            scores[here] = found[here]
    return scores


def best_sentence_scores(snapshot: Snapshot, vectors: Floats, rows: Ids) -> Floats:
    """Cosine of each query vector (n, dimension) with the best sentence of each passage row, at least 0, (n, rows).

    The rows are increasing, and there is at least one.
    """
    sentences, starts = snapshot.sentences_of(rows)
    # BLAS would run this small product on all cores, and wait 16 ms for one that is busy.
    cosines = np.einsum("id,jd->ij", vectors, sentences)  # (n, dim), (sentences, dim)
    best: Floats = np.maximum.reduceat(cosines, starts, axis=1)
    return np.maximum(best, 0)


def strength(score: float, threshold: float) -> Strength:
    """A score in words, by the threshold under which it is weak."""
    return "strong" if score >= threshold + STRONG else "partial" if score >= threshold else "weak"


def _dense_weight(language: str, known: float) -> float:
    full = DENSE_SCRIPTS.get(language, KNOWN_TO)
    start = min(KNOWN_FROM, full * 0.8)
    return DENSE_WEIGHT * float(np.clip((known - start) / (full - start), 0, 1))


def _candidates(
    snapshot: Snapshot,
    vectors: Floats,
    lexical: Floats,
    count: int,
    allowed: NDArray[np.bool_] | None,
    *,
    exact: bool,
) -> Ids:
    """Passage rows that either ranking puts among its first `count`, increasing; a repeated text is there once."""
    kept = snapshot.first_of_same(allowed)
    by_meaning = snapshot.nearest(vectors, count, allowed, exact=exact)
    if kept is not None:
        by_meaning = by_meaning[kept[by_meaning]]
        lexical = np.where(kept, lexical, 0)
    return np.union1d(_largest(lexical, count), by_meaning)


def _largest(scores: Floats, count: int) -> Ids:
    """The places of the `count` largest scores above 0, fewer if there are no more."""
    least = np.float32(0)
    blocks = len(scores) // _BLOCK
    if blocks > count:  # that many blocks have such a score, so smaller ones need not be looked at
        best = scores[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        least = np.partition(best, blocks - count)[blocks - count]
    places = np.flatnonzero(scores >= least) if least > 0 else np.flatnonzero(scores)
    if len(places) <= count:
        return places
    found: Ids = places[np.argpartition(-scores[places], count - 1)[:count]]
    return found


def weighted(parts: Sequence[tuple[float, str]], vectors: Floats, shown: frozenset[int] = frozenset()) -> Query:
    """A query of (weight, text) pairs with their vectors (n, dimension)."""
    return Query(tuple(text for _, text in parts), tuple(weight for weight, _ in parts), vectors, shown)
