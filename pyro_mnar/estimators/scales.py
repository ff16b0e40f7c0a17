r"""Which columns are modelled on the log scale, decided from observed cells alone.

A quantity that cannot be negative and has a long upper tail (a concentration, an area, an income) is closer to normal
in its logarithm. Where high values are missing the tail is not seen, and a histogram cannot tell; what can be compared
is how well a normal and a log-normal column explain the values that are there together with HOW MANY are not:

    log L = sum_observed log f(x) + n_missing log P(lost)

with the missing cells lost at random, or all above the largest observed value, or all below the smallest.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.stats import norm

from pyro_mnar.columns import FloatArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.mechanisms import Ignorable, Mechanism, SelfMasking

#: Nats by which the log scale must be better, in the whole column: about the usual 5 % level of a likelihood ratio.
LEAST_GAIN = 2.0


def check_positive(table: FloatArray, columns: Sequence[int], discrete: Sequence[int], names: Sequence[str]) -> None:
    """See that columns have logarithms.

    Raises
    ------
    InvalidInputError
        A column that holds categories, or a value that is not positive; the message names it.
    """
    for j in columns:
        if j in discrete or np.nanmin(table[:, j]) <= 0:
            raise InvalidInputError(
                f"column {names[j]!r} of 'log_columns' holds values that are not positive numbers; leave it out"
            )


def find_log_columns(table: FloatArray, continuous: Sequence[int], mechanism: Mechanism) -> tuple[int, ...]:
    """Positions of the positive columns for which a log-normal explains the observed cells better than a normal.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, original units.
    continuous : sequence of int
        Columns to look at.
    mechanism : Mechanism
        Cells that are missing because of their own values count as a tail that was lost, those of an ignorable one as
        lost at random; for other mechanisms no column is chosen.

    Returns
    -------
    tuple of int

    References
    ----------
    Tobin 1958 (the censored likelihood); Box & Cox 1964 (comparing scales by the likelihood with its Jacobian).

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(size=(200, 2)))
    >>> x[:, 1] = np.log(x[:, 1]) + 10
    >>> find_log_columns(x, (0, 1), SelfMasking())
    (0,)
    """
    if not isinstance(mechanism, (Ignorable, SelfMasking)):
        return ()
    self_masking = isinstance(mechanism, SelfMasking)
    return tuple(j for j in continuous if _prefers_log(table[:, j], self_masking))


class LostTail(NamedTuple):
    """A normal column of which the missing cells lie beyond the extreme observed value.

    Attributes
    ----------
    center, scale : float
        Mean and standard deviation of the complete column.
    cut : float
        The extreme observed value on the side where cells are missing.
    gain : float
        Log likelihood over that of cells lost at random, nats, whole column; above 0 the observed values end at a
        cliff.
    """

    center: float
    scale: float
    cut: float
    gain: float


def lost_tail(column: FloatArray, high: bool) -> LostTail | None:
    """Fit the censored normal to a column with NaN in missing cells; None where there is nothing to fit.

    References
    ----------
    Tobin 1958.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=5000)
    >>> found = lost_tail(np.where(x > 0, np.nan, x), high=True)
    >>> bool(abs(found.center) < 0.1 and abs(found.scale - 1) < 0.1 and found.gain > 0)
    True
    """
    seen = column[~np.isnan(column)]
    n_missing = len(column) - len(seen)
    if n_missing == 0 or _piles_up(seen, high):
        return None
    if len(seen) < 10 or np.ptp(seen) == 0:
        return None
    sign, middle, spread = (1.0 if high else -1.0), seen.mean(), seen.std()
    z = sign * (seen - middle) / spread
    log_l, mean, sd = _censored(z, n_missing)
    # Where values pile up at the other end no normal law fits well enough to judge, and the direction is clear.
    gain = np.inf if _piles_up(seen, not high) else log_l - _at_random(len(z), n_missing)
    return LostTail(middle + sign * spread * mean, spread * sd, middle + sign * spread * z.max(), gain)


def _piles_up(seen: FloatArray, high: bool) -> bool:
    """Whether the extreme value stands for many (zeros, say): a natural end, beyond which nothing is lost."""
    if len(seen) < 2:
        return False
    counts = np.unique(seen, return_counts=True)[1]
    if high:
        counts = counts[::-1]
    return len(counts) > 1 and bool(counts[0] >= max(5, 2 * counts[1:].max()))


def _prefers_log(column: FloatArray, self_masking: bool) -> bool:
    seen = column[~np.isnan(column)]
    if len(seen) < 10 or seen.min() <= 0 or seen.max() / seen.min() < 1 + 1e-6:
        return False
    logs = np.log(seen)
    n_missing = len(column) - len(seen)
    plain = _log_likelihood(seen, n_missing, self_masking)
    return _log_likelihood(logs, n_missing, self_masking) - logs.sum() > plain + LEAST_GAIN


def _log_likelihood(values: FloatArray, n_missing: int, self_masking: bool) -> float:
    """The largest log likelihood of a normal column over the ways to lose cells, nats."""
    n, scale = len(values), values.std()
    z = (values - values.mean()) / scale
    best = _at_random(n, n_missing)
    if n_missing and self_masking:
        best = max(best, _censored(z, n_missing)[0], _censored(-z, n_missing)[0])
    return best - n * float(np.log(scale))


def _at_random(n: int, n_missing: int) -> float:
    """Log likelihood of n standardised normal values, and of losing the others at random."""
    result = n * (float(norm.logpdf(0.0)) - 0.5)
    if n_missing:
        share = n_missing / (n + n_missing)
        result += n * float(np.log1p(-share)) + n_missing * float(np.log(share))
    return result


def _censored(z: FloatArray, n_missing: int) -> tuple[float, float, float]:
    """Log likelihood, mean and sd of a normal column of which the missing cells lie above the largest observed one."""
    cut, first, second = z.max(), z.mean(), np.mean(z**2)

    def minus(parameters: FloatArray) -> float:
        mean, log_sd = parameters
        sd = np.exp(np.clip(log_sd, -20, 20))
        squares = (second - 2 * mean * first + mean**2) / sd**2
        density = -0.5 * squares - np.log(sd) + norm.logpdf(0.0)
        return -float(len(z) * density + n_missing * norm.logsf((cut - mean) / sd))

    found = minimize(minus, np.array([0.5, 0.3]), method="Nelder-Mead")
    return -float(found.fun), float(found.x[0]), float(np.exp(found.x[1]))
