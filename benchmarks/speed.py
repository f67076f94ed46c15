"""Refdesk's speed beside its peers': `python -m benchmarks.speed [--only TOOLS] [--corpus xquad-en] [--write]`.

Each tool gets a virtual environment of its own (made on the first run with pip, from benchmarks/peers/NAME.txt), the
same files, the same all-MiniLM-L6-v2 and its own documented defaults; benchmarks/peers/NAME.py says what was done.
Results are kept in OUT/CORPUS/NAME.json as each tool finishes, so that --only and --steps can complete them; --write
puts the tables between the marks `<!-- speed -->` and `<!-- end -->` of docs/performance.md. Everything takes about
an hour on two cores (`--corpus medium`, with 2,460 of 6,143 files: half of that), and the machine must be quiet.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.page import put
from benchmarks.peers.process import Done, execute
from benchmarks.peers.tables import plots, tables

if TYPE_CHECKING:
    from qa.evaluation import Question, QuestionSet

__all__ = ["load_results", "measure", "plots", "tables"]

HERE = Path(__file__).parent
ROOT = HERE.parent
OUT = HERE / "out" / "speed"

XQUAD = ("en", "de", "es", "ru")
CORPORA: dict[str, dict[str, int | None]] = {
    "full": {**dict.fromkeys(XQUAD), "scifact": None},
    "medium": {**dict.fromkeys(XQUAD), "scifact": 1500},
    "xquad-en": {"en": None},
}
"""Question sets and how many of their documents are taken, those with gold first; None for all."""
LIMITS = {
    "index": 1800, "cold": 120, "warm": 300, "batch": 600, "threads": 300, "add": 180, "delete": 180, "resync": 300,
}  # fmt: skip
"""Seconds after which a step is stopped, and said to be not done."""
WARM_UP, WARM, BATCH, COLD = 20, 200, 1000, 3
SEED = 20261122
OURS = ("refdesk", "openvino", "sentence-transformers", "torch", "faiss-cpu", "bm25s", "numpy")

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool and the ways in which it is asked. The first is its main one."""

    label: str
    modes: tuple[str, ...] = ("vector",)
    resyncs: bool = False


TOOLS = {
    "refdesk": Tool("Refdesk", ("hybrid", "answer"), resyncs=True),
    "plain": Tool("plain FAISS"),
    "langchain": Tool("LangChain", ("hybrid", "vector"), resyncs=True),
    "llamaindex": Tool("LlamaIndex", ("hybrid", "vector"), resyncs=True),
    "haystack": Tool("Haystack", ("hybrid", "vector")),
    "txtai": Tool("txtai", ("hybrid", "vector")),
    "chroma": Tool("Chroma"),
}


@dataclass(frozen=True, slots=True)
class Bench:
    """Where things are: the corpus, the questions, and what the tools make."""

    out: Path
    shared: Path
    corpus: str

    @property
    def folder(self) -> Path:
        return self.out / self.corpus

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def questions(self) -> Path:
        return self.folder / "questions.json"

    @property
    def extra(self) -> Path:
        """The document that is added and deleted."""
        return self.folder / "extra" / "harbour.txt"

    @property
    def cache(self) -> Path:
        """Where Refdesk keeps its compiled model."""
        return self.folder / "cache"

    def store(self, name: str) -> Path:
        return self.folder / "stores" / name


def main() -> int:
    """Parse, prepare, measure each tool, show."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(TOOLS), help="tools, comma-separated (default: %(default)s)")
    parser.add_argument("--steps", default=",".join(LIMITS), help="steps, comma-separated (default: %(default)s)")
    parser.add_argument("--corpus", choices=CORPORA, default="full", help="which texts (default: %(default)s)")
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="folder with data")
    parser.add_argument("--out", type=Path, default=OUT, help="where results and stores are kept")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    arguments = parser.parse_args()
    only, steps = arguments.only.split(","), arguments.steps.split(",")
    if set(only) - set(TOOLS) or set(steps) - set(LIMITS):
        print(f"expected tools of {', '.join(TOOLS)} and steps of {', '.join(LIMITS)}", file=sys.stderr)
        return 2
    if not arguments.shared.is_dir():
        print(f"no folder {arguments.shared}: give it with --shared", file=sys.stderr)
        return 2
    bench = Bench(arguments.out.resolve(), arguments.shared, arguments.corpus)
    prepare(bench)
    for name in only:
        python(name)
    for name in only:
        measure(bench, name, steps)
    results = load_results(bench.folder)
    text = tables(results)
    print(text)
    (bench.folder / "tables.md").write_text(text, encoding="utf-8")
    plots(results, bench.folder)
    if arguments.write:
        put(f"speed {bench.corpus}", text)
    return 0


# Preparing


def prepare(bench: Bench) -> None:
    """Write the corpus as files, the questions, and the document to add."""
    from qa.evaluation import load_questions

    data = bench.shared / "data"
    sets = {
        name: load_questions(data / "scifact" if name == "scifact" else data / "xquad" / f"xquad.{name}.json")
        for name in CORPORA[bench.corpus]
    }
    for name, count in CORPORA[bench.corpus].items():
        _place(sets[name], bench.out / "texts" / name, bench.files / name, count)
    bench.extra.parent.mkdir(parents=True, exist_ok=True)
    bench.extra.write_text(
        "The harbour of Westerland was dredged to a depth of nine metres in the spring of 1974.\n\n"
        "Its lighthouse keeper, Anna Petersen, wrote down every ship that passed until she retired.\n"
    )
    claims = [question.text for question in sets["scifact"]] if "scifact" in sets else []
    bench.questions.write_text(json.dumps(_questions(sets["en"], claims), ensure_ascii=False), encoding="utf-8")


def _place(questions: QuestionSet, texts: Path, folder: Path, count: int | None) -> None:
    """Write all documents of a set to `texts`, and link the first `count` into `folder`, those with gold first."""
    questions.write_corpus(texts)
    gold = {source for question in questions for source in question.sources}
    sources = sorted(path.relative_to(texts).as_posix() for path in texts.rglob("*") if path.is_file())
    for source in sorted(sources, key=lambda source: source not in gold)[:count]:
        path = folder / source
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.hardlink_to(texts / source)


def _questions(xquad: Iterable[Question], claims: Sequence[str]) -> Result:
    """The questions of each step: the batch with its gold answers; and the others half of them claims, if there are."""
    choose = random.Random(SEED)
    answered = list({question.text: question for question in xquad if question.answers}.values())
    choose.shuffle(answered)
    texts = [question.text for question in answered]
    claims = claims[: (WARM_UP + WARM) // 2]
    mixed = [*claims, *texts[: WARM_UP + WARM - len(claims)]]
    choose.shuffle(mixed)
    answers = [question.answers for question in answered[:BATCH]]
    return {"warmup": mixed[:WARM_UP], "warm": mixed[WARM_UP:], "batch": texts[:BATCH], "answers": answers}


def python(name: str) -> str:
    """The interpreter of a tool's environment, which is made when it is missing or its requirements have changed."""
    if name == "refdesk":
        return sys.executable
    folder, requirements = HERE / "out" / "peers" / name, HERE / "peers" / f"{name}.txt"
    stamp, interpreter = folder / "requirements.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"making {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(interpreter), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]
        subprocess.run([*install, str(requirements)], check=True)
        stamp.write_text(requirements.read_text())
    return str(interpreter)


def environment() -> dict[str, str]:
    """The variables of every run: nothing is fetched or reported, threads are the tools' own choice."""
    dropped = ("PYTHONDONTWRITEBYTECODE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM")
    return {
        **{key: value for key, value in os.environ.items() if key not in dropped},
        "PYTHONPATH": str(ROOT),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "ANONYMIZED_TELEMETRY": "False",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LANGSMITH_TRACING": "false",
    }


# Measuring


def measure(bench: Bench, name: str, steps: Sequence[str]) -> None:
    """Measure one tool and keep what was found; steps that are not asked for keep their earlier results."""
    path = bench.folder / f"{name}.json"
    result: Result = json.loads(path.read_text()) if path.exists() and "index" not in steps else {}
    result |= {"tool": name, "label": TOOLS[name].label, "corpus": bench.corpus, "machine": machine()}
    result |= {"versions": versions(name), "files": sum(one.is_file() for one in bench.files.rglob("*"))}
    built: Result = result.setdefault("build", {})
    if "index" in steps:
        if name == "refdesk":
            built["first"] = _first(bench)
        built["index"] = _index(bench, name)
        steps = [] if built["index"]["failure"] else steps
    modes: Result = result.setdefault("modes", {})
    for mode in TOOLS[name].modes:
        asked: Result = modes.setdefault(mode, {})
        for step in (step for step in ("cold", "warm", "batch", "threads") if step in steps):
            if mode != "answer" or step == "warm":
                asked |= ASKING[step](bench, name, mode)
    for step in (step for step in ("add", "delete", "resync") if step in steps):
        built[step] = {"rebuilds": True} if step == "resync" and not TOOLS[name].resyncs else _do(bench, name, step)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")


def _first(bench: Bench) -> Result:
    """Refdesk's first document on a new machine, where it compiles the model, which is kept for all libraries."""
    shutil.rmtree(bench.cache, ignore_errors=True)
    shutil.rmtree(bench.store("refdesk"), ignore_errors=True)
    return _do(bench, "refdesk", "add")


def _index(bench: Bench, name: str) -> Result:
    store = bench.store(name)
    shutil.rmtree(store, ignore_errors=True)
    store.parent.mkdir(parents=True, exist_ok=True)
    found = _do(bench, name, "index")
    found["bytes"] = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    if name == "refdesk" and not found["failure"]:
        import qa

        with qa.Library.open(store) as library:
            found["result"] = {"passages": library.status().passages}
    return found


def _cold(bench: Bench, name: str, mode: str) -> Result:
    """Process start to its end, with the files in the page cache: the median of three after one that is not counted."""
    question = json.loads(bench.questions.read_text())["batch"][0]
    runs = [_step(bench, name, "cold", command(bench, name, "ask", question, mode=mode)) for _ in range(1 + COLD)][1:]
    failed = next((run for run in runs if run["failure"]), None)
    medians = {key: statistics.median(run[key] for run in runs) for key in ("wall", "cpu", "peak")}
    return {"cold": failed or {**runs[0], **medians, "walls": [run["wall"] for run in runs]}}


def _warm(bench: Bench, name: str, mode: str) -> Result:
    run = command(bench, name, "warm", str(bench.questions), mode=mode)
    return {
        "warm_one": _step(bench, name, "warm", ["taskset", "-c", "0", *run]),
        "warm_both": _step(bench, name, "warm", run),
    }


def _batch(bench: Bench, name: str, mode: str) -> Result:
    hits = bench.folder / f"{name}-{mode}-hits.json"
    hits.unlink(missing_ok=True)
    found = _step(bench, name, "batch", command(bench, name, "batch", str(bench.questions), str(hits), mode=mode))
    return {"batch": found, "quality": _quality(bench, hits) if hits.exists() else {}}


def _threads(bench: Bench, name: str, mode: str) -> Result:
    return {"threads": _step(bench, name, "threads", command(bench, name, "threads", str(bench.questions), mode=mode))}


ASKING: dict[str, Callable[[Bench, str, str], Result]] = {
    "cold": _cold,
    "warm": _warm,
    "batch": _batch,
    "threads": _threads,
}


def _do(bench: Bench, name: str, verb: str) -> Result:
    return _step(bench, name, verb, command(bench, name, verb))


def _step(bench: Bench, name: str, step: str, run: Sequence[str]) -> Result:
    cache = {"XDG_CACHE_HOME": str(bench.cache)} if name == "refdesk" else {}
    done: Done = execute(run, {**environment(), **cache}, LIMITS[step], ROOT)
    print(f"  {name} {step}: {done.failure or f'{done.wall:.2f} s'}", file=sys.stderr, flush=True)
    shown = [part.replace(str(bench.out), "OUT").replace(str(ROOT), ".") for part in run]
    result = {key: value for key, value in done.result.items() if key != "hits"}
    return {**asdict(done), "result": result, "command": shown, "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M}"}


def command(bench: Bench, name: str, verb: str, *more: str, mode: str = "") -> list[str]:
    """The command that does a thing. Refdesk's own command does what a user does with it."""
    store, extra = str(bench.store(name)), str(bench.extra)
    if name == "refdesk" and verb not in ("warm", "batch", "threads"):
        refdesk = [sys.executable, str(Path(sys.executable).with_name("refdesk"))]
        arguments = {
            "index": ["index", str(bench.files)],
            "resync": ["index", str(bench.files)],
            "ask": ["ask", *more],
            "add": ["index", extra],
            "delete": ["remove", bench.extra.name],
        }[verb]
        return [*refdesk, *arguments, "--library", store]
    places = {
        "index": [str(bench.files), store],
        "resync": [str(bench.files), store],
        "add": [store, extra],
        "delete": [store, extra],
    }.get(verb, [store, *more, mode])
    return [python(name), "-m", f"benchmarks.peers.{name}", verb, *places]


def _quality(bench: Bench, hits: Path) -> Result:
    """answer@5: the share of questions with a gold answer string in one of the five chunks; and how long these are."""
    from qa.evaluation.text import collapsed, holds, wanted

    answers = json.loads(bench.questions.read_text())["answers"]
    found = json.loads(hits.read_text())
    held = [
        any(holds(collapsed(text), wanted(answer)) for text in texts for answer in gold)
        for texts, gold in zip(found, answers, strict=True)
    ]
    characters = statistics.mean(sum(len(text) for text in texts) for texts in found)
    return {"questions": len(held), "answer@5": sum(held) / len(held), "characters": characters}


def machine() -> Result:
    """What it ran on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def versions(name: str) -> dict[str, str]:
    """The packages that matter, with their versions: a peer's are those of its requirements."""
    if name == "refdesk":
        installed = {one.metadata["Name"].lower(): one.version for one in metadata.distributions()}
        return {package: installed[package] for package in OURS if package in installed}
    lines = (HERE / "peers" / f"{name}.txt").read_text().split()
    return dict(line.split("==") for line in lines)


# Keeping and showing


def load_results(folder: Path = OUT / "full") -> dict[str, Result]:
    """What was measured, by tool, in the order of `TOOLS`."""
    paths = {name: folder / f"{name}.json" for name in TOOLS}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


if __name__ == "__main__":
    sys.exit(main())
