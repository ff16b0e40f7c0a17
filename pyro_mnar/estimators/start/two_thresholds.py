"""Whether a numeric column misses both ends, or its middle, by how often each part of its range goes missing."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.start.parts import Parts
from pyro_mnar.estimators.start.rate_shape import shape_of_rates

#: Parts that there must be at least.
_LEAST_PARTS = 4
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
    parts: Mapping[int, Parts | None], middles: Mapping[int, FloatArray]
) -> Iterator[TwoThresholds]:
    """Look at some numeric columns.

    Parameters
    ----------
    parts : mapping of int to Parts or None
        The parts of each, by the column's position.
    middles : mapping of int to ndarray
        The middle of each part on the model's scale, likewise.

    Examples
    --------
    >>> values = (-1.4, -0.8, -0.3, 0.3, 0.8, 1.4)
    >>> ends = Parts(5.0, values, (0.8, 0.1, 0.1, 0.1, 0.1, 0.8), (250, 90, 90, 90, 90, 250))
    >>> found = list(find_two_thresholds({0: ends}, {0: np.array(values)}))
    >>> [(one.column, one.ends) for one in found], found[0].low < -0.8, found[0].high > 0.8
    ([(0, True)], True, True)
    """
    for j, one in parts.items():
        if one is None or len(one.rates) < _LEAST_PARTS or one.log_odds < 0:
            continue
        rates = np.array(one.rates)
        ends, inside = rates[[0, -1]], rates[1:-1]
        most = int(inside.argmax())
        beside = np.delete(inside, most)[max(most - 1, 0) : most + 1].max()
        rather_ends, rather_middle = ends.min() >= _RATHER * inside.max(), beside >= _RATHER * ends.max()
        if not (rather_ends or rather_middle):
            continue
        shape = shape_of_rates(middles[j], rates, np.array(one.n_cells))
        if not np.isnan(shape.high) and shape.two_sided == rather_ends:
            yield TwoThresholds(j, one.log_odds, *shape)
