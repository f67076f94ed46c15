"""Memory while indexing, and folders of many small files: `python -m benchmarks.files [--files N] [--times 1,4,16]`.

First `refdesk index` over folders of 60, 240 and 960 grown documents (benchmarks/grown.py says how), each into a new
library: the largest memory of the process, all of it and what is not a view of a file, beside the size of the indexes.
Then a folder of ten thousand files of three sentences each: indexed, indexed again unchanged, and with one file
changed, renamed, added and deleted, each from the start of the process to its end, after which all is saved. What the
command says it did is checked: nothing is encoded that was encoded before. Needs the SciFact library that
benchmarks.quality makes, and takes about ten minutes on two cores. Results are kept in OUT/files.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import qa
from benchmarks.grown import SENTENCES, documents, pool_of
from benchmarks.page import put

HERE = Path(__file__).parent
DOCUMENTS = 60
"""Documents of the smallest folder for memory, of SENTENCES sentences each."""
SMALL = 3
"""Sentences of a small file."""
ROUNDS = 3
"""How often each step over the small files is done: the median counts."""
SETTLED_S = 2.5
"""Seconds after which a file that was written counts as unchanged without a look at its content (qa/walk.py)."""
_POLL_S = 0.005

Result = dict[str, Any]


def main() -> int:
    """Parse; measure memory, then the small files, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="small files, 0 for none (default: %(default)s)")
    parser.add_argument("--times", default="1,4,16", help="folders for memory, × 60 documents (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where libraries and results are kept")
    parser.add_argument("--resync", nargs=2, type=Path, metavar=("FOLDER", "LIBRARY"), help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    if arguments.resync:
        print(json.dumps(resync(*arguments.resync)))
        return 0
    out: Path = arguments.out.resolve()
    results = load(out)
    times = [int(number) for number in arguments.times.split(",") if number]
    with tempfile.TemporaryDirectory(dir=out, prefix="files-") as place:
        for number in times:
            results.setdefault("memory", {})[str(number)] = memory(Path(place), _texts(out), number)
            _keep(out, results)
        if arguments.files:
            results["small"] = small(Path(place), _texts(out), arguments.files)
            _keep(out, results)
    print(table(results))
    if arguments.write:
        put("files", table(results))
    return 0


def memory(place: Path, texts: Iterator[Sequence[str]], times: int) -> Result:
    """Index `times` the documents of the smallest folder into a new library; bytes and seconds."""
    folder, library = place / f"documents-{times}", place / f"library-{times}"
    folder.mkdir()
    for number, sentences in enumerate(islice(texts, DOCUMENTS * times)):
        paragraphs = [" ".join(sentences[n : n + 5]) for n in range(0, len(sentences), 5)]
        (folder / f"{number:05}.txt").write_text("\n\n".join(paragraphs))
    found = _index(folder, library)
    return {
        **{name: found[name] for name in ("wall_s", "cpu_s", "peak_bytes", "own_bytes")},
        "documents": DOCUMENTS * times,
        "sentences": DOCUMENTS * times * SENTENCES,
        "index_bytes": _size(library / "indexes"),
        "library_bytes": _size(library),
    }


def small(place: Path, texts: Iterator[Sequence[str]], files: int) -> Result:
    """Index many small files, then again after each kind of change."""
    folder, library = place / "small", place / "library-small"
    pieces = (" ".join(some[n : n + SMALL]) for some in texts for n in range(0, len(some) - SMALL, SMALL))
    paths = [folder / f"{number // 100:03}" / f"{number:05}.txt" for number in range(files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(next(pieces))
    time.sleep(SETTLED_S)
    found: Result = {"files": files, "first": _index(folder, library)}
    _check(found["first"], {"added": files}, encodes=True)
    found["bytes"], found["index_bytes"] = _size(library), _size(library / "indexes")

    def again(name: str, counts: Mapping[str, int], *, encodes: bool) -> None:
        one = _index(folder, library)
        _check(one, counts, encodes=encodes)
        found.setdefault(name, []).append(one)

    for _ in range(ROUNDS):
        again("unchanged", {"unchanged": files}, encodes=False)
        command = [sys.executable, "-m", "benchmarks.files", "--resync", str(folder), str(library)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found.setdefault("resync", []).append(json.loads(done.stdout))
    for number in range(ROUNDS):
        new = folder / f"new-{number}.txt"
        paths[number].write_text(next(pieces))
        again("changed", {"changed": 1, "unchanged": files - 1}, encodes=True)
        paths[number + ROUNDS].rename(folder / f"renamed-{number}.txt")
        again("renamed", {"renamed": 1, "unchanged": files - 1}, encodes=False)
        new.write_text(next(pieces))
        again("added", {"added": 1, "unchanged": files}, encodes=True)
        new.unlink()
        again("deleted", {"removed": 1, "unchanged": files}, encodes=False)
    return found


def resync(folder: Path, library: Path) -> Result:
    """What a program does that has imported the library already: open it, and sync a folder; seconds."""
    start, used = time.perf_counter(), time.process_time()
    with qa.Library.open(library) as opened:
        report = opened.sync([folder])
    found = {"wall_s": time.perf_counter() - start, "cpu_s": time.process_time() - used}
    if report.encoded or set(report.counts) != {"unchanged"}:
        raise RuntimeError(f"expected no change, is now {report.counts}, {report.encoded} texts encoded")
    return found


def load(out: Path = HERE / "out") -> Result:
    """What was measured; empty before."""
    path = out / "files.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def table(results: Result) -> str:
    """Markdown: memory by size, then the steps over small files."""
    rows = [
        "| documents | sentences | `refdesk index` | peak memory | of it no view of a file | indexes | library |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in results.get("memory", {}).values():
        sizes = (one[name] / 1e6 for name in ("peak_bytes", "own_bytes", "index_bytes", "library_bytes"))
        cells = [f"{one['documents']:,}", f"{one['sentences']:,}", f"{one['wall_s']:.1f} s"]
        rows.append(f"| {' | '.join([*cells, *(f'{size:,.0f} MB' for size in sizes)])} |")
    few = results.get("small")
    if few is None:
        return "\n".join(rows)
    first = few["first"]
    per_s = few["files"] / first["wall_s"]
    steps = {
        "`refdesk index`, nothing changed": "unchanged",
        "the same in a program, `library.sync`": "resync",
        "one file changed": "changed",
        "one file renamed": "renamed",
        "one file added": "added",
        "one file deleted": "deleted",
    }
    rows += ["", f"| {few['files']:,} small files | wall | CPU | encoded |", "|---|---:|---:|---:|"]
    rows.append(
        f"| `refdesk index`, first ({per_s:.0f} files/s) | {first['wall_s']:.1f} s | {first['cpu_s']:.1f} s "
        f"| {first['encoded']:,} |"
    )
    for label, name in steps.items():
        wall, cpu = (statistics.median(one[key] for one in few[name]) for key in ("wall_s", "cpu_s"))
        rows.append(f"| {label} | {wall:.2f} s | {cpu:.2f} s | {few[name][0].get('encoded', 0)} |")
    return "\n".join(rows)


def _index(folder: Path, library: Path) -> Result:
    """Run `refdesk index`: what it reports, seconds, and bytes at the peak of its own process, not its reader's.

    The peak is read from /proc while it runs: getrusage would count what this process has, too.
    """
    command = [
        str(Path(sys.executable).with_name("refdesk")),
        "index",
        str(folder),
        "--library",
        str(library),
        "--json",
    ]
    peak = own = 0
    with tempfile.TemporaryFile("w+") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        while not (waited := os.wait4(process.pid, os.WNOHANG))[0]:
            status = Path(f"/proc/{process.pid}/status").read_text()
            held = {name: int(number) << 10 for name, number in re.findall(r"(\w+):\s*(\d+) kB", status)}
            peak, own = max(peak, held.get("VmHWM", 0)), max(own, held.get("RssAnon", 0))
            time.sleep(_POLL_S)
        wall, usage = time.perf_counter() - start, waited[2]
        process.returncode = os.waitstatus_to_exitcode(waited[1])
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} fails with {process.returncode}")
        out.seek(0)
        report = json.load(out)
    found = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_bytes": peak, "own_bytes": own}
    return {**found, "counts": report["counts"], "encoded": report["encoded"]}


def _check(found: Result, counts: Mapping[str, int], *, encodes: bool) -> None:
    if found["counts"] != dict(counts) or bool(found["encoded"]) != encodes:
        raise RuntimeError(f"expected {counts}, is now {found['counts']}, {found['encoded']} texts encoded")


def _texts(out: Path) -> Iterator[Sequence[str]]:
    """The sentences of grown documents, always the same ones, without end."""
    with qa.Library.open(out / "libraries" / "scifact") as real:
        pool = pool_of(real)
    for text, spans, _ in documents(pool, seed=2):
        yield [text[start:end] for start, end in spans]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _keep(out: Path, results: Result) -> None:
    (out / "files.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
