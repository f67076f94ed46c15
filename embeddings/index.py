"""FAISS behind one small interface: exact inner products over vectors with integer ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Ids = NDArray[np.int64]


class VectorIndex:
    """Vectors by id. An instance does not change: `with_changes` gives a new one, so threads may share it."""

    def __init__(self, index: Any, ids: Ids) -> None:  # noqa: ANN401 - a FAISS index has no type
        self._index = index
        self.ids = ids
        self._by_id = np.argsort(ids, kind="stable")

    @classmethod
    def build(cls, ids: Ids, vectors: Vectors, *, dimension: int) -> Self:
        """An index of `vectors` (n, dimension), unit rows, under `ids` (n,)."""
        import faiss

        index = faiss.IndexFlatIP(dimension)
        if len(ids):
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(index, np.asarray(ids, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def with_changes(self, removed: Ids, ids: Ids, vectors: Vectors) -> Self:
        """A new index without `removed` and with `vectors` (n, dimension) under `ids` (n,)."""
        keep = ~np.isin(self.ids, removed)
        old = self._all_vectors()[keep]
        return type(self).build(
            np.concatenate([self.ids[keep], ids]), np.concatenate([old, vectors]), dimension=self.dimension
        )

    def search(self, queries: Vectors, k: int, *, allowed: Ids | None = None) -> tuple[Vectors, Ids]:
        """The `k` nearest of each query (m, dimension): scores and ids, (m, k), best first, -1 where there is none.

        With `allowed`, only those ids are looked at, so that k of them are found if there are k.
        """
        import faiss

        k = min(k, len(self))
        if k == 0:
            return np.zeros((len(queries), 0), dtype=np.float32), np.zeros((len(queries), 0), dtype=np.int64)
        parameters = None
        if allowed is not None:
            mask = np.isin(self.ids, allowed)
            selector: Any = faiss.IDSelectorBitmap  # FAISS's Python wrappers take arrays, its stubs do not say so
            make: Any = faiss.SearchParameters
            parameters = make(sel=selector(np.packbits(mask, bitorder="little")))
        scores, rows = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        return scores, np.where(rows >= 0, self.ids[rows], -1)

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors of `ids`, (n, dimension).

        Raises:
            KeyError: an id is not in the index.
        """
        places = np.searchsorted(self.ids, ids, sorter=self._by_id)
        rows = self._by_id[np.minimum(places, len(self.ids) - 1)] if len(self.ids) else places
        if len(ids) and (not len(self.ids) or not np.array_equal(self.ids[rows], ids)):
            raise KeyError("an id is not in the vector index")
        return self._all_vectors()[rows]

    def save(self, path: Path) -> None:
        """Write the index to `path`, ids included.

        Raises:
            OSError: it cannot be written.
        """
        import faiss

        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(f"{path.name} cannot be written") from error
        with path.with_suffix(".ids.npy").open("wb") as file:
            np.save(file, self.ids)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The index that `save` wrote.

        Raises:
            ValueError: a file is missing or damaged.
        """
        import faiss

        try:
            ids = np.load(path.with_suffix(".ids.npy"), allow_pickle=False)
            index = faiss.read_index(str(path))
        except (OSError, RuntimeError, EOFError, ValueError) as error:
            raise ValueError(f"vector index {path.name} cannot be read: {error}") from error
        if index.ntotal != len(ids):
            raise ValueError(f"vector index {path.name} has {index.ntotal} vectors for {len(ids)} ids")
        return cls(index, ids)

    def _all_vectors(self) -> Vectors:
        """A view of the index's own memory, (n, dimension)."""
        import faiss

        if not len(self):
            return np.zeros((0, self.dimension), dtype=np.float32)
        floats: Vectors = faiss.rev_swig_ptr(self._index.get_xb(), len(self) * self.dimension)
        return floats.reshape(len(self), self.dimension)
