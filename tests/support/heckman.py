"""Heckman's two steps, and sets of his model: the likelihood and what a fitted imputer says of it are the study's."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from pyro_mnar.studies.selection import textbook

TRUTH = np.array([1.0, 0.8, 0.0, np.arctanh(0.6), 0.3, 0.5, 1.0])


def simulate(n: int, seed: int) -> np.ndarray:
    """Columns v, y (NaN where it was not seen) and w, shape (n, 3)."""
    return textbook.simulate(n, seed, TRUTH)


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
