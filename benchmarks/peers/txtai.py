"""txtai as its documentation shows it: Embeddings with content and hybrid=True. It is given paragraphs, because its
own splitter is a pipeline of its own. For the vector mode the sparse index of the same store is left unused."""
# mypy: disable-error-code="import-not-found,import-untyped"

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from txtai import Embeddings

from benchmarks.peers.common import K, Peer, Search, Texts, files, model_dir, paragraphs, run


def index(folder: Path, store: Path) -> int:
    """Rows of (id, text); an id is the file and the paragraph's number."""
    rows = [row for path in files(folder) for row in _rows(path)]
    made = Embeddings(path=model_dir(), content=True, hybrid=True)
    made.index(rows)
    made.save(str(store))
    return len(rows)


def add(store: Path, file: Path) -> None:
    """Upsert the file's paragraphs."""
    made = _open(store)
    made.upsert(_rows(file))
    made.save(str(store))


def delete(store: Path, file: Path) -> None:
    """Delete the file's paragraphs by their ids."""
    made = _open(store)
    made.delete([key for key, _ in _rows(file)])
    made.save(str(store))


def load(store: Path, mode: str) -> Search:
    """Hybrid search is the default of a hybrid store."""
    made = _open(store)
    if mode == "vector":
        made.scoring = None

    def many(questions: Sequence[str]) -> list[Texts]:
        return [[hit["text"] for hit in hits] for hits in made.batchsearch(list(questions), K)]

    return Search(lambda question: [hit["text"] for hit in made.search(question, K)], many)


def _rows(path: Path) -> list[tuple[str, str]]:
    return [(f"{path}#{number}", text) for number, text in enumerate(paragraphs(path))]


def _open(store: Path) -> Any:  # noqa: ANN401
    made = Embeddings()
    made.load(str(store))
    return made


if __name__ == "__main__":
    run(Peer(load, index, add, delete))
