"""Where a question was lost: at reading, splitting, finding candidates, ranking or the threshold."""

from __future__ import annotations

from typing import Any

from qa.answering import Searched
from qa.evaluation.gold import Judge, Target
from qa.evaluation.types import Question
from qa.types import Answer

NOT_IN_LIBRARY = "document not in the library"
SPLIT = "passage split apart"
NOT_A_CANDIDATE = "not among the candidates"
BELOW_K = "ranked below k"
REFUSED = "refused by the threshold"
ANSWERED = "answered although unanswerable"
CLASSES = (NOT_IN_LIBRARY, SPLIT, NOT_A_CANDIDATE, BELOW_K, REFUSED, ANSWERED)
"""From the earliest step to the last."""


def failure(
    judge: Judge, question: Question, target: Target, search: Searched, answer: Answer
) -> tuple[int | None, dict[str, Any] | None]:
    """The rank of the first passage that answers, and what went wrong: None if nothing did or no gold tells."""
    hits = answer.hits or answer.misses
    if question.answerable is False:
        return None, _failure(ANSWERED, "nothing in the library answers it") if answer.found else None
    if target.by is None:
        return None, None
    rows = search.ranking.rows.tolist()
    rank = next((rank for rank, row in enumerate(rows, 1) if judge.answers_question(target, row)), None)
    if rank is not None and rank <= len(hits) and answer.found:
        return rank, None
    wrong = next(
        (hit.rank for hit, row in zip(hits, rows, strict=False) if not judge.answers_question(target, row)), None
    )
    what = _missed(judge, question, target) if rank is None else _ranked(judge, target, search, rank, len(hits))
    return rank, {**what, "wrong": wrong}


def _failure(name: str, detail: str, gold: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"class": name, "detail": detail, "gold": gold, "wrong": None}


def _ranked(judge: Judge, target: Target, search: Searched, rank: int, k: int) -> dict[str, Any]:
    """A passage that answers was scored."""
    score = round(float(search.ranking.scores[rank - 1]), 6)
    gold = {**judge.gold_passage(target, int(search.ranking.rows[rank - 1])), "rank": rank, "score": score}
    if rank > k:
        return _failure(BELOW_K, f"its passage is number {rank}, and {k} are shown", gold)
    threshold = float(search.ranking.thresholds[0])
    best = float(search.ranking.scores[0])
    detail = f"its passage is number {rank}, but the best score is {best:.3f}, under the threshold of {threshold:.3f}"
    return _failure(REFUSED, detail, gold)


def _missed(judge: Judge, question: Question, target: Target) -> dict[str, Any]:
    """No passage that answers was scored."""
    if target.missing:
        sources = [source for source, grade in question.sources.items() if grade > 0]
        named = ", ".join(f"{source}{judge.hint(source)}" for source in sources)
        detail = f"the library has no document {named}" if named else "no document holds the gold passage"
        return _failure(NOT_IN_LIBRARY, detail)
    documents = sorted(target.documents)
    if not documents:
        answers = ", ".join(repr(answer) for answer in question.answers)
        likely = judge.likely(" ".join(question.answers))
        documents = [document for document in likely if judge.document_holds(document, target.answers)]
        if not documents:
            return _failure(NOT_IN_LIBRARY, f"no document holds {answers}")
    for document in documents:
        for row in judge.rows_of(document):
            if judge.answers_question(target, row):
                gold = {**judge.gold_passage(target, row), "rank": None, "score": None}
                return _failure(NOT_A_CANDIDATE, "its passage was not among those that are scored", gold)
    return _failure(SPLIT, f"{judge.sources[documents[0]][0]} holds it, but no single passage does")
