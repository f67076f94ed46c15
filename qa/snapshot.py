"""The indexes of one generation of a library: derived from the rows, saved beside them, rebuilt when they don't fit."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embeddings import VectorIndex
from qa.language import terms
from qa.lexical import LexicalIndex
from qa.store import Store
from qa.types import Tuned

FORMAT = 1
"""Changes when the files' content or the terms of a text change, so that older files are rebuilt."""
CONTEXT_WEIGHT = 0.5
"""Weight of a term of the title or heading path against one of the passage's own text. SciFact nDCG@10 with 0: .731,
with .5: .734, with 1: .737, which is within its noise."""
_ROWS = 4_096
"""Vectors read from the rows at once."""

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Snapshot:
    """What a search needs of one generation. It does not change, so threads may share it.

    Row i of `documents`, `set_back`, `same` and of any score over passages belongs to passage `lexical.ids[i]`. The
    sentences of row i have the vectors `sentence_vectors[sentence_starts[i]:sentence_starts[i + 1]]`.
    """

    of: str  # the library and encoder that it was made from
    generation: int
    vectors: VectorIndex
    lexical: LexicalIndex
    documents: Ids  # (passages,)
    set_back: NDArray[np.bool_]  # (passages,), text that is repeated or around the main one
    same: Ids  # (passages,), a number that repeated passages of the same text share, else one of its own
    sentence_starts: Ids  # (passages + 1,)
    sentence_vectors: Ids  # (sentences,)
    languages: dict[int, str]  # of each document
    keys: dict[int, str]  # of each document, the same in every library that holds it
    known: dict[str, float]  # characters a token of each language
    tuned: dict[str, Tuned]  # what replaces the defaults, by language

    @cached_property
    def sentence_rows(self) -> Ids:
        """The passage row of each sentence, (sentences,)."""
        return np.repeat(np.arange(len(self.documents)), np.diff(self.sentence_starts))

    @cached_property
    def _by_vector(self) -> tuple[Ids, Ids]:
        order = np.argsort(self.sentence_vectors, kind="stable")
        return order, self.sentence_vectors[order]

    def rows_of_vectors(self, vectors: Ids) -> Ids:
        """The passage rows that hold a sentence with one of these vectors, increasing."""
        order, ordered = self._by_vector
        first, last = np.searchsorted(ordered, vectors, "left"), np.searchsorted(ordered, vectors, "right")
        places = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)] or [np.zeros(0, np.int64)])
        return np.unique(self.sentence_rows[order[places.astype(np.int64)]])

    @cached_property
    def document_order(self) -> Ids:
        """The place of each passage row's document in the order of keys, (passages,)."""
        places = {document: place for place, document in enumerate(sorted(self.keys, key=self.keys.__getitem__))}
        return np.array([places[document] for document in self.documents.tolist()], dtype=np.int64)

    def first_of_same(self, allowed: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """`allowed` (without it all), but of passages with the same text only the first by key, (passages,)."""
        rows = np.arange(len(self.documents)) if allowed is None else np.flatnonzero(allowed)
        ordered = rows[np.lexsort((rows, self.document_order[rows]))]
        _, first = np.unique(self.same[ordered], return_index=True)
        kept = np.zeros(len(self.documents), dtype=np.bool_)
        kept[ordered[first]] = True
        return kept

    @cached_property
    def first_of_all(self) -> NDArray[np.bool_]:
        """`first_of_same` of all passages."""
        return self.first_of_same(None)

    @cached_property
    def row_languages(self) -> NDArray[np.str_]:
        """The language of each passage row, (passages,)."""
        return np.array([self.languages[document] for document in self.documents.tolist()], dtype=np.str_)

    @cached_property
    def rows_by_language(self) -> dict[str, NDArray[np.bool_]]:
        """Which passage rows are in each language, (passages,)."""
        return {language: self.row_languages == language for language in sorted(set(self.languages.values()))}


def refresh(store: Store, dimension: int, before: Snapshot | None, folder: Path) -> Snapshot:
    """The snapshot of the store's present generation: `before` brought up to date, or the saved one, or a new one."""
    with store.reading():
        generation = store.generation()
        if before is not None and before.of != _identity(store):
            before = None
        if before is not None and before.generation == generation:
            return before
        if before is not None:
            vectors, lexical = before.vectors, before.lexical
        else:
            vectors, lexical = _saved(store, folder, dimension) or (
                VectorIndex.build(np.zeros(0, np.int64), np.zeros((0, dimension), np.float32), dimension=dimension),
                LexicalIndex.build(()),
            )
        return _assemble(store, generation, vectors, lexical)


def _assemble(store: Store, generation: int, vectors: VectorIndex, lexical: LexicalIndex) -> Snapshot:
    """Bring both indexes to the rows. Row ids are never used twice, so comparing sets of ids finds every change."""
    documents = store.document_rows()
    passages = store.passage_rows()
    sentences = store.sentence_rows()  # (n, 2): passage, vector
    ids = np.array([row[0] for row in passages], dtype=np.int64)
    used = np.unique(sentences[:, 1])
    new_vectors = np.setdiff1d(used, vectors.ids)
    old_vectors = np.setdiff1d(vectors.ids, used)
    if len(new_vectors) or len(old_vectors):
        vectors = vectors.with_changes(old_vectors, new_vectors, _load_vectors(store, new_vectors, vectors.dimension))
    new_passages = np.setdiff1d(ids, lexical.ids)
    old_passages = np.setdiff1d(lexical.ids, ids)
    if len(new_passages) or len(old_passages):
        lexical = lexical.with_changes(old_passages, passage_terms(store, new_passages.tolist()))
    starts = np.searchsorted(sentences[:, 0], ids, "left")
    return Snapshot(
        of=_identity(store),
        generation=generation,
        vectors=vectors,
        lexical=lexical,
        documents=np.array([row[1] for row in passages], dtype=np.int64),
        set_back=np.array([row[2] != "main" for row in passages], dtype=np.bool_),
        same=_same(store, ids),
        sentence_starts=np.append(starts, len(sentences)).astype(np.int64),
        sentence_vectors=sentences[:, 1].copy(),
        languages={document: language for document, _, language in documents},
        keys={document: key for document, key, _ in documents},
        known={language: characters / max(1, tokens) for language, characters, tokens in store.languages()},
        tuned=store.tuned(),
    )


def _same(store: Store, ids: Ids) -> Ids:
    """A number for each passage, shared by repeated ones with the same text, (passages,)."""
    same = np.arange(len(ids))
    first: dict[tuple[bytes, int], int] = {}
    for passage, digest, offset in store.repeated_passages():
        row = int(np.searchsorted(ids, passage))
        same[row] = first.setdefault((digest, offset), row)
    return same


def _identity(store: Store) -> str:
    """What saved indexes must come from: this very library, with this encoder."""
    return f"{store.meta('library')} {store.meta('encoder')}"


def _load_vectors(store: Store, ids: Ids, dimension: int) -> NDArray[np.float32]:
    vectors = np.zeros((len(ids), dimension), dtype=np.float32)
    for first in range(0, len(ids), _ROWS):
        vectors[first : first + _ROWS] = store.vectors(ids[first : first + _ROWS].tolist(), dimension)
    return vectors


def passage_terms(store: Store, ids: Sequence[int]) -> Iterator[tuple[int, dict[str, float]]]:
    """(id, weight of each term) of passages, given in increasing order of id; titles and headings count a little."""
    rows = store.passages(ids)
    document: int | None = None
    for row_id in ids:
        row = rows[row_id]
        if row.document != document:
            document = row.document
            text, language, title = store.text(document)
            blocks = store.blocks(document)
            place = 0
        while blocks[place].end <= row.start:
            place += 1
        own = text[row.start : row.end]
        above = [name for name in dict.fromkeys((title, *blocks[place].heading)) if name and name not in own]
        weights: dict[str, float] = dict(Counter(terms(own, language)))
        for term in terms(" ".join(above), language):
            weights[term] = weights.get(term, 0.0) + CONTEXT_WEIGHT
        yield row_id, weights


def save(store: Store, snapshot: Snapshot, folder: Path) -> None:
    """Write the indexes to `folder`; a crash in between leaves files that are rebuilt, never ones that are wrong."""
    folder.mkdir(exist_ok=True)
    manifest = folder / "manifest.json"
    manifest.unlink(missing_ok=True)
    snapshot.vectors.save(folder / "vectors.faiss")
    snapshot.lexical.save(folder / "lexical.npz")
    names = ("vectors.faiss", "vectors.ids.npy", "lexical.npz")
    content = {
        "format": FORMAT,
        "of": _identity(store),
        "generation": snapshot.generation,
        "sha256": {name: _sha256(folder / name) for name in names},
    }
    partial = manifest.with_suffix(".part")
    partial.write_text(json.dumps(content))
    os.replace(partial, manifest)


def saved_generation(folder: Path) -> int | None:
    """The generation of the saved indexes, None where there are none."""
    try:
        return int(json.loads((folder / "manifest.json").read_text())["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def damage(store: Store, folder: Path) -> str | None:
    """What is wrong with the saved indexes, None if they are sound."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest["format"] != FORMAT or manifest["of"] != _identity(store):
            return "the saved indexes are of another library, encoder or version"
        for name, digest in manifest["sha256"].items():
            if _sha256(folder / name) != digest:
                return f"the saved index {name} is damaged"
    except FileNotFoundError as error:
        return f"the saved index {Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"the saved indexes cannot be read ({error})"
    return None


def _saved(store: Store, folder: Path, dimension: int) -> tuple[VectorIndex, LexicalIndex] | None:
    if damage(store, folder) is not None:
        return None
    try:
        vectors = VectorIndex.load(folder / "vectors.faiss")
        lexical = LexicalIndex.load(folder / "lexical.npz")
    except ValueError:
        return None
    return (vectors, lexical) if vectors.dimension == dimension else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
