"""Selection models as the textbook has them: simulated sets, the likelihood, its maximum and standard errors.

y = b.(1, v) + d e, seen where g.(1, v, w) + u > 0; corr(e, u) = r. Parameters: (b0, b1, log d, artanh r, g0, g1, g2),
with e and u standard normal, or with a bivariate t, of which log nu is the eighth or the degrees of freedom are given.

References
----------
Heckman 1979, Econometrica 47; Amemiya 1985, section 10.7; Marchenko & Genton 2012, JASA 107, equation 6.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm
from scipy.stats import t as student

from pyro_mnar.data.transforms import FloatArray

NAMES = ("b0", "b1", "log d", "artanh r", "g0", "g1", "g2", "log nu")
#: Steps of the second differences: larger for a t, of whose degrees of freedom a likelihood says little.
_STEP, _STEP_OF_T = 1e-4, 1e-3


def simulate(n: int, seed: int, truth: FloatArray) -> FloatArray:
    """Columns v, y (NaN where it was not seen) and w, shape (n, 3).

    Examples
    --------
    >>> X = simulate(1000, 0, np.array([1.0, 0.8, 0.0, 0.7, 0.3, 0.5, 1.0, np.log(5.0)]))
    >>> X.shape, bool(0.2 < np.isnan(X[:, 1]).mean() < 0.6)
    ((1000, 3), True)
    """
    rng = np.random.default_rng(seed)
    r = np.tanh(truth[3])
    v, w, e, other = rng.normal(size=(4, n))
    nu = np.exp(truth[7]) if len(truth) > 7 else np.inf
    root = np.sqrt(rng.gamma(nu / 2, 2 / nu, n)) if np.isfinite(nu) else 1.0
    y = truth[0] + truth[1] * v + np.exp(truth[2]) * e / root
    seen = truth[4] + truth[5] * v + truth[6] * w + (r * e + np.sqrt(1 - r**2) * other) / root > 0
    return np.column_stack([v, np.where(seen, y, np.nan), w])


def log_likelihood(parameters: FloatArray, X: FloatArray, freedom: float = np.inf) -> float:
    """Log p(y_seen, s | v, w), summed over the rows, in nats.

    ``freedom`` counts where log nu is no parameter; infinite is normal.
    """
    b, d, r, g = parameters[:2], np.exp(parameters[2]), np.tanh(parameters[3]), parameters[4:7]
    nu = np.exp(parameters[7]) if len(parameters) > 7 else freedom
    v, y, w = X.T
    seen, index = ~np.isnan(y), g[0] + g[1] * v + g[2] * w
    e = (y[seen] - b[0] - b[1] * v[seen]) / d
    t = (index[seen] + r * e) / np.sqrt(1 - r**2)
    if np.isinf(nu):
        of_seen, of_hidden = norm.logpdf(e) + norm.logcdf(t), norm.logcdf(-index[~seen])
    else:
        t = t * np.sqrt((nu + 1) / (nu + e**2))
        of_seen, of_hidden = student.logpdf(e, nu) + student.logcdf(t, nu + 1), student.logcdf(-index[~seen], nu)
    return float(of_seen.sum() - len(e) * parameters[2] + of_hidden.sum())


def standard_errors(parameters: FloatArray, X: FloatArray, freedom: float = np.inf) -> FloatArray:
    """Of the parameters, by the observed information; NaN where it has none."""
    size = len(parameters)
    step = _STEP_OF_T if size > 7 or np.isfinite(freedom) else _STEP
    moves = step * np.eye(size)

    def second(i: int, j: int) -> float:
        a, b = moves[i], moves[j]
        ends = ((a + b, 1.0), (a - b, -1.0), (b - a, -1.0), (-a - b, 1.0))
        return sum(sign * log_likelihood(parameters + move, X, freedom) for move, sign in ends) / (4 * step**2)

    upper = np.array([[second(i, j) if i <= j else 0.0 for j in range(size)] for i in range(size)])
    information = -(upper + np.triu(upper, 1).T)
    with np.errstate(invalid="ignore"):
        found: FloatArray = np.sqrt(np.diag(np.linalg.inv(information)))
    return found


def maximum_likelihood(X: FloatArray, freedom: float | None = np.inf) -> FloatArray:
    """The parameters of the highest likelihood; degrees of freedom are given (infinite: normal) or learned (None)."""
    y = X[:, 1]
    start = [np.nanmean(y), 0.0, np.log(np.nanstd(y)), 0.0, 0.0, 0.0, 0.0]
    start += [np.log(5.0)] if freedom is None else []
    given = np.inf if freedom is None else freedom
    found: FloatArray = minimize(lambda q: -log_likelihood(q, X, given), np.array(start), method="BFGS").x
    return found
