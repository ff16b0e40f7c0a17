"""The mask term of normal cells whose curves depend on the code, and draws of those that are missing, by quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.base import MaskedRows
from pyro_mnar.model.likelihoods.gaussian import GaussianRows, ProbitMask
from pyro_mnar.numerics.random_streams import BlockNoise

K, N, P = 2, 3, 5
OBSERVED = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]) == 1
# Column 2 goes missing by its code alone, and column 4 has no mask term.
FLAT = torch.arange(P) == 2
ACTIVE = torch.arange(P) != 4


def rows_and_curve(dtype: torch.dtype = torch.float64, steepness: float = 1.0) -> tuple[GaussianRows, MaskedRows]:
    noise = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=noise, dtype=torch.float64).to(dtype)

    rows = GaussianRows(drawn(K, N, P), 0.3 + drawn(K, N, P).abs())
    # The slope of a flat column is of no account.
    curve = Curve(steepness * drawn(P), drawn(K, N, P), "probit", FLAT)
    x = torch.where(OBSERVED, drawn(N, P), torch.zeros(N, P, dtype=dtype))
    return rows, MaskedRows(curve, x, OBSERVED, ACTIVE)


def _moment(power: int, w: float, c: float, m: float, s: float) -> float:
    return float(
        quad(
            lambda x: x**power * norm.cdf(w * x + c) * norm.pdf(x, m, s),
            m - 12 * s,
            m + 12 * s,
            points=[-c / w] if w else None,
        )[0]
    )


def by_quadrature(rows: GaussianRows, masked: MaskedRows) -> tuple[Tensor, Tensor]:
    """Log p(s | z, x_obs), (K, n), and the means of missing cells, (K, n, p)."""
    total, means = torch.zeros(K, N, dtype=torch.float64), rows.loc.clone()
    for k, i, j in np.ndindex(K, N, P):
        if not ACTIVE[j]:
            continue
        w = 0.0 if FLAT[j] else float(masked.curve.slope[j])
        c = float(masked.curve.intercept[k, i, j])
        m, s = float(rows.loc[k, i, j]), float(rows.scale[k, i, j])
        if OBSERVED[i, j]:
            total[k, i] += norm.logcdf(-(w * float(masked.x[i, j]) + c))
            continue
        moment = [_moment(q, w, c, m, s) for q in (0, 1)]
        total[k, i] += math.log(moment[0])
        means[k, i, j] = moment[1] / moment[0]
    return total, means


@pytest.mark.parametrize("steepness", [1.0, 20.0])
def test_the_mask_term_is_the_integral_over_missing_cells(steepness: float) -> None:
    rows, masked = rows_and_curve(steepness=steepness)
    term = rows.mask_term(masked)
    assert isinstance(term, ProbitMask)
    expected, means = by_quadrature(rows, masked)
    torch.testing.assert_close(term.log_prob(OBSERVED), expected, rtol=1e-7, atol=1e-7)
    single = rows_and_curve(torch.float32, steepness)
    torch.testing.assert_close(
        single[0].mask_term(single[1]).log_prob(OBSERVED).double(), expected, rtol=2e-5, atol=2e-5
    )
    found = rows.missing_given_mask(masked).mean
    torch.testing.assert_close(torch.where(OBSERVED, means, found), means, rtol=1e-6, atol=1e-6)


def test_other_curves_have_the_term_of_their_cells() -> None:
    rows, masked = rows_and_curve()
    curve = masked.curve
    gap, ends = torch.ones(P, dtype=torch.float64), torch.zeros(P, dtype=torch.bool)
    shared = curve._replace(intercept=curve.intercept[0, 0])
    for other in (shared, shared._replace(link="logistic"), shared._replace(gap=gap, ends=ends, flat=None)):
        assert not isinstance(rows.mask_term(masked._replace(curve=other)), ProbitMask)
    one = rows.mask_term(masked._replace(curve=shared)).log_prob(OBSERVED)
    everywhere = shared._replace(intercept=shared.intercept.expand(K, N, P))
    torch.testing.assert_close(rows.mask_term(masked._replace(curve=everywhere)).log_prob(OBSERVED), one)


@pytest.mark.parametrize("shared", [True, False])
def test_draws_of_missing_cells_have_their_means_and_the_others_do_not_matter(shared: bool) -> None:
    rows, masked = rows_and_curve()
    _, means = by_quadrature(rows, masked)
    copies, n_draws = 4000, 4000 * K
    many = GaussianRows(rows.loc.repeat(copies, 1, 1), rows.scale.repeat(copies, 1, 1))
    curve = masked.curve._replace(intercept=masked.curve.intercept.repeat(copies, 1, 1))
    noise = BlockNoise(0, shared).window(list(range(N)), 0)
    drawn = many.missing_given_mask(masked._replace(curve=curve), noise).rsample()
    assert drawn.shape == (n_draws, N, P)
    found = drawn.view(copies, K, N, P)
    z = (found.mean(0) - means) / (found.std(0) / math.sqrt(copies))
    assert float(z[:, ~OBSERVED].abs().max()) < 4
