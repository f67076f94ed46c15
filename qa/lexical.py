"""BM25 over passages, scored against its own maximum so that scores of different questions can be compared."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

K1 = 0.9
B = 0.4
"""Robertson's BM25 with the parameters that Anserini uses; R@1 78.9 on SQuAD (docs/design.md)."""
UNIT = 0.5
"""A term's weight in a passage is stored as a whole number of these; the most is 32,767."""
_AT_ONCE = 65_536
"""Postings looked at at once, so that they stay in the cache: four times as fast as all at once."""
_POSTINGS = 4_000_000
"""Postings merged at once, about 100 MB of work space."""

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
Rows = NDArray[np.int32]
Units = NDArray[np.uint16]
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Postings:
    """Which passages hold which terms. It does not change; its arrays may be views of files.

    `terms` (t,) are the terms' hashes, increasing; those of `terms[i]` are `rows[starts[i]:starts[i + 1]]`, increasing,
    with their weights in `units`. `lengths` (n,) is the sum of the weights of each passage.
    """

    terms: Hashes
    starts: Places
    rows: Rows
    units: Units
    lengths: Floats

    @classmethod
    def build(cls, passages: Iterable[Mapping[str, float]]) -> Self:
        """Postings of passages, given as the weight of each term, one row after the other."""
        numbers: dict[str, int] = {}
        term_of, weight_of, held, lengths = array("i"), array("f"), array("i"), array("f")
        for weights in passages:
            lengths.append(sum(weights.values()))
            held.append(len(weights))
            term_of.extend([numbers.setdefault(term, len(numbers)) for term in weights])
            weight_of.extend(weights.values())
        hashes = np.fromiter(map(term_hash, numbers), dtype=np.uint64, count=len(numbers))
        terms, place = np.unique(hashes, return_inverse=True)
        numbered = place[np.asarray(term_of)] if len(numbers) else np.zeros(0, np.int64)
        order = np.argsort(numbered, kind="stable")
        rows = np.repeat(np.arange(len(held), dtype=np.int32), np.asarray(held))
        units = np.minimum(np.asarray(weight_of) / UNIT, 65_535).astype(np.uint16)
        return cls(
            terms,
            _starts(np.bincount(numbered, minlength=len(terms))),
            rows[order],
            units[order],
            np.asarray(lengths, dtype=np.float32),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def of(self, term: int) -> tuple[Rows, Units]:
        """The rows that hold a term, given by its hash, and its weights in them."""
        first, last = self._span(term)
        return self.rows[first:last], self.units[first:last]

    def count(self, term: int) -> int:
        """How many passages hold a term, given by its hash."""
        first, last = self._span(term)
        return last - first

    def _span(self, term: int) -> tuple[int, int]:
        place = int(np.searchsorted(self.terms, np.uint64(term)))
        if place == len(self.terms) or int(self.terms[place]) != term:
            return 0, 0
        return int(self.starts[place]), int(self.starts[place + 1])

    def counts_in(self, rows: Mask) -> dict[int, int]:
        """How many of some passages hold each term, by hash; those that none holds are left out."""
        blocks = (self.rows[first : first + _AT_ONCE] for first in range(0, len(self.rows), _AT_ONCE))
        held = np.flatnonzero(np.concatenate([rows.take(block) for block in blocks] or [np.zeros(0, np.bool_)]))
        places, many = np.unique(np.searchsorted(self.starts, held, "right") - 1, return_counts=True)
        return dict(zip(self.terms[places].tolist(), many.tolist(), strict=True))

    @classmethod
    def merged(cls, parts: Sequence[tuple[Postings, Mask]]) -> Self:
        """The postings of all parts one after the other, of each only the rows of its mask, (n,)."""
        terms = np.unique(np.concatenate([part.terms for part, _ in parts]))
        places = [np.searchsorted(terms, part.terms) for part, _ in parts]
        counts = np.zeros((len(parts), len(terms)), dtype=np.int64)
        for number, (part, kept) in enumerate(parts):
            for first, last, alive in part._alive(kept):
                held = np.repeat(np.arange(last - first), np.diff(part.starts[first : last + 1]))[alive]
                counts[number, places[number][first:last]] = np.bincount(held, minlength=last - first)
        starts = _starts(counts.sum(axis=0))
        rows, units = np.empty(starts[-1], dtype=np.int32), np.empty(starts[-1], dtype=np.uint16)
        following = starts[:-1].copy()  # where the next posting of each term goes
        offset = 0
        for number, (part, kept) in enumerate(parts):
            renumbered = (np.cumsum(kept) - 1 + offset).astype(np.int32)
            for first, last, alive in part._alive(kept):
                here = places[number][first:last]
                many = counts[number, here]
                shift = np.repeat(following[here] - (np.cumsum(many) - many), many)
                target = np.arange(len(shift)) + shift
                span = slice(int(part.starts[first]), int(part.starts[last]))
                rows[target] = renumbered[part.rows[span][alive]]
                units[target] = part.units[span][alive]
            following += counts[number]
            offset += int(kept.sum())
        used = counts.any(axis=0)
        lengths = np.concatenate([part.lengths[kept] for part, kept in parts])
        return cls(terms[used], np.append(starts[:-1][used], starts[-1]), rows, units, lengths)

    def _alive(self, kept: Mask) -> Iterator[tuple[int, int, Mask]]:
        """Runs of terms, first and last, of up to _POSTINGS postings, and which of these are of kept rows."""
        first = 0
        while first < len(self.terms):
            last = max(first + 1, int(np.searchsorted(self.starts, self.starts[first] + _POSTINGS, "right")) - 1)
            yield first, last, kept.take(self.rows[self.starts[first] : self.starts[last]])
            first = last


def impact(units: Units, norms: Floats) -> Floats:
    """What a term adds to the score of passages, before its idf: the saturated weight, under K1 + 1."""
    weights: Floats = units.astype(np.float32)
    weights *= np.float32(UNIT)
    saturated: Floats = weights + norms
    np.divide(weights, saturated, out=saturated)
    saturated *= np.float32(K1 + 1)
    return saturated


def idf(held: int, passages: int) -> float:
    """Inverse document frequency of a term that `held` of some passages have; none counts like one."""
    held = max(1, held)
    return float(np.log(1 + (passages - held + 0.5) / (held + 0.5)))


def norms(lengths: Floats, mean: float) -> Floats:
    """What passages of these lengths divide by, from the mean length of all."""
    return (K1 * (1 - B + B * lengths / np.float32(mean or 1.0))).astype(np.float32)


@lru_cache(maxsize=200_000)
def term_hash(term: str) -> int:
    """The 64 bits by which postings know a term; of a million terms, two share them with a chance of 3 in 10^8."""
    return int.from_bytes(hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _starts(counts: Places) -> Places:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
