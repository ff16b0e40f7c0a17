"""A normal within an interval: probability, mean and draws against 50-digit arithmetic, far out and narrow ones too."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import kstest, truncnorm

from pyro_mnar.numerics.truncated_normal import draw_within, log_interval, mean_within

INTERVALS = [
    (-math.inf, -1.0),
    (1.0, math.inf),
    (-1.0, 1.0),
    (30.0, 31.0),
    (-31.0, -30.0),
    (100.0, math.inf),
    (-20.0, 3.0),
    (5.0, 5.001),
    (-math.inf, 9.0),
]
LOC, SCALE = 0.3, 1.7


def exact(low: float, high: float) -> tuple[float, float]:
    """Log probability and mean, in units of which 0 and 1 are mean and spread, by 60-digit arithmetic."""
    with mpmath.workdps(60):
        a, b = mpmath.mpf(low), mpmath.mpf(high)
        p = mpmath.ncdf(b) - mpmath.ncdf(a) if b < 5 else mpmath.ncdf(-a) - mpmath.ncdf(-b)
        return float(mpmath.log(p)), float((mpmath.npdf(a) - mpmath.npdf(b)) / p)


def tensors(low: float, high: float, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, ...]:
    numbers = (LOC, SCALE, LOC + SCALE * low, LOC + SCALE * high)
    return tuple(torch.tensor(number, dtype=dtype) for number in numbers)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_the_probability_and_the_mean_are_exact_in_both_tails(low: float, high: float) -> None:
    log_p, mean = exact(low, high)
    assert log_interval(*tensors(low, high)).item() == pytest.approx(log_p, abs=1e-9, rel=1e-9)
    assert mean_within(*tensors(low, high)).item() == pytest.approx(LOC + SCALE * mean, abs=1e-8, rel=1e-9)


@pytest.mark.parametrize(("low", "high"), INTERVALS)
def test_the_gradient_is_the_mean_and_both_derivatives_are_finite(low: float, high: float) -> None:
    loc, scale, *ends = tensors(low, high)
    loc.requires_grad_()
    scale.requires_grad_()
    by_loc, by_scale = torch.autograd.grad(log_interval(loc, scale, *ends), [loc, scale], create_graph=True)
    (second,) = torch.autograd.grad(by_loc, loc)
    # Tweedie: the mean moves by the variance times the derivative.
    moved = (loc + scale**2 * by_loc).item()
    assert moved == pytest.approx(mean_within(loc, scale, *ends).item(), rel=1e-6, abs=1e-6)
    assert math.isfinite(by_scale.item()) and -1.001 <= (scale**2 * second).item() <= 1e-9


@pytest.mark.parametrize(("low", "high"), INTERVALS[:7])
def test_draws_follow_the_distribution_and_stay_inside(low: float, high: float) -> None:
    noise = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loc, scale, *ends = tensors(low, high)
    x = draw_within(loc, scale, *ends, noise)
    assert bool((x >= ends[0]).all() and (x <= ends[1]).all())
    assert kstest(((x - loc) / scale).numpy(), truncnorm(low, high).cdf).pvalue > 0.001


def test_single_precision_does_as_well_and_draws_have_a_path_derivative() -> None:
    single = log_interval(*tensors(30.0, 31.0, torch.float32))
    assert single.dtype == torch.float32 and single.item() == pytest.approx(exact(30.0, 31.0)[0], rel=1e-5)
    noise = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    loc, scale, *ends = tensors(-math.inf, -1.0)
    loc.requires_grad_()
    (by_loc,) = torch.autograd.grad(draw_within(loc, scale, *ends, noise).sum(), loc)
    step = 1e-5
    up, down = (draw_within(loc.detach() + d, scale, *ends, noise).sum().item() for d in (step, -step))
    np.testing.assert_allclose(by_loc.item(), (up - down) / (2 * step), rtol=1e-6)
