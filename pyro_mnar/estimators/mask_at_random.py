"""A mask model for ignorable mechanisms, so that they can be simulated from and compared with the others.

An ignorable mechanism says only that the mask may depend on what was observed. To simulate a mask, or to give it a
probability, one such dependence is made explicit: each column's mask on the columns that are never missing.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from pyro_mnar.data.columns import FloatArray, describe, standardise

# A column that always (or never) was observed in the sample still gets a probability for the other case.
_LEAST = 1e-4
_FOLDS = 5


class MaskAtRandom(NamedTuple):
    r"""logit P(s_j = 1 | x) = a_j + sum over the complete columns l of B_jl (x_l - center_l) / scale_l."""

    #: Indices of the columns without a hole, shape (c,), and their means and standard deviations, original units.
    complete: npt.NDArray[np.intp]
    center: FloatArray
    scale: FloatArray
    #: a and B, shape (p,) and (p, c), logits per standard deviation.
    intercept: FloatArray
    slopes: FloatArray

    def probability_observed(self, table: FloatArray) -> FloatArray:
        """P(s_j = 1 | complete columns), shape of ``table`` (..., p); original units."""
        standard = (table[..., self.complete] - self.center) / self.scale
        return np.clip(1 / (1 + np.exp(-(standard @ self.slopes.T + self.intercept))), _LEAST, 1 - _LEAST)


def fit_mask_at_random(table: FloatArray, active: npt.NDArray[np.bool_] | None = None) -> MaskAtRandom:
    """Logistic regressions of the mask on the complete columns (on nothing, where there is no complete column).

    ``table`` has shape (n, p), NaN = missing, original units. ``active``, bool of shape (p,), are the columns that can
    be missing; None takes those with a hole. Of the others those without a hole are the complete columns.

    Examples
    --------
    >>> table = np.array([[0.0, 1.0], [1.0, np.nan], [2.0, np.nan], [3.0, np.nan]])
    >>> fit_mask_at_random(table).probability_observed(table)[:, 1].round(2)
    array([0.45, 0.29, 0.17, 0.09])
    """
    observed = ~np.isnan(table)
    holed = ~observed.all(0)
    can_be_missing = np.asarray(holed if active is None else holed | active)
    complete = np.flatnonzero(~can_be_missing)
    info = describe(table[:, complete], [str(j) for j in complete])
    covariates = standardise(table[:, complete], info)
    rate = np.clip(observed.mean(0), _LEAST, 1 - _LEAST)
    intercept, slopes = np.log(rate / (1 - rate)), np.zeros((table.shape[1], len(complete)))
    for j in np.flatnonzero(holed & observed.any(0)) if len(complete) else ():
        model = LogisticRegression(max_iter=1000).fit(covariates, observed[:, j])
        intercept[j], slopes[j] = model.intercept_[0], model.coef_[0]
    return MaskAtRandom(complete, info.center, info.scale, intercept, slopes)


def probability_from_other_rows(
    table: FloatArray, active: npt.NDArray[np.bool_], missing_rate: FloatArray
) -> FloatArray:
    """P(s_j = 1 | complete columns) of each row by :func:`fit_mask_at_random` on the other folds, shape (n, p).

    ``missing_rate``, shape (p,), is taken where there are no complete columns, or too few rows.
    """
    chance = np.broadcast_to(1 - missing_rate, table.shape).copy()
    usable = active | np.isnan(table).any(0)
    if len(table) < 2 * _FOLDS or usable.all():
        return chance
    for rest, fold in KFold(_FOLDS, shuffle=True, random_state=0).split(table):
        chance[fold] = fit_mask_at_random(table[rest], usable).probability_observed(table[fold])
    return chance


def mask_log_score(probability_observed: FloatArray, table: FloatArray) -> FloatArray:
    """Log probability of each cell's mask, shape (n, p), nats."""
    tiny = 1e-12
    chance = np.clip(probability_observed, tiny, 1 - tiny)
    return np.where(np.isnan(table), np.log1p(-chance), np.log(chance))
