"""Rubin's rules: one answer from several completed data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from pyro_mnar.data.arguments import within_0_and_1
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.foreign import reading, shown
from pyro_mnar.errors import InvalidInputError

__all__ = ["Pooled", "pool"]


@dataclass(frozen=True)
class Pooled:
    """What the completed data sets say together; every field is an array of shape (q,), or a scalar array.

    Attributes
    ----------
    estimate : array
        ``Q``, the mean of the estimates.
    within : array
        ``U``, the mean of the complete-data variances.
    between : array
        ``B``, the variance of the estimates between imputations, with divisor m - 1.
    total : array
        ``T = U + (1 + 1/m) B``, the variance of the pooled estimate.
    dof : array
        Degrees of freedom of the reference t distribution; infinite when nothing varies between imputations.
    low, high : array
        Ends of the interval.
    fraction_missing : array
        Fraction of information about the estimand that is missing.
    relative_increase : array
        ``r = (1 + 1/m) B / U``, the relative increase in variance that is due to missing values.
    n_imputations : int
        m.
    level : float
        Probability of the interval.
    """

    estimate: FloatArray
    within: FloatArray
    between: FloatArray
    total: FloatArray
    dof: FloatArray
    low: FloatArray
    high: FloatArray
    fraction_missing: FloatArray
    relative_increase: FloatArray
    n_imputations: int
    level: float

    @property
    def standard_error(self) -> FloatArray:
        """``sqrt(T)``."""
        return np.sqrt(self.total)

    def to_frame(self, names: list[str] | None = None) -> pd.DataFrame:
        """Give one line per estimand.

        Parameters
        ----------
        names : list of str, optional
            Index of the table; 0, 1, ... when None.

        Returns
        -------
        DataFrame
            The fields in the order of the class, with the standard error after the estimate.
        """
        q = np.size(self.estimate)
        if names is not None and (not isinstance(names, Sequence) or len(names) != q):
            raise InvalidInputError(f"names is {shown(names)}; give a list of {q}, one for each estimate")
        columns = ["estimate", "standard_error", "low", "high", "dof", "within", "between", "total"]
        columns += ["fraction_missing", "relative_increase"]
        return pd.DataFrame({name: np.atleast_1d(getattr(self, name)) for name in columns}, index=names)


def pool(
    estimates: npt.ArrayLike,
    variances: npt.ArrayLike,
    dof_complete: float | None = None,
    level: float = 0.95,
) -> Pooled:
    """Pool estimates from m completed data sets by Rubin's rules.

        T = U + (1 + 1/m) B,    nu = (m - 1) / lambda^2,    lambda = (1 + 1/m) B / T

    and, with the degrees of freedom ``nu_com`` that the complete data would have had (Barnard and Rubin),

        1 / (1/nu + 1/nu_obs),    nu_obs = (nu_com + 1) / (nu_com + 3) nu_com (1 - lambda).

    Parameters
    ----------
    estimates : array-like
        One estimate per completed data set, shape (m,), or several, shape (m, q).
    variances : array-like
        Their complete-data variances (squared standard errors), same shape, positive.
    dof_complete : float, optional
        Degrees of freedom with complete data (n minus the number of coefficients); infinite when None.
    level : float
        Probability of the interval, in (0, 1).

    Returns
    -------
    Pooled
        In the scale of the estimates.

    Raises
    ------
    InvalidInputError
        Fewer than two imputations, shapes that differ, a value that is not finite, a variance that is not positive,
        a level or ``dof_complete`` out of range, or a result that no float holds.

    References
    ----------
    Rubin (1987), Multiple Imputation for Nonresponse in Surveys, chapter 3; Barnard and Rubin (1999), Biometrika 86.

    Examples
    --------
    >>> pooled = pool([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    >>> float(pooled.estimate), float(pooled.between), round(float(pooled.total), 4), round(float(pooled.dof), 4)
    (2.0, 1.0, 2.3333, 6.125)
    """
    with reading("estimates or variances"):
        q = np.asarray(estimates, dtype=np.float64)
        u = np.asarray(variances, dtype=np.float64)
    if q.ndim not in (1, 2) or q.shape != u.shape:
        raise InvalidInputError(
            f"estimates have shape {q.shape} and variances {u.shape}; both must be (m,) or both (m, q)"
        )
    m = q.shape[0]
    if m < 2:
        raise InvalidInputError(
            f"{m} completed data set(s) given; the variance between imputations needs at least 2, so impute more often"
        )
    if not (np.isfinite(q).all() and np.isfinite(u).all()):
        raise InvalidInputError("an estimate or a variance is not finite; leave out the analyses that failed")
    if (u <= 0).any():
        raise InvalidInputError(f"the smallest variance is {u.min():g}; variances must be positive")
    level = within_0_and_1("level", level)
    given: Any = dof_complete
    if given is not None and (
        isinstance(given, bool | np.bool_) or not isinstance(given, Real) or not float(given) > 0
    ):
        raise InvalidInputError(f"dof_complete is {shown(dof_complete)}; it must be a positive number")
    dof_complete = None if given is None else float(given)

    # Sums and squares in units of powers of two near the numbers, so that they stay within the range of a float.
    size = _power_of_two(np.abs(q).max(0))
    estimate = (q / size).mean(0) * size
    with np.errstate(over="ignore"):
        deviation = q - estimate
    unit = _power_of_two(np.maximum(np.abs(deviation).max(0), np.sqrt(u.max(0))))
    within = (u / unit / unit).mean(0)
    between = ((deviation / unit) ** 2).sum(0) / (m - 1)
    # Equal estimates have no variance between them, whatever their mean was rounded to.
    between = np.where((q == q[0]).all(0), 0.0, between)
    added = (1 + 1 / m) * between
    total = within + added
    share = added / total
    with np.errstate(divide="ignore", invalid="ignore"):
        # 1/nu, so that nothing between imputations means an infinite nu without dividing by it.
        inverse = share**2 / (m - 1)
        if dof_complete is not None and np.isfinite(dof_complete):
            inverse = inverse + 1 / ((dof_complete + 1) / (dof_complete + 3) * dof_complete * (1 - share))
        dof = 1 / inverse
        increase = added / within
        missing = np.where(np.isinf(increase), 1.0, (increase + 2 / (dof + 3)) / (1 + increase))
    half = stats.t.ppf((1 + level) / 2, dof) * np.sqrt(total)
    missing = np.where(between == 0, 0.0, missing)
    with np.errstate(over="ignore"):
        found = [estimate, estimate - half * unit, estimate + half * unit]
        squares = [value * unit * unit for value in (within, between, total)]
    if not np.isfinite([found, squares]).all():
        raise InvalidInputError(
            "the pooled estimate or its variance is beyond the largest number (1.8e308); give the estimates in a "
            "larger unit"
        )
    return Pooled(
        estimate=np.asarray(found[0]),
        within=np.asarray(squares[0]),
        between=np.asarray(squares[1]),
        total=np.asarray(squares[2]),
        dof=np.asarray(dof),
        low=np.asarray(found[1]),
        high=np.asarray(found[2]),
        fraction_missing=np.asarray(missing),
        relative_increase=np.asarray(increase),
        n_imputations=m,
        level=level,
    )


def _power_of_two(largest: FloatArray) -> FloatArray:
    """The power of two below each number, 1 for 0."""
    with np.errstate(over="ignore"):
        return np.exp2(np.floor(np.log2(np.where((largest > 0) & np.isfinite(largest), largest, 1.0))))
