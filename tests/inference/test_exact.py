"""The inference against closed forms and quadrature, and proof that a broken model would be noticed."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.inference.importance import ImportanceBound, log_mean, log_weights, paired_traces
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.joint import Joint
from tests.support.exact import P, as_batch, exact_joint, log_p_seen, simulate, solve
from tests.support.pairs import info

# One, two, three and all cells missing.
MASKS = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
VALUES = np.array([[0.9, 0.4, -0.8, 0.7], [1.0, -0.9, 0.6, 0.1], [-0.5, 0.3, 0.2, 1.2], [0.0, 0.0, 0.0, 0.0]])


def weights(joint: Joint, n_draws: int, seed: int = 0, rows: slice = slice(None)) -> torch.Tensor:
    batch = as_batch(VALUES, MASKS).rows(rows)
    joint.generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return log_weights(*paired_traces(joint.model, joint.guide, batch, n_draws), (n_draws, batch.n_rows))


def posterior(joint: Joint, x: np.ndarray, observed: np.ndarray, n_draws: int = 10_000, seed: int = 0) -> Posterior:
    return Posterior(joint, as_batch(x, observed), info(P), n_draws=n_draws, seed=seed)


@pytest.mark.parametrize("n_draws", [1, 5, 50])
def test_miwae_bound_is_exact_at_the_exact_proposal(n_draws: int) -> None:
    joint = exact_joint(None)
    found = ImportanceBound(n_draws).row_bounds(joint.model, joint.guide, as_batch(VALUES, MASKS))
    expected = [log_p_seen(x, s) for x, s in zip(VALUES, MASKS, strict=True)]
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("collapse", ["auto", False])
@pytest.mark.parametrize("link", ["probit", "logistic"])
def test_mean_weight_is_the_evidence(link: str, collapse: bool | str) -> None:
    exact = np.array([solve(x, s, link)[0] for x, s in zip(VALUES, MASKS, strict=True)])
    joint = exact_joint(link, collapse)
    for n_draws in (1, 5, 20, 50):
        log_w = weights(joint, 4000 * n_draws, seed=n_draws).view(4000, n_draws, -1)
        ratio = (log_w.logsumexp(1) - np.log(n_draws) - torch.as_tensor(exact)).exp().numpy()
        z = (ratio.mean(0) - 1) / (ratio.std(0) / np.sqrt(4000))
        assert np.abs(z).max() < 4


def test_bound_rises_towards_the_evidence_and_stays_below_it() -> None:
    joint = exact_joint("probit")
    exact = np.array([solve(x, s, "probit")[0] for x, s in zip(VALUES, MASKS, strict=True)])
    means, errors = [], []
    for n_draws, repeats in ((1, 20_000), (5, 8000), (50, 2000), (500, 400)):
        bound = weights(joint, n_draws * repeats).view(repeats, n_draws, -1).logsumexp(1) - np.log(n_draws)
        means.append(bound.mean(0).numpy())
        errors.append(bound.std(0).numpy() / np.sqrt(repeats))
    gaps = exact - np.array(means)
    # A gap is about chi2 / (2 K): with ten times the draws a tenth is left, and a bound that stays flat is refused.
    for few, many, a, b in zip(gaps, gaps[1:], errors, errors[1:], strict=False):
        assert (many < few / 2 + 4 * np.hypot(a, b)).all()
    assert (gaps[0] > 12 * errors[0]).all()
    assert (gaps[-1] > -4 * errors[-1]).all()


@pytest.mark.parametrize("link", ["probit", "logistic"])
def test_collapsed_and_sampled_agree_and_collapsing_lowers_the_variance(link: str) -> None:
    found, spread = [], []
    for collapse in (True, False):
        log_w = weights(exact_joint(link, collapse), 100_000)
        ratio = (log_w - log_mean(log_w)).exp()
        found.append(log_mean(log_w))
        spread.append((ratio.std(0) / np.sqrt(len(ratio)), log_w.var(0)))
    error = (spread[0][0].square() + spread[1][0].square()).sqrt()
    assert bool(((found[0] - found[1]).abs() < 4 * error).all())
    assert bool((spread[0][1] <= spread[1][1] + 1e-12).all())


# Drawn x_mis makes the weights more uneven: as many effective draws take more draws.
VARIANTS = [
    ("probit", "auto", 1, 10_000),
    ("logistic", "auto", 1, 10_000),
    ("probit", False, 1, 60_000),
    ("logistic", False, 4, 30_000),
    ("probit", False, 8, 10_000),
]


@pytest.mark.parametrize(("link", "collapse", "n_inner", "n_draws"), VARIANTS)
def test_mean_median_and_quantiles(link: str, collapse: bool | str, n_inner: int, n_draws: int) -> None:
    # Three rows: with every cell missing a quantile's own Monte Carlo error is near the threshold.
    asked = posterior(exact_joint(link, collapse, n_inner), VALUES[:3], MASKS[:3], n_draws)
    mean, median, (low, high) = asked.mean(), asked.median(), asked.quantile([0.05, 0.95])
    for i, (x, s) in enumerate(zip(VALUES[:3], MASKS[:3], strict=True)):
        evidence, cells = solve(x, s, link)
        assert abs(asked.log_evidence[i] - evidence) < 0.05
        for j, cell in cells.items():
            for found, exact in (
                (mean, cell.mean),
                (median, cell.quantile(0.5)),
                (low, cell.quantile(0.05)),
                (high, cell.quantile(0.95)),
            ):
                assert abs(found[i, j] - exact) <= 0.05 * cell.sd, (i, j)


def copies(n: int) -> tuple[np.ndarray, np.ndarray, dict]:
    """The same row n times: independent imputations of one cell."""
    return np.tile(VALUES[1], (n, 1)), np.tile(MASKS[1], (n, 1)), solve(VALUES[1], MASKS[1], "probit")[1]


@pytest.mark.parametrize("collapse", ["auto", False])
def test_imputations_follow_the_exact_law(collapse: bool | str) -> None:
    x, observed, cells = copies(2000)
    draws = posterior(exact_joint("probit", collapse), x, observed, n_draws=1500).sample(1)[0]
    for j, cell in cells.items():
        assert stats.kstest(draws[:, j], cell.cdf).pvalue > 0.001


def test_a_dropped_mask_term_is_noticed() -> None:
    x, observed, cells = copies(2000)
    draws = posterior(exact_joint(None), x, observed, n_draws=300).sample(1)[0]
    assert min(stats.kstest(draws[:, j], cell.cdf).pvalue for j, cell in cells.items()) < 1e-6


def test_weights_summed_over_rows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One weight per draw for the whole table, as Pyro's own tools compute it, ruins every imputation."""
    x, observed = simulate(100, "probit", 3)
    exact = [solve(a, s, "probit")[1] for a, s in zip(x, observed, strict=True)]

    def errors() -> np.ndarray:
        found = posterior(exact_joint("probit"), x, observed, n_draws=3000).refine().mean()
        return np.array([(found[i, j] - c.mean) / c.sd for i, cells in enumerate(exact) for j, c in cells.items()])

    assert np.abs(errors()).mean() < 0.03

    def summed(model: object, guide: object, shape: tuple[int, int]) -> torch.Tensor:
        per_row = log_weights(model, guide, shape)  # type: ignore[arg-type]
        return per_row.sum(1, keepdim=True).expand(shape)

    monkeypatch.setattr("pyro_mnar.inference.posterior.draws.log_weights", summed)
    warnings.simplefilter("ignore", UnreliableWeightsWarning)
    assert np.abs(errors()).mean() > 0.1


def test_intervals_cover_what_they_say() -> None:
    x, observed = simulate(1500, "probit", 4)
    asked = posterior(exact_joint("probit"), x, observed, n_draws=600).refine()
    levels = (0.5, 0.8, 0.9)
    ends = asked.quantile([(1 - c) / 2 for c in levels] + [(1 + c) / 2 for c in levels])
    hidden = ~observed
    for k, level in enumerate(levels):
        inside = ((ends[k] <= x) & (x <= ends[k + 3]))[hidden].mean()
        assert abs(inside - level) < max(0.02, 3 * np.sqrt(level * (1 - level) / hidden.sum()))
