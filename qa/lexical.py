"""BM25 over passages, scored against its own maximum so that scores of different questions can be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

K1 = 0.9
B = 0.4
"""Robertson's BM25 with the parameters that Anserini uses; R@1 78.9 on SQuAD (docs/design.md)."""

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]


class LexicalIndex:
    """Postings of passages by term. An instance does not change, so threads may share it.

    `ids` (n,) are the passages in increasing order; row i of any score is the score of passage `ids[i]`.
    """

    def __init__(self, ids: Ids, lengths: Floats, terms: Sequence[str], starts: Ids, rows: Ids, counts: Floats) -> None:
        self.ids = ids
        self._lengths = lengths
        self._terms = {term: number for number, term in enumerate(terms)}
        self._starts = starts  # postings of term t: rows[starts[t]:starts[t + 1]]
        self._rows = rows
        self._counts = counts
        mean = float(lengths.mean()) if len(lengths) else 1.0
        self._norms = (K1 * (1 - B + B * lengths / (mean or 1.0))).astype(np.float32)

    @classmethod
    def build(cls, passages: Iterable[tuple[int, Mapping[str, float]]]) -> Self:
        """An index of passages, given as (id, weight of each term) in increasing order of id."""
        ids: list[int] = []
        lengths: list[float] = []
        numbers: dict[str, int] = {}
        term_of: list[int] = []
        row_of: list[int] = []
        weight_of: list[float] = []
        for row, (passage, weights) in enumerate(passages):
            ids.append(passage)
            lengths.append(sum(weights.values()))
            for term, weight in weights.items():
                term_of.append(numbers.setdefault(term, len(numbers)))
                row_of.append(row)
                weight_of.append(weight)
        return cls._from_postings(
            np.array(ids, dtype=np.int64),
            np.array(lengths, dtype=np.float32),
            list(numbers),
            np.array(term_of, dtype=np.int64),
            np.array(row_of, dtype=np.int64),
            np.array(weight_of, dtype=np.float32),
        )

    @classmethod
    def _from_postings(
        cls, ids: Ids, lengths: Floats, terms: Sequence[str], term_of: Ids, row_of: Ids, weights: Floats
    ) -> Self:
        order = np.argsort(term_of, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(term_of, minlength=len(terms)))]).astype(np.int64)
        return cls(ids, lengths, terms, starts, row_of[order], weights[order])

    def __len__(self) -> int:
        return len(self.ids)

    def with_changes(self, removed: Ids, added: Iterable[tuple[int, Mapping[str, float]]]) -> Self:
        """A new index without `removed` and with `added`, whose ids are larger than all before."""
        other = type(self).build(added)
        keep = ~np.isin(self.ids, removed)
        new_row = np.cumsum(keep) - 1
        kept = keep[self._rows]
        old_terms = np.repeat(np.arange(len(self._terms)), np.diff(self._starts))
        numbers = dict(self._terms)
        translate = np.array([numbers.setdefault(term, len(numbers)) for term in other._terms], dtype=np.int64)
        other_terms = np.repeat(translate, np.diff(other._starts)) if len(other._terms) else translate
        return type(self)._from_postings(
            np.concatenate([self.ids[keep], other.ids]),
            np.concatenate([self._lengths[keep], other._lengths]),
            list(numbers),
            np.concatenate([old_terms[kept], other_terms]),
            np.concatenate([new_row[self._rows[kept]], other._rows + int(keep.sum())]),
            np.concatenate([self._counts[kept], other._counts]),
        )

    def scores(self, terms: Sequence[str]) -> Floats:
        """BM25 of every passage over its maximum for these terms, in [0, 1], (n,).

        The maximum is `Σ idf(t)·(k1 + 1)`, which no passage reaches; a term that no passage has counts with the
        largest idf, so that a question about something else scores low everywhere.
        """
        scores = np.zeros(len(self), dtype=np.float32)
        if not terms or not len(self):
            return scores
        largest = 0.0
        for term, repeated in Counter(terms).items():
            number = self._terms.get(term)
            first, last = (0, 0) if number is None else self._starts[number : number + 2]
            idf = repeated * self.idf(term)
            largest += idf * (K1 + 1)
            rows, weights = self._rows[first:last], self._counts[first:last]
            scores[rows] += idf * (K1 + 1) * weights / (weights + self._norms[rows])
        return scores / np.float32(largest)

    def idf(self, term: str) -> float:
        """Inverse document frequency of a term; one that no passage has counts like one that a single passage has."""
        number = self._terms.get(term)
        found = 0 if number is None else int(self._starts[number + 1] - self._starts[number])
        found = max(1, found)
        return float(np.log(1 + (len(self) - found + 0.5) / (found + 0.5)))

    def save(self, path: Path) -> None:
        """Write the index to `path`."""
        terms = np.frombuffer("\n".join(self._terms).encode(), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez(
                file, ids=self.ids, lengths=self._lengths, terms=terms, starts=self._starts,
                rows=self._rows.astype(np.int32), counts=self._counts,
            )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Self:
        """The index that `save` wrote.

        Raises:
            ValueError: the file is missing or damaged.
        """
        import zipfile

        try:
            with np.load(path, allow_pickle=False) as arrays:
                terms = arrays["terms"].tobytes().decode()
                index = cls(
                    arrays["ids"], arrays["lengths"], terms.split("\n") if terms else [], arrays["starts"],
                    arrays["rows"].astype(np.int64), arrays["counts"],
                )  # fmt: skip
        except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"lexical index {path.name} cannot be read: {error}") from error
        sound = (
            len(index._lengths) == len(index.ids)
            and len(index._starts) == len(index._terms) + 1
            and len(index._rows) == len(index._counts) == index._starts[-1]
        )
        if not sound:
            raise ValueError(f"lexical index {path.name} is damaged: its parts do not fit together")
        return index
