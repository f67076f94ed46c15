"""Fit the weight of the cosine and the nothing-found threshold to a question set, and say what that is worth on
questions that were not used for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qa import retrieval
from qa.answering import Searched
from qa.errors import QuestionsError
from qa.evaluation.evaluate import OnEvaluation, Questions, batches, loaded
from qa.evaluation.gold import Judge, Target
from qa.evaluation.statistics import SEED, Floats, bootstrap
from qa.evaluation.types import EvaluationProgress, Measured, Question
from qa.library import Library
from qa.segment import language_number
from qa.snapshot import Snapshot
from qa.types import Tuned

GRID = np.round(np.arange(0, 1.0001, 0.05), 2)
FOLDS = 5
FEWEST = 30
"""Questions of a language that are needed to fit it: from fewer, the 5 % of the lowest scores is one question."""
_K = 5


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted for a language: each pair of figures is (with the library as it is, with the fitted values), and
    all of them are of held-out questions.

    `left_out` says that no question was unanswerable, so that `rejected` was measured by leaving each question's own
    documents out.
    """

    language: str
    questions: int
    dense_weight: tuple[float, float]
    nothing_found: tuple[float, float]
    rr: tuple[Measured, Measured]
    rr_gain: Measured
    kept: tuple[Measured, Measured]
    rejected: tuple[Measured, Measured]
    rejected_gain: Measured
    left_out: bool

    @property
    def tuned(self) -> Tuned:
        """The fitted values as a library keeps them."""
        return Tuned(self.dense_weight[1], self.nothing_found[1])


@dataclass(frozen=True, slots=True)
class _Seen:
    """A question over the grid: the last column is the library as it is. `held` are the documents that answer, `rr` is
    NaN where nothing answers, `other` is the best score among other documents."""

    language: str
    held: frozenset[int]
    rr: Floats  # (grid + 1,)
    shown: NDArray[np.bool_]  # (grid + 1,), is a passage that answers among the first five?
    best: Floats  # (grid + 1,)
    other: Floats  # (grid + 1,)
    threshold: float


def tune(
    library: Library,
    questions: str | Path | Questions | list[Question],
    *,
    keep: float = 0.95,
    on_progress: OnEvaluation | None = None,
) -> list[Fit]:
    """Fit each language of the library that has enough questions, by five-fold cross-validation.

    The weight is the one with the largest mean reciprocal rank (of the first passage that answers, to rank 10), changed
    only when that is better by more than two standard errors; the threshold is the highest that keeps a share of `keep`
    of the questions whose answer is among the passages shown, and it stays as it is where that does not reject more of
    the others.
    The library is not changed: `library.set_tuned({fit.language: fit.tuned for fit in fits})` does that.

    Raises:
        QuestionsError: no language has enough questions with gold that the library holds.
    """
    if not 0.5 <= keep < 1:
        raise QuestionsError(f"the share of questions to keep is {keep}: expected 0.5 to 1")
    asking = loaded(questions)
    judge = Judge(library, library.snapshot(), None)
    seen: list[_Seen] = []
    began, done = time.perf_counter(), 0
    for batch in batches(asking):
        searches = library.search([one.text for one in batch], _K, turns=[one.history for one in batch])
        pairs = zip(batch, searches, strict=True)
        seen += [found for question, search in pairs if (found := _seen(judge, question, search)) is not None]
        done += len(batch)
        if on_progress is not None:
            on_progress(EvaluationProgress(done, asking.count, done, time.perf_counter() - began))
    fits = [
        _fit(judge.current, language, [one for one in seen if one.language == language], keep)
        for language in sorted({one.language for one in seen})
        if sum(one.language == language and not np.isnan(one.rr[-1]) for one in seen) >= FEWEST
    ]
    if not fits:
        most = sum(not np.isnan(one.rr[-1]) for one in seen)
        raise QuestionsError(
            f"tuning needs {FEWEST} questions of one language whose gold is in the library, there are {most} in all: "
            "add questions"
        )
    return fits


def _seen(judge: Judge, question: Question, search: Searched) -> _Seen | None:
    """A question's ranks and scores over the grid, None if its gold tells nothing."""
    rows = search.ranking.rows
    target = judge.target(question)
    if not len(rows) or (target.by is None and question.answerable is not False) or target.missing:
        return None
    language = _language(judge.current, target, rows)
    answers = np.array([judge.answers_question(target, row) for row in rows.tolist()], dtype=np.bool_)
    scores = _over_grid(judge.current, search, language)  # (grid + 1, rows)
    held = set(target.documents) | {d for row in rows[answers].tolist() for d in judge.documents_at(row)}
    other = np.array([held.isdisjoint(judge.documents_at(row)) for row in rows.tolist()])
    if question.answerable is False:
        ranks = np.full(len(scores), np.nan)
    elif answers.any():
        ranks = 1.0 + (scores > scores[:, answers].max(axis=1, keepdims=True)).sum(axis=1)
    else:
        ranks = np.full(len(scores), np.inf)
    return _Seen(
        language=language,
        held=frozenset(held),
        rr=np.where(ranks > 10, 0.0, 1 / ranks),
        shown=ranks <= _K,
        best=scores.max(axis=1),
        other=np.where(other, scores, 0.0).max(axis=1),
        threshold=float(search.ranking.thresholds[0]),
    )


def _language(current: Snapshot, target: Target, rows: NDArray[np.int64]) -> str:
    """The language that a question tunes: that of its gold documents, or of the best passage."""
    gold = np.flatnonzero(np.isin(current.documents, sorted(target.documents)))
    languages = sorted(current.language(row) for row in gold.tolist())
    return languages[0] if languages else current.language(int(rows[0]))


def _over_grid(current: Snapshot, search: Searched, language: str) -> Floats:
    """The scores of a ranking's rows with each weight for one language, and as they are, (grid + 1, rows)."""
    ranking = search.ranking
    share, _ = retrieval.weights_of(current, ranking.rows)
    here = current.languages[ranking.rows] == language_number(language)
    factor = retrieval.set_back(current, ranking.rows)
    none = np.zeros(len(share), dtype=np.float32)
    rows = [
        retrieval.fused(
            ranking.dense,
            ranking.lexical,
            np.where(here, np.float32(weight), share),
            factor=factor,
            taken=none,
        )
        for weight in GRID
    ]
    return np.stack([*rows, ranking.scores]).astype(np.float64)


def _fit(current: Snapshot, language: str, seen: Sequence[_Seen], keep: float) -> Fit:
    rr = np.stack([one.rr for one in seen])  # (questions, grid + 1)
    shown = np.stack([one.shown for one in seen])
    best = np.stack([one.best for one in seen])
    answerable = ~np.isnan(rr[:, -1])
    left_out = bool(answerable.all())
    against = np.stack([one.other for one in seen]) if left_out else best
    negative = answerable if left_out else ~answerable
    default = retrieval.weight_of(current, language)
    now = current.tuned.get(language, Tuned())
    weight_now = default if now.dense_weight is None else now.dense_weight
    thresholds_now = np.array([one.threshold for one in seen])

    def chosen(training: NDArray[np.bool_]) -> tuple[int, float]:
        """The grid's place of the best weight for some questions, and the threshold that goes with it."""
        weight = _best_weight(rr[training & answerable])
        scores = np.sort(best[training & answerable & shown[:, weight], weight])
        return weight, float(scores[int(np.floor((1 - keep) * len(scores) + 1e-9))]) if len(scores) else 0.0

    held_rr, held_kept, held_rejected = (np.full(len(seen), np.nan) for _ in range(3))
    folds = _folds([one.held for one in seen])
    for fold in range(FOLDS):
        test = folds == fold
        if not test.any() or not (answerable & ~test).any():
            continue
        weight, under = chosen(~test)
        held_rr[test] = rr[test, weight]
        held_kept[test] = best[test, weight] >= under
        held_rejected[test] = against[test, weight] < under
    kept_now = (best[:, -1] >= thresholds_now).astype(np.float64)
    rejected_now = (against[:, -1] < thresholds_now).astype(np.float64)
    weight, under = chosen(np.ones(len(seen), dtype=np.bool_))
    rr_pair = _pair(rr[:, -1], held_rr, answerable)
    kept_pair = _pair(kept_now, held_kept, answerable & shown[:, -1])
    rejected_pair = _pair(rejected_now, held_rejected, negative)
    stays = rejected_pair[2].low <= 0  # answers are lost for nothing then
    if stays:
        kept_pair, rejected_pair = _pair(kept_now, kept_now, answerable), _pair(rejected_now, rejected_now, negative)
    threshold_now = float(np.median(thresholds_now))
    return Fit(
        language=language,
        questions=int(answerable.sum()),
        dense_weight=(float(weight_now), float([*GRID, weight_now][weight])),
        nothing_found=(threshold_now, threshold_now if stays else float(np.floor(under * 1e4) / 1e4)),
        rr=rr_pair[:2],
        rr_gain=rr_pair[2],
        kept=kept_pair[:2],
        rejected=rejected_pair[:2],
        rejected_gain=rejected_pair[2],
        left_out=left_out,
    )


def _best_weight(rr: Floats) -> int:
    """The place of the weight with the largest mean, (questions, grid + 1) → place.

    It is the last, the library as it is, unless another is better by more than two standard errors of the difference,
    so that noise and single questions move nothing.
    """
    gains = rr[:, :-1] - rr[:, -1:]
    means = gains.mean(axis=0)
    place = int(means.argmax())
    error = gains[:, place].std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return place if means[place] > 2 * error else len(means)


def _folds(held: Sequence[frozenset[int]]) -> NDArray[np.int64]:
    """The fold of each question; those with a document in common, also over others, are together, (questions,)."""
    root: dict[int, int] = {}

    def find(document: int) -> int:
        while (above := root.setdefault(document, document)) != document:
            root[document] = document = root[above]
        return document

    for documents in held:
        for document in documents:
            root[find(document)] = find(min(documents))
    groups = [find(min(documents)) if documents else -1 - place for place, documents in enumerate(held)]
    names = sorted(set(groups))
    order: Any = np.random.default_rng(SEED).permutation(len(names)) % FOLDS
    of = dict(zip(names, order.tolist(), strict=True))
    return np.array([of[group] for group in groups], dtype=np.int64)


def _pair(now: Floats, tuned: Floats, counted: NDArray[np.bool_]) -> tuple[Measured, Measured, Measured]:
    """Means of some questions as it is and tuned, and of the difference."""
    there = counted & ~np.isnan(now) & ~np.isnan(tuned)
    columns = np.stack([now, tuned, tuned - now], axis=1)[there]
    before, after, gain = bootstrap(columns) if len(columns) else (Measured(float("nan"), 0, 0, 0),) * 3
    return before, after, gain
