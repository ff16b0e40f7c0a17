"""From a user's table to the model's scale and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class Group(NamedTuple):
    """One-hot columns that are one categorical variable.

    Attributes
    ----------
    columns : tuple of int
        Positions of the columns.
    one_cell : bool
        They stand for one cell of the user's table (a pandas categorical column), so they are missing together.
    """

    columns: tuple[int, ...]
    one_cell: bool = False


class Layout(NamedTuple):
    """Which columns are of which kind; together they are 0 .. p-1, each once.

    Attributes
    ----------
    continuous, binary : tuple of int
        Positions of the standardised columns, and of those that hold 0 and 1.
    groups : tuple of Group
        One-hot groups.
    """

    continuous: tuple[int, ...]
    binary: tuple[int, ...] = ()
    groups: tuple[Group, ...] = ()

    @property
    def discrete(self) -> list[int]:
        """Positions of the columns that hold 0 and 1."""
        return [*self.binary, *(column for group in self.groups for column in group.columns)]


class ColumnInfo(NamedTuple):
    """What a mechanism may know of the table: standardised value = (original - center) / scale.

    Attributes
    ----------
    names : tuple of str
        Column names, p of them.
    center, scale : ndarray
        Mean and standard deviation of the OBSERVED values, original units, shape (p,).
    missing_rate : ndarray
        Share of missing cells in training, shape (p,).
    """

    names: tuple[str, ...]
    center: FloatArray
    scale: FloatArray
    missing_rate: FloatArray


def describe(table: FloatArray, names: Sequence[str]) -> ColumnInfo:
    """Observed mean and standard deviation of each column (0 and 1 where there is nothing to measure).

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, original units.
    names : sequence of str
        p names.

    Returns
    -------
    ColumnInfo

    Examples
    --------
    >>> describe(np.array([[1.0], [3.0], [np.nan]]), ["a"]).center
    array([2.])
    """
    observed = ~np.isnan(table)
    count = observed.sum(0)
    filled = np.where(observed, table, 0.0)
    center = filled.sum(0) / np.maximum(count, 1)
    # Two passes and a common magnitude, so that 1e300 does not overflow when squared.
    deviation = np.where(observed, table - center, 0.0)
    largest = np.abs(deviation).max(0, initial=0.0)
    unit = np.where(largest > 0, largest, 1.0)
    scale = unit * np.sqrt(((deviation / unit) ** 2).sum(0) / np.maximum(count, 1))
    # A constant column has rounding noise for a spread; it keeps its unit.
    constant = scale <= 1e-12 * np.maximum(np.abs(center), np.finfo(float).tiny)
    scale = np.where(constant | (scale == 0), 1.0, scale)
    return ColumnInfo(tuple(names), center, scale, 1.0 - count / max(len(table), 1))


def standardise(table: FloatArray, info: ColumnInfo) -> FloatArray:
    """The table on the model's scale, with 0 in missing cells, shape (n, p)."""
    return np.where(np.isnan(table), 0.0, (table - info.center) / info.scale)


def original(values: FloatArray, info: ColumnInfo) -> FloatArray:
    """Values on the model's scale in original units; the last axis is the column."""
    return values * info.scale + info.center
