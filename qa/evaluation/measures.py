"""Ranking measures by ir-measures, in its names, and the measures that are read off an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qa.errors import QuestionsError

RANKING = ("nDCG@10", "R@1", "R@5", "R@10", "R@100", "RR@10", "AP", "Success@1", "Success@5")
ANSWER_AT = (1, 5, 10, 20)
"""Depths of Answer@k: is an answer string in the text of the first k passages?"""
ANSWERS = (*(f"Answer@{k}" for k in ANSWER_AT), "Quoted", "EM", "F1")
CITATIONS = ("SourceP", "PageP", "CitationExact")
NOTHING_FOUND = ("Kept", "Rejected")
ORDER = (*RANKING, *ANSWERS, *CITATIONS, *NOTHING_FOUND)
"""The measures of every run, in the order in which they are shown."""

MEANINGS = {
    "nDCG@10": "how near the top the gold documents stand among the first ten, by grade; 1 is as near as can be",
    "R@k": "share of a question's gold documents that are among the first k",
    "RR@10": "1 over the rank of the first gold document, 0 beyond the tenth",
    "AP": "mean precision at the ranks of the gold documents",
    "Success@k": "a gold document is among the first k",
    "Answer@k": "a gold answer string is in the text of the first k passages",
    "Quoted": "a gold answer string is in the quoted answer",
    "EM": "the first quoted sentence is a gold answer (SQuAD normalisation)",
    "F1": "token F1 of the first quoted sentence with the nearest gold answer",
    "SourceP": "share of an answer's citations that are of a gold source",
    "PageP": "share of an answer's citations that are of a gold source and page",
    "CitationExact": "share of the citations shown that open exactly their quote",
    "Kept": "answerable questions that are answered",
    "Rejected": "unanswerable questions for which no passage is found",
}

Ranking = Sequence[tuple[str, float]]
"""Labels with scores; a higher score is better."""


def parse(names: Iterable[str]) -> tuple[Any, ...]:
    """ir-measures' measures by name.

    Raises:
        QuestionsError: it has none of that name, or cannot compute it here.
    """
    import ir_measures

    measures = []
    for name in names:
        try:
            measure = ir_measures.parse_measure(name)
            supported = ir_measures.DefaultPipeline.supports(measure)
        except (NameError, ValueError, SyntaxError, TypeError, KeyError, AttributeError, AssertionError) as error:
            raise QuestionsError(
                f"measure {name!r} is unknown ({error}): expected a name of ir-measures, such as nDCG@20 or P@5"
            ) from error
        if not supported:
            raise QuestionsError(f"measure {name!r} cannot be computed here: choose another, such as nDCG@20 or P@5")
        measures.append(measure)
    return tuple(measures)


def ranking_measures(
    measures: Sequence[Any], gold: Mapping[str, Mapping[str, int]], rankings: Mapping[str, Ranking]
) -> dict[str, dict[str, float]]:
    """Each measure's value for each question of `gold` (grades of labels by question).

    A question without a ranking, or with an empty one, counts 0. Ties are broken as ir-measures does.
    """
    import ir_measures

    # Its C code ends the process at some characters, so that questions go by number, and labels without these.
    names = list(gold)
    qrels = [
        ir_measures.Qrel(str(number), _safe(label), grade)
        for number, name in enumerate(names)
        for label, grade in gold[name].items()
    ]
    run = [
        ir_measures.ScoredDoc(str(number), _safe(label), score)
        for number, name in enumerate(names)
        for label, score in rankings.get(name, ())
    ]
    values: dict[str, dict[str, float]] = {name: {} for name in names}
    for value in ir_measures.iter_calc(list(measures), qrels, run) if qrels else ():
        values[names[int(value.query_id)]][str(value.measure)] = float(value.value)
    return values


def _safe(label: str) -> str:
    return label.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
