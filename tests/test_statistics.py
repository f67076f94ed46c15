"""Intervals, tests and thresholds against independent implementations and arithmetic by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, permutation_test
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import roc_auc_score

from qa.evaluation.statistics import auroc, bootstrap, holm, randomisation_test, rejected_at, risk_coverage, widened
from qa.evaluation.types import Measured

RANDOM = np.random.default_rng(7)


def test_the_interval_is_that_of_scipys_percentile_bootstrap() -> None:
    values = RANDOM.beta(2, 1, size=400)
    (measured,) = bootstrap(values[:, None])
    theirs = scipy_bootstrap((values,), np.mean, method="percentile", n_resamples=4_000, rng=1).confidence_interval
    assert measured.mean == pytest.approx(values.mean())
    assert measured.low == pytest.approx(theirs.low, abs=0.004)
    assert measured.high == pytest.approx(theirs.high, abs=0.004)
    assert measured.n == 400


def test_questions_without_a_measure_count_neither_way() -> None:
    values = np.array([[1.0, np.nan], [0.0, 1.0], [1.0, np.nan], [0.0, 0.0]])
    first, second = bootstrap(values)
    assert (first.mean, first.n) == (0.5, 4)
    assert (second.mean, second.n) == (0.5, 2)


def test_a_measure_without_variance_has_no_width_and_one_without_questions_no_mean() -> None:
    constant, none = bootstrap(np.array([[0.25, np.nan]] * 5))
    assert (constant.mean, constant.low, constant.high) == (0.25, 0.25, 0.25)
    assert np.isnan(none.mean)
    assert none.n == 0


def test_no_variance_is_no_certainty() -> None:
    right, wrong = widened(Measured(1.0, 1.0, 1.0, 3)), widened(Measured(0.0, 0.0, 0.0, 10))
    assert [right.low, right.high] == pytest.approx([0.025 ** (1 / 3), 1.0])
    assert [wrong.low, wrong.high] == pytest.approx([0.0, 1 - 0.025 ** (1 / 10)])
    theirs = binomtest(17, 17).proportion_ci(method="exact")
    assert widened(Measured(1.0, 1.0, 1.0, 17)).low == pytest.approx(theirs.low)
    for other in (Measured(0.5, 0.5, 0.5, 4), Measured(0.9, 0.7, 1.0, 10)):
        assert widened(other) == other


def test_the_interval_is_the_same_each_time_and_with_any_number_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RANDOM.random((57, 3))
    once = bootstrap(values)
    monkeypatch.setattr("qa.evaluation.statistics._CELLS", 100)
    again = bootstrap(values)
    assert [one.n for one in again] == [one.n for one in once]
    assert [(one.low, one.high) for one in again] == [pytest.approx((one.low, one.high)) for one in once]


@pytest.mark.parametrize("size", [6, 40, 300])
def test_the_randomisation_test_agrees_with_scipy(size: int) -> None:
    a, b = RANDOM.random(size), RANDOM.random(size) + 0.08
    theirs = permutation_test(
        (b, a), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=20_000, rng=3
    ).pvalue
    assert randomisation_test(b - a) == pytest.approx(theirs, abs=0.012)


def test_small_tests_are_exact() -> None:
    # Of the 2^3 ways to sign 1, 1, 1 two have a sum as far from 0 as 3.
    assert randomisation_test(np.array([1.0, 1.0, 1.0, 0.0])) == 2 / 2**3
    assert randomisation_test(np.zeros(9)) == 1.0
    assert randomisation_test(np.array([])) == 1.0


def test_chance_is_called_change_in_one_of_twenty_cases() -> None:
    p_values = [randomisation_test(RANDOM.normal(size=60)) for _ in range(200)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.11


def test_holm_multiplies_by_what_is_left_and_never_falls() -> None:
    # Sorted: .01·4, .02·3, .03·2 → raised to .06, .9·1
    assert holm([0.03, 0.01, 0.9, 0.02]) == pytest.approx([0.06, 0.04, 0.9, 0.06])
    assert holm([]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=60))
def test_auroc_is_sklearns(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    labels = np.array([label for _, label in pairs])
    mine = auroc(scores[labels], scores[~labels])
    if labels.all() or not labels.any():
        assert mine is None
    else:
        assert mine == pytest.approx(roc_auc_score(labels, scores))


def test_risk_over_coverage_by_hand() -> None:
    scores = np.array([0.9, 0.7, 0.7, 0.1])
    wrong = np.array([False, True, False, True])
    coverage, risk = risk_coverage(scores, wrong)
    assert coverage.tolist() == [1 / 4, 3 / 4, 1]  # the two equal scores are answered together
    assert risk.tolist() == [0, 1 / 3, 2 / 4]


def test_rejected_at_95_is_under_the_highest_threshold_that_keeps_them() -> None:
    answerable = np.arange(100) / 100  # .05 keeps 95 of 100
    assert rejected_at(0.95, answerable, np.array([0.04, 0.049, 0.05, 0.9])) == 2 / 4
    assert rejected_at(0.95, answerable, np.array([])) is None
