"""How fast and how true the encoder is: `python -m benchmarks.encoding [--shared DIR] [--passages 512] [--rounds 4]`.

The same passages (XQuAD en and SciFact, cut at 154 words, about 200 wordpieces) are encoded by sentence-transformers
as it comes, by torch in bf16 sorted by tokens, and by Refdesk's engine in fp32 and as it chooses. Rounds interleave
them, and a ratio is the median over rounds, of wall time and of CPU time, so that a busy machine disturbs all alike.
Neighbours are the 10 nearest of real questions by exact search, compared with sentence-transformers'. Questions one
by one are timed in a process of its own on one core, cold starts in new processes with a warm cache. About four
minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.page import put
from embeddings import BUNDLED, Encoder
from embeddings.making import make
from embeddings.models import folder_of
from embeddings.reference import Reference
from qa.evaluation import load_questions

HERE = Path(__file__).parent
WORDS = 154
K = 10
QUESTIONS = 200
TIMED = 300
COLD = 5
SEED = 20261122
LAYERS, WIDTH, INNER = 6, 384, 1536
"""Of all-MiniLM-L6-v2."""

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
Row = dict[str, Any]


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with data")
    parser.add_argument("--passages", type=int, default=512, help="how many (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=4, help="parts that they are encoded in (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    if not arguments.shared.is_dir():
        print(f"no folder {arguments.shared}: give it with --shared", file=sys.stderr)
        return 2
    measured = measure(arguments.shared, passages=arguments.passages, rounds=arguments.rounds)
    text = "\n\n".join(f"{title}:\n\n" + "\n".join(table(rows)) for title, rows in measured.items())
    print(text)
    if arguments.write:
        put("encoding", text)
    return 0


def measure(shared: Path, *, passages: int = 512, rounds: int = 4) -> dict[str, list[Row]]:
    """All tables as rows that JSON can hold, by title."""
    texts = _passages(shared, passages)
    peaks = _peaks()
    with tempfile.TemporaryDirectory() as folder:
        engines = _engines(Path(folder))
        encoded = _documents(engines, texts, _questions(shared), rounds, peaks)
    chosen = Encoder.load()
    short = _questions(shared)[:TIMED]
    return {
        f"Documents ({len(texts)} passages, {os.cpu_count()} cores; {chosen.engine})": encoded,
        "Questions one by one on one core": [_alone(engine, short) for engine in ("torch", "auto")],
        "Questions of several threads, one each": [_threads(chosen, short, threads) for threads in (1, 2, 8, 16)],
        "A question in a new process": [_cold(engine) for engine in ("torch", "auto")],
        "Largest product of matrices, all cores": [
            {"arithmetic": name, "GFLOPS": round(peak)} for name, peak in peaks.items()
        ],
    }


def table(rows: Sequence[Row]) -> Iterator[str]:
    """A Markdown table of rows with the same keys."""
    yield f"| {' | '.join(rows[0])} |"
    yield f"|{'---|' * len(rows[0])}"
    yield from (f"| {' | '.join(str(value) for value in row.values())} |" for row in rows)


def _passages(shared: Path, count: int) -> list[str]:
    """Half of them XQuAD's paragraphs, half SciFact's abstracts, in random order."""
    articles = json.loads((shared / "data" / "xquad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    xquad = [paragraph["context"] for article in articles for paragraph in article["paragraphs"]]
    lines = (shared / "data" / "scifact" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    scifact = [json.loads(line)["text"] for line in lines]
    random.Random(SEED).shuffle(scifact)
    half = min(len(xquad), count // 2)
    both = [" ".join(text.split()[:WORDS]) for text in xquad[:half] + scifact[: count - half]]
    random.Random(SEED).shuffle(both)
    return both


def _questions(shared: Path) -> list[str]:
    data = shared / "data"
    files = (data / "xquad" / "xquad.en.json", data / "scifact")
    return [one.text for file in files for one in islice(load_questions(file), max(QUESTIONS, TIMED) // 2)]


def _engines(folder: Path) -> dict[str, Encode]:
    """What is compared; the first is what the others are measured by."""
    import torch

    model = Reference.load(str(folder_of(BUNDLED)), device="cpu").model
    half = Reference.load(str(folder_of(BUNDLED)), device="cpu")
    half.model.to(torch.bfloat16)

    def plain(texts: Sequence[str]) -> Vectors:
        vectors: Vectors = model.encode(
            list(texts), batch_size=32, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
        )
        return vectors

    compiled = make(folder, Reference(model), ("fp32",))
    return {
        "sentence-transformers, fp32, batches of 32": plain,
        "torch bf16, sorted by tokens": half.encode_documents,
        "Refdesk, openvino fp32": compiled.encode_documents,
        "Refdesk, engine chosen": Encoder.load().encode_documents,
    }


PRECISION = ("fp32", "bf16", "fp32", "bf16")


def _documents(
    engines: dict[str, Encode], texts: list[str], questions: list[str], rounds: int, peaks: dict[str, float]
) -> list[Row]:
    """Time and truth of each engine over the same parts of the texts."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in engines}
    vectors: dict[str, list[Vectors]] = {name: [] for name in engines}
    for encode in engines.values():
        encode(texts[:64])
    for part in range(rounds):
        for name, encode in engines.items():
            wall, cpu = time.perf_counter(), time.process_time()
            vectors[name].append(encode(texts[part::rounds]))
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    first = next(iter(engines))
    expected, asked = _unit(np.concatenate(vectors[first])), engines[first](questions)
    flop = _flop(texts)
    rows: list[Row] = []
    for (name, encode), precision in zip(engines.items(), PRECISION, strict=True):
        found = _unit(np.concatenate(vectors[name]))  # torch's bf16 vectors are not quite
        cosines = np.sum(found * expected, axis=1)
        wall, cpu = (sum(of) for of in zip(*times[name], strict=True))
        ratios = [
            statistics.median(one[of] / other[of] for one, other in zip(times[first], times[name], strict=True))
            for of in (0, 1)
        ]
        peak = max(peak for arithmetic, peak in peaks.items() if precision in arithmetic)
        rows.append(
            {
                "engine": name,
                "ms a passage": round(1000 * wall / len(texts), 2),
                "CPU ms": round(1000 * cpu / len(texts), 2),
                "times as fast": round(ratios[0], 2),
                "by CPU time": round(ratios[1], 2),
                "cosine mean": f"{cosines.mean():.5f}",
                "least": f"{cosines.min():.5f}",
                f"overlap@{K}": f"{_overlap(asked @ expected.T, _unit(encode(questions)) @ found.T):.4f}",
                "GFLOPS": round(flop / wall / 1e9),
                "of the peak": f"{flop / wall / 1e9 / peak:.0%}",
            }
        )
    return rows


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _overlap(expected: Vectors, found: Vectors) -> float:
    """Mean share of the K best of each row that both have."""
    best = [np.argsort(-scores, axis=1)[:, :K] for scores in (expected, found)]
    return statistics.fmean(len(set(one) & set(other)) / K for one, other in zip(*best, strict=True))


def _flop(texts: Sequence[str]) -> float:
    """Multiplications and additions that the model cannot do without, padding not counted."""
    tokens = np.array(Encoder.load().count_tokens(texts)).clip(max=254) + 2
    dense = 2 * LAYERS * (4 * WIDTH * WIDTH + 2 * WIDTH * INNER)
    attention = 2 * 2 * LAYERS * WIDTH * tokens  # a token
    return float((tokens * (dense + attention)).sum())


def _peaks(size: int = 2048, times: int = 10) -> dict[str, float]:
    """The best product of square matrices by arithmetic, GFLOPS."""
    import torch

    single = np.random.default_rng(SEED).random((size, size), np.float32)
    wide, half = torch.from_numpy(single), torch.from_numpy(single).bfloat16()
    products: dict[str, Callable[[], object]] = {
        "fp32, numpy": lambda: single @ single,
        "fp32, torch": lambda: torch.nn.functional.linear(wide, wide),
        "bf16, torch": lambda: torch.nn.functional.linear(half, half),
    }
    return {name: 2 * size**3 / min(_wall(product) for _ in range(times)) / 1e9 for name, product in products.items()}


def _wall(do: Callable[[], object]) -> float:
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


ALONE = """
import json, os, sys, time
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from embeddings import Encoder
encoder, questions = Encoder.load(engine=sys.argv[1]), json.load(sys.stdin)
for question in questions[:20]:
    encoder.encode_queries([question])
times = []
for question in questions:
    start, cpu = time.perf_counter(), time.process_time()
    encoder.encode_queries([question])
    times.append((time.perf_counter() - start, time.process_time() - cpu))
print(json.dumps([encoder.engine, times]))
"""


def _alone(engine: str, questions: list[str]) -> Row:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, engine],
        input=json.dumps(questions),
        capture_output=True,
        text=True,
        check=True,
        cwd=HERE.parent,
    )
    label, times = json.loads(done.stdout)
    wall, cpu = (1000 * np.array(of) for of in zip(*times, strict=True))
    return {
        "engine": label,
        "p50 ms": round(float(np.percentile(wall, 50)), 2),
        "p95 ms": round(float(np.percentile(wall, 95)), 2),
        "CPU p50 ms": round(float(np.percentile(cpu, 50)), 2),
    }


def _threads(encoder: Encoder, questions: list[str], threads: int) -> Row:
    def ask(question: str) -> float:
        start = time.perf_counter()
        encoder.encode_queries([question])
        return time.perf_counter() - start

    asked = questions * 3
    with ThreadPoolExecutor(threads) as pool:
        start, cpu = time.perf_counter(), time.process_time()
        walls = list(pool.map(ask, asked))
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    return {
        "threads": threads,
        "questions a second": round(len(asked) / wall),
        "CPU ms a question": round(1000 * cpu / len(asked), 2),
        "p50 ms": round(1000 * float(np.percentile(walls, 50)), 2),
        "p95 ms": round(1000 * float(np.percentile(walls, 95)), 2),
    }


def _cold(engine: str) -> Row:
    code = f"from embeddings import Encoder; Encoder.load(engine={engine!r}).encode_queries(['When does it open?'])"
    walls, cpus = [], []
    for _ in range(COLD):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parent, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - start)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {
        "engine": engine,
        "CPU s": round(statistics.median(cpus), 2),
        "wall s": round(statistics.median(walls), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
