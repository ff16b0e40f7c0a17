"""Probabilistic PCA with one latent dimension and self-masking: everything that is asked of it, by quadrature.

Nothing here uses the package's own integrals: the densities are summed on grids of z and x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import special, stats
from torch import nn

from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import Encoder
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood
from pyro_mnar.model.mechanisms import Fixed, Ignorable
from pyro_mnar.numerics.distributions import DiagonalNormal
from tests.support.pairs import info

LOADING = np.array([1.0, 0.8, -0.7, 0.5])
CENTER = np.array([0.1, -0.2, 0.0, 0.3])
NOISE = 0.6
SLOPE = np.array([2.0, -1.5, 1.0, 3.0])
THRESHOLD = np.array([0.3, -0.4, 0.2, 0.5])
P = len(LOADING)


def missing_probability(x: np.ndarray, link: str) -> np.ndarray:
    """P(s_j = 0 | x_j), shape of ``x`` (..., p)."""
    t = SLOPE * (x - THRESHOLD)
    return special.ndtr(t) if link == "probit" else special.expit(t)


@dataclass(frozen=True)
class Cell:
    """The distribution of one missing cell given x_obs and s, on a grid."""

    x: np.ndarray
    mass: np.ndarray

    @property
    def mean(self) -> float:
        return float((self.x * self.mass).sum())

    @property
    def sd(self) -> float:
        return float(np.sqrt(((self.x - self.mean) ** 2 * self.mass).sum()))

    def cdf(self, value: np.ndarray) -> np.ndarray:
        return np.interp(value, self.x, np.cumsum(self.mass) - self.mass / 2)

    def quantile(self, q: float) -> float:
        return float(np.interp(q, np.cumsum(self.mass) - self.mass / 2, self.x))


def z_given_seen(x: np.ndarray, observed: np.ndarray) -> tuple[float, float]:
    """Mean and variance of z given x_obs."""
    w = LOADING[observed]
    variance = 1 / (1 + w @ w / NOISE**2)
    return float(variance * w @ (x[observed] - CENTER[observed]) / NOISE**2), float(variance)


def log_p_seen(x: np.ndarray, observed: np.ndarray) -> float:
    """Log p(x_obs)."""
    w = LOADING[observed]
    covariance = np.outer(w, w) + NOISE**2 * np.eye(len(w))
    return float(stats.multivariate_normal.logpdf(x[observed], CENTER[observed], covariance)) if len(w) else 0.0


def solve(x: np.ndarray, observed: np.ndarray, link: str) -> tuple[float, dict[int, Cell]]:
    """Log p(x_obs, s) and the distribution of each missing cell of one row."""
    mean, variance = z_given_seen(x, observed)
    z = mean + np.sqrt(variance) * np.linspace(-9, 9, 601)
    weight = stats.norm.pdf(z, mean, np.sqrt(variance)) * (z[1] - z[0])
    grid = np.linspace(-9, 9, 1801)
    hidden = {}
    for j in np.flatnonzero(~observed):
        density = stats.norm.pdf(grid[None], CENTER[j] + LOADING[j] * z[:, None], NOISE) * (grid[1] - grid[0])
        hidden[j] = density * missing_probability(np.tile(grid[:, None], P), link)[:, j]
    total = weight * np.prod([h.sum(1) for h in hidden.values()], axis=0) if hidden else weight
    seen = np.log1p(-missing_probability(x, link)[observed]).sum()
    cells = {}
    for j, h in hidden.items():
        mass = (total / h.sum(1)) @ h
        cells[int(j)] = Cell(grid, mass / mass.sum())
    return log_p_seen(x, observed) + float(np.log(total.sum())) + float(seen), cells


class ExactEncoder(Encoder):
    """q(z|x_obs) = p(z|x_obs)."""

    def forward(self, x: torch.Tensor, observed: torch.Tensor) -> DiagonalNormal:
        w = torch.as_tensor(LOADING) * observed / NOISE**2
        variance = 1 / (1 + (w * torch.as_tensor(LOADING)).sum(-1, keepdim=True))
        loc = variance * (w * (x - torch.as_tensor(CENTER))).sum(-1, keepdim=True)
        return DiagonalNormal(loc, variance.sqrt())


def exact_joint(link: str | None, collapse: bool | str = "auto", n_inner: int = 1) -> Joint:
    """The pair with the true parameters; ``link`` None leaves the mask term out."""
    mechanism = Ignorable() if link is None else Fixed(SLOPE.tolist(), THRESHOLD.tolist(), link)  # type: ignore[arg-type]
    mechanism.setup(info(P))
    likelihood = GaussianLikelihood(1, P, "shared", min_scale=0.0)
    active = torch.ones(P, dtype=torch.bool)
    joint = Joint(ExactEncoder(), nn.Identity(), likelihood, mechanism, 1, active, None, collapse, n_inner).double()
    with torch.no_grad():
        likelihood.loc.weight.copy_(torch.as_tensor(LOADING)[:, None])
        likelihood.loc.bias.copy_(torch.as_tensor(CENTER))
        likelihood.raw_scale.fill_(float(np.log(np.expm1(NOISE))))
        if link is not None:
            # Through float32 they would be right to seven digits only.
            mechanism.standard_slope = torch.as_tensor(SLOPE)
            mechanism.standard_intercept = torch.as_tensor(-SLOPE * THRESHOLD)
    return joint


def simulate(n: int, link: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Complete rows and their masks (True = seen)."""
    rng = np.random.default_rng(seed)
    x = CENTER + rng.normal(size=(n, 1)) * LOADING + NOISE * rng.normal(size=(n, P))
    return x, rng.uniform(size=(n, P)) >= missing_probability(x, link)


def as_batch(x: np.ndarray, observed: np.ndarray) -> Batch:
    return Batch(torch.as_tensor(np.where(observed, x, 0.0)), torch.as_tensor(observed))
