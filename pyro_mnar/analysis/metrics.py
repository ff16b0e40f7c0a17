"""How good imputations are: errors and intervals, on the missing cells only.

The true values are the caller's own (they made the holes); nothing here is used while a model is fitted or chosen.
Every function takes values in original units and, where it says so, divides by `scale`, the standard deviation of each
column: the result is then in standardised units, and columns of different units can be averaged.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pyro_mnar.data.arguments import numbers
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.foreign import reading, shown
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.errors import InvalidInputError

__all__ = ["imputation_rmse", "interval_coverage"]


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
        True where a value was observed; those cells do not count.
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
    x, imputed, missing = _tables(x_true, x_imputed, observed)
    sd = np.ones(x.shape[1]) if scale is None else numbers("scale", scale)
    if sd.shape != (x.shape[1],) or not (np.isfinite(sd) & (sd > 0)).all():
        raise InvalidInputError(
            f"scale={shown(scale)} is not {x.shape[1]} positive standard deviations, one per column"
        )
    return float(np.sqrt(np.mean(((imputed - x) / sd)[missing] ** 2)))


def interval_coverage(x_true: ArrayLike, lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> float:
    """Share of the missing cells whose true value lies in its interval, ends included.

    Parameters
    ----------
    x_true, lower, upper : array, shape (n, p)
        Complete table and the ends of each cell's interval, in the same units.
    observed : bool array, shape (n, p)
        True where a value was observed; those cells do not count.

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
    x, low, missing = _tables(x_true, lower, observed)
    _, high, _ = _tables(x_true, upper, observed)
    x, low, high = x[missing], low[missing], high[missing]
    crossed = int((low > high).sum())
    if crossed:
        raise InvalidInputError(f"{crossed} intervals have a lower end above the upper one; swap them")
    return float(np.mean((low <= x) & (x <= high)))


def _tables(x_true: ArrayLike, x_imputed: ArrayLike, observed: ArrayLike) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Check the shapes and the cells that count; give both tables and where the truth was missing."""
    x, other = numbers("x_true", x_true), numbers("the imputed values", x_imputed)
    with reading("observed"):
        seen = np.asarray(observed)
    if x.ndim != 2 or other.shape != x.shape or seen.shape != x.shape:
        raise InvalidInputError(f"shapes {x.shape}, {other.shape} and {seen.shape} (observed) are not one (n, p)")
    if seen.dtype != np.bool_:
        raise InvalidInputError(f"observed has dtype {seen.dtype}; it is bool, True where a value was observed")
    missing = ~seen
    if not missing.any():
        raise InvalidInputError("observed is True everywhere: there is no missing cell to score")
    for what, values in (("true", x[missing]), ("imputed", other[missing])):
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise InvalidInputError(
                f"the {what} values of the missing cells: {bad} of {values.size} values are not finite; impute or drop "
                "them first"
            )
    return x, other, missing
