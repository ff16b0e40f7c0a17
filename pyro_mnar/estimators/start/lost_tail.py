r"""The tail that a column lost, from the values that are left and the number of missing ones.

A normal column whose values go missing with probability Phi(w (x - b)) leaves an extended skew-normal, and

    log L = sum_observed [log N(x; c, s^2) + log Phi(-w (x - b))] + n_missing log Phi(w (c - b) / sqrt(1 + w^2 s^2)).

w = 0 is loss at random, w to infinity a cliff at b. The best fit says how wide the complete column is, where its
middle lies, and on which side values go missing; how much better it is than loss at random says whether to believe it.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtri
from scipy.stats import norm

from pyro_mnar.data.columns import FloatArray

#: Nats over loss at random from which a tail counts as lost: the 5 % level of a likelihood ratio for w and b.
LEAST_GAIN = 3.0
#: Slope, probits per standard deviation, from which values end abruptly: steeper than the edges of skewed columns.
CLEAR_SLOPE = 20.0
#: Steepest slope, per standard deviation of the observed values: a cliff.
CLIFF = 50.0
#: Standard deviation, of values of which the largest is 1, that is rounding and no spread.
NO_SPREAD = 1e-12
_MOST_VALUES = 1000
_HALF_LOG_TAU = 0.5 * float(np.log(2 * np.pi))


class LostTail(NamedTuple):
    """How a column went missing, if its complete distribution is normal; in the units of the column.

    Attributes
    ----------
    center, scale : float
        Mean and standard deviation of the complete column.
    slope : float
        w times ``scale``: probits per standard deviation; positive where high values go missing.
    threshold : float
        b.
    gain : float
        Log likelihood over that of loss at random, nats, whole column.
    """

    center: float
    scale: float
    slope: float
    threshold: float
    gain: float

    @property
    def found(self) -> bool:
        """Whether it is clearly better than loss at random."""
        return self.gain >= LEAST_GAIN

    @property
    def lost_mean(self) -> float:
        """Mean of the lost values, E[x | lost]."""
        steepness = self.slope / np.hypot(1.0, self.slope)
        t = steepness * (self.center - self.threshold) / self.scale
        return float(self.center + self.scale * steepness * np.exp(norm.logpdf(t) - log_ndtr(t)))


def lost_tail(column: FloatArray, high: bool) -> LostTail | None:
    """Fit a normal distribution that lost values on one side to a column with NaN in missing cells.

    Where values pile up at the other end (zeros of an amount, say) no normal distribution fits well enough to judge.
    Then a tail counts as lost, with an infinite gain, where the values beside the pile end abruptly, and has no gain
    where they do not. Where values pile up at this end, that is a natural end and not a cut.

    Parameters
    ----------
    column : ndarray
        Shape (n,).
    high : bool
        On which side.

    Returns
    -------
    LostTail or None
        None where there is nothing to fit.

    References
    ----------
    Tobin 1958 (the censored normal); Arnold, Beaver, Groeneveld & Meeker 1993 (what selection leaves of a normal).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=5000)
    >>> tail = lost_tail(np.where(x > 0, np.nan, x), high=True)
    >>> bool(abs(tail.center) < 0.1 and abs(tail.scale - 1) < 0.1 and abs(tail.threshold) < 0.1), tail.found
    (True, True)
    """
    seen = column[~np.isnan(column)]
    n_missing = len(column) - len(seen)
    if n_missing == 0 or len(seen) < 10 or piles_up(seen, high):
        return None
    # Squares of 1e300 or 1e-300 would leave the range of floats.
    unit = float(np.abs(seen).max()) or 1.0
    seen = seen / unit
    sign, middle, spread = (1.0 if high else -1.0), float(seen.mean()), float(seen.std())
    if spread <= NO_SPREAD:
        return None
    z = sign * (seen - middle) / spread
    if piles_up(seen, not high):
        mean, sd = _beyond_cliff(z, n_missing)
        above = z[z > z.min()] - z.min()
        tail = LostTail(mean, sd, CLIFF * sd, z.max(), np.inf if _ends_abruptly(above, n_missing) else 0.0)
    else:
        tail = _selected(z, n_missing)
    center, threshold = (unit * (middle + sign * spread * place) for place in (tail.center, tail.threshold))
    return LostTail(center, unit * spread * tail.scale, sign * tail.slope, threshold, tail.gain)


def cliff_tail(column: FloatArray, high: bool) -> LostTail:
    """The normal distribution of a column whose missing cells ALL lie beyond its last observed value.

    Its gain is that over loss at random, and may be negative.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=5000)
    >>> tail = cliff_tail(np.where(x > 0, np.nan, x), high=True)
    >>> bool(abs(tail.center) < 0.1 and abs(tail.scale - 1) < 0.1 and abs(tail.threshold) < 0.01)
    True
    """
    seen = column[~np.isnan(column)]
    sign, middle, spread = (1.0 if high else -1.0), float(seen.mean()), float(seen.std())
    z, n_missing = sign * (seen - middle) / spread, len(column) - len(seen)
    mean, sd = _beyond_cliff(z, n_missing)
    explained = float(norm.logpdf(z, mean, sd).sum()) + n_missing * float(log_ndtr((mean - z.max()) / sd))
    gain = explained - lost_at_random(len(z), n_missing)
    center, threshold = (middle + sign * spread * place for place in (mean, float(z.max())))
    return LostTail(center, spread * sd, sign * CLIFF * sd, threshold, gain)


def piles_up(seen: FloatArray, high: bool) -> bool:
    """Whether the extreme value stands for many (zeros, say): a natural end, beyond which nothing is lost."""
    if len(seen) < 2:
        return False
    counts = np.unique(seen, return_counts=True)[1]
    if high:
        counts = counts[::-1]
    return len(counts) > 1 and bool(counts[0] >= max(5, 2 * counts[1:].max()))


def end_density(values: FloatArray) -> float:
    """How dense values are in their upper 5 and 10 %, relative to the 5 and 10 % before: 0.2 in a normal tail.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=5000)
    >>> end_density(x) < 0.4, end_density(x[x < 0]) > 0.7
    (True, True)
    """
    fifth, tenth, twentieth, end = np.nanquantile(values, [0.8, 0.9, 0.95, 1.0])
    tiny = 1e-9 * (1 + abs(end - fifth))
    last_5, last_10 = end - twentieth + tiny, end - tenth + tiny
    return float(min((twentieth - tenth + tiny) / last_5, (tenth - fifth + tiny) / last_10))


def ends_in_pile(values: FloatArray) -> bool:
    """Whether the largest value stands for many: a natural end (zeros of an amount, a cap).

    It is compared with the next five, since one value in five may be rounder than the others.

    Examples
    --------
    >>> ends_in_pile(np.array([1, 2, 2, 3, 9, 9, 9, 9.0])), ends_in_pile(np.array([1, 2, 2, 3, 3, 3.0]))
    (True, False)
    """
    counts = np.unique(values, return_counts=True)[1]
    return len(counts) < 2 or bool(counts[-1] >= 2 * counts[-6:-1].max())


def _ends_abruptly(values: FloatArray, n_missing: int) -> bool:
    """Whether positive values show a cliff above, on their own scale or on that of their logarithms."""
    if len(values) < 10:
        return False
    for scaled in (values, np.log(values)):
        if scaled.std() <= NO_SPREAD:
            continue
        tail = _selected((scaled - scaled.mean()) / scaled.std(), n_missing)
        if tail.found and tail.slope >= CLEAR_SLOPE:
            return True
    return False


def normal_at_random(column: FloatArray) -> float:
    """Log likelihood of a normal column that lost values at random, nats, on the column's scale; shape (n,)."""
    seen = column[~np.isnan(column)]
    return lost_at_random(len(seen), len(column) - len(seen)) - len(seen) * float(np.log(seen.std()))


def lost_at_random(n: int, n_missing: int) -> float:
    """Log likelihood of n standardised normal values, and of losing the others at random, nats."""
    result = n * (float(norm.logpdf(0.0)) - 0.5)
    if n_missing:
        share = n_missing / (n + n_missing)
        result += n * float(np.log1p(-share)) + n_missing * float(np.log(share))
    return result


def _selected(z: FloatArray, n_missing: int) -> LostTail:
    """The normal distribution that lost high values and best explains these standardised ones and how many are lost."""
    values, counts = _condensed(z)
    largest = float(z.max())

    def minus(parameters: FloatArray) -> tuple[float, FloatArray]:
        mean, log_sd, log_slope, threshold = parameters
        sd, slope = np.exp(log_sd), np.exp(log_slope)
        d = (values - mean) / sd
        seen = -slope * (values - threshold)
        root = np.sqrt(1 + (slope * sd) ** 2)
        lost = slope * (mean - threshold) / root
        log_seen, log_lost = log_ndtr(seen), log_ndtr(lost)
        log_l = counts @ (-0.5 * d**2 - log_sd - _HALF_LOG_TAU + log_seen) + n_missing * log_lost
        # d log Phi(t) / dt
        hazard = counts * np.exp(-0.5 * seen**2 - _HALF_LOG_TAU - log_seen)
        tail = n_missing * np.exp(-0.5 * lost**2 - _HALF_LOG_TAU - log_lost)
        gradient = np.array(
            [
                counts @ d / sd + tail * slope / root,
                counts @ (d**2 - 1) - tail * lost * (slope * sd / root) ** 2,
                hazard @ seen + tail * lost / root**2,
                slope * hazard.sum() - tail * slope / root,
            ]
        )
        return -float(log_l), -gradient

    mean, sd = _beyond_cliff(z, n_missing)
    share = n_missing / (n_missing + len(z))
    starts = [
        [mean, np.log(sd), np.log(0.6 * CLIFF), largest],
        [0.3, 0.2, 0.5, 0.3 - 2.0 * float(ndtri(share))],
    ]
    bounds = [(-5.0, 20.0), (-3.0, 4.0), (np.log(0.02), np.log(CLIFF)), (-20.0, 20.0 + largest)]
    clipped = [np.clip(start, *np.transpose(bounds)) for start in starts]
    fits = [minimize(minus, start, method="L-BFGS-B", jac=True, bounds=bounds) for start in clipped]
    best = min(fits, key=lambda fit: float(fit.fun))
    mean, log_sd, log_slope, threshold = (float(value) for value in best.x)
    sd, slope = float(np.exp(log_sd)), float(np.exp(log_slope))
    return LostTail(mean, sd, slope * sd, threshold, -float(best.fun) - lost_at_random(len(z), n_missing))


def _beyond_cliff(z: FloatArray, n_missing: int) -> tuple[float, float]:
    """Mean and sd of a normal column of which the missing cells lie above the largest observed one."""
    cut, first, second = z.max(), z.mean(), np.mean(z**2)

    def minus(parameters: FloatArray) -> float:
        mean, log_sd = parameters
        sd = np.exp(np.clip(log_sd, -20, 20))
        squares = (second - 2 * mean * first + mean**2) / sd**2
        return -float(len(z) * (-0.5 * squares - np.log(sd)) + n_missing * log_ndtr((mean - cut) / sd))

    found = minimize(minus, np.array([0.5, 0.3]), method="Nelder-Mead")
    return float(found.x[0]), float(np.exp(found.x[1]))


def _condensed(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distinct values and how many they stand for; of many, means of neighbours."""
    values, counts = np.unique(z, return_counts=True)
    if len(values) <= _MOST_VALUES:
        return values, counts.astype(float)
    chunks = np.array_split(np.sort(z), _MOST_VALUES)
    return np.array([chunk.mean() for chunk in chunks]), np.array([float(len(chunk)) for chunk in chunks])
