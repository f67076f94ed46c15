"""FAISS behind one small interface: inner products over vectors in half precision, exact or through lists by size."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EXACT = 30_000
"""Vectors up to which every one is compared, in 1 to 2 ms a question on one core (docs/design.md, "Vectors")."""
PROBED = 48
"""Lists that a question looks into, of about √n. Over SciFact's 49,654 sentences: .965 of the ten nearest found in 1.1
ms instead of 3, and .9993 of the ten passages of the fused ranking; with 16 lists .902 and .9990."""
_TRAINED = 64
"""Vectors a list that its centroids are fitted to; FAISS asks for 39 and more."""
_ROUNDS = 8
_MANY = 8
"""Questions from which a search uses all cores."""
_ROWS = 65_536
"""Vectors held in single precision at a time."""

Vectors = NDArray[np.float32]
Halves = NDArray[np.float16]
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]


class VectorIndex:
    """Unit vectors by row, 0 to n - 1. An instance does not change, so threads may share it.

    They are stored in half precision, which changes no ranking that was measured (docs/design.md, "Vectors"), and read
    from the file as they are needed. With lists, a search looks only into the PROBED nearest ones.
    """

    def __init__(self, flat: Any, lists: Any | None) -> None:  # noqa: ANN401 - a FAISS index has no type
        self._flat = flat
        self._lists = lists

    @classmethod
    def build(cls, blocks: Iterable[Halves], dimension: int) -> Self:
        """An exact index of unit vectors, given as matrices (any, dimension) that follow one another."""
        import faiss

        kind: Any = faiss.ScalarQuantizer
        flat = faiss.IndexScalarQuantizer(dimension, kind.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        flat.is_trained = True
        for block in blocks:
            for first in range(0, len(block), _ROWS):
                flat.add(np.ascontiguousarray(block[first : first + _ROWS], dtype=np.float32))
        return cls(flat, None)

    def with_lists(self) -> Self:
        """The same vectors with the lists that make a search fast above EXACT of them; it takes seconds to minutes."""
        return type(self)(self._flat, _listed(self))

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._flat.d)

    @property
    def has_lists(self) -> bool:
        """Does a search look only into the nearest lists?"""
        return self._lists is not None

    def search(
        self, queries: Vectors, k: int, *, allowed: Mask | None = None, exact: bool = False
    ) -> tuple[Vectors, Rows]:
        """The `k` nearest of each query (m, dimension): scores and rows, (m, k), best first, -1 where there is none.

        Args:
            allowed: look only at these rows, (n,), so that k of them are found if there are k.
            exact: compare every vector.
        """
        import faiss

        k = min(k, len(self))
        if k == 0:
            return np.zeros((len(queries), 0), dtype=np.float32), np.zeros((len(queries), 0), dtype=np.int64)
        _calm(len(queries))
        share, selected = 1.0, {}
        if allowed is not None:
            share = max(1, int(np.count_nonzero(allowed))) / len(self)
            bitmap: Any = faiss.IDSelectorBitmap  # FAISS's Python wrappers take arrays, its stubs do not say so
            selected["sel"] = bitmap(np.packbits(allowed, bitorder="little"))
        queries = np.ascontiguousarray(queries)
        if self._lists is None or exact or share * len(self) <= EXACT:
            make: Any = faiss.SearchParameters
            found: tuple[Vectors, Rows] = self._flat.search(queries, k, params=make(**selected) if selected else None)
        else:
            make = faiss.SearchParametersIVF  # what a filter leaves out costs little: as many vectors are compared
            probed = min(self._lists.nlist, round(PROBED / share))
            found = self._lists.search(queries, k, params=make(nprobe=probed, **selected))
        return found

    def vectors(self, rows: NDArray[np.integer[Any]]) -> Vectors:
        """The vectors of `rows`, (n, dimension).

        Raises:
            IndexError: a row is not in the index.
        """
        codes = self._stored.view(np.uint8)[rows]
        some: Vectors = self._flat.sa_decode(codes) if len(codes) else np.zeros((0, self.dimension), np.float32)
        return some

    def stored(self) -> Halves:
        """All vectors as they are stored, (n, dimension), a view of the index's own memory or file."""
        return self._stored

    @cached_property
    def _stored(self) -> Halves:
        import faiss

        if not len(self):
            return np.zeros((0, self.dimension), dtype=np.float16)
        data: NDArray[np.uint8] = faiss.rev_swig_ptr(self._flat.codes.data(), 2 * len(self) * self.dimension)
        return data.view(np.float16).reshape(len(self), self.dimension)

    def save(self, folder: Path) -> None:
        """Write the index into a folder.

        Raises:
            OSError: it cannot be written.
        """
        import faiss

        try:
            faiss.write_index(self._flat, str(folder / "vectors.faiss"))
            if self._lists is not None:
                faiss.write_index(self._lists, str(folder / "lists.faiss"))
        except RuntimeError as error:
            raise OSError(f"the vector index in {folder.name} cannot be written") from error

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The index that `save` wrote; its vectors stay in the file until they are needed.

        Raises:
            ValueError: a file is missing or damaged.
        """
        import faiss

        try:
            flat = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
            lists = None
            if (folder / "lists.faiss").exists():
                lists = faiss.read_index(str(folder / "lists.faiss"), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ValueError(f"the vector index in {folder.name} cannot be read") from error
        index = cls(flat, lists)
        if lists is not None and lists.ntotal != len(index):
            raise ValueError(f"the vector index in {folder.name} has {lists.ntotal} of {len(index)} vectors in lists")
        return index


def _listed(index: VectorIndex) -> Any:  # noqa: ANN401 - a FAISS index has no type
    """The vectors in about √n lists around centroids fitted to a sample, 8 bits a number."""
    import faiss

    count = round(len(index) ** 0.5)
    stored = index.stored()
    quantizer = faiss.IndexFlatIP(index.dimension)
    kind: Any = faiss.ScalarQuantizer
    lists = faiss.IndexIVFScalarQuantizer(quantizer, index.dimension, count, kind.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    lists.cp.niter = _ROUNDS
    lists.cp.max_points_per_centroid = _TRAINED
    sample = np.linspace(0, len(index) - 1, min(len(index), _TRAINED * count)).astype(np.int64)
    lists.train(index.vectors(sample))
    for first in range(0, len(index), _ROWS):
        lists.add(np.ascontiguousarray(stored[first : first + _ROWS], dtype=np.float32))
    return lists


def _calm(queries: int) -> None:
    """A few questions are searched by their own thread alone, because OpenMP's threads of several searches would fight
    for the cores (docs/design.md, "Many at once"); many at once use them all."""
    import faiss

    faiss.omp_set_num_threads(1 if queries < _MANY else os.cpu_count() or 1)
