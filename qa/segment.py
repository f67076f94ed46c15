"""A run of passages with all that a search needs of them: written once, read from files, merged with its neighbours."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from embeddings import VectorIndex
from qa.language import terms
from qa.lexical import Postings
from qa.store import Store

CONTEXT_WEIGHT = 0.5
"""Weight of a term of the title or heading path against one of the passage's own text. SciFact nDCG@10 with 0: .731,
with .5: .734, with 1: .737, which is within its noise."""
_FEW = 10_000
"""Sentences up to which it costs more to look for equal ones than to read their vectors, 15 MB. A question looks at
about 1,500."""

Ids = NDArray[np.int64]
Rows = NDArray[np.int32]
Mask = NDArray[np.bool_]
Halves = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Passages:
    """What is known of each passage, (n,), by increasing row id."""

    ids: Ids
    documents: Ids
    keys: NDArray[np.uint64]  # the first half of the document's key, the same in every library that holds it
    languages: NDArray[np.uint32]  # `language_number` of the document's
    set_back: Mask  # text that is repeated or around the main one
    same: Ids  # a number that repeated passages of the same text share, 0 of text that is not repeated

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Sentences:
    """Which vectors the sentences of each passage have, and which passages have each vector.

    The sentences of row i have the vector rows `vectors[starts[i]:starts[i + 1]]`; vector row v is that of a sentence
    in the rows `holders[holder_starts[v]:holder_starts[v + 1]]`, increasing, and has the row id `vector_ids[v]`.
    """

    starts: Ids
    vectors: Rows
    holder_starts: Ids
    holders: Rows
    vector_ids: Ids

    @classmethod
    def build(cls, starts: Ids, vector_ids: Ids) -> Self:
        """From the vector's row id of each sentence, (sentences,)."""
        used, vectors = np.unique(vector_ids, return_inverse=True)
        order = np.argsort(vectors, kind="stable")
        rows = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
        holder_starts = np.concatenate([[0], np.cumsum(np.bincount(vectors, minlength=len(used)))]).astype(np.int64)
        return cls(starts, vectors.astype(np.int32), holder_starts, rows[order], used)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of passages. It does not change; its arrays may be views of files, in the folder of its `name`."""

    passages: Passages
    sentences: Sentences
    postings: Postings
    vectors: VectorIndex
    name: str | None = None  # None while it is only in memory

    def __len__(self) -> int:
        return len(self.passages)

    @classmethod
    def build(cls, store: Store, first: int, last: int, dimension: int) -> Self:
        """The segment of the passages with row ids from `first` to `last`."""
        rows = store.passage_rows(first, last)
        ids = np.array([row[0] for row in rows], dtype=np.int64)
        passages = Passages(
            ids,
            np.array([row[1] for row in rows], dtype=np.int64),
            np.array([int(row[3][:16], 16) for row in rows], dtype=np.uint64),
            np.array([language_number(row[4]) for row in rows], dtype=np.uint32),
            np.array([row[2] != "main" for row in rows], dtype=np.bool_),
            np.zeros(len(rows), dtype=np.int64),
        )
        for passage, digest, offset in store.repeated_passages(first, last):
            number = hashlib.blake2b(digest + offset.to_bytes(8, "little"), digest_size=8).digest()
            passages.same[np.searchsorted(ids, passage)] = 1 + (int.from_bytes(number, "little") >> 2)
        pairs = store.sentence_rows(first, last)  # (sentences, 2): passage, vector
        starts = np.append(np.searchsorted(pairs[:, 0], ids, "left"), len(pairs)).astype(np.int64)
        sentences = Sentences.build(starts, pairs[:, 1])
        postings = Postings.build(_terms_of(store, rows))
        vectors = VectorIndex.build(store.vectors(sentences.vector_ids, dimension), dimension)
        return cls(passages, sentences, postings, vectors)

    @classmethod
    def merged(cls, parts: Sequence[tuple[Segment, Mask]]) -> Self:
        """The passages of all parts, one after the other, of each only those of its mask (n,)."""
        passages = Passages(
            *(
                np.concatenate([getattr(part.passages, field.name)[kept] for part, kept in parts])
                for field in fields(Passages)
            )
        )
        counts, used = [], []
        for part, kept in parts:
            some = np.diff(part.sentences.starts)
            counts.append(some[kept])
            used.append(part.sentences.vector_ids[part.sentences.vectors[np.repeat(kept, some)]])
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int64)
        sentences = Sentences.build(starts, np.concatenate(used))
        dimension = parts[0][0].vectors.dimension
        vectors = VectorIndex.build(_vectors_of(sentences.vector_ids, [part for part, _ in parts]), dimension)
        postings = Postings.merged([(part.postings, kept) for part, kept in parts])
        return cls(passages, sentences, postings, vectors)

    def save(self, folder: Path) -> None:
        """Write the segment into a new folder.

        Raises:
            OSError: it cannot be written.
        """
        folder.mkdir()
        for part in (self.passages, self.sentences, self.postings):
            for field in fields(part):
                np.save(_file(folder, type(part), field.name), getattr(part, field.name), allow_pickle=False)
        self.vectors.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The segment that `save` wrote; its arrays stay in the files until they are needed.

        Raises:
            ValueError: a file is missing or damaged.
        """
        try:
            passages, sentences, postings = (_read(kind, folder) for kind in (Passages, Sentences, Postings))
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"the saved index {folder.name} cannot be read: {error}") from error
        return cls(passages, sentences, postings, VectorIndex.load(folder), folder.name)

    def held_by(self, vectors: Ids) -> Ids:
        """The passage rows that hold a sentence with one of these vector rows, increasing."""
        starts = self.sentences.holder_starts
        first, last = starts[vectors], starts[vectors + 1]
        return np.unique(self.sentences.holders[_ranges(first, last)]).astype(np.int64)

    def vectors_of(self, rows: Ids) -> tuple[NDArray[np.float32], Ids]:
        """The vectors of the sentences of these passage rows, (sentences, dimension), and where each row's start."""
        vectors, places, starts = self._held(rows)
        return vectors[places], starts

    def best_cosines(self, queries: NDArray[np.float32], rows: Ids) -> NDArray[np.float32]:
        """Cosine of each query vector (m, dimension) with the best sentence of each of these passage rows, (m, rows).

        Of many sentences each vector is compared once, however many have it: a text of a million words "hi." has one.
        """
        vectors, places, starts = self._held(rows)
        # BLAS would run this small product on all cores, and wait 16 ms for one that is busy.
        cosines = np.einsum("id,jd->ij", queries, vectors)  # (m, dim), (vectors, dim)
        best: NDArray[np.float32] = np.maximum.reduceat(cosines[:, places], starts, axis=1)
        return best

    def _held(self, rows: Ids) -> tuple[NDArray[np.float32], Ids | slice, Ids]:
        """The vectors that the sentences of these passage rows have, (any, dimension), of many sentences each once; the
        place of each sentence's among them, (sentences,); and where each row's sentences start."""
        first, last = self.sentences.starts[rows], self.sentences.starts[rows + 1]
        starts = np.cumsum(last - first) - (last - first)
        held = self.sentences.vectors[_ranges(first, last)]
        if len(held) <= _FEW:
            return self.vectors.vectors(held), slice(None), starts
        used, places = np.unique(held, return_inverse=True)
        return self.vectors.vectors(used), places, starts

    def vectors_in(self, kept: Mask) -> Mask:
        """Which vectors are those of sentences in some passage rows, (vectors,)."""
        found = np.zeros(len(self.vectors), dtype=np.bool_)
        found[self.sentences.vectors[np.repeat(kept, np.diff(self.sentences.starts))]] = True
        return found


def language_number(language: str) -> int:
    """A language's code as a number, 0 for an unknown one."""
    return int.from_bytes(language.encode()[:4], "little")


def language_name(number: int) -> str:
    """The code of `language_number`."""
    return number.to_bytes(4, "little").rstrip(b"\0").decode()


def _read(kind: type[Any], folder: Path) -> Any:  # noqa: ANN401 - one of three kinds
    """The arrays of a Passages, Sentences or Postings, which stay in their files."""
    paths = (_file(folder, kind, field.name) for field in fields(kind))
    return kind(*(np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray) for path in paths))


def _file(folder: Path, kind: type[Any], name: str) -> Path:
    return folder / f"{kind.__name__.lower()}-{name}.npy"


def _ranges(first: Ids, last: Ids) -> Ids:
    """All numbers of the half-open ranges first to last, one range after the other."""
    counts = last - first
    ranges: Ids = np.arange(counts.sum()) + np.repeat(first - (np.cumsum(counts) - counts), counts)
    return ranges


def _vectors_of(ids: Ids, parts: Sequence[Segment]) -> Iterator[Halves]:
    """The stored vectors with these row ids, increasing, some at a time; each is in one of the parts at least."""
    for first in range(0, len(ids), 65_536):
        some = ids[first : first + 65_536]
        block = np.zeros((len(some), parts[0].vectors.dimension), dtype=np.float16)
        for part in parts:
            here, own, other = np.intersect1d(some, part.sentences.vector_ids, return_indices=True)
            if len(here):
                block[own] = part.vectors.stored()[other]
        yield block


def _terms_of(store: Store, rows: Sequence[tuple[int, int, str, str, str]]) -> Iterator[Mapping[str, float]]:
    """The weight of each term of passages, given in increasing order of id; titles and headings count a little."""
    places = store.passage_places(rows[0][0], rows[-1][0]) if rows else {}
    document: int | None = None
    for row_id, of, _, _, language in rows:
        if of != document:
            document = of
            text, _, title = store.text(document)
        start, end, heading = places[row_id]
        own = text[start:end]
        above = [name for name in dict.fromkeys((title, *heading)) if name and name not in own]
        weights: dict[str, float] = dict(Counter(terms(own, language)))
        for term in terms(" ".join(above), language):
            weights[term] = weights.get(term, 0.0) + CONTEXT_WEIGHT
        yield weights
