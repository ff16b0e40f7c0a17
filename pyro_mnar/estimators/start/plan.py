"""Where training starts when cells may be missing because of their own values.

The observed values of a column that loses its upper half say neither how wide the column is nor which way its values go
missing, and a network that starts from their mean and spread has to bend for both. So each column starts from the
normal distribution that lost values on one side and explains best what is left: standardised by its mean and spread,
with the mechanism at its slope and threshold. All of it uses observed cells alone.
"""

import copy
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch

from pyro_mnar.data.columns import ColumnInfo, FloatArray, Levels
from pyro_mnar.estimators.start.log_scale import likely_directions
from pyro_mnar.estimators.start.lost_tail import lost_tail
from pyro_mnar.model.mechanisms import Mechanism, SelfMasking

#: Rows per step of an imputer, where the table has them and the user does not say.
LEAST_BATCH, MOST_BATCH = 128, 256

AnyMechanism = TypeVar("AnyMechanism", bound=Mechanism)


class Start(NamedTuple):
    """A way to begin.

    Attributes
    ----------
    columns : ColumnInfo
        Means and standard deviations to standardise with.
    mechanism : Mechanism
        Its first state.
    levels : tuple of Levels
        Columns of ordered levels, where it cuts them in its own way.
    """

    columns: ColumnInfo
    mechanism: Mechanism
    levels: tuple[Levels, ...] = ()


def rows_per_step(batch_size: int | None, n_rows: int) -> int:
    """``batch_size``, or what None stands for in a table of so many rows.

    Examples
    --------
    >>> [rows_per_step(None, n) for n in (50, 600, 10_000)]
    [128, 150, 256]
    """
    return batch_size or min(max(-(-n_rows // 4), LEAST_BATCH), MOST_BATCH)


def passes(steps: int, n_rows: int, batch_size: int | None) -> int:
    """Passes over the rows that make at least so many steps, of so many rows or of what None stands for.

    Examples
    --------
    >>> passes(1000, 500, 128)
    250
    """
    return -(-steps // -(-n_rows // rows_per_step(batch_size, n_rows)))


def set_up(given: AnyMechanism, columns: ColumnInfo) -> AnyMechanism:
    """A copy of a mechanism with parameters for these columns; the caller's own is not changed.

    Examples
    --------
    >>> from pyro_mnar.data.columns import describe
    >>> set_up(SelfMasking(direction="high"), describe(np.zeros((5, 2)), ["a", "b"])).sign
    tensor([1., 1.])
    """
    mechanism = copy.deepcopy(given)
    mechanism.setup(columns)
    return mechanism


def start_from_tails(
    table: FloatArray, columns: ColumnInfo, given: Mechanism, continuous: Sequence[int]
) -> Start | None:
    """Means, standard deviations and the mechanism's first state, from the tails that the columns lost.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, on the scale of which ``columns`` has mean and standard deviation.
    columns : ColumnInfo
        Of the observed values.
    given : Mechanism
        As the caller gave it; it is not changed.
    continuous : sequence of int
        Columns that may be standardised anew.

    Returns
    -------
    Start or None
        None for other mechanisms than self-masking ones with one threshold for each column. A column without a clear
        tail keeps its mean and spread; its mechanism leans in the likely direction, with a sign that stays free.

    Examples
    --------
    >>> from pyro_mnar.data.columns import describe
    >>> x = np.random.default_rng(0).normal(size=(2000, 1))
    >>> table = np.where(x > 0, np.nan, x)
    >>> start = start_from_tails(table, describe(table, ["x"]), SelfMasking(), [0])
    >>> bool(abs(start.columns.center[0]) < 0.2 and abs(start.columns.scale[0] - 1) < 0.2)
    True
    """
    one_sided = isinstance(given, SelfMasking) and not given.shared and given.shape == "one-sided"
    if not isinstance(given, SelfMasking) or not one_sided or not np.isnan(table).any():
        return None
    mechanism = set_up(given, columns)
    known = np.asarray(mechanism.sign.cpu().numpy(), dtype=np.float64)
    directions = likely_directions(table, continuous, known)
    center, scale, supports = columns.center.copy(), columns.scale.copy(), list(columns.supports)
    slope, threshold = np.zeros(len(center)), np.zeros(len(center))
    held = mechanism.slope_is_fixed.expand(len(center)).tolist()
    for j in continuous:
        # A slope that the caller gave is per standard deviation of the observed values, and stays so.
        tail = lost_tail(table[:, j], directions[j] > 0) if directions[j] and not held[j] else None
        if tail is not None and tail.found:
            center[j], scale[j], slope[j] = tail.center, tail.scale, tail.slope
            threshold[j] = (tail.threshold - tail.center) / tail.scale
            if tail.slope < 0 and supports and supports[j].lowest == 0:
                # What was lost below may be negative, though nothing that is observed is.
                supports[j] = supports[j]._replace(lowest=-np.inf)
    mechanism.lean(torch.as_tensor(directions))
    mechanism.start_at(*(torch.as_tensor(values) for values in (slope != 0, slope, threshold)))
    return Start(columns._replace(center=center, scale=scale, supports=tuple(supports)), mechanism)
