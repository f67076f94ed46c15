"""Run questions over a library, or judge another system's run, and report: streamed, resumable, deterministic."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from qa.answering import answer
from qa.errors import QuestionsError
from qa.evaluation.folder import FORMAT, RunFolder
from qa.evaluation.formats import beir_source
from qa.evaluation.gold import Judge
from qa.evaluation.judging import DOCUMENTS_SHOWN, asked, judged
from qa.evaluation.measures import RANKING, Ranking, parse, ranking_measures
from qa.evaluation.naming import SourceNames
from qa.evaluation.questions import checked, load_questions
from qa.evaluation.reported import Report
from qa.evaluation.runs import RunFile, label_of, run_lines, strictly_decreasing
from qa.evaluation.summary import latency, summarised
from qa.evaluation.types import EvaluationProgress, Question, Record, Settings, Unit
from qa.library import MOST_HITS, Library
from qa.store import now
from qa.types import Turn

BATCH = 64
"""Questions encoded together and written at once; what a crash loses at most."""
DEPTH = 100
"""Labels of a ranking that are judged and written to the run, so that both agree."""
TIMED = 100
"""Questions asked once more, one at a time, for the latency."""
_PACKAGES = ("numpy", "faiss-cpu", "torch", "sentence-transformers", "ir-measures")

OnEvaluation = Callable[[EvaluationProgress], None]
Judged = tuple[Record, Mapping[str, int], Ranking]  # the record so far, the gold's grades, the ranking
Tell = Callable[[], None]  # how far it is; may stop the run by an exception
Ask = Callable[[Sequence[Question], Tell], list[Judged]]


class Questions(Protocol):
    """A question set: a file that is streamed, or a list."""

    @property
    def name(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def answerable(self) -> int: ...
    @property
    def unanswerable(self) -> int: ...
    @property
    def has_sources(self) -> bool: ...
    @property
    def has_pages(self) -> bool: ...
    @property
    def has_passages(self) -> bool: ...
    def __iter__(self) -> Iterator[Question]: ...


class ListedQuestions:
    """Questions in memory as a set."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self._questions = checked(questions)
        self.name, self.format = "questions", "python"
        rows = json.dumps([asdict(question) for question in self._questions], sort_keys=True)
        self.sha256 = hashlib.sha256(rows.encode("utf-8", "replace")).hexdigest()
        self.count = len(self._questions)
        self.answerable = sum(question.answerable is True for question in self._questions)
        self.unanswerable = sum(question.answerable is False for question in self._questions)
        self.has_sources = any(question.sources for question in self._questions)
        self.has_pages = any(question.pages for question in self._questions)
        self.has_passages = any(question.passages for question in self._questions)

    def __iter__(self) -> Iterator[Question]:
        return iter(self._questions)


def evaluate(
    library: Library,
    questions: str | Path | Questions | list[Question],
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    on_progress: OnEvaluation | None = None,
) -> Report:
    """Ask every question as the page does, and report how good the passages and answers are.

    Args:
        library: an open library.
        questions: a file or folder, a loaded set, or a list of questions.
        settings: how many passages are shown, what a ranking is judged by, further measures.
        out: the folder for the run's files; without it they are temporary and go with the report.
        resume: go on with the run in `out` that was stopped; without one, start it.
        on_progress: hears how far it is after every batch, and within it after each round of earlier questions; it may
            stop the run by an exception.

    Raises:
        QuestionsError: the questions, the settings or `out` cannot be used; nothing was asked.
    """
    chosen = settings or Settings()
    asking = loaded(questions)
    unit = unit_of(asking, chosen)
    digest = library_digest(library)
    judge = Judge(library, library.snapshot(), unit)
    library.encoder  # noqa: B018  # loaded before the clock starts
    header = _header(asking, chosen, unit, "library") | {"library": digest}
    timed = {question.id: question for question in _some(asking)}
    before: dict[str, list[Turn]] = {}  # the conversations of those

    def ask(batch: Sequence[Question], tell: Tell) -> list[Judged]:
        turns = _turns(library, batch, chosen, tell)
        before.update((one.id, earlier) for one, earlier in zip(batch, turns, strict=True) if one.id in timed)
        searches = library.search(
            [question.text for question in batch], chosen.k, turns=turns, dense_weight=chosen.dense_weight
        )
        if library.store.generation() != judge.current.generation:
            raise QuestionsError(f"library {library.path} changed while it was evaluated: evaluate again")
        done: list[Judged] = []
        for question, search in zip(batch, searches, strict=True):
            target = judge.target(question)
            labels = exported(judge.labels(search, target)[:DEPTH])
            done.append((judged(library, judge, question, target, search, labels), target.grades, labels))
        return done

    system = _System(header, ask, partial(_times, library, list(timed.values()), before, chosen))
    return _run(asking, system, out, resume=resume, on_progress=on_progress)


def evaluate_run(
    run: str | Path,
    questions: str | Path | Questions | list[Question],
    settings: Settings | None = None,
    *,
    out: str | Path | None = None,
    on_progress: OnEvaluation | None = None,
) -> Report:
    """Judge a run in TREC's form that any system made, by its whole length.

    Its labels are compared with the gold sources as a library's sources are, or with the ids of gold passages; those of
    a BEIR set may be the ids of its corpus. Other arguments and errors as in `evaluate`.
    """
    chosen = settings or Settings()
    asking = loaded(questions)
    unit = unit_of(asking, chosen)
    if unit == "page":
        raise QuestionsError("a run file is judged by document or by passage, not by page: leave `by` out")
    file = RunFile.open(run)
    if not any(question.id in file for question in asking):
        raise QuestionsError(f"run {run} has no question of {asking.name}: their ids must be the same")
    header = _header(asking, chosen, unit, Path(run).name) | {"library": None}
    named = beir_source if asking.format == "beir" else str

    def ask(batch: Sequence[Question], _: Tell) -> list[Judged]:
        return [_judged_ranking(question, file.ranking(question.id), unit, chosen.k, named) for question in batch]

    system = _System(header, ask, lambda _: [])
    return _run(asking, system, out, resume=False, on_progress=on_progress)


def _turns(library: Library, batch: Sequence[Question], settings: Settings, tell: Tell) -> list[list[Turn]]:
    """The conversation before each question: its earlier questions asked in turn, as on the page, with what they
    showed."""
    turns: list[list[Turn]] = [[] for _ in batch]
    for place in range(max((len(question.history) for question in batch), default=0)):
        asking = [number for number, question in enumerate(batch) if len(question.history) > place]
        searches = library.search(
            [batch[number].history[place] for number in asking],
            settings.k,
            turns=[turns[number] for number in asking],
            dense_weight=settings.dense_weight,
        )
        for number, search in zip(asking, searches, strict=True):
            turns[number].append(answer(library.store, search).turn())
        tell()
    return turns


def library_digest(library: Library) -> dict[str, Any]:
    """What a library's answers depend on: its documents' content and sources, its encoder, its tuned values."""
    status = library.status()
    keys = {document: key for document, key, _ in library.store.document_rows()}
    files = sorted(
        f"{keys[file.document]} {file.source}" for file in library.store.files() if file.document is not None
    )
    return {
        "documents": status.documents,
        "passages": status.passages,
        "sha256": hashlib.sha256("\n".join(files).encode("utf-8", "surrogateescape")).hexdigest(),
        "encoder": status.encoder,
        "fingerprint": status.fingerprint,
        "tuned": {language: asdict(one) for language, one in status.tuned.items()},
    }


def loaded(questions: str | Path | Questions | list[Question]) -> Questions:
    """A question set, however it was given."""
    if isinstance(questions, str | Path):
        return load_questions(questions)
    return ListedQuestions(questions) if isinstance(questions, list | tuple) else questions


def unit_of(questions: Questions, settings: Settings) -> Unit | None:
    """What rankings are judged by.

    Raises:
        QuestionsError: the settings are out of range, or the questions do not support them.
    """
    if not 1 <= settings.k <= MOST_HITS:
        raise QuestionsError(f"k is {settings.k}: expected 1 to {MOST_HITS}")
    if settings.dense_weight is not None and not 0 <= settings.dense_weight <= 1:
        raise QuestionsError(f"the dense weight is {settings.dense_weight}: expected 0 to 1")
    if not questions.count:
        raise QuestionsError("the question set is empty: give at least one question")
    parse(settings.measures)
    there = {"document": questions.has_sources, "page": questions.has_pages, "passage": questions.has_passages}
    if settings.by is None:
        return "document" if questions.has_sources else "passage" if questions.has_passages else None
    if settings.by not in there:
        raise QuestionsError(f"a ranking cannot be judged by {settings.by!r}: expected one of {', '.join(there)}")
    if not there[settings.by]:
        gold = {"document": "sources", "page": "pages", "passage": "passages"}[settings.by]
        raise QuestionsError(f"no question names its {gold}, so that rankings cannot be judged by {settings.by}")
    return settings.by


def _header(questions: Questions, settings: Settings, unit: Unit | None, system: str) -> dict[str, Any]:
    """What a run is made with: the part of summary.json that is known before it starts."""
    return {
        "format": FORMAT,
        "refdesk": _version("refdesk"),
        "settings": {**asdict(settings), "measures": list(settings.measures), "by": unit, "system": system},
        "questions": {
            "name": questions.name,
            "format": questions.format,
            "sha256": questions.sha256,
            "count": questions.count,
            "answerable": questions.answerable,
            "unanswerable": questions.unanswerable,
        },
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
            "platform": platform.platform(),
        },
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, slots=True)
class _System:
    """What is evaluated: what a run is made with, how a batch is answered, and how long single questions take, in
    milliseconds; that calls its argument after each."""

    header: Mapping[str, Any]
    ask: Ask
    times: Callable[[Tell], list[float]]


def _run(
    questions: Questions, system: _System, out: str | Path | None, *, resume: bool, on_progress: OnEvaluation | None
) -> Report:
    """Ask what is not done yet, write the records, and sum them up."""
    report = Report.in_folder(out)
    folder = report.folder
    done = folder.resume(system.header, BATCH) if resume and folder.exists() else set()
    if not done:
        folder.start(system.header, over=resume)
    measures = parse(dict.fromkeys((*RANKING, *system.header["settings"]["measures"])))
    started, began, new = now(), time.perf_counter(), 0

    def tell() -> None:
        if on_progress is not None:
            on_progress(EvaluationProgress(len(done) + new, questions.count, new, time.perf_counter() - began))

    for batch in batches(question for question in questions if question.id not in done):
        _write(folder, system.ask(batch, tell), measures)
        new += len(batch)
        tell()
    seconds = time.perf_counter() - began
    timing = {
        "started": started,
        "seconds": round(seconds, 3),
        "questions_per_second": round(new / seconds, 2) if new else None,
        "latency": latency(system.times(tell)),
    }
    summary = {**system.header, "complete": True, **summarised(folder.records()), "timing": timing}
    if system.header["library"] is None:
        summary["nothing_found"] = None  # another system's scores have no threshold
    report.write(summary)
    return report


def _write(folder: RunFolder, answered: Sequence[Judged], measures: Sequence[Any]) -> None:
    """Measure the rankings of a batch and write its questions."""
    values = ranking_measures(
        measures,
        {record["id"]: grades for record, grades, _ in answered if grades},
        {record["id"]: ranking for record, _, ranking in answered},
    )
    folder.append(
        [{**record, "measures": {**values.get(record["id"], {}), **record["measures"]}} for record, _, _ in answered],
        [line for record, _, ranking in answered for line in run_lines(record["id"], ranking)],
    )


def exported(ranking: Ranking) -> list[tuple[str, float]]:
    """A ranking as it is measured and written: every score below the one before, so that there are no ties."""
    scores = strictly_decreasing([score for _, score in ranking])
    return [(label, score) for (label, _), score in zip(ranking, scores, strict=True)]


def batches(questions: Iterable[Question]) -> Iterator[list[Question]]:
    """Questions by BATCH, the last few in a shorter one."""
    waiting = iter(questions)
    while batch := list(islice(waiting, BATCH)):
        yield batch


def _some(questions: Questions) -> list[Question]:
    """Some questions, spread evenly over the set."""
    every = max(1, questions.count // TIMED)
    return list(islice((one for place, one in enumerate(questions) if place % every == 0), TIMED))


def _times(
    library: Library, some: Sequence[Question], before: Mapping[str, list[Turn]], settings: Settings, tell: Tell
) -> list[float]:
    """Milliseconds of some questions asked one at a time, after the conversations before them as far as these are
    known; they are not of questions that another call asked."""
    times = []
    for question in some:
        turns = [before[question.id]] if question.id in before else _turns(library, [question], settings, tell)
        began = time.perf_counter()
        (search,) = library.search([question.text], settings.k, turns=turns, dense_weight=settings.dense_weight)
        answer(library.store, search)
        times.append((time.perf_counter() - began) * 1e3)
        tell()
    return times


def _judged_ranking(
    question: Question, ranking: Ranking, unit: Unit | None, k: int, named: Callable[[str], str]
) -> Judged:
    """The record of a question in another system's run, whose labels are the sources that `named` makes of them."""
    labels = {named(unquote(label)): label for label, _ in ranking}
    names = SourceNames(labels)
    grades: dict[str, int] = {}
    for source, grade in question.sources.items() if unit != "passage" else ():
        found = names.matching(source)
        grades[labels[found[0]] if len(found) == 1 else label_of(source)] = grade
    if unit == "passage":
        grades = {label_of(passage): 1 for passage in question.passages}
    gold = {label for label, grade in grades.items() if grade > 0}
    rank = next((place for place, (label, _) in enumerate(ranking, 1) if label in gold), None)
    lost: dict[str, Any] | None = None
    if gold and rank is None:
        lost = {"class": "not among the candidates", "detail": "the run does not hold it", "gold": None, "wrong": None}
    elif gold and rank is not None and rank > k:
        lost = {"class": "ranked below k", "detail": f"it is number {rank}", "gold": None, "wrong": 1}
    shown = [[label, score, grades.get(label)] for label, score in ranking[:DOCUMENTS_SHOWN]]
    record = {
        **asked(question, question.text),
        "found": bool(ranking),
        "score": 0.0,
        "threshold": 0.0,
        "answer": [],
        "hits": [],
        "documents": shown,
        "judged_by": ("passage" if unit == "passage" else "source") if gold else None,
        "rank": rank,
        "measures": {},
        "citations": {"shown": 0, "exact": 0},
        "failure": lost,
    }
    return record, grades, ranking
