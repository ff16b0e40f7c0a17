"""Levels, atoms and the nested mechanism against enumeration and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit, log_expit, log_ndtr
from scipy.stats import norm

from pyro_mnar.data.columns import Atoms, Group, Layout, Levels
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import AtomRows, GaussianRows, LevelRows, MaskedRows, MixedLikelihood, MixedRows
from pyro_mnar.model.likelihoods.categorical import CategoricalRows
from pyro_mnar.model.likelihoods.levels import LevelTable
from pyro_mnar.model.likelihoods.mixed import Block
from pyro_mnar.model.mechanisms import Nested
from tests.support.pairs import info

K, N = 3, 4
SCORES = [[-1.0, 0.0, 1.2, 1.2], [-1.5, -0.4, 0.3, 2.0]]
CUTS = [[-0.5, 0.7, 1e5], [-1.0, 0.0, 1.0]]
ATOMS = [[-1.3, 1.8], [0.4, 0.4]]
ACTIVE = torch.tensor([True, True])
SEEN = torch.tensor([[1, 0], [0, 1], [0, 0], [1, 1]]) == 1


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def level_rows(loc: torch.Tensor | None = None, scale: torch.Tensor | None = None) -> LevelRows:
    table = LevelTable(torch.tensor(SCORES, dtype=torch.float64), torch.tensor(CUTS, dtype=torch.float64))
    loc = 2 * normals(K, N, 2) if loc is None else loc
    scale = 0.1 + normals(K, N, 2, seed=1).exp() if scale is None else scale
    return LevelRows(loc, scale, table, torch.Generator().manual_seed(3))


def atom_rows() -> AtomRows:
    logits = normals(K, N, 2, 3)
    logits[..., 1, 2] = -1e30  # the second column has one atom
    rest = GaussianRows(normals(K, N, 2, seed=5), normals(K, N, 2, seed=6).exp())
    return AtomRows(
        logits.log_softmax(-1), torch.tensor(ATOMS, dtype=torch.float64), rest, torch.Generator().manual_seed(4)
    )


def curve_of(link: str, per_code: bool) -> Curve:
    intercept = normals(K, N, 2, seed=7) if per_code else normals(2, seed=7)
    return Curve(torch.tensor([2.5, -1.5], dtype=torch.float64), intercept, link)  # type: ignore[arg-type]


def log_missing(curve: Curve, x: np.ndarray | float, k: int, i: int, j: int, sign: float = 1.0) -> np.ndarray:
    intercept = curve.intercept[k, i, j] if curve.intercept.ndim > 1 else curve.intercept[j]
    t = sign * (float(curve.slope[j]) * np.asarray(x) + float(intercept))
    return log_ndtr(t) if curve.link == "probit" else log_expit(t)


def level_probabilities(rows: LevelRows, k: int, i: int, j: int) -> np.ndarray:
    m, s, cuts = float(rows.loc[k, i, j]), float(rows.scale[k, i, j]), [-np.inf, *CUTS[j], np.inf]
    return np.diff(expit((np.array(cuts) - m) / s))


def test_level_probabilities_are_differences_of_the_logistic_and_sum_to_one() -> None:
    rows = level_rows()
    expected = [[[level_probabilities(rows, k, i, j) for j in range(2)] for i in range(N)] for k in range(K)]
    np.testing.assert_allclose(rows.log_probability.exp(), expected, atol=1e-12)
    np.testing.assert_allclose(rows.log_probability.exp().sum(-1), 1.0, atol=1e-12)


def test_level_probabilities_keep_their_digits_and_gradients_far_out() -> None:
    loc = torch.full((1, 1, 2), 300.0, dtype=torch.float64, requires_grad=True)
    rows = level_rows(loc, torch.full((1, 1, 2), 0.1, dtype=torch.float64))
    assert rows.log_probability[0, 0, 1, 0].item() == pytest.approx(-3010.0, rel=1e-9)
    (gradient,) = torch.autograd.grad(rows.log_probability[0, 0, 1].sum(), loc)
    assert bool(gradient.isfinite().all())


def test_held_levels_have_their_probability_and_no_other_level_is_worked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = level_rows()
    held = [[0, 3], [1, 0], [2, 2], [0, 1]]
    expected = np.zeros((K, N))
    for k in range(K):
        for i, j in SEEN.nonzero().tolist():
            expected[k, i] += np.log(level_probabilities(rows, k, i, j)[held[i][j]])
    x = torch.tensor([[SCORES[j][held[i][j]] for j in range(2)] for i in range(N)], dtype=torch.float64)
    monkeypatch.delattr("pyro_mnar.model.likelihoods.levels.log_level_probability")
    np.testing.assert_allclose(rows.observed_part(SEEN).log_prob(x), expected, atol=1e-10)


def test_held_levels_keep_their_digits_and_gradients_far_out() -> None:
    loc = torch.full((1, 1, 2), 300.0, dtype=torch.float64, requires_grad=True)
    scale = torch.full((1, 1, 2), 0.1, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[SCORES[0][0], SCORES[1][0]]], dtype=torch.float64)
    found = level_rows(loc, scale).observed_part(torch.ones(1, 2, dtype=torch.bool)).log_prob(x)
    assert found.item() == pytest.approx(-3005.0 - 3010.0, rel=1e-9)
    for gradient in torch.autograd.grad(found.sum(), (loc, scale)):
        assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("link", ["probit", "logistic"])
@pytest.mark.parametrize("per_code", [False, True])
def test_mask_term_and_conditional_mean_of_levels_against_enumeration(link: str, per_code: bool) -> None:
    rows, curve = level_rows(), curve_of(link, per_code)
    x = torch.where(SEEN, torch.tensor([0.0, 2.0], dtype=torch.float64), 0.0)
    masked = MaskedRows(curve, x, SEEN, ACTIVE)
    mask = rows.mask_term(masked).log_prob(SEEN)
    mean = rows.missing_given_mask(masked).mean
    for k in range(K):
        for i in range(N):
            expected = 0.0
            for j in range(2):
                if SEEN[i, j]:
                    expected += log_missing(curve, float(x[i, j]), k, i, j, -1.0)
                    continue
                weight = level_probabilities(rows, k, i, j) * np.exp(log_missing(curve, SCORES[j], k, i, j))
                expected += np.log(weight.sum())
                assert mean[k, i, j].item() == pytest.approx(weight @ SCORES[j] / weight.sum(), abs=1e-10)
            assert mask[k, i].item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("link", ["probit", "logistic"])
@pytest.mark.parametrize("per_code", [False, True])
def test_mask_term_and_conditional_mean_of_atoms_against_quadrature(link: str, per_code: bool) -> None:
    rows, curve = atom_rows(), curve_of(link, per_code)
    x = torch.where(SEEN, torch.tensor([-1.3, 0.9], dtype=torch.float64), 0.0)
    masked = MaskedRows(curve, x, SEEN, ACTIVE)
    mask = rows.mask_term(masked).log_prob(SEEN)
    mean = rows.missing_given_mask(masked).mean
    share = rows.log_share.exp().numpy()
    for k in range(K):
        for i in range(N):
            expected = 0.0
            for j in range(2):
                if SEEN[i, j]:
                    expected += log_missing(curve, float(x[i, j]), k, i, j, -1.0)
                    continue
                m, s = float(rows.rest.loc[k, i, j]), float(rows.rest.scale[k, i, j])

                def density(v: float, k: int = k, i: int = i, j: int = j, m: float = m, s: float = s) -> float:
                    return float(norm.pdf(v, m, s) * np.exp(log_missing(curve, v, k, i, j)))

                ends = (m - 10 * s, m + 10 * s)
                total = share[k, i, j, 0] * quad(density, *ends, epsabs=1e-12, limit=200)[0]
                first = share[k, i, j, 0] * quad(lambda v: v * density(v), *ends, epsabs=1e-12, limit=200)[0]
                for a, value in enumerate(ATOMS[j]):
                    weight = share[k, i, j, 1 + a] * np.exp(log_missing(curve, value, k, i, j))
                    total, first = total + weight, first + weight * value
                expected += np.log(total)
                assert mean[k, i, j].item() == pytest.approx(first / total, abs=1e-5)
            assert mask[k, i].item() == pytest.approx(expected, abs=1e-6)


def test_an_observed_atom_has_a_probability_and_other_values_a_density() -> None:
    rows = atom_rows()
    x = torch.tensor([[-1.3, 0.9]] * N, dtype=torch.float64)
    found = rows.observed_part(torch.ones(N, 2, dtype=torch.bool)).log_prob(x)
    expected = rows.log_share[..., 0, 1] + rows.log_share[..., 1, 0]
    loc, scale = rows.rest.loc[..., 1], rows.rest.scale[..., 1]
    expected = expected + torch.as_tensor(norm.logpdf(0.9, loc.numpy(), scale.numpy()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [level_rows, atom_rows])
def test_draws_given_the_mask_follow_their_distribution(make: type) -> None:
    rows, curve = make(), curve_of("probit", True)
    masked = MaskedRows(curve, torch.zeros(N, 2).double(), SEEN, ACTIVE)
    part = rows.missing_given_mask(masked, torch.Generator().manual_seed(0))
    draws = part.rsample(torch.Size([20_000]))
    hidden = (~SEEN).expand(K, N, 2)
    error = draws.std(0) / 20_000**0.5 + 1e-9
    assert float(((draws.mean(0) - part.mean) / error)[hidden].abs().max()) < 4.5
    if isinstance(rows, LevelRows):
        for j in range(2):
            assert set(draws[..., ~SEEN[:, j], j].unique().tolist()) <= set(SCORES[j])
    # The choices' part of the gradient has the log probability of the choices for its potential.
    assert part.choice_log_prob(draws[0]).shape == (K, N)


def test_the_score_of_a_choice_gives_the_gradient_of_a_mean() -> None:
    """E f = sum_k p_k f(x_k): the score function's estimate equals the exact gradient, by enumeration of the levels."""
    loc = normals(1, 1, 2).requires_grad_()
    rows = level_rows(loc, torch.ones(1, 1, 2, dtype=torch.float64))
    exact = torch.autograd.grad(rows.mean.sum(), loc, retain_graph=True)[0]
    estimate = torch.zeros_like(loc)
    for j in range(2):
        for score in sorted(set(SCORES[j])):
            value = torch.zeros(1, 1, 2, dtype=torch.float64)
            value[..., j], value[..., 1 - j] = score, SCORES[1 - j][0]
            level = SCORES[j].index(score)
            p = rows.log_probability[0, 0, j, level].exp().detach()
            log_p = rows.log_probability[0, 0, j, level]
            estimate += p * score * torch.autograd.grad(log_p, loc, retain_graph=True)[0]
    torch.testing.assert_close(estimate, exact)


LAYOUT = Layout(
    continuous=(0,),
    binary=(2,),
    groups=(Group((4, 5, 6), one_cell=True),),
    levels=(Levels(1, (1.0, 2.0, 5.0), (-1.0, 0.0, 1.5), (-0.5, 0.75)),),
    atoms=(Atoms(3, (-1.3,)),),
)


def test_a_row_of_all_kinds_draws_values_of_its_kinds_and_knows_their_density() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        likelihood = MixedLikelihood(6, LAYOUT)
        rows = likelihood(torch.randn(40, 7, 6))
        x = rows.rsample()
    assert set(x[..., 1].unique().tolist()) == {-1.0, 0.0, 1.5}
    assert set(x[..., 2].unique().tolist()) == {0.0, 1.0}
    at_atom = (x[..., 3] + 1.3).abs() < 1e-6
    assert 0.1 < float(at_atom.float().mean()) < 0.9
    assert torch.equal(x[..., 4:].sum(-1), torch.ones(40, 7))
    everything = torch.ones(7, 7, dtype=torch.bool)
    torch.testing.assert_close(rows.observed_part(everything).log_prob(x), rows.log_prob(x))
    rows.log_prob(x.detach()).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in likelihood.parameters() if p.grad is not None)


def test_nested_mechanism_is_self_masking_where_believed_and_follows_the_code_elsewhere() -> None:
    mechanism = Nested({"x0": "high"})
    mechanism.setup(info(3))
    mechanism.setup_code(2)
    with torch.no_grad():
        mechanism.loading.copy_(torch.tensor([[5.0, 5.0], [1.0, 0.0], [0.0, -2.0]]))
    z = normals(K, N, 2).float()
    curve = mechanism.curve(z)
    assert curve.slope[0] > 0 and torch.equal(curve.slope[1:], torch.zeros(2))
    base = mechanism.curve().intercept
    torch.testing.assert_close(curve.intercept[..., 0], base[0].expand(K, N))
    torch.testing.assert_close(curve.intercept[..., 1], base[1] + z[..., 0])
    torch.testing.assert_close(curve.intercept[..., 2], base[2] - 2 * z[..., 1])
    x = normals(K, N, 3, seed=9).float()
    torch.testing.assert_close(
        mechanism.curve(z).of_row(x, z).probs, 1 - curve.log_missing(x).exp(), atol=1e-6, rtol=1e-5
    )


def test_nested_mechanism_starts_a_slope_where_the_evidence_is() -> None:
    mechanism = Nested()
    mechanism.setup(info(2))
    mechanism.setup_code(1)
    assert torch.equal(mechanism.curve().slope, torch.zeros(2))
    mechanism.start_at(torch.tensor([True, False]), torch.tensor([-3.0, 9.0]), torch.tensor([0.5, 0.0]))
    curve = mechanism.curve()
    torch.testing.assert_close(curve.slope, torch.tensor([-3.0, 0.0]))
    assert curve.intercept[0].item() == pytest.approx(1.5)


def test_a_cell_of_which_the_category_does_not_matter_goes_missing_by_the_code_alone() -> None:
    mechanism = Nested()
    mechanism.setup(info(3))
    mechanism.setup_code(2)
    with torch.no_grad():
        mechanism.own.offset_parameter.copy_(torch.tensor([-0.5, 0.3, 2.0]))
        mechanism.loading.copy_(torch.tensor([[1.0, 0.5], [-2.0, 0.0], [0.0, 3.0]]))
    group, z = torch.arange(3), normals(K, 2, 2).float()
    rows = MixedRows([Block(group, CategoricalRows(normals(K, 2, 3, seed=1).float()), one_cell=True)])
    observed = torch.tensor([[True], [False]]).expand(2, 3)
    x = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    masked = MaskedRows(mechanism.curve(z), x, observed, torch.tensor([True, False, False]))
    t = -0.5 + z[..., 0] + 0.5 * z[..., 1]
    expected = log_ndtr((t * torch.tensor([-1.0, 1.0])).numpy())
    np.testing.assert_allclose(rows.mask_term(masked).log_prob(observed).detach(), expected, atol=1e-6)
    torch.testing.assert_close(rows.missing_given_mask(masked).mean[:, 1].detach(), rows.mean[:, 1])
