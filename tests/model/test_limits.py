"""Cells known to lie within limits: evidence, means and draws against quadrature and enumeration, and in the pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest, norm, truncnorm

from pyro_mnar.data.columns import Atoms, Group, Layout
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.importance import ImportanceBound, log_mean, log_weights, paired_traces
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.likelihoods import BernoulliRows, GaussianRows, LimitEvidence, MixedLikelihood, within_limits
from pyro_mnar.model.likelihoods.base import CellRows
from pyro_mnar.model.likelihoods.limits import WithinLimits
from pyro_mnar.model.mechanisms import Ignorable, Linear, SelfMasking
from pyro_mnar.numerics.distributions import DiagonalNormal
from tests.model.test_kinds_of_rows import (
    ATOMS,
    CUTS,
    SCORES,
    K,
    N,
    atom_rows,
    level_probabilities,
    level_rows,
    normals,
)
from tests.support.pairs import small_batch, small_joint

INF = math.inf
#: Two columns of four rows: below, above, between, nothing known.
LIMITS = torch.tensor(
    [
        [[-INF, -0.4], [-INF, INF]],
        [[0.5, INF], [-0.5, 0.6]],
        [[-2.0, 1.3], [-INF, 0.4]],
        [[-INF, INF], [-INF, INF]],
    ],
    dtype=torch.float64,
)
CENSORED = LIMITS.isfinite().any(-1)
CELLS = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]


def gaussian_rows() -> GaussianRows:
    return GaussianRows(normals(K, N, 2, seed=5), normals(K, N, 2, seed=6).exp(), generator=None)


def value_probabilities(kind: str, rows: CellRows, k: int, i: int, j: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Point masses of a cell (values, probabilities) and the share of its continuous part."""
    if kind == "levels":
        return np.array(SCORES[j][: len(CUTS[j]) + 1]), level_probabilities(rows, k, i, j), 0.0  # type: ignore[arg-type]
    if kind == "atoms":
        share = rows.log_share[k, i, j].exp().numpy()  # type: ignore[attr-defined]
        return np.array(ATOMS[j]), share[1:], float(share[0])
    return np.zeros(0), np.zeros(0), 1.0


def by_quadrature(kind: str, rows: CellRows, k: int, i: int, j: int) -> tuple[float, float]:
    """P(low <= x <= high | z), and the mean of x there."""
    low, high = LIMITS[i, j].tolist()
    values, masses, share = value_probabilities(kind, rows, k, i, j)
    inside = (values >= low) & (values <= high)
    total, first = float(masses[inside].sum()), float((masses * values)[inside].sum())
    if share:
        rest = rows if kind == "gaussian" else rows.rest  # type: ignore[attr-defined]
        m, s = float(rest.loc[k, i, j]), float(rest.scale[k, i, j])
        ends = max(low, m - 12 * s), min(high, m + 12 * s)
        if ends[0] < ends[1]:
            total += share * quad(lambda x: norm.pdf(x, m, s), *ends, epsabs=1e-13, epsrel=1e-12)[0]
            first += share * quad(lambda x: x * norm.pdf(x, m, s), *ends, epsabs=1e-13, epsrel=1e-12)[0]
    return total, first / total


ROWS = {"gaussian": gaussian_rows, "levels": level_rows, "atoms": atom_rows}


@pytest.mark.parametrize("kind", list(ROWS))
def test_evidence_and_mean_of_censored_cells_against_quadrature(kind: str) -> None:
    rows = ROWS[kind]()
    expected = np.zeros((K, N))
    part = within_limits(rows, rows.missing_part(torch.zeros(N, 2), CENSORED), LIMITS, CENSORED)
    for k in range(K):
        for i, j in CELLS:
            p, mean = by_quadrature(kind, rows, k, i, j)
            expected[k, i] += math.log(p)
            assert part.mean[k, i, j].item() == pytest.approx(mean, abs=1e-6)
    evidence = LimitEvidence(rows, CENSORED)
    assert evidence.batch_shape == (K, N)
    np.testing.assert_allclose(evidence.log_prob(LIMITS), expected, atol=1e-6)
    # Where nothing is known the distribution is the plain one.
    np.testing.assert_allclose(part.mean[:, 3], rows.mean[:, 3], atol=1e-12)


@pytest.mark.parametrize("kind", list(ROWS))
def test_draws_of_censored_cells_lie_within_their_limits_and_have_their_mean(kind: str) -> None:
    rows = ROWS[kind]()
    generator = torch.Generator().manual_seed(1)
    part = within_limits(rows, rows.missing_part(torch.zeros(N, 2), CENSORED), LIMITS, CENSORED, generator)
    draws = part.rsample(torch.Size((4000,)))
    assert draws.shape == (4000, K, N, 2)
    low, high = LIMITS.unbind(-1)
    assert bool(((draws >= low - 1e-5) & (draws <= high + 1e-5))[:, :, CENSORED].all())
    inside = draws[:, :, CENSORED]
    error = inside.std(0) / math.sqrt(4000) + 1e-6
    assert bool(((inside.mean(0) - part.mean[:, CENSORED]).abs() < 4.5 * error).all())


def test_draws_of_a_gaussian_cell_are_those_of_the_truncated_normal_and_their_density_too() -> None:
    rows = gaussian_rows()
    generator = torch.Generator().manual_seed(2)
    part = within_limits(rows, rows.missing_part(torch.zeros(N, 2), CENSORED), LIMITS, CENSORED, generator)
    assert isinstance(part, WithinLimits)
    m, s = float(rows.loc[0, 1, 1]), float(rows.scale[0, 1, 1])
    low, high = LIMITS[1, 1].tolist()
    cut = truncnorm((low - m) / s, (high - m) / s, m, s)
    assert kstest(part.rsample(torch.Size((2000,)))[:, 0, 1, 1].numpy(), cut.cdf).pvalue > 0.001
    value = part.rsample()
    others = truncnorm(-INF, (-0.4 - float(rows.loc[0, 0, 0])) / float(rows.scale[0, 0, 0]))
    expected = others.logpdf((float(value[0, 0, 0]) - float(rows.loc[0, 0, 0])) / float(rows.scale[0, 0, 0]))
    expected -= math.log(float(rows.scale[0, 0, 0]))
    expected += norm.logpdf(float(value[0, 0, 1]), float(rows.loc[0, 0, 1]), float(rows.scale[0, 0, 1]))
    assert part.log_prob(value)[0, 0].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("low", "high"), [(6.0, INF), (-INF, -9.0), (4.0, 4.001)])
def test_limits_far_from_what_the_code_says_keep_their_digits_and_gradients(low: float, high: float) -> None:
    loc = torch.zeros(1, 1, 1, dtype=torch.float64, requires_grad=True)
    raw = torch.zeros(1, 1, 1, dtype=torch.float64, requires_grad=True)
    limits = torch.tensor([[[low, high]]], dtype=torch.float64)
    value = LimitEvidence(GaussianRows(loc, raw.exp()), torch.ones(1, 1, dtype=torch.bool)).log_prob(limits)
    expected = truncated_log_probability(low, high)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(value.sum(), [loc, raw]))


def truncated_log_probability(low: float, high: float) -> float:
    a, b = (low, high) if low + high < 0 else (-high, -low)
    return float(norm.logcdf(b) + np.log1p(-np.exp(norm.logcdf(a) - norm.logcdf(b))))


def test_mixed_rows_take_limits_block_by_block() -> None:
    layout = Layout(continuous=(0, 3), binary=(4,), groups=(Group((1, 2)),), atoms=(Atoms(5, (-1.0,)),))
    torch.manual_seed(0)
    rows = MixedLikelihood(3, layout).double()(normals(2, 4, 3))
    limits = torch.tensor([-INF, INF], dtype=torch.float64).repeat(4, 6, 1)
    limits[0, 0], limits[1, 5], limits[2, 3] = (
        torch.tensor(pair, dtype=torch.float64) for pair in ((-INF, 0.2), (-1.5, -0.5), (1.0, 2.0))
    )
    censored = limits.isfinite().any(-1)
    seen = ~censored
    seen[:, [1, 2, 4]] = False
    evidence = LimitEvidence(rows, censored).log_prob(limits)
    parts = {block.rows.__class__.__name__: block for block in rows.blocks}
    gaussian = parts["GaussianRows"].rows
    first = norm.logcdf(0.2, gaussian.loc[:, 0, 0].detach(), gaussian.scale[:, 0, 0].detach())
    np.testing.assert_allclose(evidence[:, 0].detach(), first, atol=1e-9)
    assert bool((evidence[:, 3] == 0).all())
    part = within_limits(rows, rows.missing_part(torch.zeros(4, 6), seen | censored), limits, censored)
    draw = part.rsample()
    low, high = limits.unbind(-1)
    assert bool(((draw >= low - 1e-5) & (draw <= high + 1e-5))[:, censored].all())
    assert part.log_prob(draw).shape == (2, 4) and bool(part.mean.isfinite().all())
    censored[:, 4] = True
    with pytest.raises(UnsupportedModelError, match="BernoulliRows gives an interval no probability"):
        LimitEvidence(rows, censored).log_prob(limits)
    assert isinstance(parts["BernoulliRows"].rows, BernoulliRows)


def limited_batch(n: int = 7) -> Batch:
    """Random rows, of which some missing cells of the first column lie below a limit of their own."""
    batch = small_batch(n)
    limits = torch.tensor([-INF, INF], dtype=torch.float64).repeat(n, 4, 1)
    limits[:, 0, 1] = torch.linspace(-1.5, 1.5, n, dtype=torch.float64)
    return batch._replace(limits=limits)


def test_the_bound_counts_limits_as_evidence_and_meets_quadrature_over_the_code() -> None:
    joint, batch = small_joint(Ignorable(), latent_dim=1), limited_batch()
    points, weights = np.polynomial.hermite_e.hermegauss(200)
    z = torch.as_tensor(points)[:, None, None].expand(-1, batch.n_rows, 1)
    with torch.no_grad():
        rows = joint.rows_given_code(z)
        log_p = rows.observed_part(batch.observed).log_prob(batch.x)
        # By hand: the normal's distribution function in the place of the density.
        below = norm.logcdf(batch.limits[:, 0, 1], rows.loc[..., 0], rows.scale.expand_as(rows.loc)[..., 0])
    log_p = log_p.numpy() + np.where(~batch.observed[:, 0].numpy(), below, 0.0)
    exact = np.log((np.exp(log_p) * weights[:, None]).sum(0) / math.sqrt(2 * math.pi))
    torch.manual_seed(0)
    with torch.no_grad():
        wide = DiagonalNormal(torch.zeros(batch.n_rows, 1).double(), torch.full((1,), 2.0).double())
        traces = paired_traces(joint.model, lambda rows: joint.guide(rows, wide), batch, 20_000)
        weights_ = log_weights(*traces, (20_000, batch.n_rows))
    estimate = log_mean(weights_)
    share = torch.softmax(weights_, 0)
    error = (share.square().sum(0) - 1 / 20_000).clamp(min=0).sqrt()
    assert bool((~batch.observed[:, 0]).any())
    assert bool(((estimate - torch.as_tensor(exact)).abs() < 4.5 * error + 1e-6).all())


@pytest.mark.parametrize("mechanism", [Linear(), SelfMasking()])
def test_a_pair_with_limits_trains_and_completes_within_them(mechanism: object) -> None:
    joint, batch = small_joint(mechanism), limited_batch()  # type: ignore[arg-type]
    joint.active[0] = False
    loss = ImportanceBound(5).differentiable_loss(joint.model, joint.guide, batch)
    loss.backward()
    assert all(bool(p.grad.isfinite().all()) for p in joint.parameters() if p.grad is not None)
    z = joint.prior(batch.x).expand(torch.Size((6, batch.n_rows))).rsample()
    x = joint.missing_given_code(z, joint.rows_given_code(z), batch).rsample()
    censored = batch.censored
    assert censored is not None and bool(censored[:, 0].any()) and not bool(censored[:, 1:].any())
    assert bool((x <= batch.limits[..., 1])[:, censored].all())  # type: ignore[index]


def test_the_proposal_sees_the_limits_and_without_them_nothing_changes() -> None:
    joint, batch = small_joint(Ignorable()), limited_batch()
    plain = batch._replace(limits=None)
    with_limits, without = joint.encoder.for_rows(batch).loc, joint.encoder.for_rows(plain).loc
    censored = batch.censored
    assert censored is not None
    rows = censored.any(1)
    assert not torch.allclose(with_limits[rows], without[rows]) and torch.equal(with_limits[~rows], without[~rows])
    assert torch.equal(without, joint.encoder(batch.x, batch.observed).loc)
    part = batch.rows(torch.tensor([2, 0]))
    assert part.limits is not None and torch.equal(part.limits[0], batch.limits[2])  # type: ignore[index]
