"""How good imputations are: errors, intervals and distributions, on the missing cells only.

The true values are the caller's own (they made the holes); nothing here is used while a model is fitted or chosen.
Every function takes values in original units and, where it says so, divides by `scale`, the standard deviation of each
column: the result is then in standardised units, and columns of different units can be averaged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr
from scipy.stats import wasserstein_distance

from pyro_mnar.errors import InvalidInputError, InvalidWeightsError

__all__ = [
    "crps_gaussian_mixture",
    "crps_samples",
    "imputation_mae",
    "imputation_rmse",
    "interval_coverage",
    "interval_width",
    "wasserstein_1",
]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]


def imputation_rmse(
    x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike, *, scale: ArrayLike | None = None
) -> float:
    r"""Root mean squared error over the missing cells.

    .. math:: \sqrt{\frac{\sum_{ij} (1 - s_{ij}) ((\hat x_{ij} - x_{ij}) / \mathrm{sd}_j)^2}{\sum_{ij} (1 - s_{ij})}}

    Parameters
    ----------
    x_true, x_imputed : array, shape (n, p)
        Complete tables, in the same units.
    observed : bool array, shape (n, p)
        True where a value was seen; those cells do not count.
    scale : array, shape (p,), or None
        Standard deviation of each column; None leaves the units as they are.

    Returns
    -------
    float
        The error in standardised units with `scale`, else in the tables' own.

    Raises
    ------
    InvalidInputError
        If shapes differ, no cell is missing, a counted cell is not finite, or a scale is not positive.

    References
    ----------
    Ipsen, Mattei, Frellsen (2021), "not-MIWAE: Deep generative modelling with missing not at random data", section 4.2.

    Examples
    --------
    >>> imputation_rmse([[1.0, 2.0], [3.0, 4.0]], [[1.0, 5.0], [3.0, 0.0]], [[True, False], [True, False]])
    3.535533905932738
    """
    return float(np.sqrt(np.mean(_errors(x_true, x_imputed, observed, scale) ** 2)))


def imputation_mae(
    x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike, *, scale: ArrayLike | None = None
) -> float:
    r"""Mean absolute error over the missing cells.

    Parameters
    ----------
    x_true, x_imputed : array, shape (n, p)
        Complete tables, in the same units.
    observed : bool array, shape (n, p)
        True where a value was seen; those cells do not count.
    scale : array, shape (p,), or None
        Standard deviation of each column; None leaves the units as they are.

    Returns
    -------
    float
        The error in standardised units with `scale`, else in the tables' own.

    Raises
    ------
    InvalidInputError
        As for `imputation_rmse`.

    Examples
    --------
    >>> imputation_mae([[1.0, 2.0], [3.0, 4.0]], [[1.0, 5.0], [3.0, 0.0]], [[True, False], [True, False]])
    3.5
    """
    return float(np.mean(np.abs(_errors(x_true, x_imputed, observed, scale))))


def interval_coverage(x_true: ArrayLike, lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> float:
    """Share of the missing cells whose true value lies in its interval, ends included.

    Parameters
    ----------
    x_true, lower, upper : array, shape (n, p)
        Complete table and the ends of each cell's interval, in the same units.
    observed : bool array, shape (n, p)
        True where a value was seen; those cells do not count.

    Returns
    -------
    float
        Between 0 and 1; a calibrated 90 % interval has 0.9.

    Raises
    ------
    InvalidInputError
        As for `imputation_rmse`, or if an interval's ends are in the wrong order.

    Examples
    --------
    >>> interval_coverage([[1.0, 2.0]], [[0.0, 3.0]], [[1.0, 4.0]], [[False, False]])
    0.5
    """
    _, missing = _tables(x_true, lower, observed)
    low, high = _interval(lower, upper, observed)
    x = np.asarray(x_true, dtype=np.float64)[missing]
    return float(np.mean((low <= x) & (x <= high)))


def interval_width(lower: ArrayLike, upper: ArrayLike, observed: ArrayLike, *, scale: ArrayLike | None = None) -> float:
    """Mean width of the missing cells' intervals.

    Parameters
    ----------
    lower, upper : array, shape (n, p)
        Ends of each cell's interval, in the same units.
    observed : bool array, shape (n, p)
        True where a value was seen; those cells do not count.
    scale : array, shape (p,), or None
        Standard deviation of each column; None leaves the units as they are.

    Returns
    -------
    float
        The width in standardised units with `scale`, else in the intervals' own.

    Raises
    ------
    InvalidInputError
        As for `imputation_rmse`, or if an interval's ends are in the wrong order.

    Examples
    --------
    >>> interval_width([[0.0, 3.0]], [[1.0, 6.0]], [[False, False]])
    2.0
    """
    _interval(lower, upper, observed)
    return float(np.mean(_errors(lower, upper, observed, scale)))


def wasserstein_1(
    x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike, *, scale: ArrayLike | None = None
) -> Floats:
    r"""Wasserstein-1 distance, per column, between the true and the imputed values of the missing cells.

    .. math:: W_1(F, G) = \int |F(t) - G(t)| \, dt

    It compares distributions, not cells: an imputation that puts every value at the conditional mean has a small error
    but a large distance.

    Parameters
    ----------
    x_true : array, shape (n, p)
        Complete table.
    x_imputed : array, shape (n, p) or (K, n, p)
        One completed table, or K draws of it, which are pooled.
    observed : bool array, shape (n, p)
        True where a value was seen; those cells do not count.
    scale : array, shape (p,), or None
        Standard deviation of each column; None leaves the units as they are.

    Returns
    -------
    array, shape (p,)
        Distances, in standardised units with `scale`; NaN for a column without a missing cell.

    Raises
    ------
    InvalidInputError
        As for `imputation_rmse`.

    References
    ----------
    Peyre, Cuturi (2019), "Computational optimal transport", section 2.6.

    Examples
    --------
    >>> wasserstein_1([[0.0, 0.0], [1.0, 0.0]], [[1.0, 0.0], [3.0, 0.0]], [[False, True], [False, True]])
    array([1.5, nan])
    """
    draws = np.asarray(x_imputed, dtype=np.float64)
    draws = draws[None] if draws.ndim == 2 else draws
    if draws.ndim != 3 or not len(draws):
        raise InvalidInputError(f"x_imputed has shape {draws.shape}; (n, p) or (K, n, p) is needed")
    x, missing = _tables(x_true, draws[0], observed)
    _check_finite("x_imputed", draws[:, missing])
    sd = _scale(scale, x.shape[1])
    distances = np.full(x.shape[1], np.nan)
    for j in np.flatnonzero(missing.any(axis=0)):
        rows = missing[:, j]
        distances[j] = wasserstein_distance(x[rows, j], draws[:, rows, j].ravel()) / sd[j]
    return distances


def crps_samples(x_true: ArrayLike, draws: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    r"""Continuous ranked probability score of weighted draws, per value; lower is better.

    .. math:: \mathrm{CRPS} = \sum_k a_k |x_k - x| - \tfrac12 \sum_{k,l} a_k a_l |x_k - x_l|

    Parameters
    ----------
    x_true : array, any shape
        True values.
    draws : array, shape (K, *x_true.shape)
        Draws from each value's predictive distribution, in the same units.
    weights : array that broadcasts to the shape of `draws`, or None
        Weights that are not negative; they are normalised over the draws. None means equal ones.

    Returns
    -------
    array, shape of `x_true`
        Scores, in the units of the values.

    Raises
    ------
    InvalidInputError
        If shapes differ or a value is not finite.
    InvalidWeightsError
        If a weight is negative or not finite, or all weights of a value are zero.

    References
    ----------
    Gneiting, Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", equation 21.

    Examples
    --------
    >>> crps_samples([0.0], [[-1.0], [1.0]])
    array([0.5])
    """
    # Taken from the truth, the draws lose no digits to a large common offset.
    x, a, (d,) = _predictive(x_true, weights, draws=draws)
    d = d - x
    order = np.argsort(d, axis=0)
    d, a = np.take_along_axis(d, order, axis=0), np.take_along_axis(a, order, axis=0)
    # For sorted draws the double sum is 2 sum_k a_k d_k (2 A_k - a_k - 1), A_k the cumulative weight up to k.
    half_spread = (a * d * (2 * np.cumsum(a, axis=0) - a - 1)).sum(axis=0)
    return np.asarray((a * np.abs(d)).sum(axis=0) - half_spread)


def crps_gaussian_mixture(
    x_true: ArrayLike, mean: ArrayLike, sd: ArrayLike, weights: ArrayLike | None = None
) -> Floats:
    r"""Continuous ranked probability score of a Gaussian mixture, per value; lower is better.

    .. math::
        \mathrm{CRPS} = \sum_k a_k A(x - m_k, \sigma_k^2)
            - \tfrac12 \sum_{k,l} a_k a_l A(m_k - m_l, \sigma_k^2 + \sigma_l^2), \qquad
        A(m, v) = m (2 \Phi(m / \sqrt v) - 1) + 2 \sqrt v \, \phi(m / \sqrt v)

    Parameters
    ----------
    x_true : array, any shape
        True values.
    mean, sd : array, shape (K, *x_true.shape)
        Components of each value's predictive distribution, in the same units; an `sd` of 0 is a point.
    weights : array that broadcasts to the shape of `mean`, or None
        Weights that are not negative; they are normalised over the components. None means equal ones.

    Returns
    -------
    array, shape of `x_true`
        Scores, in the units of the values.

    Raises
    ------
    InvalidInputError
        If shapes differ, a value is not finite, or an `sd` is negative.
    InvalidWeightsError
        If a weight is negative or not finite, or all weights of a value are zero.

    References
    ----------
    Grimit, Gneiting, Berrocal, Johnson (2006), "The continuous ranked probability score for circular variables and its
    application to mesoscale forecast ensemble verification", equation 5.

    Examples
    --------
    >>> crps_gaussian_mixture([0.0], [[0.0]], [[1.0]])
    array([0.2337])
    """
    x, a, (m, s) = _predictive(x_true, weights, mean=mean, sd=sd)
    if (s < 0).any():
        raise InvalidInputError(f"sd holds {s.min()}; a standard deviation is not negative")
    score = (a * _expected_distance(x - m, s)).sum(axis=0)
    # One component against all at a time keeps the memory at K values each, not K squared.
    for k in range(len(m)):
        score -= 0.5 * a[k] * (a * _expected_distance(m - m[k], np.hypot(s, s[k]))).sum(axis=0)
    return np.asarray(score)


def _expected_distance(m: Floats, sd: Floats) -> Floats:
    """Give E|X| for X ~ N(m, sd^2): the A of Grimit et al. 2006."""
    t = np.divide(m, sd, out=np.zeros(np.broadcast_shapes(m.shape, sd.shape)), where=sd > 0)
    density = np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)
    return np.where(sd > 0, m * (2 * ndtr(t) - 1) + 2 * sd * density, np.abs(m))


def _tables(x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike) -> tuple[Floats, Mask]:
    """Check the shapes and the cells that count; give the truth and where it was missing."""
    x, other, seen = np.asarray(x_true, float), np.asarray(x_imputed, float), np.asarray(observed)
    if x.ndim != 2 or other.shape != x.shape or seen.shape != x.shape:
        raise InvalidInputError(f"shapes {x.shape}, {other.shape} and {seen.shape} (observed) are not one (n, p)")
    if seen.dtype != np.bool_:
        raise InvalidInputError(f"observed has dtype {seen.dtype}; it is bool, True where a value was seen")
    missing = ~seen
    if not missing.any():
        raise InvalidInputError("observed is True everywhere: there is no missing cell to score")
    _check_finite("the true values of the missing cells", x[missing])
    _check_finite("the imputed values of the missing cells", other[missing])
    return x, missing


def _errors(x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike, scale: ArrayLike | None) -> Floats:
    x, missing = _tables(x_true, x_imputed, observed)
    difference = (np.asarray(x_imputed, float) - x) / _scale(scale, x.shape[1])
    return np.asarray(difference[missing])


def _scale(scale: ArrayLike | None, p: int) -> Floats:
    sd = np.ones(p) if scale is None else np.asarray(scale, dtype=np.float64)
    if sd.shape != (p,) or not (np.isfinite(sd) & (sd > 0)).all():
        raise InvalidInputError(f"scale={scale!r} is not {p} positive standard deviations, one per column")
    return sd


def _interval(lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> tuple[Floats, Floats]:
    low, missing = _tables(lower, upper, observed)
    ends = low[missing], np.asarray(upper, float)[missing]
    crossed = int((ends[0] > ends[1]).sum())
    if crossed:
        raise InvalidInputError(f"{crossed} intervals have a lower end above the upper one; swap them")
    return ends


def _predictive(
    x_true: ArrayLike, weights: ArrayLike | None, **parts: ArrayLike
) -> tuple[Floats, Floats, list[Floats]]:
    """Check the parts of a predictive distribution, draws first; normalise the weights."""
    x = np.asarray(x_true, dtype=np.float64)
    arrays = {name: np.asarray(part, dtype=np.float64) for name, part in parts.items()}
    shape = next(iter(arrays.values())).shape
    for name, array in arrays.items():
        if array.shape != shape or shape[1:] != x.shape or not shape or shape[0] == 0:
            raise InvalidInputError(f"{name} has shape {array.shape}; (K, *{x.shape}) is needed, K at least 1")
        _check_finite(name, array)
    _check_finite("x_true", x)
    raw = np.ones(shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(raw) & (raw >= 0)).all():
        raise InvalidWeightsError("weights hold a value that is negative or not finite; give probabilities, not logs")
    try:
        a = np.broadcast_to(raw, shape)
    except ValueError:
        raise InvalidInputError(f"weights have shape {raw.shape}, which does not broadcast to {shape}") from None
    total = a.sum(axis=0)
    if not (total > 0).all():
        raise InvalidWeightsError("all weights of a value are zero; at least one draw must count")
    return x, a / total, list(arrays.values())


def _check_finite(what: str, values: Floats) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InvalidInputError(f"{what}: {bad} of {values.size} values are not finite; impute or drop them first")
