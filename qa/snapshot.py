"""One generation of a library as a search sees it: segments, and which of their passages are gone since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from qa.lexical import K1, idf, impact, norms, term_hash
from qa.segment import Ids, Mask, Segment, language_name
from qa.types import Tuned

Floats = NDArray[np.float32]

_AT_ONCE = 16_384
"""Postings scored at once, so that they stay in the cache: 8 ns each instead of 13, among a million passages."""


@dataclass(frozen=True)
class Part:
    """A segment with what is left of it."""

    segment: Segment
    kept: Mask | None = None  # None while all of it is
    gone: Mapping[int, int] = field(default_factory=dict)  # how many passages that are gone hold each term, by hash

    def without(self, passages: Ids) -> Part:
        """What is left without some passages, given by row id."""
        own = self.segment.passages.ids
        places = np.searchsorted(own, passages)
        here = places[(places < len(own)) & (own[np.minimum(places, len(own) - 1)] == passages)]
        if not len(here):
            return self
        dead = np.zeros(len(self.segment), dtype=np.bool_)
        dead[here] = True
        if self.kept is not None:
            dead &= self.kept
        gone = dict(self.gone)
        for term, count in self.segment.postings.counts_in(dead).items():
            gone[term] = gone.get(term, 0) + count
        return Part(self.segment, ~dead if self.kept is None else self.kept & ~dead, gone)

    @property
    def mask(self) -> Mask:
        """Which rows are left, (n,)."""
        return np.ones(len(self.segment), dtype=np.bool_) if self.kept is None else self.kept

    @cached_property
    def live(self) -> int:
        """How many rows are left."""
        return len(self.segment) if self.kept is None else int(self.kept.sum())

    @cached_property
    def vectors(self) -> Mask | None:
        """Which vectors the rows that are left have, (vectors,); None for all."""
        return None if self.kept is None else self.segment.vectors_in(self.kept)


@dataclass(frozen=True)
class Snapshot:
    """What a search needs of one generation. It does not change, so threads may share it.

    Its rows are the passages of all parts, one part after the other, by increasing row id; those that are gone are
    among them, and no search finds them.
    """

    of: str  # the library and encoder that it was made from
    generation: int
    upto: int  # the row id of the last passage that it knows
    removed: int  # the place in the log of deleted passages up to which it knows them
    parts: tuple[Part, ...]
    known: dict[str, float]  # characters a token of each language
    tuned: dict[str, Tuned]  # what replaces the defaults, by language

    def __len__(self) -> int:
        return self._starts[-1]

    @cached_property
    def live(self) -> int:
        """How many passages can be found."""
        return sum(part.live for part in self.parts)

    @cached_property
    def large(self) -> bool:
        """Does a search look into lists, since there are too many vectors to compare all?"""
        return any(part.segment.vectors.has_lists for part in self.parts)

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(part.segment) for part in self.parts), initial=0))

    # Of each passage row

    @cached_property
    def ids(self) -> Ids:
        """Row ids, increasing, (n,)."""
        return self._of_all("ids")

    @cached_property
    def documents(self) -> Ids:
        """Row ids of the documents, (n,)."""
        return self._of_all("documents")

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """The first half of each document's key, by which documents are in the same order in every library, (n,)."""
        return self._of_all("keys")

    @cached_property
    def set_back(self) -> Mask:
        """Text that is repeated or around the main one, (n,)."""
        return self._of_all("set_back")

    @cached_property
    def same(self) -> Ids:
        """A number that repeated passages of the same text share, 0 of text that is not repeated, (n,)."""
        return self._of_all("same")

    @cached_property
    def languages(self) -> NDArray[np.uint32]:
        """`language_number` of each row's, (n,)."""
        return self._of_all("languages")

    def _of_all(self, name: str) -> NDArray:  # type: ignore[type-arg]
        arrays = [getattr(part.segment.passages, name) for part in self.parts]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays or [np.zeros(0, np.int64)])

    @cached_property
    def kept(self) -> Mask | None:
        """Which rows can be found, (n,); None for all."""
        if all(part.kept is None for part in self.parts):
            return None
        return np.concatenate([part.mask for part in self.parts])

    def language(self, row: int) -> str:
        """The language of a passage row."""
        return language_name(int(self.languages[row]))

    @cached_property
    def rows_by_language(self) -> dict[str, Mask]:
        """Which passage rows are in each language, (n,)."""
        return {language_name(int(one)): self.languages == one for one in np.unique(self.languages)}

    def first_of_same(self, allowed: Mask | None) -> Mask | None:
        """Which rows a search may show, (n,), None for all: of passages with the same text the first by key.

        Of those in `allowed`, (n,), if it is given.
        """
        if allowed is None:
            return self._first_of_all
        return self._first(allowed if self.kept is None else allowed & self.kept)

    @cached_property
    def _first_of_all(self) -> Mask | None:
        return self._first(self.kept)

    def _first(self, kept: Mask | None) -> Mask | None:
        rows = np.flatnonzero(self.same)
        if kept is not None:
            rows = rows[kept[rows]]
        rows = rows[np.lexsort((rows, self.keys[rows]))]
        _, first = np.unique(self.same[rows], return_index=True)
        later = np.delete(rows, first)
        if not len(later):
            return kept
        kept = np.ones(len(self), dtype=np.bool_) if kept is None else kept.copy()
        kept[later] = False
        return kept

    # Words

    @cached_property
    def _norms(self) -> Floats:
        lengths = np.concatenate([part.segment.postings.lengths for part in self.parts])
        kept = lengths if self.kept is None else lengths[self.kept]
        return norms(lengths, float(kept.mean(dtype=np.float64)) if len(kept) else 1.0)

    def idf(self, term: str) -> float:
        """Inverse document frequency of a term; one that no passage has counts like one that a single passage has."""
        number = term_hash(term)
        held = sum(part.segment.postings.count(number) - part.gone.get(number, 0) for part in self.parts)
        return idf(held, self.live)

    def bm25(self, terms: Sequence[str]) -> Floats:
        """BM25 of every passage over its maximum for these terms, in [0, 1], (n,).

        The maximum is `Σ idf(t)·(k1 + 1)`, which no passage reaches; a term that no passage has counts with the
        largest idf, so that a question about something else scores low everywhere.
        """
        scores = np.zeros(len(self), dtype=np.float32)
        if not terms or not self.live:
            return scores
        weights = {term: terms.count(term) * self.idf(term) for term in dict.fromkeys(terms)}
        largest = sum(weights.values()) * (K1 + 1)
        for term, weight in weights.items():
            share = np.float32(weight / largest)
            for part, start, stop in zip(self.parts, self._starts, self._starts[1:], strict=False):
                rows, units = part.segment.postings.of(term_hash(term))
                own, norms_ = scores[start:stop], self._norms[start:stop]
                for first in range(0, len(rows), _AT_ONCE):
                    places = rows[first : first + _AT_ONCE].astype(np.intp)  # once, and not for each use
                    added = impact(units[first : first + _AT_ONCE], norms_.take(places))
                    added *= share
                    added += own.take(places)
                    own[places] = added
        if self.kept is not None:
            scores[~self.kept] = 0
        return scores

    # Sentences

    def nearest(self, vectors: Floats, count: int, allowed: Mask | None, *, exact: bool = False) -> Ids:
        """The passage rows of the `count` sentences nearest to each query vector (m, dimension), increasing.

        Of those in `allowed`, (n,), if it is given; every vector is compared with `exact`.
        """
        scores, places, numbers = [], [], []
        for number, (part, start) in enumerate(zip(self.parts, self._starts, strict=False)):
            some = part.vectors
            if allowed is not None:
                some = part.segment.vectors_in(allowed[start : start + len(part.segment)] & part.mask)
            found, rows = part.segment.vectors.search(vectors, count, allowed=some, exact=exact)
            scores.append(found)
            places.append(rows)
            numbers.append(np.full(found.shape, number))
        if not scores:
            return np.zeros(0, dtype=np.int64)
        all_scores, all_places, all_numbers = (np.concatenate(each, axis=1) for each in (scores, places, numbers))
        all_scores = np.where(all_places < 0, -np.inf, all_scores)
        best = np.argsort(-all_scores, axis=1, kind="stable")[:, :count]
        all_places, all_numbers = np.take_along_axis(all_places, best, 1), np.take_along_axis(all_numbers, best, 1)
        return np.concatenate(
            [
                start + part.segment.held_by(np.unique(all_places[(all_numbers == number) & (all_places >= 0)]))
                for number, (part, start) in enumerate(zip(self.parts, self._starts, strict=False))
            ]
        )

    def sentences_of(self, rows: Ids) -> tuple[Floats, Ids]:
        """The vectors of the sentences of passage rows, increasing, and where each row's start in them."""
        vectors, starts, before = [], [], 0
        for segment, own_rows in self._by_segment(rows):
            some, own = segment.vectors_of(own_rows)
            vectors.append(some)
            starts.append(own + before)
            before += len(some)
        return (vectors[0], starts[0]) if len(vectors) == 1 else (np.concatenate(vectors), np.concatenate(starts))

    def best_cosines(self, queries: Floats, rows: Ids) -> Floats:
        """Cosine of each query vector (m, dimension) with the best sentence of each passage row, (m, rows).

        The rows are increasing, and there is at least one.
        """
        best = [segment.best_cosines(queries, own) for segment, own in self._by_segment(rows)]
        return best[0] if len(best) == 1 else np.concatenate(best, axis=1)

    def _by_segment(self, rows: Ids) -> Iterator[tuple[Segment, Ids]]:
        """The segments that hold some of these rows, increasing, with their own numbers of them."""
        edges = np.searchsorted(rows, self._starts)
        for part, start, first, last in zip(self.parts, self._starts, edges, edges[1:], strict=False):
            if last > first:
                yield part.segment, rows[first:last] - start
