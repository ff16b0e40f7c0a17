"""The health of importance weights: known answers, ArviZ, and weights that cannot be used."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch

from pyro_mnar.errors import InvalidWeightsError
from pyro_mnar.estimators.arviz_library import arviz, is_modular
from pyro_mnar.inference.weights import are_reliable, ess, normalised, pareto_k, pareto_k_limit, psis_smooth


def reliable(log_weights, min_ess=100.0):
    return are_reliable(pareto_k(log_weights), ess(log_weights), len(log_weights), min_ess)


def gaussian_log_weights(variance, n_draws, n_rows, seed=0):
    """Target N(0, 1), proposal N(0, c)."""
    generator = torch.Generator().manual_seed(seed)
    x = math.sqrt(variance) * torch.randn(n_draws, n_rows, generator=generator, dtype=torch.float64)
    return -0.5 * x**2 + 0.5 * x**2 / variance


def test_small_cases():
    log_weights = torch.tensor([[1.0, 2.0], [3.0, 2.0]], dtype=torch.float64).log() + 700
    assert torch.allclose(normalised(log_weights), torch.tensor([[0.25, 0.5], [0.75, 0.5]], dtype=torch.float64))
    assert torch.allclose(ess(log_weights), torch.tensor([1.6, 2.0], dtype=torch.float64))
    zero = torch.tensor([[0.0], [-math.inf], [0.0]])
    assert torch.equal(normalised(zero), torch.tensor([[0.5], [0.0], [0.5]]))
    assert ess(zero).item() == 2


@pytest.mark.parametrize("variance", [0.3, 0.5, 0.8])
def test_the_known_shape_of_a_narrow_proposal(variance):
    shapes = pareto_k(gaussian_log_weights(variance, 10_000, 20))
    assert abs(float(shapes.mean()) - (1 - variance)) < 0.1


def test_against_arviz():
    library = arviz()
    if is_modular(library):
        pytest.skip("ArviZ 1.x cuts the tail by another rule than Vehtari et al. 2024")
    generator = torch.Generator().manual_seed(3)
    for n_draws in (100, 257, 1000, 4000):
        rows = [gaussian_log_weights(c, n_draws, 2, seed=n_draws) for c in (0.2, 0.6, 1.5, 4.0)]
        rows.append(30 * torch.randn(n_draws, 2, generator=generator, dtype=torch.float64))
        with_zeros = rows[0].clone()
        with_zeros[: n_draws // 2] = -math.inf
        rows.append(with_zeros)
        # Ties at the cutoff: tails of unequal lengths.
        rows.append(rows[1].mul(20).round().div(20))
        log_weights = torch.cat(rows, 1)
        smoothed, shapes = torch.softmax(psis_smooth(log_weights), 0), pareto_k(log_weights)
        for row in range(log_weights.shape[1]):
            expected, shape = library.psislw(log_weights[:, row].numpy().copy())
            assert math.isclose(float(shapes[row]), float(shape), rel_tol=1e-8, abs_tol=1e-8)
            # Sorted: which of two equal weights comes first is nobody's business.
            found = np.sort(smoothed[:, row].numpy())
            assert np.allclose(found, np.sort(np.exp(expected)), rtol=1e-7, atol=1e-12)


def test_smoothing_keeps_the_bulk_and_the_maximum():
    log_weights = gaussian_log_weights(0.4, 2000, 5) + 12
    smoothed = psis_smooth(log_weights)
    assert (smoothed.amax(0) <= log_weights.amax(0)).all()
    assert (smoothed != log_weights).sum(0).le(math.ceil(3 * math.sqrt(2000))).all()
    assert smoothed.dtype == log_weights.dtype
    assert psis_smooth(log_weights.float()).dtype == torch.float32
    # Order is kept, ties apart.
    assert torch.equal(smoothed.argsort(0)[:1800], log_weights.argsort(0)[:1800])


def test_constant_weights_and_few_draws():
    constant = torch.full((500, 3), -7.0)
    assert torch.equal(ess(constant), torch.full((3,), 500.0))
    assert (pareto_k(constant) == -math.inf).all()
    assert torch.equal(psis_smooth(constant), constant)
    assert reliable(constant).all()
    few = gaussian_log_weights(0.5, 99, 2)
    assert pareto_k(few).isnan().all()
    assert torch.equal(psis_smooth(few), few)
    assert not reliable(few, min_ess=1).any()


def test_one_dominating_weight_is_not_reliable():
    log_weights = torch.zeros(1000, 1)
    log_weights[17] = 50.0
    assert pareto_k(log_weights).item() == math.inf
    assert not reliable(log_weights).item()
    assert normalised(log_weights).max().item() > 0.999


def test_the_tail_of_nearly_equal_weights_is_not_asked():
    def above_one(size):
        excess = torch.zeros(1000, 1, dtype=torch.float64)
        excess[:60, 0] = size / (1 - torch.linspace(0, 0.999, 60, dtype=torch.float64)) ** 1.1
        return excess.log1p()

    light, heavy = above_one(0.01), above_one(0.1)
    assert pareto_k(light).item() > pareto_k_limit(1000) and pareto_k(heavy).item() > pareto_k_limit(1000)
    assert ess(light).item() > 500 > ess(heavy).item()
    assert reliable(light).item() and not reliable(light[-99:], min_ess=1).item()
    assert not reliable(heavy, min_ess=1).item()


def test_limit():
    assert math.isnan(pareto_k_limit(99))
    assert pareto_k_limit(100) == 0.5
    assert pareto_k_limit(10_000) == 0.7
    good, bad = gaussian_log_weights(0.8, 10_000, 3), gaussian_log_weights(0.05, 10_000, 3)
    assert reliable(good).all()
    assert not reliable(bad).any()
    assert not reliable(good, min_ess=10_000).any()


@pytest.mark.parametrize("function", [ess, pareto_k, psis_smooth, normalised])
@pytest.mark.parametrize(
    ("value", "words"), [(math.nan, "1 row.* are NaN"), (math.inf, "infinite"), (None, "all 200 weights are zero in 1")]
)
def test_weights_that_cannot_be_used_are_named(function, value, words):
    log_weights = torch.zeros(200, 3)
    log_weights[slice(None) if value is None else 5, 1] = -math.inf if value is None else value
    with pytest.raises(InvalidWeightsError, match=words):
        function(log_weights)
    with pytest.raises(InvalidWeightsError, match="at least one draw"):
        function(torch.zeros(0, 3))


def test_ten_thousand_draws_of_six_hundred_rows_take_seconds_at_most():
    log_weights = gaussian_log_weights(0.5, 10_000, 600).float()
    start = time.perf_counter()
    shapes = pareto_k(log_weights)
    assert time.perf_counter() - start < 10
    assert shapes.shape == (600,)
    assert torch.allclose(shapes[:3], pareto_k(log_weights[:, :3]))
