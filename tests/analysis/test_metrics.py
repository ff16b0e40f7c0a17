"""Metrics against values worked out by hand or by numerical integration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from pyro_mnar.analysis import metrics
from pyro_mnar.errors import InvalidInputError, InvalidWeightsError

TRUE = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
IMPUTED = np.array([[1.0, 14.0], [5.0, 20.0], [3.0, 18.0]])
OBSERVED = np.array([[True, False], [False, True], [True, False]])


def test_rmse_and_mae_by_hand() -> None:
    # Errors of the missing cells: 4, 3, -12; with scales 1 and 4: 1, 3, -3.
    assert metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED) == pytest.approx(np.sqrt(169 / 3), rel=1e-15)
    assert metrics.imputation_mae(TRUE, IMPUTED, OBSERVED) == pytest.approx(19 / 3, rel=1e-15)
    assert metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1, 4]) == pytest.approx(np.sqrt(19 / 3), rel=1e-15)
    assert metrics.imputation_mae(TRUE, IMPUTED, OBSERVED, scale=[1, 4]) == pytest.approx(7 / 3, rel=1e-15)


def test_observed_cells_do_not_count() -> None:
    changed = np.where(OBSERVED, np.nan, IMPUTED)
    assert metrics.imputation_rmse(TRUE, changed, OBSERVED) == metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED)


def test_intervals_by_hand() -> None:
    lower, upper = TRUE - [[1, 2], [3, 4], [5, 6]], TRUE + [[1, 0], [-1, 4], [5, 6]]
    # Missing cells: (0, 1) covered at its end, (1, 0) not covered, (2, 1) covered; widths 2, 2, 12.
    assert metrics.interval_coverage(TRUE, lower, upper, OBSERVED) == pytest.approx(2 / 3)
    assert metrics.interval_width(lower, upper, OBSERVED) == pytest.approx(16 / 3)
    assert metrics.interval_width(lower, upper, OBSERVED, scale=[2, 4]) == pytest.approx((0.5 + 1 + 3) / 3)


def test_wasserstein_by_hand() -> None:
    # Column 0: 2 against 5. Column 1: {10, 30} against {14, 18}, sorted distances 4 and 12.
    np.testing.assert_allclose(metrics.wasserstein_1(TRUE, IMPUTED, OBSERVED), [3.0, 8.0])
    np.testing.assert_allclose(metrics.wasserstein_1(TRUE, IMPUTED, OBSERVED, scale=[3, 4]), [1.0, 2.0])
    swapped = TRUE.copy()
    swapped[[0, 2], 1] = TRUE[[2, 0], 1]
    np.testing.assert_allclose(metrics.wasserstein_1(TRUE, swapped, OBSERVED), [0.0, 0.0])


def test_wasserstein_pools_draws() -> None:
    # {10, 30}, each twice, against {14, 18, 10, 30} sorted: (0 + 4 + 12 + 0) / 4.
    pooled = metrics.wasserstein_1(TRUE, np.stack([IMPUTED, TRUE]), OBSERVED)
    np.testing.assert_allclose(pooled, [1.5, 4.0])
    complete = metrics.wasserstein_1(TRUE, IMPUTED, OBSERVED | np.array([True, False]))
    assert np.isnan(complete[0]) and complete[1] == 8.0


def test_crps_samples_by_hand() -> None:
    # One draw: the absolute error. Two draws 0, 2 at truth 1: 1 - 2 * 2 / (2 * 4) = 1/2.
    np.testing.assert_allclose(metrics.crps_samples([3.0], [[1.0]]), [2.0])
    np.testing.assert_allclose(metrics.crps_samples([1.0], [[0.0], [2.0]]), [0.5])
    # Weights 1/4, 3/4 on 0, 2 at truth 0: 3/2 - 2 * (1/4)(3/4) * 2 / 2 = 9/8.
    np.testing.assert_allclose(metrics.crps_samples([0.0], [[0.0], [2.0]], [[1.0], [3.0]]), [9 / 8])


def test_crps_samples_is_the_double_sum() -> None:
    rng = np.random.default_rng(0)
    x, draws, weights = rng.normal(size=(2, 3)), rng.normal(size=(7, 2, 3)), rng.exponential(size=(7, 2, 3))
    draws[3] = draws[4]
    a = weights / weights.sum(axis=0)
    spread = np.abs(draws[:, None] - draws[None])
    expected = (a * np.abs(draws - x)).sum(0) - 0.5 * (a[:, None] * a[None] * spread).sum((0, 1))
    np.testing.assert_allclose(metrics.crps_samples(x, draws, weights), expected, rtol=1e-12)
    np.testing.assert_allclose(metrics.crps_samples(x + 1e9, draws + 1e9, weights), expected, rtol=1e-5)


def test_crps_mixture_by_integration() -> None:
    m, s, a, x = np.array([-1.0, 0.5, 3.0]), np.array([0.3, 1.0, 2.0]), np.array([0.2, 0.5, 0.3]), 0.7

    def squared_gap(t: float) -> float:
        return float((a @ norm.cdf(t, m, s) - (t >= x)) ** 2)

    exact = quad(squared_gap, -30, x, epsabs=1e-13)[0] + quad(squared_gap, x, 40, epsabs=1e-13)[0]
    score = metrics.crps_gaussian_mixture([x], m[:, None], s[:, None], 10 * a[:, None])
    np.testing.assert_allclose(score, [exact], rtol=1e-10)


def test_crps_mixture_known_cases() -> None:
    # N(0, 1) at 0: (sqrt(2) - 1) / sqrt(pi).
    at_centre = (np.sqrt(2) - 1) / np.sqrt(np.pi)
    np.testing.assert_allclose(metrics.crps_gaussian_mixture([0.0], [[0.0]], [[1.0]]), [at_centre], rtol=1e-14)
    # Equal components are one component; points are draws.
    np.testing.assert_allclose(
        metrics.crps_gaussian_mixture([5.0, 0.0], np.full((4, 2), [5.0, 0.0]), np.full((4, 2), [2.0, 1.0])),
        [2 * at_centre, at_centre],
    )
    rng = np.random.default_rng(0)
    x, points = rng.normal(size=4), rng.normal(size=(6, 4))
    as_points = metrics.crps_gaussian_mixture(x, points, np.zeros((6, 4)))
    np.testing.assert_allclose(as_points, metrics.crps_samples(x, points), rtol=1e-12)


def test_crps_of_many_draws_nears_the_mixture() -> None:
    rng = np.random.default_rng(0)
    m, s = np.array([-1.0, 2.0]), np.array([0.5, 1.0])
    which = rng.integers(2, size=200_000)
    draws = rng.normal(m[which], s[which])[:, None]
    exact = metrics.crps_gaussian_mixture([0.3], m[:, None], s[:, None])
    np.testing.assert_allclose(metrics.crps_samples([0.3], draws), exact, atol=0.01)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED[:2], OBSERVED), r"\(2, 2\)"),
        (lambda: metrics.imputation_rmse(TRUE[0], IMPUTED[0], OBSERVED[0]), r"\(2,\)"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED.astype(int)), "bool"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED | True), "no missing cell"),
        (lambda: metrics.imputation_mae(TRUE, IMPUTED * np.nan, OBSERVED), "3 of 3"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1.0, 0.0]), "scale"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1.0]), "scale"),
        (lambda: metrics.interval_coverage(TRUE, TRUE + 1, TRUE, OBSERVED), "3 intervals"),
        (lambda: metrics.wasserstein_1(TRUE, IMPUTED[0], OBSERVED), r"\(2,\)"),
        (lambda: metrics.wasserstein_1(TRUE, np.stack([TRUE, TRUE * np.inf]), OBSERVED), "not finite"),
        (lambda: metrics.crps_samples([0.0], [0.0]), "shape"),
        (lambda: metrics.crps_samples([0.0], np.zeros((0, 1))), "K at least 1"),
        (lambda: metrics.crps_samples([np.nan], [[0.0]]), "x_true"),
        (lambda: metrics.crps_samples([0.0], [[0.0]], np.ones((2, 3))), "broadcast"),
        (lambda: metrics.crps_gaussian_mixture([0.0], [[0.0]], [[-1.0]]), "-1.0"),
        (lambda: metrics.crps_gaussian_mixture([0.0], [[0.0]], [[1.0], [1.0]]), r"\(2, 1\)"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        call()


@pytest.mark.parametrize("weights", [[[-1.0], [2.0]], [[np.nan], [1.0]], [[0.0], [0.0]]])
def test_bad_weights_are_named(weights: list[list[float]]) -> None:
    with pytest.raises(InvalidWeightsError):
        metrics.crps_samples([0.0], [[0.0], [1.0]], weights)
