"""Several draws of x_mis for each code, of rows whose target is known: each counts by p(s|x) p(y|x)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_mnar.inference.importance import log_inner_weights, log_weights, paired_traces
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.heads import GaussianHead
from pyro_mnar.model.joint import Joint
from tests.support.exact import (
    CENTER,
    LOADING,
    NOISE,
    Cell,
    P,
    as_batch,
    exact_joint,
    log_p_seen,
    missing_probability,
    z_given_seen,
)
from tests.support.pairs import info

# One, two and all cells missing.
MASKS = np.array([[0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], dtype=bool)
VALUES = np.array([[0.9, 0.4, -0.8, 0.7], [1.0, -0.9, 0.6, 0.1], [0.0, 0.0, 0.0, 0.0]])
TARGETS = np.array([0.4, -0.5, 2.0])
EFFECTS, CONSTANT, SPREAD = np.array([1.0, -0.5, 0.3, 0.8]), 0.1, 0.5


def with_target(link: str | None, collapse: bool | str, n_inner: int) -> tuple[Joint, Batch]:
    """The exact pair with y ~ N(EFFECTS x + CONSTANT, SPREAD^2), and the rows with their targets."""
    joint = exact_joint(link, collapse, n_inner)
    head = GaussianHead(P).double()
    with torch.no_grad():
        head.network.last.weight.copy_(torch.as_tensor(EFFECTS))
        head.network.last.bias.fill_(CONSTANT)
        head.raw_scale.fill_(float(np.log(np.expm1(SPREAD - 1e-3))))
    joint.head = head
    return joint, as_batch(VALUES, MASKS)._replace(y=torch.as_tensor(TARGETS))


def log_p_mask(x: np.ndarray, observed: np.ndarray, link: str | None) -> np.ndarray:
    """Log p(s|x), shape of ``x`` without its last axis."""
    if link is None:
        return np.zeros(x.shape[:-1])
    missing = missing_probability(x, link)
    return np.log(np.where(observed, 1 - missing, missing)).sum(-1)


def log_p_target(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log p(y|x), shape of ``x`` without its last axis."""
    return stats.norm.logpdf(y, x @ EFFECTS + CONSTANT, SPREAD)


@pytest.mark.parametrize("link", [None, "probit", "logistic"])
def test_the_weights_of_inner_draws_and_of_their_codes(link: str | None) -> None:
    joint, batch = with_target(link, False, 5)
    joint.generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        traces = paired_traces(joint.model, joint.guide, batch, 6)
        inner, outer = log_inner_weights(traces[0]), log_weights(*traces, (6, 3))
    assert inner is not None
    drawn = traces[0].nodes["x_mis"]["value"].numpy()
    x = np.where(MASKS[:, None], VALUES[:, None], drawn)
    expected = log_p_mask(x, MASKS[:, None], link) + log_p_target(x, TARGETS[:, None])
    np.testing.assert_allclose(inner.numpy(), expected, rtol=1e-10, atol=1e-10)
    # The encoder is exact: of p(z) p(x_obs|z) / q(z) the evidence of what is observed is left.
    seen = [log_p_seen(row, mask) for row, mask in zip(VALUES, MASKS, strict=True)]
    average = np.logaddexp.reduce(expected, -1) - np.log(5)
    np.testing.assert_allclose(outer.numpy(), seen + average, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("link", "collapse"), [(None, "auto"), ("probit", "auto"), ("probit", False)])
def test_a_missing_cell_of_a_row_with_a_target(link: str | None, collapse: bool | str) -> None:
    joint, batch = with_target(link, collapse, 8)
    asked = Posterior(joint, batch.rows(slice(1)), info(P), n_draws=40_000)
    z_mean, z_variance = z_given_seen(VALUES[0], MASKS[0])
    x = np.tile(VALUES[0], (4001, 1))
    x[:, 0] = grid = np.linspace(-8, 8, 4001)
    prior = stats.norm(CENTER[0] + LOADING[0] * z_mean, np.hypot(LOADING[0] * np.sqrt(z_variance), NOISE))
    density = np.exp(prior.logpdf(grid) + log_p_mask(x, MASKS[0], link) + log_p_target(x, TARGETS[0]))
    evidence = density.sum() * (grid[1] - grid[0])
    cell = Cell(grid, density / density.sum())
    # The target moves the cell by far more than what is asked of the answers.
    untold = np.exp(prior.logpdf(grid) + log_p_mask(x, MASKS[0], link))
    assert abs(cell.mean - Cell(grid, untold / untold.sum()).mean) > 0.5 * cell.sd
    assert asked.log_evidence[0] == pytest.approx(log_p_seen(VALUES[0], MASKS[0]) + np.log(evidence), abs=0.05)
    found = [asked.mean()[0, 0], *asked.quantile([0.05, 0.5, 0.95])[:, 0, 0]]
    exact = [cell.mean, *(cell.quantile(q) for q in (0.05, 0.5, 0.95))]
    np.testing.assert_allclose(found, exact, rtol=0, atol=0.05 * cell.sd)
