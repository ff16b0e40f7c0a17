"""Columns of which both ends, or the middle, go missing: mask term, mean, density and draws against quadrature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import NO_GAP, Curve
from pyro_mnar.model.likelihoods import GaussianRows, MaskedRows
from pyro_mnar.model.likelihoods.gaussian import TwoSidedGaussian
from pyro_mnar.model.mechanisms import SelfMasking, by_name
from tests.model.test_kinds_of_rows import K, N, atom_rows, level_rows, normals
from tests.support.pairs import info

#: Slopes, intercepts and gaps of two columns; the first misses both ends, the second its middle.
SLOPES, GAPS = (2.5, 0.7), (4.0, 1.5)
HIDDEN = torch.zeros(N, 2, dtype=torch.bool)
ACTIVE = torch.tensor([True, True])


def curve(slopes: tuple[float, float] = SLOPES, per_code: bool = False) -> Curve:
    intercept = normals(K, N, 2, seed=7) if per_code else torch.tensor([1.5, 0.4], dtype=torch.float64)
    gap = torch.tensor(GAPS, dtype=torch.float64)
    slope = torch.tensor(slopes, dtype=torch.float64)
    return Curve(slope, intercept, "probit", None, gap, torch.tensor([True, False]))


def p_missing(c: Curve, x: Any, k: int, i: int, j: int) -> Any:
    assert c.gap is not None
    intercept = c.intercept[k, i, j] if c.intercept.ndim > 1 else c.intercept[j]
    t = float(c.slope[j]) * x + float(intercept)
    inside = norm.cdf(t) - norm.cdf(t - float(c.gap[j]))
    return norm.sf(t) + norm.cdf(t - float(c.gap[j])) if j == 0 else inside


def gaussian() -> GaussianRows:
    return GaussianRows(normals(K, N, 2, seed=5), 0.2 + normals(K, N, 2, seed=6).exp())


@pytest.mark.parametrize("slopes", [SLOPES, (0.1, 0.1), (60.0, 100.0)])
@pytest.mark.parametrize("per_code", [False, True])
def test_mask_term_and_mean_against_quadrature(slopes: tuple[float, float], per_code: bool) -> None:
    rows, c = gaussian(), curve(slopes, per_code)
    masked = MaskedRows(c, torch.zeros(N, 2).double(), HIDDEN, ACTIVE)
    term, part = rows.mask_term(masked).log_prob(HIDDEN), rows.missing_given_mask(masked)
    assert isinstance(part, TwoSidedGaussian)
    value = normals(K, N, 2, seed=9)
    density, mean = part.log_density(value), part.mean
    for k, i in ((0, 0), (1, 2), (2, 3)):
        total = 0.0
        for j in range(2):
            m, s = float(rows.loc[k, i, j]), float(rows.scale[k, i, j])
            x = np.linspace(m - 12 * s, m + 12 * s, 200_001)
            weight = norm.pdf(x, m, s) * p_missing(c, x, k, i, j) * (x[1] - x[0])
            z, first = weight.sum(), (x * weight).sum()
            if z < 1e-7:
                continue
            assert mean[k, i, j].item() == pytest.approx(first / z, abs=1e-5)
            at = float(value[k, i, j])
            here = norm.pdf(at, m, s) * p_missing(c, at, k, i, j)
            if here > 1e-9:
                assert density[k, i, j].item() == pytest.approx(math.log(here / z), abs=1e-6)
            total += math.log(z)
        assert term[k, i].item() == pytest.approx(total, abs=1e-6)


def test_draws_have_the_mean_and_gradients_reach_every_parameter() -> None:
    rows, c = gaussian(), curve()
    slope = c.slope.clone().requires_grad_()
    c = c._replace(slope=slope)
    masked = MaskedRows(c, torch.zeros(N, 2).double(), HIDDEN, ACTIVE)
    part = rows.missing_given_mask(masked, torch.Generator().manual_seed(0))
    draws = part.rsample(torch.Size((6000,)))
    error = draws.std(0) / math.sqrt(6000)
    assert bool(((draws.mean(0) - part.mean).abs() < 4.5 * error).all())
    (by_slope,) = torch.autograd.grad(draws.sum() + part.log_prob(draws[0].detach()).sum(), slope)
    assert bool(by_slope.isfinite().all())
    assert part.choice_log_prob(draws[0]).shape == (K, N)


@pytest.mark.parametrize("kind", ["levels", "atoms"])
def test_levels_and_atoms_take_a_second_end_too(kind: str) -> None:
    rows, c = (level_rows() if kind == "levels" else atom_rows()), curve()
    masked = MaskedRows(c, torch.zeros(N, 2).double(), HIDDEN, ACTIVE)
    term = rows.mask_term(masked).log_prob(HIDDEN)
    draws = rows.missing_part(torch.zeros(N, 2), HIDDEN).rsample(torch.Size((4000,)))
    p = c.log_missing(draws).exp()
    estimate, error = p.mean(0).log(), p.std(0) / math.sqrt(4000) / p.mean(0)
    assert bool(((estimate.sum(-1) - term).abs() < 4.5 * error.norm(dim=-1) + 1e-6).all())
    assert bool(rows.missing_given_mask(masked).mean.isfinite().all())


@pytest.mark.parametrize(("shape", "rate"), [("two-sided", 0.3), ("middle", 0.3), ("two-sided", 0.7)])
def test_it_starts_neutral_and_is_a_probability(shape: str, rate: float) -> None:
    mechanism = SelfMasking(shape=shape)  # type: ignore[arg-type]
    mechanism.setup(info(2, rate))
    x = torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0))
    missing = 1 - mechanism(x).probs
    assert missing.mean().item() == pytest.approx(rate, abs=0.01)
    ends, middle = mechanism(torch.tensor([[-4.0, 4.0]])).probs, mechanism(torch.zeros(1, 2)).probs
    assert bool((ends < middle).all()) if shape == "two-sided" else bool((ends > middle).all())
    c = mechanism.curve()
    torch.testing.assert_close(c.log_missing(x).exp() + c.log_observed(x).exp(), torch.ones_like(x))


def test_one_sided_and_two_sided_columns_stand_in_one_table() -> None:
    mechanism = by_name({"x0": SelfMasking(shape="two-sided"), "x1": SelfMasking("high"), "default": "ignorable"})
    mechanism.setup(info(3))
    c = mechanism.curve()
    assert c is not None and c.gap is not None and c.ends is not None
    assert c.gap[1].item() == NO_GAP and c.ends.tolist() == [True, False, False]
    alone = SelfMasking("high")
    alone.setup(info(3))
    x = torch.linspace(-3, 3, 7)[:, None].expand(7, 3)
    torch.testing.assert_close(c.log_missing(x)[:, 1], alone.curve().log_missing(x)[:, 1])


@pytest.mark.parametrize("wrong", [{"direction": "high"}, {"slope": 1.0}, {"link": "logistic"}, {"shared": True}])
def test_what_two_thresholds_exclude_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="shape='middle' has two thresholds"):
        SelfMasking(shape="middle", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="shape is 'both'"):
        SelfMasking(shape="both")  # type: ignore[arg-type]
    assert np.isfinite(NO_GAP)
