"""Quality over public question sets: `python -m benchmarks.quality [--shared DIR] [--sets seeds,en,de,es,ru,scifact]`.

Builds a library of each set with the defaults (kept in benchmarks/out, so that a second run only asks), and prints
for the seeds the answer-string recall and refusals, for the others nDCG@10 by document of the fused ranking, of the
cosine alone and of BM25 alone; and how many citations opened exactly their quote.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import ir_measures
from ir_measures import Qrel, ScoredDoc, Success, nDCG

import qa
from benchmarks.datasets import Question, scifact, seeds, xquad
from embeddings import Encoder

HERE = Path(__file__).parent
MODES: dict[str, float | None] = {"fused": None, "dense": 1.0, "lexical": 0.0}
DEPTH = 40
"""Passages retrieved a question, enough for ten documents."""
UNANSWERABLE, FOLLOW_UP = "unanswerable", "followup"


def main() -> int:
    """Parse, build, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=HERE.parent.parent / "shared", help="folder with seeds, questions and data"
    )
    parser.add_argument(
        "--sets", default="seeds,en,de,es,ru,scifact", help="which sets, comma-separated (default: all)"
    )
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where the libraries are kept")
    arguments = parser.parse_args()
    if not arguments.shared.is_dir():
        print(f"no folder {arguments.shared}: give it with --shared", file=sys.stderr)
        return 2
    encoder = Encoder.load()
    exact = shown = 0
    for name in arguments.sets.split(","):
        folder, questions = _questions(arguments.shared, name, arguments.out / "files" / name)
        started = time.perf_counter()
        library = _library(arguments.out / "libraries" / name, encoder, folder)
        built = time.perf_counter() - started
        print(f"\n{name}: {library.status().passages} passages, {len(questions)} questions, indexed in {built:.1f} s")
        hits = report_seeds(library, questions) if name == "seeds" else report_ranking(library, questions)
        opened = [library.open_citation(hit.citation.id) for hit in hits]
        shown += len(hits)
        exact += sum(
            context.document.text[hit.citation.start : hit.citation.end] == hit.citation.quote == context.citation.quote
            for hit, context in zip(hits, opened, strict=True)
        )
        library.close()
    print(f"\ncitations that open exactly their quote: {exact} of {shown} ({exact / max(1, shown):.2%})")
    return 0 if exact == shown else 1


def report_seeds(library: qa.Library, questions: list[Question]) -> list[qa.Hit]:
    """Print where each answer string was found; returns all hits shown."""
    shown: list[qa.Hit] = []
    ranks: dict[str, int | None] = {}
    found: dict[str, bool] = {}
    print("id      kind          found  rank  score  question")
    for question in questions:
        answer = library.ask(question.text, turns=question.history)
        hits = answer.hits or answer.misses
        nearest = library.retrieve(question.text, 5, turns=question.history)
        ranks[question.id] = next((hit.rank for hit in nearest if _holds(hit.passage.text, question.answers)), None)
        found[question.id] = answer.found
        shown += hits
        score = f"{hits[0].score:.3f}" if hits else "-"
        rank, said = ranks[question.id] or "-", "yes" if answer.found else "no"
        line = f"{question.id:7} {question.kind:13} {said:5}  {rank:>4}  {score}  "
        print(line + question.text[: 79 - len(line)])
    single = [q for q in questions if q.kind not in (UNANSWERABLE, FOLLOW_UP)]
    follow_ups = [q for q in questions if q.kind == FOLLOW_UP]
    none = [q for q in questions if q.kind == UNANSWERABLE]
    figures = (
        ("answer string in the first passage", sum(ranks[q.id] == 1 for q in single), single),
        ("answer string in the top 5", sum(ranks[q.id] is not None for q in single), single),
        ("answerable but refused", sum(not found[q.id] for q in single), single),
        ("unanswerable but answered", sum(found[q.id] for q in none), none),
        ("follow-ups in the top 5", sum(ranks[q.id] is not None for q in follow_ups), follow_ups),
    )
    for name, some, of in figures:
        print(f"{name + ':':36}{some} of {len(of)} ({some / max(1, len(of)):.1%})")
    return shown


def report_ranking(library: qa.Library, questions: list[Question]) -> list[qa.Hit]:
    """Print nDCG@10 and R@1 by document of each mode; returns the fused run's first five hits of every question."""
    qrels = [Qrel(q.id, source, grade) for q in questions for source, grade in q.relevant]
    shown: list[qa.Hit] = []
    for mode, weight in MODES.items():
        started = time.perf_counter()
        results = library.retrieve_many([q.text for q in questions], DEPTH, dense_weight=weight)
        rate = len(questions) / (time.perf_counter() - started)
        run: list[ScoredDoc] = []
        for question, hits in zip(questions, results, strict=True):
            sources = dict.fromkeys(hit.citation.source for hit in hits)  # by rank, best passage first
            run += (ScoredDoc(question.id, source, -float(place)) for place, source in enumerate(sources))
        measured = ir_measures.calc_aggregate([nDCG @ 10, Success @ 1], qrels, run)
        ndcg, first = measured[nDCG @ 10], measured[Success @ 1]
        print(f"  {mode:8} nDCG@10 {ndcg:.3f}  Success@1 {first:.3f}  {rate:.0f} questions/s", flush=True)
        if mode == "fused":
            shown = [hit for hits in results for hit in hits[:5]]
    return shown


def _questions(shared: Path, name: str, folder: Path) -> tuple[Path, list[Question]]:
    if name == "seeds":
        return seeds(shared)
    return scifact(shared, folder) if name == "scifact" else xquad(shared, name, folder)


def _library(path: Path, encoder: Encoder, folder: Path) -> qa.Library:
    known = path.exists()
    library = qa.Library.open(path, encoder=encoder) if known else qa.Library.create(path, encoder=encoder)
    library.sync([folder])
    return library


def _holds(text: str, answers: tuple[str, ...]) -> bool:
    """Does a passage hold one of the answers? White space does not count."""
    return any(" ".join(answer.split()) in " ".join(text.split()) for answer in answers)


if __name__ == "__main__":
    sys.exit(main())
