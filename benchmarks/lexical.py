"""The words of a million passages, by three engines: `python -m benchmarks.lexical [--passages 10000,100000,1000000]`.

The library's postings, tantivy and SQLite's FTS5 get the same terms of the same passages (grown, benchmarks/grown.py
says how) and do the same work, each engine and size in a process of its own: build, add ten passages and find them,
delete ten and find them no more, the 200 best passages of 300 real questions (SciFact's, any of their terms), and the
scores of 400 given passages, which a fusion with cosines needs. What was added or deleted is on the disk, too.
Questions are asked on one core. Needs the SciFact library that benchmarks.quality makes, 5 GB of disk for a million
passages, a quarter of an hour, and `pip install tantivy==0.27.0`, which nothing else needs: without it, it is left out.
Results are kept in OUT/lexical as JSON, a file for each size.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import qa
from benchmarks.grown import documents, pool_of
from benchmarks.page import put
from embeddings import VectorIndex
from qa.evaluation import load_questions
from qa.indexes import RUN, _merged
from qa.language import question_terms, terms
from qa.lexical import Postings, term_hash
from qa.retrieval import _largest
from qa.segment import Passages, Segment, Sentences
from qa.snapshot import Part, Snapshot

HERE = Path(__file__).parent
QUESTIONS, BEST, GIVEN = 300, 200, 400
"""Questions, the passages that each wants, and the passages whose scores it wants: what retrieval takes from each of
its rankings, and about what both together make (qa/retrieval.py)."""
CHANGED, ROUNDS = 10, 5
"""Passages that are added or deleted at once, and how often: the median counts."""
LIMIT_S = 60
"""Seconds after which the rest of the questions is not asked."""
ADDED, DELETED = "zzadded", "zzdeleted"
"""Terms that only the passages hold that are added or deleted; no word is stemmed to them."""

Ids = NDArray[np.int64]
Result = dict[str, Any]


class Engine(Protocol):
    """What can be searched by terms. Passages are lines of terms with spaces between, numbered as they come."""

    def add(self, lines: Sequence[str]) -> None:
        """Add passages, on the disk and to be found."""

    def delete(self, ids: Sequence[int]) -> None:
        """Delete passages, on the disk too."""

    def built(self) -> None:
        """All passages were added: finish what still runs."""

    def best(self, terms: Sequence[str], count: int) -> Ids:
        """The `count` best passages with any of some terms, best first."""

    def scores(self, terms: Sequence[str], ids: Ids) -> NDArray[np.floating[Any]]:
        """The scores of given passages, increasing, 0 without any of the terms, (n,)."""


class Own:
    """The library's: segments of memory-mapped postings that are merged as they grow in number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._snapshot = Snapshot("", 0, 0, 0, (), {}, {})
        self._upto = 0

    def add(self, lines: Sequence[str]) -> None:
        ids = np.arange(self._upto, self._upto + len(lines))
        self._upto += len(lines)
        zeros = np.zeros(len(ids), np.int64)
        known = Passages(ids, ids, zeros.astype(np.uint64), zeros.astype(np.uint32), zeros.astype(np.bool_), zeros)
        postings = Postings.build(Counter(line.split()) for line in lines)
        no_sentences = Sentences.build(np.zeros(len(ids) + 1, np.int64), np.zeros(0, np.int64))
        segment = self._save(Segment(known, no_sentences, postings, VectorIndex.build([], 8)))
        self._keep(tuple(_merged([*self._snapshot.parts, Part(segment)], self._save)))

    def delete(self, ids: Sequence[int]) -> None:
        parts = tuple(part.without(np.array(sorted(ids))) for part in self._snapshot.parts)
        for part in parts:
            if part.kept is not None:
                gone = np.array(list(part.gone), dtype=np.uint64), np.array(list(part.gone.values()))
                path = self._folder / f"{part.segment.name}.npz"
                np.savez(path, rows=np.flatnonzero(~part.kept), terms=gone[0], counts=gone[1])
                _settle(path)
        self._keep(parts)

    def built(self) -> None:
        names = {part.segment.name for part in self._snapshot.parts}
        for folder in [path for path in self._folder.iterdir() if path.name not in names]:
            shutil.rmtree(folder)

    def best(self, terms: Sequence[str], count: int) -> Ids:
        scores = self._snapshot.bm25(terms)
        rows = _largest(scores, count)
        return self._snapshot.ids[rows[np.argsort(-scores[rows], kind="stable")]]

    def scores(self, terms: Sequence[str], ids: Ids) -> NDArray[np.floating[Any]]:
        return self._snapshot.bm25(terms)[np.searchsorted(self._snapshot.ids, ids)]

    def postings(self, terms: Sequence[str]) -> int:
        """How many postings a question's terms have."""
        parts = self._snapshot.parts
        return sum(part.segment.postings.count(term_hash(term)) for part in parts for term in set(terms))

    def _save(self, segment: Segment) -> Segment:
        folder = self._folder / uuid.uuid4().hex[:12]
        segment.save(folder)
        for path in folder.iterdir():
            _settle(path)
        return Segment.load(folder)

    def _keep(self, parts: tuple[Part, ...]) -> None:
        self._snapshot = Snapshot("", self._snapshot.generation + 1, self._upto, 0, parts, {}, {})


class Tantivy:
    """Frequencies without positions, split at white space, in its own choice of threads and segments."""

    def __init__(self, folder: Path) -> None:
        import tantivy  # type: ignore[import-not-found, import-untyped, unused-ignore]

        self._tantivy: Any = tantivy
        schema = tantivy.SchemaBuilder().add_unsigned_field("id", indexed=True, fast=True)
        schema = schema.add_text_field("text", tokenizer_name="whitespace", index_option="freq")
        self._schema = schema.build()
        self._index = tantivy.Index(self._schema, str(folder))
        self._index.config_reader(reload_policy="manual")
        self._writer = self._index.writer()
        self._upto = 0

    def add(self, lines: Sequence[str]) -> None:
        for line in lines:
            document = self._tantivy.Document()
            document.add_unsigned("id", self._upto)
            document.add_text("text", line)
            self._writer.add_document(document)
            self._upto += 1
        self._commit()

    def delete(self, ids: Sequence[int]) -> None:
        query = self._tantivy.Query.term_set_query(self._schema, "id", list(ids))
        self._writer.delete_documents_by_query(query)  # by term, a number is taken for a signed one and not found
        self._commit()

    def built(self) -> None:
        self._writer.wait_merging_threads()
        self._writer = self._index.writer()
        self._index.reload()

    def best(self, terms: Sequence[str], count: int) -> Ids:
        return self._found(self._any(terms), count)[0]

    def scores(self, terms: Sequence[str], ids: Ids) -> NDArray[np.floating[Any]]:
        query, must = self._tantivy.Query, self._tantivy.Occur.Must
        given = query.const_score_query(query.term_set_query(self._schema, "id", ids.tolist()), 0.0)
        found, scores = self._found(query.boolean_query([(must, given), (must, self._any(terms))]), len(ids))
        whole = np.zeros(len(ids))
        whole[np.searchsorted(ids, found)] = scores
        return whole

    def _found(self, query: Any, count: int) -> tuple[Ids, NDArray[np.floating[Any]]]:  # noqa: ANN401
        searcher = self._index.searcher()
        hits = searcher.search(query, limit=count, count=False).hits
        ids = searcher.fast_field_values("id", [address for _, address in hits]) if hits else []
        return np.array(ids, dtype=np.int64), np.array([score for score, _ in hits])

    def _any(self, terms: Sequence[str]) -> Any:  # noqa: ANN401
        query, should = self._tantivy.Query, self._tantivy.Occur.Should
        each = [query.term_query(self._schema, "text", term, index_option="freq") for term in terms]
        return query.boolean_query([(should, one) for one in each])

    def _commit(self) -> None:
        self._writer.commit()
        self._index.reload()


class FTS5:
    """SQLite's, without a copy of the text: its old terms are given to it when a passage is deleted."""

    def __init__(self, folder: Path) -> None:
        self._lines: dict[int, str] = {}  # of the passages that will be deleted, which a library reads from its rows
        self._connection = sqlite3.connect(folder / "fts5.sqlite", isolation_level=None)
        self._run("PRAGMA journal_mode = WAL")
        self._run("PRAGMA synchronous = FULL")
        self._run("CREATE VIRTUAL TABLE f USING fts5(text, content = '', tokenize = 'unicode61 remove_diacritics 0')")
        self._upto = 0

    def add(self, lines: Sequence[str]) -> None:
        self._run("BEGIN")
        numbered = list(enumerate(lines, self._upto))
        self._connection.executemany("INSERT INTO f (rowid, text) VALUES (?, ?)", numbered)
        self._run("COMMIT")
        self._lines.update((number, line) for number, line in numbered if line.endswith(DELETED))
        self._upto += len(lines)

    def delete(self, ids: Sequence[int]) -> None:
        self._run("BEGIN")
        rows = [(number, self._lines[number]) for number in ids]
        self._connection.executemany("INSERT INTO f (f, rowid, text) VALUES ('delete', ?, ?)", rows)
        self._run("COMMIT")

    def built(self) -> None:
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")

    def best(self, terms: Sequence[str], count: int) -> Ids:
        rows = self._run("SELECT rowid FROM f WHERE f MATCH ? ORDER BY rank LIMIT ?", _any(terms), count)
        return np.array([row for (row,) in rows], dtype=np.int64)

    def scores(self, terms: Sequence[str], ids: Ids) -> NDArray[np.floating[Any]]:
        given = ",".join(map(str, ids.tolist()))
        rows = self._run(f"SELECT rowid, bm25(f) FROM f WHERE f MATCH ? AND +rowid IN ({given})", _any(terms))
        whole = np.zeros(len(ids))
        for row, score in rows:
            whole[np.searchsorted(ids, row)] = -score
        return whole

    def _run(self, statement: str, *values: str | int) -> list[tuple[Any, ...]]:
        return self._connection.execute(statement, values).fetchall()


ENGINES: dict[str, Callable[[Path], Engine]] = {"refdesk": Own, "tantivy": Tantivy, "fts5": FTS5}
SCORES = {
    "refdesk": "its own BM25 (k1 .9, b .4, terms of titles at half weight) of every passage, so that any are at hand",
    "tantivy": "BM25 with k1 1.2 and b .75, which cannot be set, and lengths rounded to a byte; of given passages only "
    "through a query that filters by their numbers, and a field's weight multiplies its score, not its frequencies",
    "fts5": "BM25 with k1 1.2 and b .75, which cannot be set, though a column's weight can; of given passages only by "
    "going through all that match, and an idf for which all of a term's passages are counted at each question",
}
"""What the scores are that each engine can give."""


def main() -> int:
    """Parse; measure each engine at each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with data/scifact")
    parser.add_argument("--passages", default="10000,100000,1000000", help="sizes, comma-separated")
    parser.add_argument("--only", default=",".join(ENGINES), help="engines, comma-separated (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where libraries and results are kept")
    parser.add_argument("--step", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.passages.split(",")]
    folder = arguments.out / "lexical"
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.step:
        print(json.dumps(measure(arguments.step, folder, arguments.shared, sizes[0])))
        return 0
    _write_passages(folder, arguments.out, max(sizes))
    for size in sizes:
        path = folder / f"{size}.json"
        found: Result = json.loads(path.read_text()) if path.exists() else {}
        for name in arguments.only.split(","):
            if name == "tantivy" and find_spec("tantivy") is None:
                print("tantivy is not installed and left out: pip install tantivy==0.27.0", file=sys.stderr)
                continue
            command = [sys.executable, "-m", "benchmarks.lexical", "--step", name, "--passages", str(size)]
            command += ["--out", str(arguments.out), "--shared", str(arguments.shared)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            path.write_text(json.dumps(found, indent=1))
    (folder / "passages.txt").unlink()
    print(table(load(arguments.out)))
    if arguments.write:
        put("lexical", table(load(arguments.out)))
    return 0


def measure(name: str, folder: Path, shared: Path, size: int) -> Result:
    """All that one engine does with so many passages."""
    asked = [question_terms(one.text, "en") for one in islice(load_questions(shared / "data" / "scifact"), QUESTIONS)]
    place = folder / f"{name}-{size}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    engine = ENGINES[name](place)
    before, began, used = _peak(), time.perf_counter(), time.process_time()
    lines = _passages(folder, size)
    while some := list(islice(lines, RUN)):
        engine.add(some)
    engine.built()
    result: Result = {
        "passages": size,
        "build_s": time.perf_counter() - began,
        "build_cpu_s": time.process_time() - used,
        "bytes": sum(path.stat().st_size for path in place.rglob("*") if path.is_file() and _counts(path)),
        "peak_bytes": _peak(),
        "peak_before_bytes": before,
    }
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    given = [np.sort(np.random.default_rng(n).choice(size, min(GIVEN, size), replace=False)) for n in range(QUESTIONS)]
    for question in asked[:20]:
        engine.best(question, BEST)
    result["best_ms"] = _each(lambda n: engine.best(asked[n], BEST))
    result["scores_ms"] = _each(lambda n: engine.scores(asked[n], given[n]))
    if isinstance(engine, Own):
        postings = [engine.postings(question) for question in asked]
        result["postings"] = {f"p{share}": float(np.percentile(postings, share)) for share in (50, 95, 99)}
        result["ns_per_posting"] = 1e6 * result["best_ms"]["mean"] * len(asked) / sum(postings)
    result |= _changes(engine, size, list(islice(_passages(folder, size), CHANGED)))
    shutil.rmtree(place)
    return result


def load(out: Path = HERE / "out") -> dict[int, Result]:
    """What was measured: by size, then by engine."""
    paths = [path for path in (out / "lexical").glob("*.json") if path.stem.isdigit()]
    return {int(path.stem): json.loads(path.read_text()) for path in sorted(paths, key=lambda path: int(path.stem))}


def table(results: Mapping[int, Result]) -> str:
    """Markdown: a row for each size and engine, and what their scores are."""
    rows = [
        "| passages | engine | build (CPU) | on disk | peak memory | add 10 | delete 10 | best 200: p50 / p95 / p99 "
        "| scores of 400: p50 / p95 |",
        "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for size, engines in results.items():
        rows += [_row(size, name, engines[name]) for name in ENGINES if name in engines]
    named = dict.fromkeys(name for engines in results.values() for name in ENGINES if name in engines)
    own = [engines["refdesk"] for engines in results.values() if "refdesk" in engines]
    rows += ["", *(f"- Scores of {name}: {SCORES[name]}." for name in named)]
    if own:
        last = own[-1]
        rows.append(
            f"- A question's terms have {last['postings']['p50']:,.0f} postings in {last['passages']:,} passages (p95 "
            f"{last['postings']['p95']:,.0f}); refdesk takes {last['ns_per_posting']:.1f} ns for one."
        )
    return "\n".join(rows)


def _row(size: int, name: str, found: Result) -> str:
    best, scores = found["best_ms"], found["scores_ms"]
    fewer = "" if best["asked"] == QUESTIONS else f" ({best['asked']} questions in {LIMIT_S} s)"
    cells = [
        f"{size:,}",
        name,
        f"{found['build_s']:.1f} s ({found['build_cpu_s']:.1f})",
        f"{found['bytes'] / 1e6:,.0f} MB",
        f"{found['peak_bytes'] / 1e6:,.0f} MB",
        f"{found['add_ms']:.0f} ms",
        f"{found['delete_ms']:.0f} ms",
        f"{best['p50']:.2f} / {best['p95']:.2f} / {best['p99']:.2f} ms{fewer}",
        f"{scores['p50']:.2f} / {scores['p95']:.2f} ms",
    ]
    return f"| {' | '.join(cells)} |"


def _changes(engine: Engine, size: int, lines: Sequence[str]) -> Result:
    """Milliseconds until ten passages that are added are found, and ten that are deleted no more: medians."""
    added, deleted = [], []
    for number in range(ROUNDS):
        start = time.perf_counter()
        engine.add([f"{line} {ADDED}{number}" for line in lines])
        found = engine.best([f"{ADDED}{number}"], BEST)
        added.append(1e3 * (time.perf_counter() - start))
        if len(found) != CHANGED:
            raise RuntimeError(f"{len(found)} of {CHANGED} passages that were added are found")
    marked = _marked(size)
    for number in range(ROUNDS):
        some = marked[number::ROUNDS]
        start = time.perf_counter()
        engine.delete(some)
        found = engine.best([DELETED], BEST)
        deleted.append(1e3 * (time.perf_counter() - start))
        if np.isin(some, found).any() or len(found) != CHANGED * (ROUNDS - 1 - number):
            raise RuntimeError(f"{len(found)} passages are found after {number + 1} deletions of {CHANGED}")
    return {
        "add_ms": float(np.median(added)),
        "delete_ms": float(np.median(deleted)),
        "adds": added,
        "deletes": deleted,
    }


def _each(do: Callable[[int], object]) -> dict[str, float]:
    """Milliseconds of each question, as percentiles, and how many were asked in LIMIT_S."""
    times: list[float] = []
    began = time.perf_counter()
    for number in range(QUESTIONS):
        start = time.perf_counter()
        do(number)
        times.append(1e3 * (time.perf_counter() - start))
        if time.perf_counter() - began > LIMIT_S:
            break
    shares = {f"p{share}": float(np.percentile(times, share)) for share in (50, 95, 99)}
    return {**shares, "mean": float(np.mean(times)), "asked": len(times)}


def _write_passages(folder: Path, out: Path, size: int) -> None:
    """The terms of passages of five sentences, a line each: those of a small size are the first of a large one."""
    with qa.Library.open(out / "libraries" / "scifact") as real:
        pool = pool_of(real)
    left = size
    with (folder / "passages.txt").open("w", encoding="utf-8") as file:
        for text, _, _ in documents(pool, seed=1):
            paragraphs = text.split("\n\n")[:left]
            file.writelines(" ".join(terms(paragraph, "en")) + "\n" for paragraph in paragraphs)
            left -= len(paragraphs)
            if not left:
                break


def _passages(folder: Path, size: int) -> Iterator[str]:
    marked = set(_marked(size))
    with (folder / "passages.txt").open(encoding="utf-8") as file:
        for number, line in enumerate(islice(file, size)):
            yield f"{line.rstrip()} {DELETED}" if number in marked else line.rstrip()


def _marked(size: int) -> list[int]:
    """The passages that will be deleted, all over the collection."""
    step = size // (CHANGED * ROUNDS)
    return list(range(step // 2, step * CHANGED * ROUNDS, step))


def _counts(path: Path) -> bool:
    """Is a file a part of the index by words? The library's segments hold more."""
    return path.suffix != ".faiss" and not path.name.startswith(("passages-", "sentences-"))


def _any(terms: Sequence[str]) -> str:
    return " OR ".join(f'"{term}"' for term in terms)


def _settle(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _peak() -> int:
    """The largest memory of this process so far, in bytes; getrusage would count its parent's, too."""
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    sys.exit(main())
