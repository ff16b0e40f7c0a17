"""Whether a numeric column misses both ends, or its middle, from what the other columns say of parts of its range.

The observed values are cut into parts that are about equally full, and these are looked at as labels that may hide
themselves (:mod:`~pyro_mnar.estimators.start.label_models`): no shape of the column or of its mechanism is assumed.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.start.label_evidence import log_odds_of_labels, otherwise_explained
from pyro_mnar.estimators.start.rate_shape import shape_of_rates
from pyro_mnar.estimators.start.sample import can_be_judged, sample_of_rows

#: Parts of the range, and how many there must be at least.
_PARTS, _LEAST_PARTS = 6, 4
#: Nats that the other columns must know of the mask for it to be looked at.
_LEAST_MASK = 2.0
#: How much more often both ends must go missing than any part between them; or the part between them that misses most,
#: and one beside it, than either end.
_RATHER = 2.0


class TwoThresholds(NamedTuple):
    """A column that misses both ends, or its middle.

    Attributes
    ----------
    column : int
        Position of the column.
    log_odds : float
        That its values hide themselves, over any other way in which the mask depends on the other columns.
    slope, low, high : float
        Where its curve starts: probits per unit of the model's scale, and the two thresholds.
    ends : bool
        Whether it misses what lies outside of these rather than what lies between.
    """

    column: int
    log_odds: float
    slope: float
    low: float
    high: float
    ends: bool


def find_two_thresholds(
    table: FloatArray, standard: FloatArray, judged: Sequence[int], seed: int
) -> Iterator[TwoThresholds]:
    """Look at some numeric columns.

    Parameters
    ----------
    table : ndarray
        The model's columns in original units, shape (n, p), NaN = missing.
    standard : ndarray
        The same on the model's scale.
    judged : sequence of int
        Columns to look at.
    seed : int
        Of the sample of rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(800, 4)) @ rng.normal(size=(4, 8)) / 2 + 0.2 * rng.normal(size=(800, 8))
    >>> x /= x.std(0)
    >>> x[(np.abs(x[:, 0]) > 0.8) & (rng.random(800) < 0.9), 0] = np.nan
    >>> found = list(find_two_thresholds(x, x, range(8), seed=0))
    >>> [(one.column, one.ends) for one in found], found[0].low < -0.5, found[0].high > 0.5
    ([(0, True)], True, True)
    """
    rows = sample_of_rows(table, seed)
    for j in judged:
        missing = rows.holes[:, j]
        if not can_be_judged(table[:, j], missing):
            continue
        otherwise = otherwise_explained(rows, [j])
        if otherwise < _LEAST_MASK:
            continue
        values = standard[rows.chosen, j]
        seen = values[~missing]
        edges = np.unique(np.quantile(seen, np.arange(1, _PARTS) / _PARTS))
        parts, label = np.unique(np.searchsorted(edges, seen), return_inverse=True)
        if len(parts) < _LEAST_PARTS:
            continue
        labels = np.full(len(values), -1)
        labels[~missing] = label
        log_odds, found = log_odds_of_labels(rows, [j], labels, len(parts), otherwise)
        ends, inside = found.rates[[0, -1]], found.rates[1:-1]
        most = int(inside.argmax())
        beside = np.delete(inside, most)[max(most - 1, 0) : most + 1].max()
        rather_ends, rather_middle = ends.min() >= _RATHER * inside.max(), beside >= _RATHER * ends.max()
        if log_odds < 0 or not (rather_ends or rather_middle):
            continue
        middles = np.array([np.median(seen[label == part]) for part in range(len(parts))])
        shape = shape_of_rates(middles, found.rates, found.shares * len(values))
        if not np.isnan(shape.high) and shape.two_sided == rather_ends:
            yield TwoThresholds(j, log_odds, *shape)
