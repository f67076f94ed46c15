"""What a mean over questions is worth: intervals, tests between runs, and how well a score tells answer from none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from qa.evaluation.types import Measured

RESAMPLES = 1_000
"""Bootstrap samples: the ends of a 95 % interval then move by about a twentieth of its width from seed to seed."""
PERMUTATIONS = 10_000
"""Sign flips of the randomisation test: p = .05 is then known to within .004 (two standard errors)."""
SEED = 20_161_014
_CELLS = 4_000_000
"""Numbers in memory at once while resampling."""

Floats = NDArray[np.float64]


def bootstrap(values: Floats) -> list[Measured]:
    """Mean and percentile bootstrap 95 % interval of each column of `values` (questions, measures).

    NaN stands where a question does not support a measure; it counts neither above nor below the line. All columns
    share the resampled questions. Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    there = ~np.isnan(values)
    filled = np.where(there, values, 0.0)
    counted = there.sum(axis=0)
    means = np.divide(filled.sum(axis=0), counted, out=np.full(values.shape[1], np.nan), where=counted > 0)
    resampled = np.concatenate([_resampled(filled, there, some) for some in _seeds(len(values))])
    measured = []
    for column, mean in enumerate(means.tolist()):
        drawn = resampled[:, column][~np.isnan(resampled[:, column])]
        low, high = np.percentile(drawn, (2.5, 97.5)).tolist() if len(drawn) else (mean, mean)
        measured.append(Measured(mean, low, high, int(counted[column])))
    return measured


def widened(measured: Measured) -> Measured:
    """An interval of a measure in [0, 1] whose questions all have 1, or all 0: the exact binomial one.

    Resampling equal values says nothing; three right answers of three are no proof that all will be right. Clopper and
    Pearson (1934): with n of n, the lower end is .025^(1/n).
    """
    if not measured.low == measured.high == measured.mean or measured.mean not in (0.0, 1.0):
        return measured
    off = 1 - 0.025 ** (1 / measured.n)
    return replace(measured, low=1 - off) if measured.mean else replace(measured, high=off)


def _seeds(questions: int) -> list[list[int]]:
    """The bootstrap samples' numbers, in parts that fit in memory."""
    each = max(1, _CELLS // max(1, questions))
    return [list(range(first, min(RESAMPLES, first + each))) for first in range(0, RESAMPLES, each)]


def _resampled(filled: Floats, there: NDArray[np.bool_], samples: Sequence[int]) -> Floats:
    """The means of some bootstrap samples, (samples, measures)."""
    n = len(filled)
    times = np.stack([np.bincount(np.random.default_rng((SEED, s)).integers(n, size=n), minlength=n) for s in samples])
    sums = times @ filled  # (samples, n) @ (n, measures)
    counts = times @ there
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def randomisation_test(differences: Floats) -> float:
    """The two-sided p of a mean difference between two runs of the same questions, (n,).

    Each difference's sign is flipped at random; p is the share of flips whose mean is at least as far from 0. Exact up
    to 13 differences that are not 0. Smucker, Allan and Carterette (CIKM 2007).
    """
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    seen = abs(moved.sum()) * (1 - 1e-12)
    if 2 ** len(moved) <= PERMUTATIONS:
        signs = 1 - 2 * ((np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved))) & 1)
        return float((np.abs(signs @ moved) >= seen).mean())
    random = np.random.default_rng(SEED)
    each = max(1, _CELLS // len(moved))
    farther = 0
    for first in range(0, PERMUTATIONS, each):
        signs = 1 - 2 * random.integers(2, size=(min(each, PERMUTATIONS - first), len(moved)), dtype=np.int8)
        farther += int((np.abs(signs @ moved) >= seen).sum())
    return (farther + 1) / (PERMUTATIONS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for being several, in the same order (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, which in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[which]))
        corrected[which] = largest
    return corrected


def auroc(positive: Floats, negative: Floats) -> float | None:
    """The chance that a positive scores above a negative, ties half; None where there is none of either."""
    if not len(positive) or not len(negative):
        return None
    ordered = np.sort(negative)
    below, up_to = np.searchsorted(ordered, positive, "left"), np.searchsorted(ordered, positive, "right")
    return float((below + up_to).sum() / 2 / len(positive) / len(negative))


def rejected_at(kept: float, answerable: Floats, unanswerable: Floats) -> float | None:
    """The share of unanswerable questions under the highest threshold that keeps `kept` of the answerable ones."""
    if not len(answerable) or not len(unanswerable):
        return None
    lost = int(np.floor((1 - kept) * len(answerable) + 1e-9))
    return float((unanswerable < np.sort(answerable)[lost]).mean())


def risk_coverage(scores: Floats, wrong: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """(coverage, risk) when the questions are answered from the highest score down, equal scores together.

    Risk is the share of wrong ones among the answered. El-Yaniv and Wiener (JMLR 2010).
    """
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.diff(scores[order]) != 0, True)  # of those with the same score
    answered = np.arange(1, len(scores) + 1)
    return (answered / len(scores))[last], (np.cumsum(wrong[order]) / answered)[last]
