"""Heckman's selection model: simulated sets, its estimates from the textbook, and what a fitted imputer says of it.

y = b.(1, v) + e, seen where g.(1, v, w) + u > 0; sd(e) = d, sd(u) = 1, corr(e, u) = r. Parameters are
(b0, b1, log d, artanh r, g0, g1, g2). Heckman 1979, Econometrica 47; Amemiya 1985, section 10.7.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pyro_mnar.mechanisms import SelfMasking
from scipy.optimize import minimize
from scipy.stats import norm

from pyro_mnar import MNARImputer, TrainingSettings

TRUTH = np.array([1.0, 0.8, 0.0, np.arctanh(0.6), 0.3, 0.5, 1.0])


def simulate(n: int, seed: int, truth: np.ndarray = TRUTH) -> np.ndarray:
    """Columns v, y (NaN where it was not seen) and w, shape (n, 3)."""
    rng = np.random.default_rng(seed)
    v, w, e, other = rng.normal(size=(4, n))
    r = np.tanh(truth[3])
    y = truth[0] + truth[1] * v + np.exp(truth[2]) * e
    seen = truth[4] + truth[5] * v + truth[6] * w + r * e + np.sqrt(1 - r**2) * other > 0
    return np.column_stack([v, np.where(seen, y, np.nan), w])


def log_likelihood(parameters: np.ndarray, X: np.ndarray) -> float:
    """Log p(y_seen, s | v, w), summed over the rows."""
    b, d, r, g = parameters[:2], np.exp(parameters[2]), np.tanh(parameters[3]), parameters[4:]
    v, y, w = X.T
    seen, index = ~np.isnan(y), g[0] + g[1] * v + g[2] * w
    e = (y[seen] - b[0] - b[1] * v[seen]) / d
    of_seen = norm.logpdf(e) - np.log(d) + norm.logcdf((index[seen] + r * e) / np.sqrt(1 - r**2))
    return float(of_seen.sum() + norm.logcdf(-index[~seen]).sum())


def standard_errors(
    parameters: np.ndarray, X: np.ndarray, step: float = 1e-4, log_likelihood: Any = log_likelihood
) -> np.ndarray:
    """Of the parameters, by the observed information."""
    size = len(parameters)
    moves = step * np.eye(size)

    def second(i: int, j: int) -> float:
        a, b = moves[i], moves[j]
        ends = ((a + b, 1.0), (a - b, -1.0), (b - a, -1.0), (-a - b, 1.0))
        return sum(sign * log_likelihood(parameters + move, X) for move, sign in ends) / (4 * step**2)

    information = -np.array([[second(i, j) for j in range(size)] for i in range(size)])
    return np.sqrt(np.diag(np.linalg.inv(information)))


def maximum_likelihood(X: np.ndarray) -> np.ndarray:
    """The parameters of the highest likelihood."""
    start = np.array([np.nanmean(X[:, 1]), 0.0, np.log(np.nanstd(X[:, 1])), 0.0, 0.0, 0.0, 0.0])
    return minimize(lambda parameters: -log_likelihood(parameters, X), start, method="BFGS").x


def two_step(X: np.ndarray) -> np.ndarray:
    """Heckman's two steps: a probit of being seen, then least squares with its inverse Mills ratio; (b0, b1)."""
    v, y, w = X.T
    seen, design = ~np.isnan(y), np.column_stack([np.ones(len(X)), v, w])
    sign = np.where(seen, 1.0, -1.0)

    def loss(g: np.ndarray) -> tuple[float, np.ndarray]:
        t = sign * (design @ g)
        mills = np.exp(norm.logpdf(t) - norm.logcdf(t))
        return -norm.logcdf(t).sum(), -(design.T @ (sign * mills))

    index = design @ minimize(loss, np.zeros(3), jac=True).x
    mills = np.exp(norm.logpdf(index) - norm.logcdf(index))
    second = np.column_stack([np.ones(len(X)), v, mills])[seen]
    return np.linalg.lstsq(second, y[seen], rcond=None)[0][:2]


def training(X: np.ndarray, n_draws: int = 10, rate: float = 0.05, final: float = 0.01, least: float = 0.01) -> Any:
    """Steps on all rows, from scales of the observed values alone."""
    return TrainingSettings(
        batch_size=len(X),
        n_draws=n_draws,
        learning_rate=rate,
        mechanism_learning_rate=rate,
        final_rate=final,
        min_scale=least,
        start="neutral",
    )


def fitted(X: np.ndarray, errors: Any = "normal", **other: Any) -> MNARImputer:
    """A linear decoder with one mask that depends on v, and on w beside the model."""
    settings: dict[str, Any] = {"max_iter": 300, "random_state": 0, "training": training(X), **other}
    mechanism = SelfMasking(depends_on={"x1": ["x0"]}, mechanism_features={"x1": ["x2"]}, errors=errors)
    model = MNARImputer(
        mechanism,
        types="continuous",
        log_columns=None,
        decoder="linear",
        latent_dim=1,
        hidden_units=(),
        **settings,
    )
    return model.fit(X)


def parameters_of(model: MNARImputer) -> np.ndarray:
    """Heckman's parameters from those of a fitted imputer, by the mapping that ``SelfMasking`` states."""
    joint, columns = model.joint_, model.columns_
    assert columns.beside is not None
    with torch.no_grad():
        rows = joint.rows_given_code(torch.tensor([[0.0], [1.0]]))
        mean, loading = rows.loc[0].double().numpy(), (rows.loc[1] - rows.loc[0]).double().numpy()
        noise = float(rows.scale.reshape(-1)[0])
        curve, weights = joint.mechanism.curve(), joint.mechanism.observed_weights
    assert curve is not None and weights is not None
    mean = columns.center + columns.scale * mean
    covariance = np.outer(columns.scale, columns.scale) * (np.outer(loading, loading) + noise**2 * np.eye(2))
    b1 = covariance[0, 1] / covariance[0, 0]
    b0 = mean[1] - b1 * mean[0]
    d = np.sqrt(covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0])
    # P(s = 0) = Phi(a y + of_v v + of_w w + c), original units; the weights are (x0, x1, x2, then where missing).
    a = float(curve.slope[1]) / columns.scale[1]
    of_v, of_w = float(weights[1, 0]) / columns.scale[0], float(weights[1, 2]) / columns.beside.scale[0]
    c = float(curve.intercept[1]) - a * columns.center[1]
    c -= of_v * columns.center[0] + of_w * columns.beside.center[0]
    r = -a * d / np.sqrt(1 + (a * d) ** 2)
    root = np.sqrt(1 - r**2)
    g = (-root * c + r * b0 / d, -root * of_v + r * b1 / d, -root * of_w)
    return np.array([b0, b1, np.log(d), np.arctanh(r), *g])
