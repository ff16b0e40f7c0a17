"""How often each part of a numeric column's range goes missing, and whether that explains its mask.

The observed values are cut into parts that are about equally full, and these are looked at as labels that may hide
themselves (:mod:`~pyro_mnar.estimators.start.label_models`): no shape of the column or of its mechanism is assumed.
"""

from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.start.index_models import mask_evidence
from pyro_mnar.estimators.start.label_evidence import log_odds_of_labels
from pyro_mnar.estimators.start.sample import Rows

#: Parts of the range, and how many there must be at least.
_PARTS, _LEAST_PARTS = 6, 3
#: Nats that the other columns must know of the mask for it to be looked at, and how many of them and of their masks
#: there may be: the regression has a coefficient of each for every part, and takes their number to the third power.
_LEAST_MASK, _MOST_OTHERS = 2.0, 100


class Parts(NamedTuple):
    """The parts of a column's range, from its lowest values to its highest.

    Attributes
    ----------
    log_odds : float
        That how often each goes missing explains the mask, over any other way in which it depends on other columns.
    middles : tuple of float
        Median observed value of each, original units.
    rates : tuple of float
        P(missing | part).
    n_cells : tuple of float
        About how many cells of the sample lie in it, missing ones too.
    """

    log_odds: float
    middles: tuple[float, ...]
    rates: tuple[float, ...]
    n_cells: tuple[float, ...]

    @property
    def side(self) -> float:
        """Correlation of the rates with the order of the parts: above 0 where high values are missed more often."""
        rates = np.array(self.rates)
        return float(np.corrcoef(np.arange(len(rates)), rates)[0, 1]) if np.ptp(rates) > 0 else 0.0


def look_at_parts(rows: Rows, values: FloatArray, column: int, otherwise: float) -> Parts | None:
    """Look at the parts of one column.

    Parameters
    ----------
    rows : Rows
        The sample.
    values : ndarray
        The column in these rows, original units, shape (n,), NaN = missing.
    column : int
        Its position.
    otherwise : float
        Evidence, nats, that the mask depends on the other columns, or the complete ones, linearly; at least 0.

    Returns
    -------
    Parts or None
        None where the mask has nothing to do with the other columns, where these and their masks are more than 100, or
        where the column has few different values.

    Examples
    --------
    >>> from pyro_mnar.estimators.start.sample import sample_of_rows
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(800, 4)) @ rng.normal(size=(4, 8)) / 2 + 0.2 * rng.normal(size=(800, 8))
    >>> x[(x[:, 0] > 0.5) & (rng.random(800) < 0.9), 0] = np.nan
    >>> rows = sample_of_rows(x, 0)
    >>> found = look_at_parts(rows, x[rows.chosen, 0], 0, 10.0)
    >>> found.rates[0] < 0.2 < 0.6 < found.rates[-1], found.side > 0
    (True, True)
    """
    others, with_squares, _ = rows.explanations([column])
    if others.shape[1] > _MOST_OTHERS:
        return None
    missing = np.isnan(values)
    otherwise = max(otherwise, mask_evidence(with_squares, missing))
    if otherwise < _LEAST_MASK:
        return None
    seen = values[~missing]
    edges = np.unique(np.quantile(seen, np.arange(1, _PARTS) / _PARTS))
    parts, label = np.unique(np.searchsorted(edges, seen), return_inverse=True)
    if len(parts) < _LEAST_PARTS:
        return None
    labels = np.full(len(values), -1)
    labels[~missing] = label
    log_odds, found = log_odds_of_labels(rows, [column], labels, len(parts), otherwise)
    middles = (float(np.median(seen[label == part])) for part in range(len(parts)))
    return Parts(log_odds, tuple(middles), tuple(found.rates.tolist()), tuple((found.shares * len(values)).tolist()))
