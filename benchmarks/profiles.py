"""Where the time goes: `python -m benchmarks.profiles [--limit 1000]`.

Profiles indexing SciFact's files (its main thread and the one that reads ahead), 300 warm questions to the SciFact
library, and a cold `refdesk ask`, for which it also sums what each package's import takes. A function's own time counts
for its group, and that of what is built in for the caller's, unless it has one; the ten largest groups are shown. The
profiler slows down Python's own code and nothing else, so the shares of what is small in Python are a bit too large,
and a thread that waits for the other one, or for the interpreter's lock, is counted, too. Needs the SciFact files and
library that benchmarks.quality makes, and Python 3.11: later profilers see one thread. Results are kept in
OUT/profiles.json.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import qa
from benchmarks.page import put
from qa.evaluation import load_questions

HERE = Path(__file__).parent
QUESTIONS, WARM_UP = 300, 50
SHOWN = 10
COLD = 5
"""Runs of a cold question: the median counts."""
SETTLED_S = 2.5
"""Seconds after which a file that was written counts as unchanged without a look at its content (qa/walk.py)."""

_REST = "the rest"
_GROUPS = tuple(
    (re.compile(pattern), group)
    for pattern, group in (
        (r":<module>$|importlib|_imp\.|marshal\.|__build_class__|\bre/_|_sre\.", "importing modules"),
        (r"qa/readers/worker|subprocess|fork_exec", "the reader's process, and waiting for it"),
        (r"_thread\.|threading\.py|qa/ahead", "threads, and waiting for the other one"),
        (r"tokenizers\.", "tokenizer"),
        (
            r"import_model|from_file|get_property|crc32_of|compiled\.py:(open|load)|engines|models\.py",
            "loading the model",
        ),
        (r"openvino|embeddings/(compiled|microbatch|engines|encoder|models)", "model"),
        (r"sqlite3|qa/store", "SQLite and rows"),
        (r"faiss|embeddings/index", "FAISS"),
        (r"py3langid|lzma|_compression|zipfile|shutil|language\.py:(detect|<genexpr>)", "language detection"),
        (r"qa/language|bm25s|Stemmer", "terms"),
        (r"qa/(sentences|passages)", "sentences and passages"),
        (r"posix\.fsync", "fsync"),
        (r"hashlib|qa/walk|posix\.|pathlib|posixpath|genericpath", "files and hashes"),
        (r"qa/(lexical|snapshot|segment|indexes)", "BM25 and indexes"),
        (r"qa/retrieval", "fusion, with the sentences' cosines"),
        (r"qa/answering", "sentences of the answer"),
        (r"numpy", "numpy"),
        (r"json/|_json", "JSON"),
        (r"qa/", "the rest of Refdesk"),
        (r"dataclasses|typing\.py|inspect\.py|enum\.py|collections/__init__|<frozen abc>", "importing modules"),
    )
)

Result = dict[str, Any]


def main() -> int:
    """Parse, profile, keep, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=int, metavar="N", help="index the first N files (default: all)")
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with data/scifact")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where files, libraries and results are kept")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    library = arguments.out / "libraries" / "scifact"
    asked = [one.text for one in islice(load_questions(arguments.shared / "data" / "scifact"), QUESTIONS)]
    results = {"index": index(arguments.out / "files" / "scifact", arguments.limit), "ask": ask(library, asked)}
    results["cold"] = cold(library, results["ask"]["found"])
    (arguments.out / "profiles.json").write_text(json.dumps(results, indent=1))
    print(table(results))
    if arguments.write:
        put("profiles", table(results))
    return 0


def index(files: Path, limit: int | None) -> Result:
    """Profile the indexing of a folder's first files into a new library."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "files")
        folder.mkdir()
        chosen = sorted(files.iterdir())[:limit]
        for path in chosen:
            shutil.copy(path, folder)
        time.sleep(SETTLED_S)
        own, ahead = cProfile.Profile(), cProfile.Profile()

        def profiled(frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG001 - as it is called
            sys.setprofile(None)
            if threading.current_thread().name == "refdesk-ahead":
                ahead.enable()

        threading.setprofile(profiled)
        try:
            own.enable()
            with qa.Library.create(Path(place, "library")) as library:
                library.sync([folder])
            own.disable()
        finally:
            threading.setprofile(None)
    return {"files": len(chosen), "main": grouped(pstats.Stats(own)), "ahead": grouped(pstats.Stats(ahead))}


def ask(library: Path, questions: Sequence[str]) -> Result:
    """Profile warm questions."""
    with qa.Library.open(library) as opened:
        for question in questions[:WARM_UP]:
            opened.ask(question)
        start = time.perf_counter()
        for question in questions:
            opened.ask(question)
        unprofiled = time.perf_counter() - start
        own = cProfile.Profile()
        own.enable()
        for question in questions:
            opened.ask(question)
        own.disable()
        found = next(question for question in questions if opened.ask(question).found)
    each = 1e3 * unprofiled / len(questions)
    return {"questions": len(questions), "ms_each": each, "found": found, "main": grouped(pstats.Stats(own))}


def cold(library: Path, question: str) -> Result:
    """`refdesk ask` in new processes: seconds to its end, what imports take, and a profile."""
    command = [str(Path(sys.executable).with_name("refdesk")), "ask", question, "--library", str(library)]
    traced = subprocess.run([sys.executable, "-X", "importtime", *command], capture_output=True, text=True, check=False)
    packages: Counter[str] = Counter()
    for own, name in re.findall(r"^import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)$", traced.stderr, re.MULTILINE):
        top = name.partition(".")[0]
        packages["standard library" if top in sys.stdlib_module_names else top] += int(own)
    with tempfile.NamedTemporaryFile() as file:
        profiler = [sys.executable, "-m", "cProfile", "-o", file.name, *command]
        subprocess.run(profiler, stdout=subprocess.DEVNULL, check=True)
        profiled = grouped(pstats.Stats(file.name))
    return {
        "wall_s": _seconds(command),
        "python_s": _seconds([sys.executable, "-c", ""]),
        "imports": {package: micros / 1e6 for package, micros in packages.most_common()},
        "main": profiled,
    }


def grouped(profile: pstats.Stats) -> dict[str, float]:
    """Own seconds by group, largest first."""
    groups: Counter[str] = Counter()
    for function, (_, _, own, _, callers) in profile.stats.items():  # type: ignore[attr-defined]
        name = _name(function)
        group = _group(name)
        if group is None and name.startswith("~"):  # built in
            for caller, (_, _, share, _) in callers.items():
                groups[_group(_name(caller)) or _REST] += share
        else:
            groups[group or _REST] += own
    return dict(groups.most_common())


def load(out: Path = HERE / "out") -> Result:
    """What was measured; empty before."""
    path = out / "profiles.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def table(results: Result) -> str:
    """Markdown: a table for each profile."""
    index, asked, cold = results["index"], results["ask"], results["cold"]
    imports = cold["imports"]
    head = (
        f"A cold `refdesk ask` takes {cold['wall_s']:.2f} s, of which Python's own start is {cold['python_s']:.2f} s "
        f"and imports are {sum(imports.values()):.2f} s:"
    )
    return "\n\n".join(
        [
            *(f"Indexing {index['files']:,} files, {n}:\n\n{_shares(index[k])}" for n, k in _THREADS.items()),
            f"{asked['questions']} warm questions, {asked['ms_each']:.1f} ms each without the profiler:\n\n"
            f"{_shares(asked['main'])}",
            f"{head}\n\n{_shares(imports)}",
            f"The same command in the profiler, imports included:\n\n{_shares(cold['main'])}",
        ]
    )


_THREADS = {"main thread": "main", "the thread that reads ahead": "ahead"}


def _shares(groups: dict[str, float]) -> str:
    """The largest groups as a table with their shares of all."""
    whole = sum(groups.values())
    rows = [f"| {name} | {own:.2f} s | {own / whole:.1%} |" for name, own in islice(groups.items(), SHOWN)]
    return "\n".join(["| | own time | share |", "|---|---:|---:|", *rows, f"| all | {whole:.2f} s | |"])


def _group(name: str) -> str | None:
    return next((group for pattern, group in _GROUPS if pattern.search(name)), None)


def _name(function: tuple[str, int, str]) -> str:
    """A function as `package/module.py:function`, one that is built in as `~:<method …>`."""
    path, _, name = function
    if path != "~" and not path.startswith("<"):
        path = re.sub(r".*/(site-packages|python3\.\d+)/", "", os.path.relpath(path, HERE.parent))
    return f"{path}:{name}"


def _seconds(command: Sequence[str]) -> float:
    """The median of COLD runs, after one that is not counted."""
    times = []
    for _ in range(1 + COLD):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


if __name__ == "__main__":
    sys.exit(main())
