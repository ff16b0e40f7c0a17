"""Rubin's rules against values worked out by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from pyro_mnar.analysis.pooling import pool
from pyro_mnar.errors import InvalidInputError


def close(found, expected):
    return abs(float(found) - expected) <= 1e-12 * max(1.0, abs(expected))


def test_hand_values_rubin():
    # Q = 10, B = (1 + 0 + 1 + 4 + 4) / 4 = 2.5, U = 3, T = 3 + 1.2 x 2.5 = 6, lambda = 1/2, nu = 4 / (1/4) = 16.
    pooled = pool([9.0, 10.0, 11.0, 8.0, 12.0], [3.0, 2.0, 4.0, 3.0, 3.0])
    for found, expected in (
        (pooled.estimate, 10.0),
        (pooled.within, 3.0),
        (pooled.between, 2.5),
        (pooled.total, 6.0),
        (pooled.relative_increase, 1.0),
        (pooled.dof, 16.0),
        (pooled.fraction_missing, (1 + 2 / 19) / 2),
        (pooled.standard_error, math.sqrt(6)),
        # The 0.975 quantile of t with 16 degrees of freedom.
        (pooled.high, 10 + 2.119905299221011 * math.sqrt(6)),
        (pooled.low, 10 - 2.119905299221011 * math.sqrt(6)),
    ):
        assert close(found, expected)
    assert pooled.n_imputations == 5


def test_hand_values_barnard_and_rubin():
    # nu_com = 17: nu_obs = 18/20 x 17 x 1/2 = 7.65, 1/nu = 1/16 + 1/7.65.
    pooled = pool([9.0, 10.0, 11.0, 8.0, 12.0], [3.0, 2.0, 4.0, 3.0, 3.0], dof_complete=17, level=0.9)
    dof = 16 * 7.65 / (16 + 7.65)
    assert close(pooled.dof, dof)
    assert close(pooled.fraction_missing, (1 + 2 / (dof + 3)) / 2)
    assert close(pooled.high, 10 + stats.t.ppf(0.95, dof) * math.sqrt(6))
    assert pooled.dof < min(17, 16)


def test_vectors_are_pooled_one_by_one():
    estimates = np.array([[9.0, 1.0], [10.0, 1.0], [11.0, 1.0], [8.0, 1.0], [12.0, 1.0]])
    variances = np.array([[3.0, 0.5], [2.0, 0.5], [4.0, 0.5], [3.0, 0.5], [3.0, 0.5]])
    both = pool(estimates, variances, dof_complete=17)
    one = pool(estimates[:, 0], variances[:, 0], dof_complete=17)
    for field in dataclasses.fields(one)[:9]:
        assert getattr(both, field.name).shape == (2,)
        assert getattr(both, field.name)[0] == getattr(one, field.name)
    table = both.to_frame(["a", "b"])
    assert list(table.index) == ["a", "b"]
    assert table.loc["a", "total"] == 6.0
    assert one.to_frame().shape == (1, 10)


def test_nothing_between_imputations():
    pooled = pool([0.1, 0.1, 0.1], [4.0, 4.0, 4.0])
    assert (pooled.between, pooled.total, pooled.fraction_missing, pooled.relative_increase) == (0, 4, 0, 0)
    assert pooled.dof == math.inf
    assert close(pooled.high, 0.1 + 2 * stats.norm.ppf(0.975))
    limited = pool([0.1, 0.1, 0.1], [4.0, 4.0, 4.0], dof_complete=30)
    assert close(limited.dof, 31 / 33 * 30)


@pytest.mark.parametrize("power", [-500, -300, 0, 300, 500])
def test_the_scale_does_not_matter(power):
    q, u = np.array([9.0, 10.0, 11.0, 8.0, 12.0]), np.array([3.0, 2.0, 4.0, 3.0, 3.0])
    unit = 2.0**power
    found, expected = pool(q * unit, u * unit * unit), pool(q, u)
    for name in ("estimate", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name) * unit, rel=1e-12)
    assert found.dof == pytest.approx(expected.dof, rel=1e-12)
    assert found.fraction_missing == pytest.approx(expected.fraction_missing, rel=1e-12)


def test_estimates_near_the_largest_number():
    pooled = pool([1e152, 2e152, 1e152], [1e300, 1e300, 1e300])
    assert np.isfinite([pooled.low, pooled.high, pooled.dof]).all()
    assert np.isfinite(pool([1e200] * 3, [1e300] * 3).high)
    assert pool([1.7e308, 1.7e308], [1.0, 1.0]).estimate == 1.7e308
    assert pool([0.0, 0.0], [1e-300, 1e-300]).high > 0
    for estimates, variances in (([1e200, 2e200], [1.0, 1.0]), ([1.7e308, -1.7e308], [1.0, 1.0])):
        with pytest.raises(InvalidInputError, match="beyond the largest number"):
            pool(estimates, variances)


def test_variances_that_are_next_to_nothing_beside_the_spread():
    pooled = pool([1e150, 2e150], [1e-300, 1e-300])
    assert pooled.fraction_missing == 1.0
    assert pooled.dof == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (([1.0], [1.0]), "at least 2"),
        (([1.0, 2.0], [1.0]), "shape"),
        ((1.0, 1.0), "shape"),
        (([1.0, math.nan], [1.0, 1.0]), "not finite"),
        (([1.0, 2.0], [1.0, 0.0]), "positive"),
        (([1.0, 2.0], [1.0, 1.0], 0.0), "dof_complete"),
        (([1.0, 2.0], [1.0, 1.0], None, 1.0), "level"),
    ],
)
def test_bad_input_is_named(arguments, words):
    with pytest.raises(InvalidInputError, match=words):
        pool(*arguments)
