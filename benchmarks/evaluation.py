"""Does evaluating stay fast and small? `python -m benchmarks.evaluation [--shared DIR] [--counts 1000,10000]`.

Runs question sets of several sizes over XQuAD's English paragraphs, each in a process of its own (the 1,190 questions
are repeated under new ids), and prints questions/s, the process's peak memory and the sizes of the run's files. The
library is kept in benchmarks/out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import qa
from qa.evaluation import evaluate, load_questions

HERE = Path(__file__).parent


def main() -> int:
    """Parse, build, run each size in a child, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with data/xquad")
    parser.add_argument("--counts", default="1000,10000", help="how many questions, comma-separated")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where library, questions and runs are kept")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return measure(arguments.out, arguments.child)
    questions = load_questions(arguments.shared / "data" / "xquad" / "xquad.en.json")
    questions.write_corpus(arguments.out / "files" / "en")
    path = arguments.out / "libraries" / "en"
    with qa.Library.open(path) if path.exists() else qa.Library.create(path) as library:
        library.sync([arguments.out / "files" / "en"])
        print(f"{library.status().passages} passages")
    print("questions  questions/s  peak memory  questions.jsonl  run.trec  report.html  p50     p95     p99")
    for count in map(int, arguments.counts.split(",")):
        file = arguments.out / f"repeated-{count}.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            for number, one in enumerate(islice(cycle(questions), count)):
                row = {"id": str(number), "question": one.text, "answers": one.answers, "sources": dict(one.sources)}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        command = [sys.executable, "-m", "benchmarks.evaluation", "--out", str(arguments.out), "--child", str(file)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(_line(count, json.loads(done.stdout.splitlines()[-1])), flush=True)
    return 0


def measure(out: Path, file: Path) -> int:
    """Evaluate one set and print what it took as JSON."""
    folder = out / "runs" / file.stem
    with qa.Library.open(out / "libraries" / "en") as library:
        report = evaluate(library, file, out=folder)
    timing = report.summary["timing"]
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    print(json.dumps({"timing": timing, "sizes": sizes, "peak": _peak()}))
    return 0


def _peak() -> int:
    """The largest memory of this process so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def _line(count: int, found: dict[str, Any]) -> str:
    timing, sizes = found["timing"], found["sizes"]
    one = timing["latency"]
    files = "".join(
        f"{sizes[name] / 1e6:{width}.1f} MB"
        for name, width in (("questions.jsonl", 13), ("run.trec", 7), ("report.html", 10))
    )
    times = "".join(f"{one[name]:6.1f}ms" for name in ("p50", "p95", "p99"))
    return f"{count:9,}{timing['questions_per_second']:13.1f}{found['peak'] / 1e6:10.0f} MB {files}{times}"


if __name__ == "__main__":
    sys.exit(main())
