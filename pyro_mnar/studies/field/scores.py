"""Scores on the missing cells, in standard deviations of the complete column."""

from __future__ import annotations

import numpy as np
from scipy import stats

from pyro_mnar.analysis.pooling import pool
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.studies.field.masks import BoolArray

#: Completed tables that are pooled.
POOLED = 20
LEVEL = 0.90
#: Different observed values of a column from which its end can tell anything.
MANY = 8
#: Fewest draws of which the ends of a 90 % interval can be had.
FEWEST_DRAWS = 19

Scores = dict[str, float | None]


def point_scores(complete: FloatArray, point: FloatArray, observed: BoolArray) -> Scores:
    """RMSE, MAE, mean absolute bias of the means of columns with holes, and the share of impossible values.

    Of the truth and the completed table, shape (n, p), original units; impossible is a negative value in a column
    without any.
    """
    errors = (point - complete)[~observed] / unit(complete)[~observed]
    holes = ~observed.all(0)
    bias = np.abs(point.mean(0) - complete.mean(0)) / unit(complete)[0]
    return {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "bias": float(bias[holes].mean()),
        "impossible": _impossible(complete, point[None], observed),
    }


def draw_scores(complete: FloatArray, draws: FloatArray | None, observed: BoolArray, mae: float | None) -> Scores:
    """CRPS, cover and width of 90 % intervals, and cover of the pooled 95 % intervals of the column means.

    An interval's ends are quantiles at k / (m + 1), between which a further draw lies with the interval's level however
    few draws there are; fewer than 19 have none. The pooled interval is Rubin's of up to 20 completed tables, and
    covers where it holds the mean of the complete column; ``mean_cover_cells`` is without the variance of sampling
    rows, which that mean shares, and so harder. ``draws`` has shape (m, n, p), or is None for a method without, of
    which only the CRPS is known: that of a point is its error ``mae``.
    """
    if draws is None:
        names = ("cover90", "width90", "mean_cover95", "mean_cover_cells", "impossible_draws")
        return {"crps": mae, **dict.fromkeys(names)}
    at = ~observed
    truth, values = complete[at] / unit(complete)[at], draws[:, at] / unit(complete)[at]
    scores: Scores = {"crps": crps(truth, values), "cover90": None, "width90": None}
    if len(draws) >= FEWEST_DRAWS:
        low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0, method="weibull")
        scores["cover90"] = float(np.mean((low <= truth) & (truth <= high)))
        scores["width90"] = float(np.mean(high - low))
    covers = _mean_covers(complete, draws[:POOLED], observed)
    return {**scores, **covers, "impossible_draws": _impossible(complete, draws, observed)}


def covers_where_told(complete: FloatArray, draws: FloatArray | None, observed: BoolArray) -> Scores:
    """Cover as above, in columns of which at least eight different values were observed.

    Of a column of a few levels that loses the upper ones no value like those is left, and nobody can impute them.
    ``missing_few`` is the share of the missing cells that lies in such columns.
    """
    values = np.where(observed, complete, np.nan)
    many = np.array([len(np.unique(column[~np.isnan(column)])) >= MANY for column in values.T])
    few = float((~observed)[:, ~many].sum() / max((~observed).sum(), 1))
    if draws is None or not (~observed)[:, many].any():
        return {"cover90_many": None, "mean_cover95_many": None, "missing_few": few}
    found = draw_scores(complete[:, many], draws[:, :, many], observed[:, many], None)
    return {"cover90_many": found["cover90"], "mean_cover95_many": found["mean_cover95"], "missing_few": few}


def unit(complete: FloatArray) -> FloatArray:
    """Standard deviation of the complete column of each cell, shape (n, p); 1 where a column is constant."""
    spread = complete.std(0)
    return np.broadcast_to(np.where(spread > 0, spread, 1.0), complete.shape)


def crps(truth: FloatArray, draws: FloatArray) -> float:
    """Mean continuous ranked probability score E|X - x| - E|X - X'| / 2, unbiased for however few draws.

    Of true values, shape (c,), and at least two draws of them, shape (m, c).

    References
    ----------
    Gneiting & Raftery 2007, equation 21; Ferro 2014 (few draws).

    Examples
    --------
    >>> round(crps(np.zeros(1), np.array([[-1.0], [0.5]])), 4)
    0.0
    """
    m = len(draws)
    # For sorted draws the sum of |x_k - x_l| over k < l is sum_k (2 k - m + 1) x_k, k from 0.
    rank = 2 * np.arange(m) - m + 1
    spread = rank @ np.sort(draws, axis=0) / (m * (m - 1))
    return float(np.mean(np.abs(draws - truth).mean(0) - spread))


def _mean_covers(complete: FloatArray, draws: FloatArray, observed: BoolArray) -> Scores:
    columns = np.flatnonzero(~observed.all(0) & (complete.std(0) > 0))
    means, truth, n = draws[:, :, columns].mean(1), complete[:, columns].mean(0), len(complete)
    # A column imputed by one value throughout has no variance of its own to pool.
    variances = np.maximum(draws[:, :, columns].var(1, ddof=1), 1e-12) / n
    pooled = pool(means, variances, dof_complete=n - 1)
    between = (1 + 1 / len(draws)) * means.var(0, ddof=1)
    half = stats.t.ppf(0.975, len(draws) - 1) * np.sqrt(between)
    return {
        "mean_cover95": float(((pooled.low <= truth) & (truth <= pooled.high)).mean()),
        "mean_cover_cells": float((np.abs(means.mean(0) - truth) <= half).mean()),
    }


def _impossible(complete: FloatArray, tables: FloatArray, observed: BoolArray) -> float:
    without_negatives = np.broadcast_to((complete >= 0).all(0), complete.shape)
    return float((without_negatives & (tables < 0))[:, ~observed].mean())
