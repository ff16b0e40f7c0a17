"""The curve of a mechanism through how often each level of a column goes missing."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from pyro_mnar.data.columns import FloatArray

#: Rates are looked at within these.
_LEAST_RATE, _MOST_RATE = 0.02, 0.98
#: Nats that a second threshold has to gain.
_RATHER_TWO = 5.0
_STEEPEST = 6.0
#: Logarithms beyond which a search does not go.
_FAR = 5.0


class RateShape(NamedTuple):
    """Where a curve starts.

    Attributes
    ----------
    slope : float
        Probits per unit of the scores; positive with two thresholds.
    low, high : float
        Thresholds; ``high`` is NaN where there is one.
    two_sided : bool
        With two, whether the ends go missing rather than the middle.
    """

    slope: float
    low: float
    high: float = np.nan
    two_sided: bool = False


def shape_of_rates(scores: FloatArray, rates: FloatArray, n_cells: FloatArray) -> RateShape:
    """The likeliest of a slope, two ends and a middle that go missing.

    Parameters
    ----------
    scores : ndarray
        Of the levels, ascending, shape (C,), C at least 2.
    rates : ndarray
        P(missing | level), shape (C,).
    n_cells : ndarray
        How many cells have the level, shape (C,).

    Examples
    --------
    >>> scores, many = np.array([-1.0, 0.0, 1.0]), np.full(3, 300.0)
    >>> bool(shape_of_rates(scores, np.array([0.1, 0.3, 0.8]), many).slope > 0.5)
    True
    >>> found = shape_of_rates(scores, np.array([0.04, 0.93, 0.46]), many)
    >>> found.two_sided, bool(-1 < found.low < 0 < found.high < 1.1)
    (False, True)
    """
    probits = probits_of(rates)
    r = ndtr(probits)

    def loss(missing: FloatArray) -> float:
        p = np.clip(missing, 1e-9, 1 - 1e-9)
        return -float(n_cells @ (r * np.log(p) + (1 - r) * np.log1p(-p)))

    weights = np.sqrt(n_cells + 1e-9)
    line = np.linalg.lstsq(np.column_stack([scores, np.ones(len(r))]) * weights[:, None], probits * weights, rcond=None)
    one = minimize(lambda q: loss(ndtr(q[0] * scores + q[1])), line[0], method="Nelder-Mead")
    slope, intercept = one.x
    slope = float(np.sign(slope) or 1.0) * max(abs(slope), 0.1)
    best, result = one.fun - _RATHER_TWO, RateShape(slope, -intercept / slope)
    if len(r) == 2:
        return result
    step = float(np.diff(scores).mean())
    for two_sided in (True, False):
        for place in range(len(r)):
            start = [np.log(2 / step), scores[place] - step / 2, np.log(step)]
            two = minimize(lambda q, ends=two_sided: loss(_between(scores, q, ends)), start, method="Nelder-Mead")
            if two.fun < best:
                steep, width = np.exp(np.clip(two.x[[0, 2]], -_FAR, _FAR))
                slope = min(float(steep), _STEEPEST / step)
                best, result = two.fun, RateShape(slope, float(two.x[1]), float(two.x[1] + width), two_sided)
    return result


def probits_of(rates: FloatArray) -> FloatArray:
    """Where a curve of rates of missing cells has to pass: at none of them infinitely far out.

    Examples
    --------
    >>> probits_of(np.array([0.5, 1.0])).round(2)
    array([0.  , 2.05])
    """
    probits: FloatArray = ndtri(np.clip(rates, _LEAST_RATE, _MOST_RATE))
    return probits


def _between(x: FloatArray, q: FloatArray, two_sided: bool) -> FloatArray:
    """P(missing) with log slope, lower threshold and log width."""
    slope, width = np.exp(np.clip(q[[0, 2]], -_FAR, _FAR))
    t = slope * (x - q[1])
    inside: FloatArray = ndtr(t) - ndtr(t - slope * width)
    return 1 - inside if two_sided else inside
