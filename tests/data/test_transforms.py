"""Transforms: there and back, derivatives against differences, and values that a column can have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import yeojohnson

from pyro_mnar.data.columns import (
    ColumnInfo,
    Support,
    describe,
    log_density_factor,
    original,
    possible,
    standardise,
    transformed,
)
from pyro_mnar.data.kinds.fit import fit_yeo_johnson
from pyro_mnar.data.transforms import Identity, Log, Logit, Tabulated, Transform, WithAtoms, YeoJohnson

SMOOTH: list[tuple[Transform, list[float]]] = [
    (Identity(), [-3.0, 0.0, 7.5]),
    (Log(), [1e-6, 1.0, 3e5]),
    (Logit(0.0, 100.0), [0.5, 50.0, 99.0]),
    *((YeoJohnson(power, 2.0, 3.0), [-20.0, 1.9, 2.0, 40.0]) for power in (-1.0, 0.0, 0.5, 1.0, 2.0, 3.0)),
    (WithAtoms(Log(), low=((0.0, -3.0), (1.0, 0.0))), [0.2, 1.5, 9.0]),
    (WithAtoms(Identity(), high=((9.0, 9.0), (10.0, 12.0)), inside=(0.0,)), [-1.0, 0.5, 8.0, 9.5]),
]


@pytest.mark.parametrize(("g", "values"), SMOOTH, ids=lambda value: repr(value)[:60])
def test_there_and_back(g: Transform, values: list[float]) -> None:
    x = np.array(values)
    np.testing.assert_allclose(g.inverse(g.forward(x)), x, rtol=1e-9, atol=1e-9)
    step = 1e-6 * np.maximum(np.abs(x), 1e-6)
    slope = (g.forward(x + step) - g.forward(x - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(g.log_derivative(x)), slope, rtol=1e-4)
    assert not g.is_mass(x).any()
    assert np.isnan(g.forward(np.array([np.nan]))).all() and np.isnan(g.log_derivative(np.array([np.nan]))).all()


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
def test_yeo_johnson_is_scipy_s(power: float) -> None:
    x = np.linspace(-5, 5, 21)
    np.testing.assert_allclose(YeoJohnson(power).forward(x), yeojohnson(x, power), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("g", [Log(), Logit(0.0, 1.0), YeoJohnson(-1.0), YeoJohnson(3.0), Log(-2.0, 2.0)])
def test_the_way_back_is_finite_everywhere(g: Transform) -> None:
    assert np.isfinite(g.inverse(np.array([-1e300, -1e3, 0.0, 1e3, 1e300]))).all()


def test_atoms_survive_single_precision() -> None:
    g = WithAtoms(Log(), low=((-1.0, -5.1), (0.0, -3.7), (1.1, 0.1)), high=((40.0, 3.7), (50.0, 9.3)), inside=(3.0,))
    atoms = np.array(g.values)
    assert g.values == (-1.0, 0.0, 3.0, 50.0) and g.is_mass(atoms).all()
    placed = ((g.forward(atoms) - 1.3) / 0.7).astype(np.float32).astype(np.float64)
    np.testing.assert_array_equal(g.inverse(placed * 0.7 + 1.3), atoms)
    assert (g.inverse(np.array([-3.0, 4.0])) > 0).all()


def test_levels_are_scored_averaged_and_found_again() -> None:
    info = ColumnInfo(("k",), np.zeros(1), np.ones(1), np.zeros(1), (Tabulated((1.0, 2.0, 4.0), (-1.2, 0.1, 1.0)),))
    table = np.array([[1.0], [4.0], [9.0], [np.nan]])
    assert standardise(table, info).ravel().tolist() == [-1.2, 1.0, 1.0, 0.0]
    assert log_density_factor(table, info).tolist() == [0.0, 0.0, 0.0, 0.0]
    middle = original(np.array([[0.55], [-7.0]]), info)
    assert middle.ravel().tolist() == pytest.approx([3.0, 1.0])
    assert possible(np.array([[2.9], [3.1]]), info).ravel().tolist() == [2.0, 4.0]


def test_new_values_beyond_an_open_end_are_far_out_and_finite() -> None:
    x = np.exp(np.random.default_rng(0).normal(size=(50, 1)))
    info = describe(np.log(x), ["x"])._replace(transforms=(Log(),))
    new = np.array([[0.0], [-3.0], [1.0]])
    assert standardise(new, info).ravel().tolist()[:2] == [-10.0, -10.0]
    assert np.isfinite(log_density_factor(new, info)).all()


def test_values_are_cut_to_the_support_and_not_rounded_before_the_end() -> None:
    supports = (Support(0.0, 10.0), Support(0.0, whole=True), Support())
    info = ColumnInfo(("a", "b", "c"), np.zeros(3), np.ones(3), np.zeros(3), supports=supports)
    values = original(np.array([[-1.0, 2.4, -5.5], [12.0, -0.2, 1e9]]), info)
    assert values.tolist() == [[0.0, 2.4, -5.5], [10.0, 0.0, 1e9]]
    assert possible(values, info).tolist() == [[0.0, 2.0, -5.5], [10.0, 0.0, 1e9]]


def test_a_table_without_transforms_is_not_copied() -> None:
    table = np.array([[1.0, np.nan]])
    assert transformed(table, (Identity(), Identity())) is table


@pytest.mark.parametrize("sign", [1, -1])
def test_the_way_back_of_a_power_stays_within_reach_of_what_was_observed(sign: int) -> None:
    """A power below 0 maps all that lies above to a short interval: near its end one step is a million units."""
    seen = sign * np.exp(1.3 * np.random.default_rng(0).normal(7.5, 1.0, 400))
    g = fit_yeo_johnson(seen)
    assert g.power < 0.2 if sign > 0 else g.power > 1.8
    far = g.inverse(np.array([-1e3, g.lowest, g.highest, 1e3]))
    assert np.all(np.abs(far) <= 2.01 * np.abs(seen).max())
    np.testing.assert_allclose(g.inverse(g.forward(seen)), seen, rtol=1e-6)
