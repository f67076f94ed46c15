"""From ten thousand to a million passages: `python -m benchmarks.scale [--passages 10000,100000,1000000]`.

Grows libraries from SciFact's real sentences (benchmarks/grown.py says how), writes them through the library's own rows
and indexes, and measures, each in a process of its own: time and peak memory of building, size on disk, opening, warm
questions on one core, agreement of the fused ranking with an exact search, and how soon an added and a deleted document
is visible. Needs the SciFact library of benchmarks.quality (made if it is not there) and about 12 GB of disk for a
million passages. Results are kept in benchmarks/out/scale as JSON, from which benchmarks.performance makes the page.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

import qa
from benchmarks.grown import documents, pool_of, prepared
from benchmarks.page import put
from qa import retrieval
from qa.evaluation import load_questions
from qa.store import FileRow, now, text_hash
from qa.sync import finish

HERE = Path(__file__).parent
QUESTIONS = 300
COMPARED = 100
"""Questions compared with an exact search, which takes half a second among a million passages."""
_GROUP = 20
"""Documents whose vectors are written in one transaction: about as many sentences as a sync writes."""


def main() -> int:
    """Parse; build and measure each size in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with data/scifact")
    parser.add_argument("--passages", default="10000,100000,1000000", help="sizes, comma-separated")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where libraries and results are kept")
    parser.add_argument("--keep", action="store_true", help="keep the libraries that were grown")
    parser.add_argument("--write", action="store_true", help="put what was measured so far into docs/performance.md")
    parser.add_argument("--step", choices=["build", "ask"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.passages.split(",")]
    folder = arguments.out / "scale"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        step = build if arguments.step == "build" else ask
        print(json.dumps(step(arguments.out, arguments.shared, sizes[0])))
        return 0
    _real(arguments.out, arguments.shared).close()
    for size in sizes:
        found: dict[str, Any] = {"passages": size}
        shutil.rmtree(_grown(arguments.out, size), ignore_errors=True)
        for name in ("build", "ask"):
            command = [sys.executable, "-m", "benchmarks.scale", "--step", name, "--passages", str(size)]
            command += ["--out", str(arguments.out), "--shared", str(arguments.shared)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found |= json.loads(done.stdout.splitlines()[-1])
        (folder / f"{size}.json").write_text(json.dumps(found, indent=1))
        print(json.dumps(found), flush=True)
        if not arguments.keep:
            shutil.rmtree(_grown(arguments.out, size), ignore_errors=True)
    results = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem))]
    print(table(results))
    if arguments.write:
        put("scale", table(results))
    return 0


def table(results: Sequence[dict[str, Any]]) -> str:
    """What was measured of each size, as Markdown: a column a size."""
    lines = [
        "| | " + " | ".join(f"{one['real_passages']:,} passages" for one in results) + " |",
        "|---" * (len(results) + 1) + "|",
    ]

    def row(name: str, cell: Callable[[dict[str, Any]], str]) -> None:
        lines.append(f"| {name} | " + " | ".join(map(cell, results)) + " |")

    row("documents / sentence vectors", lambda one: f"{one['documents']:,} / {one['sentences']:,}")
    row("rows written, s (vectors are given)", lambda one: f"{one['rows_s']:.0f}")
    row("labels of repeated text, s", lambda one: f"{one['finish_s']:.1f}")
    row("indexes made and saved, s", lambda one: f"{one['indexes_s']:.0f}")
    row("peak memory of building, GB", lambda one: f"{one['peak_bytes'] / 1e9:.1f}")
    row("rows / indexes on disk, GB", lambda one: f"{one['sqlite_bytes'] / 1e9:.2f} / {one['index_bytes'] / 1e9:.2f}")
    row("opening, s", lambda one: f"{one['open_s']:.2f}")
    row("first question, ms", lambda one: f"{one['first_ms']:.0f}")
    row("question asked for the first time: p50 / p95 / p99, ms", lambda one: _percentiles(one["fresh_ms"]))
    row("question, its pages in memory: p50 / p95 / p99, ms", lambda one: _percentiles(one["retrieve_ms"]))
    row("of it words", lambda one: _percentiles(one["lexical_ms"]))
    row("of it nearest sentences", lambda one: _percentiles(one["nearest_ms"]))
    row("fused top 10 as in an exact search", lambda one: f"{one['recall_fused']:.4f}")
    row("nearest 10 sentences as in an exact search", lambda one: f"{one['recall_nearest']:.3f}")
    row("an exact search reads, GB; least ms for it", _exact)
    row("peak memory of asking, mapped files too, GB", lambda one: f"{one['ask_peak_bytes'] / 1e9:.1f}")
    row("a document added and found, s", lambda one: f"{one['add_s']:.2f}")
    row("a document deleted and gone, s", lambda one: f"{one['delete_s']:.2f}")
    row("question after both: p50 / p95 / p99, ms", lambda one: _percentiles(one["after_ms"]))
    last = results[-1]
    return "\n".join(
        [
            *lines,
            "",
            f"{last['machine']}, {last['day']}. {QUESTIONS} questions of XQuAD and claims of SciFact in turn, k = 5, "
            f"on one core, which reads memory at {last['bandwidth'] / 1e9:.0f} GB/s.",
        ]
    )


def _percentiles(milliseconds: dict[str, float]) -> str:
    return " / ".join(f"{one:.1f}" for one in milliseconds.values())


def _exact(one: dict[str, Any]) -> str:
    size = one["sentences"] * 384 * 2
    return f"{size / 1e9:.2f}; {1e3 * size / one['bandwidth']:.0f}"


def build(out: Path, shared: Path, size: int) -> dict[str, Any]:
    """Grow a library to `size` passages and save its indexes as a sync does; seconds, bytes, peak memory."""
    with _real(out, shared) as real:
        pool = pool_of(real)
    before = _peak()
    began = time.perf_counter()
    in_rows = in_indexes = 0.0
    with qa.Library.create(_grown(out, size)) as library:
        store, fingerprint = library.store, library.encoder.fingerprint
        made = documents(pool, seed=size)
        written = saved = number = 0
        while written < size:
            group = list(islice(made, _GROUP))
            start = time.perf_counter()
            hashes = {
                text_hash(text[a:b]): v for text, spans, some in group for (a, b), v in zip(spans, some, strict=True)
            }
            with store.transaction():
                store.add_vectors(fingerprint, list(hashes), np.stack(list(hashes.values())))
            ids = store.vectors_of(fingerprint, list(hashes))
            for text, spans, _ in group:
                with store.transaction():
                    document = store.add_document(prepared(text, spans), ids)
                    source = f"{number // 1000:03}/{number:06}.txt"
                    row = FileRow("/grown", source, "text", "grown", len(text), document, None, now())
                    store.put_file(row)
                number += 1
                written += store.passage_count(document)
            in_rows += time.perf_counter() - start
            if written >= saved + 50_000:
                saved = written
                start = time.perf_counter()
                library.save_indexes(lists=False)
                in_indexes += time.perf_counter() - start
                print(f"  {written:,} passages, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        start = time.perf_counter()
        finish(store)
        finished = time.perf_counter() - start
        start = time.perf_counter()
        library.save_indexes()
        last = time.perf_counter() - start
        status = library.status()
    return {
        "documents": status.documents,
        "real_passages": status.passages,
        "sentences": status.sentences,
        "rows_s": in_rows,
        "finish_s": finished,
        "indexes_s": in_indexes + last,
        "lists_s": last,
        "build_s": time.perf_counter() - began,
        "peak_bytes": _peak(),
        "pool_bytes": before,
        "sqlite_bytes": (_grown(out, size) / "library.sqlite").stat().st_size,
        "index_bytes": sum(
            path.stat().st_size for path in (_grown(out, size) / "indexes").rglob("*") if path.is_file()
        ),
    }


def ask(out: Path, shared: Path, size: int) -> dict[str, Any]:
    """Open the library, ask it warm on one core, compare with an exact search, add and delete a document."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asked = _questions(shared)
    path = _grown(out, size)
    started = time.perf_counter()
    library = qa.Library.open(path)
    current = library.snapshot()
    opened = time.perf_counter() - started
    library.encoder.encode_queries(["warm"])
    start = time.perf_counter()
    library.retrieve(asked[0])
    first = time.perf_counter() - start
    fresh = _each(asked, library.retrieve)
    whole = _each(asked, library.retrieve)
    vectors = library.encoder.encode_queries(asked)
    queries = [retrieval.weighted(((1.0, text),), vectors[n : n + 1]) for n, text in enumerate(asked)]
    lexical = _each(asked, lambda text: retrieval.lexical_scores(current, text))
    dense = _each(queries, lambda query: current.nearest(query.vectors, 200, None))
    fused, nearest = [], []
    for query in queries[:COMPARED]:
        fast = retrieval.rank(current, query, 10, allowed=None, dense_weight=None).rows[:10]
        exact = retrieval.rank(current, query, 10, allowed=None, dense_weight=None, exact=True).rows[:10]
        fused.append(len(np.intersect1d(fast, exact)) / len(exact))
        some = current.nearest(query.vectors, 10, None)
        nearest.append(np.mean(np.isin(current.nearest(query.vectors, 10, None, exact=True), some)))
    memory = _peak()
    folder = path.parent / f"{path.name}-added"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    name = f"Quorndale{time.time_ns()}"
    (folder / "added.txt").write_text(f"The zebrafish of {name} sleeps under the green bridge.\n")
    start = time.perf_counter()
    library.sync([folder])
    hits = library.retrieve(f"Where does the zebrafish of {name} sleep?", 1)
    added = time.perf_counter() - start
    if hits[0].citation.source != "added.txt":
        raise RuntimeError("the added document is not found")
    gone = library.retrieve(asked[0], 1)[0].citation.source
    start = time.perf_counter()
    library.remove(gone)
    left = library.retrieve(asked[0], 1)[0].citation.source
    removed = time.perf_counter() - start
    if left == gone:
        raise RuntimeError("the deleted document is still found")
    after = _each(asked[:100], library.retrieve)
    library.close()
    return {
        "machine": _machine(),
        "day": datetime.now(UTC).date().isoformat(),
        "bandwidth": _bandwidth(),
        "open_s": opened,
        "first_ms": 1e3 * first,
        "fresh_ms": fresh,
        "retrieve_ms": whole,
        "lexical_ms": lexical,
        "nearest_ms": dense,
        "recall_fused": float(np.mean(fused)),
        "recall_nearest": float(np.mean(nearest)),
        "segments": len(current.parts),
        "lists": [part.segment.vectors.has_lists for part in current.parts],
        "ask_peak_bytes": memory,
        "add_s": added,
        "delete_s": removed,
        "after_ms": after,
    }


def _questions(shared: Path) -> list[str]:
    """XQuAD's questions and SciFact's claims in turn."""
    sets = (shared / "data" / "xquad" / "xquad.en.json", shared / "data" / "scifact")
    pairs = zip(*(islice(load_questions(path), QUESTIONS // 2) for path in sets), strict=True)
    return [one.text for pair in pairs for one in pair]


def _each(items: list[Any], do: Any) -> dict[str, float]:  # noqa: ANN401 - any function of an item
    """Milliseconds that each item takes, as percentiles."""
    times = []
    for item in items:
        start = time.perf_counter()
        do(item)
        times.append(1e3 * (time.perf_counter() - start))
    return {f"p{share}": float(np.percentile(times, share)) for share in (50, 95, 99)}


def _real(out: Path, shared: Path) -> qa.Library:
    """The library of real documents that others are grown from."""
    path = out / "libraries" / "scifact"
    if path.exists():
        return qa.Library.open(path)
    load_questions(shared / "data" / "scifact").write_corpus(out / "files" / "scifact")
    library = qa.Library.create(path)
    library.sync([out / "files" / "scifact"])
    return library


def _grown(out: Path, size: int) -> Path:
    return out / "scale" / f"library-{size}"


def _bandwidth() -> float:
    """Bytes a second at which this core reads memory: the best of five sums of a gigabyte."""
    block = np.ones(1 << 27, dtype=np.int64)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        block.max()
        times.append(time.perf_counter() - start)
    return block.nbytes / min(times)


def _machine() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return f"{names[0]}, {len(names)} cores"


def _peak() -> int:
    """The largest memory of this process so far, in bytes: pages of files that it has mapped are among them."""
    status = Path("/proc/self/status").read_text()  # getrusage's begins with that of the process before
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


if __name__ == "__main__":
    sys.exit(main())
