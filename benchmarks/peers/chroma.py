"""Chroma as its documentation shows it: a PersistentClient and a collection with the sentence-transformers function.
It is given paragraphs, because it has no splitter."""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chromadb
from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

from benchmarks.peers.common import K, Peer, Search, Texts, files, model_dir, paragraphs, run


def index(folder: Path, store: Path) -> int:
    """In batches of the largest size that the client takes."""
    client, collection = _open(store)
    rows = [row for path in files(folder) for row in _rows(path)]
    most = client.get_max_batch_size()
    for start in range(0, len(rows), most):
        _add(collection, rows[start : start + most])
    return int(collection.count())


def add(store: Path, file: Path) -> None:
    """Add the file's paragraphs."""
    _add(_open(store)[1], _rows(file))


def delete(store: Path, file: Path) -> None:
    """Delete by the file's path in the metadata."""
    _open(store)[1].delete(where={"source": str(file)})


def load(store: Path, _mode: str) -> Search:
    """Chroma's local client searches vectors only."""
    _, collection = _open(store)

    def many(questions: Sequence[str]) -> list[Texts]:
        found: list[Texts] = collection.query(query_texts=list(questions), n_results=K)["documents"]
        return found

    return Search(lambda question: many([question])[0], many)


def _rows(path: Path) -> list[tuple[str, str, str]]:
    return [(f"{path}#{number}", str(path), text) for number, text in enumerate(paragraphs(path))]


def _add(collection: Any, rows: Sequence[tuple[str, str, str]]) -> None:  # noqa: ANN401
    ids, sources, texts = zip(*rows, strict=True)
    collection.add(ids=list(ids), documents=list(texts), metadatas=[{"source": source} for source in sources])


def _open(store: Path) -> tuple[Any, Any]:
    client = chromadb.PersistentClient(str(store))
    model = SentenceTransformerEmbeddingFunction(model_name=model_dir())
    return client, client.get_or_create_collection("texts", embedding_function=model)


if __name__ == "__main__":
    run(Peer(load, index, add, delete))
