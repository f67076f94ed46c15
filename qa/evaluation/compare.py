"""Two runs of the same questions side by side: which differences are more than chance, and which questions changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from qa.errors import QuestionsError
from qa.evaluation.measures import ORDER
from qa.evaluation.reported import Report
from qa.evaluation.statistics import bootstrap, holm, randomisation_test
from qa.evaluation.summary import Tally, tally

ALPHA = 0.05
CHANGED = 20
"""Questions that changed most, at most so many."""
_LEADING = ("nDCG@10", "Answer@5", "RR@10", "Quoted")
"""The measure by which questions are said to have changed: the first of these that both runs have."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure of two runs over the questions that both support: `difference` is b − a with its 95 % interval.

    `p` is the paired randomisation test's, `p_holm` the same corrected for all differences of the comparison.
    """

    measure: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: int
    losses: int
    ties: int
    n: int

    @property
    def significant(self) -> bool:
        """Is the difference more than chance, at 5 % over all measures?"""
        return self.p_holm < ALPHA


@dataclass(frozen=True, slots=True)
class Changed:
    """A question whose value of a measure changed."""

    id: str
    question: str
    measure: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Run `b` against run `a`: a difference for each measure, and the questions that changed most."""

    runs: tuple[str, str]
    differences: tuple[Difference, ...]
    changed: tuple[Changed, ...]
    notes: tuple[str, ...] = ()

    def drops(self) -> list[Difference]:
        """The measures that are significantly lower in `b`."""
        return [one for one in self.differences if one.significant and one.difference < 0]

    def as_json(self) -> dict[str, Any]:
        """The comparison as JSON holds it."""
        return {
            "runs": list(self.runs),
            "rows": [{**asdict(one), "significant": one.significant} for one in self.differences],
            "changed": [asdict(one) for one in self.changed],
            "notes": list(self.notes),
        }


def compare(a: Report, b: Report, *others: Report) -> list[Comparison]:
    """Compare runs with the first one, measure by measure over the questions that both have.

    All differences are corrected together (Holm), so that many runs and measures do not make chance look like change.

    Raises:
        QuestionsError: two runs have no question in common, or one was stopped.
    """
    for report in (a, b, *others):
        if not report.summary["complete"]:
            raise QuestionsError(f"the run in {report.folder.path} was stopped: go on with it (--resume) to compare it")
    base = tally(a.records(), keys=True)
    pairs = [_paired(a, base, report) for report in (b, *others)]
    corrected = iter(holm([p for pair in pairs for p in pair.p_values]))
    return [_comparison(a, pair, [next(corrected) for _ in pair.p_values]) for pair in pairs]


@dataclass(frozen=True)
class _Pair:
    """The values of two runs: `a` and `b` (questions, measures) over the same questions."""

    report: Report
    names: tuple[str, ...]
    ids: tuple[str, ...]
    a: Any
    b: Any
    p_values: tuple[float, ...]
    notes: tuple[str, ...]


def _paired(base_report: Report, base: Tally, report: Report) -> _Pair:
    other = tally(report.records(), keys=True)
    places = {key: place for place, key in enumerate(other.keys or ())}
    both = [(place, places[key]) for place, key in enumerate(base.keys or ()) if key in places]
    if not both:
        raise QuestionsError(
            f"{base_report.folder.path} and {report.folder.path} have no question in common (by id and text): compare "
            "runs of one set"
        )
    names = [name for name in base.names() if name in other.values]
    rows_a, rows_b = np.array(both).T
    a, b = base.matrix(names)[rows_a], other.matrix(names)[rows_b]
    missing = np.isnan(a) | np.isnan(b)
    a, b = np.where(missing, np.nan, a), np.where(missing, np.nan, b)
    kept = [column for column in range(len(names)) if not missing[:, column].all()]
    a, b = a[:, kept], b[:, kept]
    differences = b - a
    p_values = tuple(randomisation_test(column[~np.isnan(column)]) for column in differences.T)
    ids = tuple((base.keys or [])[place].partition("\n")[0] for place in rows_a)
    return _Pair(report, tuple(names[c] for c in kept), ids, a, b, p_values, _notes(base_report, report, len(ids)))


def _notes(a: Report, b: Report, common: int) -> tuple[str, ...]:
    """What two runs differ in, apart from their results."""
    notes = []
    if a.summary["questions"]["sha256"] != b.summary["questions"]["sha256"]:
        counts = f"{a.summary['asked']:,} and {b.summary['asked']:,}"
        notes.append(
            f"the question sets differ in questions or gold ({counts} questions): compared over the {common:,} that "
            "both have"
        )
    for name in ("settings", "library", "versions"):
        before, after = a.summary.get(name) or {}, b.summary.get(name) or {}
        changes = [
            f"{key} {before.get(key)} → {after.get(key)}"
            for key in {**before, **after}
            if before.get(key) != after.get(key)
        ]
        notes += [f"{name}: {', '.join(changes)}"] if changes else []
    return tuple(notes)


def _comparison(a: Report, pair: _Pair, corrected: Sequence[float]) -> Comparison:
    measured = zip(bootstrap(pair.b - pair.a), bootstrap(pair.a), bootstrap(pair.b), strict=True)
    differences = []
    for column, (change, before, after) in enumerate(measured):
        moved = (pair.b - pair.a)[:, column]
        wins, losses = int((moved > 0).sum()), int((moved < 0).sum())
        differences.append(
            Difference(
                measure=pair.names[column],
                a=before.mean,
                b=after.mean,
                difference=change.mean,
                low=change.low,
                high=change.high,
                p=pair.p_values[column],
                p_holm=corrected[column],
                wins=wins,
                losses=losses,
                ties=change.n - wins - losses,
                n=change.n,
            )
        )
    names = (str(a.folder.path), str(pair.report.folder.path))
    return Comparison(names, tuple(differences), _changed(a, pair), pair.notes)


def _changed(a: Report, pair: _Pair) -> tuple[Changed, ...]:
    """The questions whose leading measure changed most, losses first among equals."""
    usual = [name for name in (*_LEADING, *ORDER) if name in pair.names]
    if not usual:
        return ()
    column = pair.names.index(usual[0])
    change = np.nan_to_num((pair.b - pair.a)[:, column])
    order = [int(row) for row in np.lexsort((change, -np.abs(change)))[:CHANGED] if change[row]]
    texts = _texts(a, {pair.ids[row] for row in order})
    return tuple(
        Changed(pair.ids[row], texts[pair.ids[row]], usual[0], float(pair.a[row, column]), float(pair.b[row, column]))
        for row in order
    )


def _texts(report: Report, ids: set[str]) -> Mapping[str, str]:
    return {record["id"]: record["question"] for record in report.records() if record["id"] in ids}
