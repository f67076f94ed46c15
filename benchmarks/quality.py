"""Every quality figure of README and docs: `python -m benchmarks.quality [--shared DIR] [--only SECTIONS] [--write]`.

Builds a library of each public question set with the defaults (kept in benchmarks/out, so that a second run only
asks), evaluates it with `qa.evaluation`, and prints tables; `--write` puts them into docs/quality.md. All sections take
about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import qa
from benchmarks.references import bm25s_plain, minilm
from embeddings import Encoder
from qa.evaluation import Question, QuestionSet, Report, Settings, evaluate, evaluate_run, load_questions
from qa.evaluation.text import collapsed, holds, wanted
from qa.retrieval import weight_of

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "quality.md"
LANGUAGES = ("en", "de", "es", "ru")
SETS = (*LANGUAGES, "scifact")
WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
FOLLOW_UP, UNANSWERABLE = "followup", "unanswerable"

Lines = Iterator[str]


@dataclass
class Bench:
    """Where things are, and the runs made so far by set and weight of the cosine."""

    shared: Path
    out: Path
    encoder: Encoder
    runs: dict[tuple[str, float | None], Report] = field(default_factory=dict)

    def questions(self, name: str) -> QuestionSet:
        """A set's questions with gold."""
        if name == "seeds":
            return load_questions(self.shared / "questions" / "seeds-dev.jsonl")
        data = self.shared / "data"
        return load_questions(data / "scifact" if name == "scifact" else data / "xquad" / f"xquad.{name}.json")

    def files(self, name: str) -> Path:
        """A set's documents as files."""
        if name == "seeds":
            return self.shared / "seeds"
        folder = self.out / "files" / name
        self.questions(name).write_corpus(folder)
        return folder

    def library(self, name: str, paths: Sequence[Path]) -> qa.Library:
        """A library of files, made with the defaults or brought up to date."""
        path = self.out / "libraries" / name
        library = (
            qa.Library.open(path, encoder=self.encoder)
            if path.exists()
            else qa.Library.create(path, encoder=self.encoder)
        )
        library.sync(paths)
        return library

    def run(self, name: str, weight: float | None = None) -> Report:
        """The evaluation of a set, once."""
        if (name, weight) not in self.runs:
            with self.library(name, [self.files(name)]) as library:
                out = self.out / "runs" / (name if weight is None else f"{name}-{weight}")
                self.runs[name, weight] = evaluate(
                    library, self.questions(name), Settings(dense_weight=weight), out=out
                )
            print(
                f"  evaluated {name}{'' if weight is None else f' with weight {weight}'}", file=sys.stderr, flush=True
            )
        return self.runs[name, weight]


def main() -> int:
    """Parse, run the sections, print or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with seeds, questions and data"
    )
    parser.add_argument("--only", default=",".join(SECTIONS), help="sections, comma-separated (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where libraries and runs are kept")
    parser.add_argument("--write", action="store_true", help="write docs/quality.md (needs all sections)")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if not arguments.shared.is_dir():
        print(f"no folder {arguments.shared}: give it with --shared", file=sys.stderr)
        return 2
    if set(wanted) - set(SECTIONS) or (arguments.write and set(wanted) != set(SECTIONS)):
        print(f"expected sections of {', '.join(SECTIONS)}, and all of them to --write", file=sys.stderr)
        return 2
    bench = Bench(arguments.shared, arguments.out, Encoder.load())
    text = "\n".join([*opening(), *(line for name in wanted for line in ("", *SECTIONS[name](bench)))]) + "\n"
    print(text)
    if arguments.write:
        DOCUMENT.write_text(text, encoding="utf-8")
    return 0


def opening() -> Lines:
    """What was measured, with what."""
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("sentence-transformers", "torch", "faiss-cpu", "ir-measures")
    )
    yield "# Quality"
    yield ""
    yield from paragraph(
        "One command measures every figure on this page and writes it: `python -m benchmarks.quality "
        "--write`. It needs the question sets in `../shared` (or `--shared DIR`), builds a library of each "
        "with the defaults, and evaluates it with `qa.evaluation`; nothing is tuned to a set."
    )
    yield ""
    yield from paragraph(
        f"Conditions: {datetime.now(UTC):%B %Y}, all-MiniLM-L6-v2 on the CPU, Python "
        f"{platform.python_version()}, {packages}. Intervals are bootstrap 95 % intervals. A document's rank "
        "is that of its best passage, and a question without results counts 0."
    )


def paragraph(text: str) -> Lines:
    """Prose, wrapped as the docs are."""
    yield from textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def retrieval(bench: Bench) -> Lines:
    """nDCG@10 by document of each mode, beside plain systems run here and their published figures."""
    published = _published(bench.shared)
    yield "## Retrieval"
    yield ""
    yield "nDCG@10 by document: as Refdesk ranks, by the cosine alone, by BM25 alone."
    yield ""
    yield "| library | documents | questions | fused | cosine alone | BM25 alone |"
    yield "|---|---|---|---|---|---|"
    for name in SETS:
        runs = [bench.run(name, weight) for weight in (None, 1.0, 0.0)]
        summary = runs[0].summary
        cells = [
            f"{one.mean:.3f} ({one.low:.3f} to {one.high:.3f})" for one in (run.measures["nDCG@10"] for run in runs)
        ]
        yield _row(_name(name), f"{summary['library']['documents']:,}", f"{summary['asked']:,}", *cells)
    yield ""
    yield from paragraph(
        "The same measure for two plain systems, run here over whole documents and judged by the same code "
        "(`refdesk eval --run`), beside the figures published for them: one MiniLM vector for a whole text, "
        "and bm25s as its documentation shows it, with English stop words and stemmer for every language."
    )
    yield ""
    yield "| library | MiniLM here | published | bm25s here | published | bm25s, own language |"
    yield "|---|---|---|---|---|---|"
    for name in SETS:
        dense, lexical, own = _references(bench, name)
        known = published[name]
        yield _row(_name(name), _short(dense), _short(known[0]), _short(lexical), _short(known[1]), _short(own))
    yield ""
    yield from paragraph(
        "Refdesk's cosine is that of a passage's best sentence, which is why it is above that of a whole text. Its "
        "BM25 stems and drops stop words by language, question words among them; the last column shows what the "
        "language alone does for bm25s."
    )


def weights(bench: Bench) -> Lines:
    """Success@1 by the weight of the cosine."""
    yield "## Weight of the cosine"
    yield ""
    yield from paragraph(
        "Success@1 on XQuAD by the weight of the cosine, and the weight that Refdesk chooses from characters a token."
    )
    yield ""
    yield _row("language", *(f"{weight:.1f}" for weight in WEIGHTS), "chosen", "with it")
    yield "|" + "---|" * (len(WEIGHTS) + 3)
    for name in LANGUAGES:
        values = [_short(bench.run(name, weight).measures["Success@1"].mean) for weight in WEIGHTS]
        with qa.Library.open(bench.out / "libraries" / name, encoder=bench.encoder) as library:
            chosen = f"{weight_of(library.snapshot(), name):.2f}".lstrip("0")
        yield _row(name, *values, chosen, _short(bench.run(name).measures["Success@1"].mean))


def nothing_found(bench: Bench) -> Lines:
    """How well missing answers are told, with every second article of XQuAD left out."""
    yield "## Nothing found"
    yield ""
    yield 'Every second article of XQuAD is left out of the library: questions on it must get "no passage found".'
    yield ""
    yield "| language | answerable kept | others rejected | AUROC | rejected at 95 % kept |"
    yield "|---|---|---|---|---|"
    for name in LANGUAGES:
        articles = sorted(path for path in bench.files(name).iterdir() if path.is_dir())
        kept = articles[::2]
        known = {path.name for path in kept}
        questions = [_without(question, known) for question in bench.questions(name)]
        with bench.library(f"{name}-half", kept) as library:
            told = evaluate(library, questions).summary["nothing_found"]
        yield _row(
            name,
            f"{told['kept']:.1%} of {told['answerable']}",
            f"{told['rejected']:.1%} of {told['unanswerable']}",
            _short(told["auroc"]),
            f"{told['rejected_at_95']:.1%}",
        )


def answers(bench: Bench) -> Lines:
    """How often the gold answer string is in what is quoted."""
    yield "## Quoted answers"
    yield ""
    yield from paragraph(
        "Share of XQuAD's questions whose gold answer string is in the first passage, the quoted answer (up "
        "to three sentences), the first quoted sentence."
    )
    yield ""
    yield "| language | first passage | quoted answer | first sentence | sentences quoted |"
    yield "|---|---|---|---|---|"
    for name in LANGUAGES:
        report = bench.run(name)
        first = quoted = 0
        for record in report.records():
            texts = [collapsed(sentence["text"]) for sentence in record["answer"]]
            gold = [wanted(answer) for answer in record["gold"]["answers"]]
            first += bool(texts) and any(holds(texts[0], answer) for answer in gold)
            quoted += len(texts)
        count = report.summary["asked"]
        yield _row(
            name,
            f"{report.measures['Answer@1'].mean:.1%}",
            f"{report.measures['Quoted'].mean:.1%}",
            f"{first / count:.1%}",
            f"{quoted / count:.1f}",
        )


def seeds(bench: Bench) -> Lines:
    """The scraped news pages: answer strings, refusals, follow-ups."""
    report = bench.run("seeds")
    records = list(report.records())
    alone = [record for record in records if record["kind"] not in (FOLLOW_UP, UNANSWERABLE)]
    follow_ups = [record for record in records if record["kind"] == FOLLOW_UP]
    none = [record for record in records if record["kind"] == UNANSWERABLE]
    figures = (
        ("answer string in the first passage", sum(r["measures"]["Answer@1"] for r in alone), alone),
        ("answer string in the first five", sum(r["measures"]["Answer@5"] for r in alone), alone),
        ("answer string in the quoted answer", sum(r["measures"]["Quoted"] for r in alone), alone),
        ("answerable, but refused", sum(not r["found"] for r in alone), alone),
        ("unanswerable, but answered", sum(r["found"] for r in none), none),
        ("follow-ups with the answer string in the first five", sum(r["measures"]["Answer@5"] for r in follow_ups),
         follow_ups),
        ("follow-ups refused", sum(not r["found"] for r in follow_ups), follow_ups),
    )  # fmt: skip
    yield "## Scraped pages"
    yield ""
    yield from paragraph(
        f"Five scraped news pages, {len(records)} questions ({len(alone)} answerable alone, {len(follow_ups)} "
        f"follow-ups, {len(none)} unanswerable):"
    )
    yield ""
    yield "| measure | result |"
    yield "|---|---|"
    for name, some, of in figures:
        yield _row(name, f"{int(some)} of {len(of)} ({some / max(1, len(of)):.0%})")


def citations(bench: Bench) -> Lines:
    """How many of all citations open exactly their quote."""
    reports = [bench.run(name) for name in ("seeds", *SETS)]
    shown = sum(report.summary["citations"]["shown"] for report in reports)
    exact = sum(report.summary["citations"]["exact"] for report in reports)
    yield "## Citations"
    yield ""
    yield from paragraph(
        "Citations that open exactly their quote, of every quoted sentence and of the first five hits of "
        f"every question of all these sets: {exact:,} of {shown:,}."
    )


SECTIONS: dict[str, Callable[[Bench], Lines]] = {
    "retrieval": retrieval,
    "weights": weights,
    "nothing-found": nothing_found,
    "answers": answers,
    "seeds": seeds,
    "citations": citations,
}


def _references(bench: Bench, name: str) -> tuple[float, float, float]:
    """nDCG@10 of one vector a text, of bm25s in English, and of bm25s in the set's language."""
    questions, files = bench.questions(name), bench.files(name)
    dense, lexical, own = (bench.out / "references" / f"{name}-{kind}.trec" for kind in ("minilm", "bm25s", "own"))
    minilm(files, questions, bench.encoder, dense)
    bm25s_plain(files, questions, lexical)
    bm25s_plain(files, questions, own, "en" if name == "scifact" else name)
    first, second, third = (evaluate_run(run, questions).measures["nDCG@10"].mean for run in (dense, lexical, own))
    return first, second, third


def _published(shared: Path) -> dict[str, tuple[float, float]]:
    """nDCG@10 published for MiniLM and bm25s, by set."""
    scifact = json.loads((shared / "data" / "scifact" / "_SOURCE.json").read_text())["published nDCG@10"]
    xquad = json.loads((shared / "data" / "xquad" / "_SOURCE.json").read_text())[
        "published nDCG@10 (paragraph retrieval)"
    ]
    return {name: (known["all-MiniLM-L6-v2"], known["bm25s"]) for name, known in {**xquad, "scifact": scifact}.items()}


def _without(question: Question, known: set[str]) -> Question:
    """A question as it is for a library that holds only the articles `known`."""
    (source,) = question.sources
    if source.partition("/")[0] in known:
        return question
    return replace(question, sources={}, answers=(), answerable=False)


def _name(name: str) -> str:
    return "SciFact" if name == "scifact" else f"XQuAD {name}"


def _short(value: float) -> str:
    return f"{value:.3f}".lstrip("0") if value < 1 else f"{value:.3f}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
