"""The commands `refdesk eval` and `refdesk tune`: parse, call, show.

Exit codes as for every command, and 3: a figure is under its bound or dropped significantly.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qa.errors import LibraryExistsError, QAError
from qa.library import Library
from qa.progress import progress_bar
from qa.terminal import plural, safe

if TYPE_CHECKING:
    from qa.evaluation.compare import Comparison
    from qa.evaluation.evaluate import OnEvaluation
    from qa.evaluation.questions import QuestionSet
    from qa.evaluation.reported import Report
    from qa.evaluation.types import EvaluationProgress

GATE = 3

Command = Callable[..., argparse.ArgumentParser]


def add_eval(command: Command, commands: Any) -> None:  # noqa: ANN401
    """Add `refdesk eval`."""
    run = command(commands, "eval", _eval, "run a question set over the library and report how good the answers are")
    run.add_argument(
        "questions",
        nargs="?",
        type=Path,
        metavar="QUESTIONS",
        help="CSV, TSV, JSONL, SQuAD JSON, a BEIR folder, or TREC topics (with --qrels)",
    )
    run.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for report.html, summary.json, questions.jsonl and run.trec"
    )
    run.add_argument("--resume", action="store_true", help="go on with the run in --out that was stopped")
    run.add_argument(
        "-k", type=int, default=5, metavar="N", help="passages shown for a question (default: 5, as on the page)"
    )
    run.add_argument(
        "--by",
        choices=("document", "page", "passage"),
        help="what a ranking is judged by (default: what the gold names)",
    )
    run.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="NAME",
        help="a further measure by its name in ir-measures, such as nDCG@20",
    )
    run.add_argument(
        "--dense-weight", type=float, metavar="W", help="weight of the cosine, 0 to 1, in place of the library's"
    )
    run.add_argument("--qrels", type=Path, metavar="FILE", help="TREC relevance judgements for the questions")
    run.add_argument("--split", default="test", metavar="NAME", help="which qrels of a BEIR folder (default: test)")
    run.add_argument(
        "--build",
        type=Path,
        metavar="FOLDER",
        help="write the set's own paragraphs or corpus into FOLDER as files and index them first",
    )
    run.add_argument(
        "--run", type=Path, metavar="FILE", dest="run_file", help="judge this TREC run of any system, not the library"
    )
    run.add_argument(
        "--compare",
        action="append",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="compare with the runs in these folders; without QUESTIONS these with each other",
    )
    run.add_argument(
        "--baseline",
        type=Path,
        metavar="DIR",
        help=f"exit with {GATE} if a measure is significantly lower than in this run",
    )
    run.add_argument(
        "--fail-under",
        action="append",
        default=[],
        metavar="MEASURE=N",
        help=f"exit with {GATE} if a measure is lower, such as nDCG@10=0.70; may be given several times",
    )
    run.add_argument("--json", action="store_true", help="print summary.json")


def add_tune(command: Command, commands: Any) -> None:  # noqa: ANN401
    """Add `refdesk tune`."""
    run = command(commands, "tune", _tune, "fit the cosine's weight and the nothing-found threshold to a question set")
    run.add_argument(
        "questions", nargs="?", type=Path, metavar="QUESTIONS", help="a question set, as for `refdesk eval`"
    )
    run.add_argument(
        "--keep",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="share of the found answers that the threshold keeps (default: 0.95)",
    )
    run.add_argument("--qrels", type=Path, metavar="FILE", help="TREC relevance judgements for the questions")
    run.add_argument("--split", default="test", metavar="NAME", help="which qrels of a BEIR folder (default: test)")
    run.add_argument("--apply", action="store_true", help="write the fitted values into the library's settings")
    run.add_argument("--reset", action="store_true", help="restore the defaults, without QUESTIONS")
    run.add_argument("--json", action="store_true", help="print JSON")


def _eval(arguments: argparse.Namespace, _: object) -> int:
    from qa.evaluation.compare import compare
    from qa.evaluation.gate import bound, fallen, further_measures
    from qa.evaluation.reported import Report

    bounds = [bound(text) for text in arguments.fail_under]
    _check_folders(arguments)
    others = [Report.open(path) for group in arguments.compare for path in group]
    baseline = Report.open(arguments.baseline) if arguments.baseline else None
    if arguments.questions is None:
        if len(others) < 2 or baseline or bounds:
            raise QAError("no question set was given: name one, or two runs or more to --compare with each other")
        _show_comparisons(compare(*others), as_json=arguments.json)
        return 0
    report = _evaluated(arguments, (*arguments.measure, *further_measures(bounds)))
    if report is None:
        return 130
    comparisons = [compare(other, report)[0] for other in others]
    gate = compare(baseline, report)[0] if baseline else None
    _show(report, [*comparisons, *([gate] if gate else [])], arguments)
    dropped = gate.drops() if gate else []
    wrong = [
        *fallen(report, bounds),
        *(f"{one.measure} is significantly lower: {one.a:.4f} → {one.b:.4f} (p {one.p_holm:.4f})" for one in dropped),
    ]
    for line in wrong:
        print(f"refdesk: {line}", file=sys.stderr)
    return GATE if wrong else 0


def _check_folders(arguments: argparse.Namespace) -> None:
    """Are the runs to compare with folders, and none of them the one that is to be written?"""
    for path in [*(path for group in arguments.compare for path in group), *filter(None, [arguments.baseline])]:
        if path.is_file():
            raise QAError(f"{path} is a file, not the folder of a run: name the question set before --compare")
        if arguments.out and path.resolve() == arguments.out.resolve():
            raise QAError(f"{path} is compared with and written to: choose another folder for the new run (--out DIR)")


def _evaluated(arguments: argparse.Namespace, measures: tuple[str, ...]) -> Report | None:
    """The report of the questions that a command names; None when it was stopped."""
    from qa.evaluation.evaluate import evaluate, evaluate_run, unit_of
    from qa.evaluation.folder import RunFolder
    from qa.evaluation.questions import load_questions
    from qa.evaluation.types import Settings

    questions = load_questions(arguments.questions, qrels=arguments.qrels, split=arguments.split)
    settings = Settings(arguments.k, arguments.by, arguments.dense_weight, tuple(dict.fromkeys(measures)))
    for name, needs in (("resume", "out"), ("build", "library")):
        if getattr(arguments, name) and (getattr(arguments, needs) is None or arguments.run_file):
            raise QAError(f"--{name} goes with a run over a library and --{needs}: add it, or leave --{name} out")
    unit_of(questions, settings)
    if arguments.out:
        RunFolder(arguments.out).check(resume=arguments.resume)
    try:
        with _question_bar() as show:
            if arguments.run_file:
                return evaluate_run(arguments.run_file, questions, settings, out=arguments.out, on_progress=show)
            with _library(arguments, questions) as library:
                return evaluate(
                    library, questions, settings, out=arguments.out, resume=arguments.resume, on_progress=show
                )
    except KeyboardInterrupt:
        kept = f"; what was done is in {arguments.out}: add --resume to go on" if arguments.out else ""
        print(f"refdesk: stopped{kept}", file=sys.stderr)
        return None


def _library(arguments: argparse.Namespace, questions: QuestionSet) -> Library:
    """The library to ask, first filled with the set's own documents if that was asked for."""
    if not arguments.build:
        return Library.open(arguments.library)
    count = questions.write_corpus(arguments.build)
    print(f"{plural(count, 'document')} of {safe(questions.name)} in {safe(str(arguments.build))}", file=sys.stderr)
    try:
        library = Library.create(arguments.library)
    except LibraryExistsError:
        library = Library.open(arguments.library)
    with progress_bar() as show:
        library.sync([arguments.build], on_progress=show)
    return library


def _show(report: Report, comparisons: Sequence[Comparison], arguments: argparse.Namespace) -> None:
    """Print a report and its comparisons, and add these to its files."""
    from qa.evaluation.tables import comparison_lines, report_lines

    if comparisons:
        report.add(comparisons)
    if arguments.json:
        print(json.dumps(report.summary, ensure_ascii=False, indent=1))
        return
    print("\n".join(report_lines(report)))
    for comparison in comparisons:
        print("\n" + "\n".join(comparison_lines(comparison)))
    if arguments.out:
        print(f"\nreport: {safe(str(arguments.out / 'report.html'))}")


def _show_comparisons(comparisons: Sequence[Comparison], *, as_json: bool) -> None:
    from qa.evaluation.tables import comparison_lines

    if as_json:
        print(json.dumps([comparison.as_json() for comparison in comparisons], ensure_ascii=False, indent=1))
    else:
        print("\n\n".join("\n".join(comparison_lines(comparison)) for comparison in comparisons))


def _tune(arguments: argparse.Namespace, _: object) -> int:
    from qa.evaluation.questions import load_questions
    from qa.evaluation.tables import fit_lines
    from qa.evaluation.tune import tune

    if arguments.reset == (arguments.questions is not None):
        raise QAError("expected a question set to tune to, or --reset to restore the defaults")
    with Library.open(arguments.library) as library:
        if arguments.reset:
            library.set_tuned({})
            print(f"{safe(str(library.path))} uses the defaults again")
            return 0
        questions = load_questions(arguments.questions, qrels=arguments.qrels, split=arguments.split)
        with _question_bar() as show:
            fits = tune(library, questions, keep=arguments.keep, on_progress=show)
        if arguments.apply:
            library.set_tuned({**library.status().tuned, **{fit.language: fit.tuned for fit in fits}})
    if arguments.json:
        print(json.dumps([asdict(fit) for fit in fits], ensure_ascii=False, indent=1))
    else:
        print("\n".join(fit_lines(fits)))
        done = "written into the library's settings; --reset restores the defaults"
        print(
            done if arguments.apply else "nothing was changed: --apply writes these values into the library's settings"
        )
    return 0


@contextmanager
def _question_bar() -> Iterator[OnEvaluation]:
    """A function that shows progress on stderr with rate and time left; it does nothing where that is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from tqdm import tqdm

    layout = "{n_fmt}/{total_fmt} questions |{bar}| {rate_fmt}, {remaining} left"
    with tqdm(bar_format=layout, file=sys.stderr, dynamic_ncols=True, leave=False, unit=" questions") as bar:

        def show(progress: EvaluationProgress) -> None:
            bar.total = progress.total
            bar.initial = progress.done - progress.asked
            bar.n = progress.done
            bar.refresh()

        yield show
