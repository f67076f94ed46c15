"""LlamaIndex as its documentation shows it: SimpleDirectoryReader, VectorStoreIndex with its default splitter and
store, and for hybrid search a QueryFusionRetriever over it and BM25Retriever (reciprocal ranks, no generated queries).

Both retrievers of a fusion are asked in turn: its asynchronous default is slower on two cores.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from llama_index.core import Settings, SimpleDirectoryReader, StorageContext, VectorStoreIndex, load_index_from_storage
from llama_index.embeddings.huggingface import HuggingFaceEmbedding

from benchmarks.peers.common import K, Peer, Search, model_dir, run


def index(folder: Path, store: Path) -> int:
    """Vectors and nodes as JSON, BM25 beside them."""
    _settings()
    made = VectorStoreIndex.from_documents(_read(input_dir=str(folder), recursive=True))
    return _save(made, store)


def resync(folder: Path, store: Path) -> None:
    """`refresh_ref_docs` compares hashes of documents."""
    made = _open(store)
    if any(made.refresh_ref_docs(_read(input_dir=str(folder), recursive=True))):
        _save(made, store)


def add(store: Path, file: Path) -> None:
    """Insert one document; BM25 is made anew."""
    made = _open(store)
    for document in _read(input_files=[str(file)]):
        made.insert(document)
    _save(made, store)


def delete(store: Path, file: Path) -> None:
    """Delete one document; BM25 is made anew."""
    made = _open(store)
    made.delete_ref_doc(str(file), delete_from_docstore=True)
    _save(made, store)


def load(store: Path, mode: str) -> Search:
    """The retriever of the index, or its fusion with BM25."""
    retriever: Any = _open(store).as_retriever(similarity_top_k=K)
    if mode == "hybrid":
        from llama_index.core.llms import MockLLM
        from llama_index.core.retrievers import QueryFusionRetriever
        from llama_index.retrievers.bm25 import BM25Retriever

        words = BM25Retriever.from_persist_dir(str(store / "bm25"))
        retriever = QueryFusionRetriever(
            [retriever, words], llm=MockLLM(), mode="reciprocal_rerank", similarity_top_k=K, num_queries=1,
            use_async=False,
        )  # fmt: skip
    return Search(lambda question: [hit.node.get_content() for hit in retriever.retrieve(question)])


def _settings() -> None:
    logging.disable(logging.WARNING)
    Settings.embed_model = HuggingFaceEmbedding(model_dir())


def _read(**where: Any) -> Any:  # noqa: ANN401
    return SimpleDirectoryReader(**where, filename_as_id=True).load_data()


def _open(store: Path) -> Any:  # noqa: ANN401
    _settings()
    return load_index_from_storage(StorageContext.from_defaults(persist_dir=str(store)))


def _save(made: Any, store: Path) -> int:  # noqa: ANN401
    from llama_index.retrievers.bm25 import BM25Retriever

    made.storage_context.persist(str(store))
    BM25Retriever.from_defaults(docstore=made.docstore, similarity_top_k=K).persist(str(store / "bm25"))
    return len(made.docstore.docs)


if __name__ == "__main__":
    run(Peer(load, index, add, delete, resync))
