"""Plain sentence-transformers and FAISS: paragraphs, an exact index of inner products, and a JSON file of the texts."""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from sentence_transformers import SentenceTransformer

from benchmarks.peers.common import K, Peer, Search, Texts, files, model_dir, paragraphs, run


def index(folder: Path, store: Path) -> int:
    """Encode every paragraph."""
    rows = [(str(path), text) for path in files(folder) for text in paragraphs(path)]
    vectors = faiss.IndexFlatIP(384)
    vectors.add(_encode(SentenceTransformer(model_dir()), [text for _, text in rows]))
    store.mkdir(parents=True)
    _save(store, vectors, rows)
    return len(rows)


def load(store: Path, _mode: str) -> Search:
    """Both files, and the model."""
    model = SentenceTransformer(model_dir())
    vectors, rows = _open(store)

    def many(questions: Sequence[str]) -> list[Texts]:
        _, places = vectors.search(_encode(model, questions), K)
        return [[rows[place][1] for place in line] for line in places]

    return Search(lambda question: many([question])[0], many)


def add(store: Path, file: Path) -> None:
    """Append a file's paragraphs."""
    vectors, rows = _open(store)
    texts = paragraphs(file)
    vectors.add(_encode(SentenceTransformer(model_dir()), texts))
    _save(store, vectors, [*rows, *((str(file), text) for text in texts)])


def delete(store: Path, file: Path) -> None:
    """Drop a file's paragraphs."""
    vectors, rows = _open(store)
    vectors.remove_ids(np.array([n for n, row in enumerate(rows) if row[0] == str(file)], dtype=np.int64))
    _save(store, vectors, [row for row in rows if row[0] != str(file)])


def _encode(model: Any, texts: Sequence[str]) -> Any:  # noqa: ANN401
    return model.encode(list(texts), normalize_embeddings=True)  # (texts, 384)


def _open(store: Path) -> tuple[Any, list[tuple[str, str]]]:
    return faiss.read_index(str(store / "vectors")), json.loads((store / "rows.json").read_text())


def _save(store: Path, vectors: Any, rows: Sequence[tuple[str, str]]) -> None:  # noqa: ANN401
    faiss.write_index(vectors, str(store / "vectors"))
    (store / "rows.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    run(Peer(load, index, add, delete))
