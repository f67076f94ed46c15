"""Refdesk, warm: `retrieve` as the peers are asked, and `ask`, which also quotes an answer. The rest is its command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import qa
from benchmarks.peers.common import K, Peer, Search, Texts, run


def load(store: Path, mode: str) -> Search:
    """The library; mode "answer" times whole answers."""
    library = qa.Library.open(store)

    def ask(question: str) -> Texts:
        return [hit.passage.text for hit in library.retrieve(question, K)]

    def answer(question: str) -> Texts:
        found = library.ask(question, k=K)  # it has no hits where all are weak
        return [found.searched, *(hit.passage.text for hit in found.hits)]

    def many(questions: Sequence[str]) -> list[Texts]:
        return [[hit.passage.text for hit in hits] for hits in library.retrieve_many(questions, K)]

    return Search(answer) if mode == "answer" else Search(ask, many)


if __name__ == "__main__":
    run(Peer(load))
