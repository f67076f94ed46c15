"""Conditions on a report under which a build stops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from qa.errors import QuestionsError
from qa.evaluation.measures import ORDER, parse
from qa.evaluation.reported import Report

_SET = {"AUROC": "auroc", "Rejected@95": "rejected_at_95"}
"""Figures of a whole set that a bound can name."""


@dataclass(frozen=True, slots=True)
class Bound:
    """The least value of a measure."""

    measure: str
    least: float


def bound(text: str) -> Bound:
    """`nDCG@10=0.70` as a bound.

    Raises:
        QuestionsError: it is not a measure's name and a number, or nothing has that name.
    """
    name, sign, value = text.partition("=")
    try:
        least = float(value)
    except ValueError:
        least = float("nan")
    if not sign or not name.strip() or not math.isfinite(least):
        raise QuestionsError(f"--fail-under got {text!r}: expected MEASURE=NUMBER, such as nDCG@10=0.70")
    name = name.strip()
    return Bound(name if name in (*ORDER, *_SET) else str(parse([name])[0]), least)


def further_measures(bounds: Sequence[Bound]) -> list[str]:
    """The measures that bounds name and a run does not have anyway."""
    return [one.measure for one in bounds if one.measure not in (*ORDER, *_SET)]


def values(report: Report) -> dict[str, float]:
    """Every figure of a report that a bound can name: the measures' means, and AUROC."""
    told = report.summary.get("nothing_found") or {}
    further = {name: told.get(key) for name, key in _SET.items()}
    means = {name: measured.mean for name, measured in report.measures.items()}
    return means | {name: value for name, value in further.items() if value is not None}


def fallen(report: Report, bounds: list[Bound]) -> list[str]:
    """What is under its bound, in words.

    Raises:
        QuestionsError: the report has no figure of that name.
    """
    there = values(report)
    for one in bounds:
        if one.measure not in there:
            raise QuestionsError(
                f"--fail-under names {one.measure!r}, which this run does not have: expected one of {', '.join(there)}"
            )
    return [
        f"{one.measure} is {there[one.measure]:.4f}, under {one.least:g}"
        for one in bounds
        if there[one.measure] < one.least
    ]
