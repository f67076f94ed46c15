"""Haystack as its documentation shows it: a pipeline of converter, splitter (200 words), embedder and writer into the
in-memory store, saved to disk; and for hybrid search BM25 and vectors joined by reciprocal ranks.

Its tutorial ranks the joined passages once more with a cross-encoder, which is left out.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"

from haystack import Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersTextEmbedder

from benchmarks.peers.common import K, Peer, Search, Texts, files, model_dir, run


def index(folder: Path, store: Path) -> int:
    """The indexing pipeline over all files."""
    store.mkdir(parents=True)
    documents = InMemoryDocumentStore()
    _write(documents, files(folder))
    documents.save_to_disk(str(store / "store.json"))
    return int(documents.count_documents())


def add(store: Path, file: Path) -> None:
    """The same pipeline over one file."""
    documents = _open(store)
    _write(documents, [file])
    documents.save_to_disk(str(store / "store.json"))


def delete(store: Path, file: Path) -> None:
    """By the file's path in the metadata."""
    documents = _open(store)
    documents.delete_by_filter({"field": "meta.file_path", "operator": "==", "value": str(file)})
    documents.save_to_disk(str(store / "store.json"))


def load(store: Path, mode: str) -> Search:
    """The query pipeline."""
    documents = _open(store)
    pipeline = Pipeline()
    pipeline.add_component("embedder", SentenceTransformersTextEmbedder(model=model_dir(), progress_bar=False))
    pipeline.add_component("vectors", InMemoryEmbeddingRetriever(documents, top_k=K))
    pipeline.connect("embedder.embedding", "vectors.query_embedding")
    if mode == "hybrid":
        from haystack.components.joiners import DocumentJoiner

        pipeline.add_component("words", InMemoryBM25Retriever(documents, top_k=K))
        pipeline.add_component("joined", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=K))
        pipeline.connect("words", "joined")
        pipeline.connect("vectors", "joined")

    def ask(question: str) -> Texts:
        asked: dict[str, Any] = {"embedder": {"text": question}}
        if mode == "hybrid":
            found = pipeline.run({**asked, "words": {"query": question}})["joined"]
        else:
            found = pipeline.run(asked)["vectors"]
        return [one.content for one in found["documents"]]

    return Search(ask)


def _write(documents: Any, paths: Iterable[Path]) -> None:  # noqa: ANN401
    from haystack.components.converters import TextFileToDocument
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.writers import DocumentWriter
    from haystack_integrations.components.embedders.sentence_transformers import SentenceTransformersDocumentEmbedder

    pipeline = Pipeline()
    pipeline.add_component("reader", TextFileToDocument(store_full_path=True))
    pipeline.add_component("splitter", DocumentSplitter())
    pipeline.add_component("embedder", SentenceTransformersDocumentEmbedder(model=model_dir(), progress_bar=False))
    pipeline.add_component("writer", DocumentWriter(documents))
    pipeline.connect("reader", "splitter")
    pipeline.connect("splitter", "embedder")
    pipeline.connect("embedder", "writer")
    pipeline.run({"reader": {"sources": list(paths)}})


def _open(store: Path) -> Any:  # noqa: ANN401
    return InMemoryDocumentStore.load_from_disk(str(store / "store.json"))


if __name__ == "__main__":
    run(Peer(load, index, add, delete))
