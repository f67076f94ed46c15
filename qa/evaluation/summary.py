"""A run's records summed up: means with intervals, failures, ranks, and how well "nothing found" is told."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from qa.evaluation.failures import CLASSES
from qa.evaluation.measures import ORDER
from qa.evaluation.statistics import Floats, auroc, bootstrap, rejected_at, risk_coverage, widened
from qa.evaluation.types import RATED_BAD, Record
from qa.terminal import plural

RANKS = ((1, 1), (2, 2), (3, 3), (4, 5), (6, 10), (11, 20), (21, 50))
RECALL_AT = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 50, 100)
_POINTS = 101
KINDS = 100
"""Kinds summed up, the largest; more are ids, and the bootstrap of each takes its time."""
_OTHER_KIND = "(none)"


@dataclass
class Tally:
    """What is kept of each question while the records stream by: some numbers, no text."""

    keys: list[str] | None = None  # id, question and history, which make it the same question in two runs
    values: dict[str, array[float]] = field(default_factory=dict)
    kinds: list[int] = field(default_factory=list)
    kind_names: dict[str, int] = field(default_factory=dict)
    ranks: array[int] = field(default_factory=lambda: array("l"))  # 0: not found, -1: no gold to tell
    margins: array[float] = field(default_factory=lambda: array("d"))
    found: array[int] = field(default_factory=lambda: array("b"))
    answerable: array[int] = field(default_factory=lambda: array("b"))  # 1, 0, or -1: not said
    failures: Counter[str] = field(default_factory=Counter)
    judged_by: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0
    without_gold: int = 0
    rated_bad: int = 0  # of those without gold
    shown: int = 0
    exact: int = 0

    def add(self, record: Record) -> None:
        """Take the numbers of a record."""
        place = len(self.kinds)
        for name, value in record["measures"].items():
            column = self.values.setdefault(name, array("d"))
            column.extend([float("nan")] * (place - len(column)))
            column.append(value)
        if self.keys is not None:
            self.keys.append("\n".join((record["id"], record["question"], *record["history"])))
        self.kinds.append(self.kind_names.setdefault(record["kind"] or _OTHER_KIND, len(self.kind_names)))
        self.ranks.append(-1 if record["judged_by"] is None else record["rank"] or 0)
        self.margins.append(record["score"] - record["threshold"] if record["hits"] else -1.0)
        self.found.append(record["found"])
        self.answerable.append(-1 if record["answerable"] is None else int(record["answerable"]))
        self.judged_by[record["judged_by"] or "nothing"] += 1
        self.elsewhere += bool(record["gold"]["answers"]) and record["judged_by"] in ("page", "source")
        if record["answerable"] is None and not any(record["gold"].values()):
            self.without_gold += 1
            self.rated_bad += record["kind"] == RATED_BAD
        if record["failure"]:
            self.failures[record["failure"]["class"]] += 1
        self.shown += record["citations"]["shown"]
        self.exact += record["citations"]["exact"]

    def names(self) -> list[str]:
        """The measures that some question supports, the usual ones first."""
        return [*(name for name in ORDER if name in self.values), *sorted(self.values.keys() - set(ORDER))]

    def matrix(self, names: Sequence[str]) -> Floats:
        """Values by question and measure, NaN where a question does not support one, (questions, measures)."""
        matrix = np.full((len(self.kinds), len(names)), np.nan)
        for column, name in enumerate(names):
            values = np.frombuffer(self.values[name], dtype=np.float64)
            matrix[: len(values), column] = values
        return matrix


def tally(records: Iterable[Record], *, keys: bool = False) -> Tally:
    """The numbers of all records, with what tells them apart if that is needed."""
    whole = Tally([] if keys else None)
    for record in records:
        whole.add(record)
    return whole


def summarised(records: Iterable[Record]) -> dict[str, Any]:
    """What summary.json says of the records."""
    whole = tally(records)
    names = whole.names()
    matrix = whole.matrix(names)
    kinds = np.array(whole.kinds, dtype=np.int64)
    ranks = np.array(whole.ranks, dtype=np.int64)
    judged = ranks[ranks >= 0]
    largest = [number for number, _ in Counter(whole.kinds).most_common(KINDS)]
    by_kind = {name: matrix[kinds == number] for name, number in sorted(whole.kind_names.items()) if number in largest}
    return {
        "asked": len(whole.kinds),
        "measures": _measured(names, matrix),
        "kinds": {kind: _measured(names, some) for kind, some in by_kind.items()} if len(by_kind) > 1 else {},
        "failures": {name: whole.failures[name] for name in CLASSES if whole.failures[name]},
        "judged_by": dict(sorted(whole.judged_by.items())),
        "answers_elsewhere": whole.elsewhere,
        "without_gold": {"questions": whole.without_gold, "rated_bad": whole.rated_bad},
        "ranks": _rank_counts(judged),
        "recall": [[k, round(float(((judged > 0) & (judged <= k)).mean()), 6)] for k in RECALL_AT]
        if len(judged)
        else [],
        "nothing_found": _nothing_found(whole, ranks),
        "citations": {"shown": whole.shown, "exact": whole.exact},
    }


def without_gold(summary: Mapping[str, Any]) -> str:
    """How many questions were asked without any gold, as a line; empty where there are none."""
    told = summary.get("without_gold")  # a run of an older version does not say
    if not told or not told["questions"]:
        return ""
    bad = f" ({told['rated_bad']:,} rated bad)" if told["rated_bad"] else ""
    return f"not judged, since nobody says what is right: {plural(told['questions'], 'question')}{bad}"


def _measured(names: Sequence[str], matrix: Floats) -> dict[str, Any]:
    if not len(matrix):
        return {}
    measured = zip(names, bootstrap(matrix), strict=True)
    return {name: asdict(widened(one)) for name, one in measured if one.n}


def _rank_counts(ranks: Any) -> dict[str, int]:  # noqa: ANN401
    counts = {
        str(low) if low == high else f"{low}-{high}": int(((ranks >= low) & (ranks <= high)).sum())
        for low, high in RANKS
    }
    return {**counts, f"{RANKS[-1][1] + 1}+": int((ranks > RANKS[-1][1]).sum()), "not found": int((ranks == 0).sum())}


def _nothing_found(whole: Tally, ranks: Any) -> Mapping[str, Any] | None:  # noqa: ANN401
    """How well the score tells answer from none. An answered question is wrong when its first passage does not answer,
    and always when nothing answers it."""
    margins = np.array(whole.margins)
    answerable = np.array(whole.answerable)
    telling = ((answerable == 1) & (ranks >= 0)) | (answerable == 0)
    if not telling.any():
        return None
    positive, negative = margins[answerable == 1], margins[answerable == 0]
    coverage, risk = risk_coverage(margins[telling], ((answerable == 0) | (ranks != 1))[telling])
    at = np.unique(np.linspace(0, len(coverage) - 1, min(_POINTS, len(coverage))).astype(int))
    found = np.array(whole.found, dtype=np.bool_)
    return {
        "answerable": int((answerable == 1).sum()),
        "unanswerable": int((answerable == 0).sum()),
        "auroc": auroc(positive, negative),
        "rejected_at_95": rejected_at(0.95, positive, negative),
        "kept": float(found[answerable == 1].mean()) if len(positive) else None,
        "rejected": float((~found)[answerable == 0].mean()) if len(negative) else None,
        "aurc": _area(coverage, risk),
        "answered": float(found[telling].mean()),
        "curve": [[round(float(c), 6), round(float(r), 6)] for c, r in zip(coverage[at], risk[at], strict=True)],
    }


def _area(coverage: Floats, risk: Floats) -> float:
    """The area under risk over coverage, from nothing answered to everything."""
    return float(risk[0] * coverage[0] + (np.diff(coverage) * (risk[1:] + risk[:-1]) / 2).sum())


def _latency_points(sorted_ms: Floats) -> list[list[float]]:
    return [[p, round(float(np.percentile(sorted_ms, p)), 3)] for p in (0, 10, 25, 50, 75, 90, 95, 99, 100)]


def latency(milliseconds: Sequence[float]) -> dict[str, Any] | None:
    """Percentiles of single questions' times."""
    if not milliseconds:
        return None
    times = np.sort(np.array(milliseconds))
    points = _latency_points(times)
    p50, p95, p99 = (value for percentile, value in points if percentile in (50, 95, 99))
    return {"sample": len(times), "p50": p50, "p95": p95, "p99": p99, "curve": points}
