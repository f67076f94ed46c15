"""LangChain as its documentation shows it: recursive splitter (1,000 characters, 200 shared), FAISS through the
indexing API with a record manager, and for hybrid search an EnsembleRetriever with BM25Retriever.

Two things are kinder to it than its defaults: the folder's files are read directly (its DirectoryLoader needs the
package unstructured), and `index` is given all chunks as one batch instead of 100 at a time.
"""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from langchain_community.vectorstores import FAISS
from langchain_huggingface import HuggingFaceEmbeddings

from benchmarks.peers.common import K, Peer, Search, files, model_dir, run


def index(folder: Path, store: Path) -> int:
    """Through the indexing API, so that a later run can skip what is unchanged."""
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore

    store.mkdir(parents=True)
    vectors = FAISS(_embeddings(), faiss.IndexFlatL2(384), InMemoryDocstore(), {})
    _synchronise(vectors, store, files(folder), "full")
    return len(vectors.index_to_docstore_id)


def resync(folder: Path, store: Path) -> None:
    """The same, with what is there."""
    _synchronise(_open(store), store, files(folder), "full")


def add(store: Path, file: Path) -> None:
    """One more source."""
    _synchronise(_open(store), store, [file], "incremental")


def delete(store: Path, file: Path) -> None:
    """From the vectors and from the records."""
    vectors, records = _open(store), _records(store)
    ids = records.list_keys(group_ids=[str(file)])
    vectors.delete(ids)
    records.delete_keys(ids)
    vectors.save_local(str(store))


def load(store: Path, mode: str) -> Search:
    """BM25Retriever cannot be saved: it is made from the stored documents."""
    vectors = _open(store)
    retriever = vectors.as_retriever(search_kwargs={"k": K})
    if mode == "hybrid":
        from langchain_classic.retrievers import EnsembleRetriever
        from langchain_community.retrievers import BM25Retriever

        documents = [vectors.docstore.search(key) for key in vectors.index_to_docstore_id.values()]
        words = BM25Retriever.from_documents(documents, k=K)
        retriever = EnsembleRetriever(retrievers=[words, retriever], weights=[0.5, 0.5])
    return Search(lambda question: [one.page_content for one in retriever.invoke(question)][:K])


def _synchronise(vectors: Any, store: Path, paths: Iterable[Path], cleanup: str) -> None:  # noqa: ANN401
    from langchain_core.documents import Document
    from langchain_core.indexing import index as synchronise
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    documents = [Document(path.read_text(encoding="utf-8"), metadata={"source": str(path)}) for path in paths]
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200, add_start_index=True)
    chunks = splitter.split_documents(documents)
    synchronise(
        chunks, _records(store), vectors, batch_size=len(chunks), cleanup=cleanup, source_id_key="source",
        key_encoder="sha256",
    )  # fmt: skip
    vectors.save_local(str(store))


def _records(store: Path) -> Any:  # noqa: ANN401
    from langchain_classic.indexes import SQLRecordManager

    records = SQLRecordManager("faiss/texts", db_url=f"sqlite:///{store}/records.sqlite")
    records.create_schema()
    return records


def _open(store: Path) -> Any:  # noqa: ANN401
    return FAISS.load_local(str(store), _embeddings(), allow_dangerous_deserialization=True)


def _embeddings() -> Any:  # noqa: ANN401
    return HuggingFaceEmbeddings(model_name=model_dir())


if __name__ == "__main__":
    run(Peer(load, index, add, delete, resync))
