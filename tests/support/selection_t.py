"""Selection under t errors: simulated sets, the likelihood of the textbook, and what a fitted imputer says of it.

As Heckman's model (``tests/support/heckman.py``), with (e / d, u) a bivariate t with nu degrees of freedom. Parameters
are (b0, b1, log d, artanh r, g0, g1, g2, log nu). Marchenko & Genton 2012, JASA 107, equation 6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.stats import t as student

from pyro_mnar import MNARImputer
from tests.support import heckman

TRUTH = np.array([1.0, 0.8, 0.0, np.arctanh(0.8), -0.5, 0.5, 1.0, np.log(3.0)])


def simulate(n: int, seed: int, truth: np.ndarray = TRUTH) -> np.ndarray:
    """Columns v, y (NaN where it was not seen) and w, shape (n, 3)."""
    rng = np.random.default_rng(seed)
    nu, r = np.exp(truth[7]), np.tanh(truth[3])
    v, w, e, other = rng.normal(size=(4, n))
    root = np.sqrt(rng.gamma(nu / 2, 2 / nu, n))
    y = truth[0] + truth[1] * v + np.exp(truth[2]) * e / root
    seen = truth[4] + truth[5] * v + truth[6] * w + (r * e + np.sqrt(1 - r**2) * other) / root > 0
    return np.column_stack([v, np.where(seen, y, np.nan), w])


def log_likelihood(parameters: np.ndarray, X: np.ndarray) -> float:
    """Log p(y_seen, s | v, w), summed over the rows."""
    b, d, r = parameters[:2], np.exp(parameters[2]), np.tanh(parameters[3])
    g, nu = parameters[4:7], np.exp(parameters[7])
    v, y, w = X.T
    seen, index = ~np.isnan(y), g[0] + g[1] * v + g[2] * w
    e = (y[seen] - b[0] - b[1] * v[seen]) / d
    t = (index[seen] + r * e) / np.sqrt(1 - r**2) * np.sqrt((nu + 1) / (nu + e**2))
    of_seen = student.logpdf(e, nu) - np.log(d) + student.logcdf(t, nu + 1)
    return float(of_seen.sum() + student.logcdf(-index[~seen], nu).sum())


def standard_errors(parameters: np.ndarray, X: np.ndarray) -> np.ndarray:
    """Of the parameters, by the observed information."""
    return heckman.standard_errors(parameters, X, 1e-3, log_likelihood)


def maximum_likelihood(X: np.ndarray) -> np.ndarray:
    """The parameters of the highest likelihood."""
    y = X[:, 1]
    start = np.array([np.nanmean(y), 0.0, np.log(np.nanstd(y)), 0.0, 0.0, 0.0, 0.0, np.log(5.0)])
    return minimize(lambda parameters: -log_likelihood(parameters, X), start, method="BFGS").x


def fitted(X: np.ndarray, errors: Any = "student-t", **other: Any) -> MNARImputer:
    """Heckman's special case with t errors, which takes larger steps to find their tails."""
    steps = heckman.training(X, n_draws=5, rate=0.2, final=0.02, least=0.05)
    return heckman.fitted(X, errors, **{"max_iter": 400, "training": steps, **other})


def parameters_of(model: MNARImputer) -> np.ndarray:
    """The parameters from those of an imputer with t errors, by the mapping that ``SelfMasking`` states."""
    joint, columns = model.joint_, model.columns_
    assert columns.beside is not None
    with torch.no_grad():
        rows = joint.rows_given_code(torch.tensor([[0.0], [1.0]]))
        mean, loading = rows.mean[0].double().numpy(), (rows.mean[1] - rows.mean[0]).double().numpy()
        of_v, of_y = (block.rows for block in rows.blocks)
        noise, d, nu = float(of_v.scale.reshape(-1)[0]), float(of_y.scale[0, 0]), float(of_y.freedom)
        curve, weights = joint.mechanism.curve(), joint.mechanism.observed_weights
    assert curve is not None and weights is not None
    (center_v, center_y), (unit_v, unit_y) = columns.center, columns.scale
    b1 = loading[1] * loading[0] / (loading[0] ** 2 + noise**2) * unit_y / unit_v
    b0 = center_y + unit_y * mean[1] - b1 * (center_v + unit_v * mean[0])
    # What v leaves of the code is part of the error; with t errors training makes it small.
    left = loading[1] * noise / np.hypot(loading[0], noise)
    d = unit_y * np.hypot(d, left)
    a, by_v = float(curve.slope[1]) / unit_y, float(weights[1, 0]) / unit_v
    by_w = float(weights[1, 2]) / columns.beside.scale[0]
    c = float(curve.intercept[1]) - a * center_y - by_v * center_v - by_w * columns.beside.center[0]
    r = -a * d / np.sqrt(1 + (a * d) ** 2)
    root = np.sqrt(1 - r**2)
    g = (-root * c + r * b0 / d, -root * by_v + r * b1 / d, -root * by_w)
    return np.array([b0, b1, np.log(d), np.arctanh(r), *g, np.log(nu)])
