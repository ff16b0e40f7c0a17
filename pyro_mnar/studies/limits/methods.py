"""What fills in the cells below a detection limit: a value for each, and draws where a method has a distribution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from pyro_mnar.data.transforms import FloatArray, Log
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.estimators.start.censored_scale import tobit
from pyro_mnar.model.mechanisms import Censored

#: Draws by which a distribution is judged.
DRAWS = 100


class Filled(NamedTuple):
    """Values of the censored cells, shape (m,), and draws of them, shape (D, m), where a method has a distribution."""

    point: FloatArray
    draws: FloatArray | None = None


def fill(method: str, table: pd.DataFrame, column: str, limit: FloatArray, seed: int) -> Filled:
    """Fill the missing cells of a column, each of which lies below its row's limit, shape (n,).

    Methods are "half" and "root2" of the limit, "ros" (log-normal regression on order statistics), "lognormal" (maximum
    likelihood of the column alone), and "censored" (this package).

    References
    ----------
    Helsel & Cohn 1988, Water Resources Research 24 (regression on order statistics with several limits); Hornung & Reed
    1990 (limit / sqrt 2); Helsel 2012, chapter 6.
    """
    values = table[column].to_numpy()
    hidden = np.isnan(values)
    if method in ("half", "root2"):
        return Filled(limit[hidden] / (2.0 if method == "half" else np.sqrt(2.0)))
    if method == "ros":
        return Filled(order_statistics(values[~hidden], limit[hidden]))
    if method == "lognormal":
        return _lognormal(values[~hidden], limit[hidden], seed)
    frame = table.assign(limit=limit)
    imputer = MNARImputer({column: Censored(upper="limit"), "default": "ignorable"}, random_state=seed).fit(frame)
    point = imputer.transform(frame)[column].to_numpy()
    draws = np.stack([completed[column].to_numpy() for completed in imputer.multiple_impute(frame, DRAWS)])
    return Filled(point[hidden], draws[:, hidden])


def order_statistics(seen: FloatArray, limit: FloatArray) -> FloatArray:
    """Log-normal regression on order statistics: one value for each censored cell, by Hirsch and Stedinger's places.

    Examples
    --------
    >>> order_statistics(np.exp(np.arange(1.0, 9.0)), np.full(4, 2.0)).round(2).shape
    (4,)
    """
    ends = np.unique(limit)
    edges = np.append(ends, np.inf)
    exceed = np.zeros(len(edges))
    above = np.array([((seen >= low) & (seen < high)).sum() for low, high in zip(ends, edges[1:], strict=True)])
    below = np.array([(seen < low).sum() + (limit <= low).sum() for low in ends])
    for j in range(len(ends) - 1, -1, -1):
        total = above[j] + below[j]
        exceed[j] = exceed[j + 1] + (above[j] / total if total else 0.0) * (1 - exceed[j + 1])
    places = np.empty(len(seen))
    lows, tops = np.concatenate([[-np.inf], ends]), np.concatenate([ends, [np.inf]])
    reach = np.concatenate([[1.0], exceed])
    for low, high, p_low, p_high in zip(lows, tops, reach, reach[1:], strict=False):
        inside = (seen >= low) & (seen < high)
        rank = np.argsort(np.argsort(seen[inside])) + 1
        places[inside] = (1 - p_low) + (p_low - p_high) * rank / (inside.sum() + 1)
    slope, intercept = np.polyfit(ndtri(places), np.log(seen), 1)
    filled = np.empty(len(limit))
    for j, low in enumerate(ends):
        cells = limit == low
        rank = np.arange(1, cells.sum() + 1)
        filled[cells] = np.exp(intercept + slope * ndtri((1 - exceed[j]) * rank / (cells.sum() + 1)))
    return filled


def _lognormal(seen: FloatArray, limit: FloatArray, seed: int) -> Filled:
    fitted = tobit(seen, np.column_stack([np.zeros(len(limit)), limit]), Log())
    top = (np.log(limit) - fitted.center) / fitted.scale
    mean = np.exp(fitted.center + fitted.scale**2 / 2) * ndtr(top - fitted.scale) / ndtr(top)
    noise = np.random.default_rng(seed).random((DRAWS, len(limit)))
    return Filled(mean, np.exp(fitted.center + fitted.scale * ndtri(noise * ndtr(top))))
