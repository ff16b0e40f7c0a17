r"""Which columns are modelled on the log scale, and which way values go missing, from observed cells alone.

A quantity that cannot be negative and has a long upper tail (a concentration, an area, an income) is closer to normal
in its logarithm. Where high values are missing nobody observes the tail, and a histogram cannot tell; what can be
compared is how well a normal and a log-normal column explain the values that are there together with HOW MANY are not:
lost at random, or on one side (:func:`~pyro_mnar.estimators.start.lost_tail.lost_tail`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.start.lost_tail import CLEAR_SLOPE, NO_SPREAD, LostTail, lost_tail, normal_at_random
from pyro_mnar.model.mechanisms import Ignorable, Mechanism, SelfMasking

#: Share of the columns with a cliff that must agree for the others to follow.
MAJORITY = 0.75


def check_positive(table: FloatArray, columns: Sequence[int], continuous: Sequence[int], names: Sequence[str]) -> None:
    """See that columns have logarithms.

    Raises
    ------
    InvalidInputError
        A column that is not continuous, or a value that is not positive; the message names it.
    """
    for j in columns:
        if j not in continuous or np.nanmin(table[:, j]) <= 0:
            raise InvalidInputError(
                f"column {names[j]!r} of 'log_columns' holds values that are not positive numbers with any value "
                "between them; leave it out"
            )


def find_log_columns(
    table: FloatArray, continuous: Sequence[int], mechanism: Mechanism, known: FloatArray
) -> tuple[int, ...]:
    """Positions of the positive columns for which a log-normal explains the observed cells better than a normal.

    A column that may be missing because of its own values must also show, in its logarithm, where its tail was lost:
    beyond the largest observed value an error of the scale is multiplied.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, original units.
    continuous : sequence of int
        Columns to look at.
    mechanism : Mechanism
        Cells that are missing because of their own values count as a tail that was lost, those of an ignorable one as
        lost at random; for other mechanisms no column is chosen.
    known : ndarray
        Shape (p,): +1 or -1 where high or low values are known to go missing, else 0.

    Returns
    -------
    tuple of int

    References
    ----------
    Box & Cox 1964 (comparing scales by the likelihood with its Jacobian).

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(size=(200, 2)))
    >>> x[:, 1] = np.log(x[:, 1]) + 10
    >>> find_log_columns(x, (0, 1), SelfMasking(), np.zeros(2))
    (0,)
    """
    if isinstance(mechanism, Ignorable):
        return tuple(j for j in continuous if _prefers_log(table[:, j], 0.0))
    if not isinstance(mechanism, SelfMasking):
        return ()
    directions = likely_directions(table, continuous, known)
    return tuple(j for j in continuous if _prefers_log(table[:, j], directions[j]))


def likely_directions(table: FloatArray, continuous: Sequence[int], known: FloatArray) -> FloatArray:
    """Which way each column goes missing: as known, as its cliff says, or as most columns do.

    A column shows a direction where the best explanation of it, on either scale, is a tail that was lost beyond a
    cliff. A softer slope shows none: to a normal distribution, the skew of a column that lost values at random looks
    like one. Where half of the columns show a direction and three quarters of these agree, all unknown ones take it: a
    lone dissenter is more often a column whose distribution is not normal than one with a mechanism of its own.

    Parameters
    ----------
    table, continuous, known
        As in :func:`find_log_columns`.

    Returns
    -------
    ndarray
        Shape (p,): +1 high, -1 low, 0 undecided.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 3))
    >>> likely_directions(np.where(x > 0.5, np.nan, x), (0, 1, 2), np.zeros(3))
    array([1., 1., 1.])
    """
    directions = known.astype(np.float64)
    incomplete = [j for j in continuous if np.isnan(table[:, j]).any()]
    free = [j for j in incomplete if known[j] == 0]
    for j in free:
        directions[j] = _shown_direction(table[:, j])
    shown = directions[incomplete][directions[incomplete] != 0]
    if len(shown) >= len(incomplete) / 2:
        for common in (1.0, -1.0):
            if len(shown) and np.mean(shown == common) >= MAJORITY:
                directions[free] = common
    return directions


def _shown_direction(column: FloatArray) -> float:
    best, slope = -np.inf, 0.0
    for scale in _scales(column):
        if scale.at_random > best:
            best, slope = scale.at_random, 0.0
        for tail in _plausible_tails(scale, (1.0, -1.0)):
            if scale.at_random + tail.gain > best:
                best, slope = scale.at_random + tail.gain, tail.slope
    return float(np.sign(slope)) if abs(slope) >= CLEAR_SLOPE else 0.0


class _Scale(NamedTuple):
    """A column on one scale: its log likelihood of losing values at random, and whether none can be negative."""

    values: FloatArray
    at_random: float
    positive: bool


def _clear_tails(scale: _Scale, signs: Sequence[float]) -> list[LostTail]:
    """What was clearly lost on these sides."""
    tails = (lost_tail(scale.values, sign > 0) for sign in signs)
    return [tail for tail in tails if tail is not None and tail.found]


def _plausible_tails(scale: _Scale, signs: Sequence[float]) -> list[LostTail]:
    """The same, but for lower tails of negative values of a quantity that is positive wherever it is observed."""
    tails = _clear_tails(scale, signs)
    return [tail for tail in tails if tail.slope > 0 or not scale.positive or tail.lost_mean >= 0]


def _prefers_log(column: FloatArray, direction: float) -> bool:
    """Whether the logarithm explains a column better, of which values are lost at random or in a direction."""
    scales = _scales(column)
    if len(scales) == 1:
        return False
    explained = []
    for scale in scales:
        # A direction that is known, or that most columns share, needs no further check.
        tails = _clear_tails(scale, (direction,)) if direction else _plausible_tails(scale, (1.0, -1.0))
        explained.append((scale.at_random + max((tail.gain for tail in tails), default=0.0), bool(tails)))
    (plain, _), (log, identified) = explained
    must_show = direction != 0 and bool(np.isnan(column).any())
    return log > plain and (identified or not must_show)


def _scales(column: FloatArray) -> list[_Scale]:
    """The column with a largest value of 1, and its logarithm, in the same measure, where that differs."""
    column = column / (float(np.nanmax(np.abs(column), initial=0.0)) or 1.0)
    seen = column[~np.isnan(column)]
    plain = _Scale(column, _at_random(column), bool(seen.min(initial=np.inf) >= 0))
    if len(seen) < 10 or seen.min() <= 0 or seen.max() / seen.min() < 1 + 1e-6:
        return [plain]
    logs = np.log(column)
    return [plain, _Scale(logs, _at_random(logs) - float(np.log(seen).sum()), positive=False)]


def _at_random(column: FloatArray) -> float:
    """Log likelihood of a normal column that lost values at random, nats; 0 where there is no spread to judge by."""
    seen = column[~np.isnan(column)]
    if len(seen) < 2 or seen.std() <= NO_SPREAD:
        return 0.0
    return normal_at_random(column)
