"""From a user's table to the model's scale and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pyro_mnar.errors import InvalidInputError

FloatArray = npt.NDArray[np.float64]

#: Standard deviations below the mean at which a new value of a log column is cut off: zeros and negative values too.
LOWEST_LOG = 10.0
#: exp of more than this is no finite number.
LARGEST_LOG = 700.0


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
    """What a mechanism may know of the table: standardised value = (value - center) / scale.

    The value is the original one, or its logarithm in the columns ``logged``.

    Attributes
    ----------
    names : tuple of str
        Column names, p of them.
    center, scale : ndarray
        Mean and standard deviation, shape (p,): of the observed values, or of the law that lost a tail of them;
        0 and 1 for columns that hold 0 and 1.
    missing_rate : ndarray
        Share of missing cells in training, shape (p,).
    logged : tuple of int
        Positions of the columns that are modelled by their logarithm.
    """

    names: tuple[str, ...]
    center: FloatArray
    scale: FloatArray
    missing_rate: FloatArray
    logged: tuple[int, ...] = ()


def find_layout(table: FloatArray, groups: Sequence[Sequence[int]] = (), binary: Sequence[int] | None = None) -> Layout:
    """Which columns are binary, in a one-hot group, or continuous.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, original units.
    groups : sequence of sequence of int
        Positions of the one-hot groups.
    binary : sequence of int or None
        Positions of the binary columns; None takes all columns outside the groups of which the observed values are 0
        and 1, both of them.

    Returns
    -------
    Layout

    Examples
    --------
    >>> find_layout(np.array([[1.0, 0.2], [0.0, np.nan]]))
    Layout(continuous=(1,), binary=(0,), groups=())
    """
    grouped = {column for group in groups for column in group}
    if binary is None:
        binary = [j for j in range(table.shape[1]) if j not in grouped and _is_binary(table[:, j])]
    taken = grouped | set(binary)
    continuous = tuple(j for j in range(table.shape[1]) if j not in taken)
    return Layout(continuous, tuple(binary), tuple(Group(tuple(group)) for group in groups))


def check_discrete(table: FloatArray, layout: Layout, names: Sequence[str]) -> None:
    """Check that binary columns hold 0 and 1, and rows of a group at most one 1, and not only zeros.

    Raises
    ------
    InvalidInputError
        The message names the column and the row.
    """
    for j in layout.discrete:
        wrong = ~np.isin(table[:, j], (0.0, 1.0)) & ~np.isnan(table[:, j])
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InvalidInputError(
                f"column {names[j]!r} holds {table[row, j]:g} in row {row}, but is modelled as 0 or 1; encode it so, "
                "or leave it out of 'binary' and 'categorical' when fitting"
            )
    for group in layout.groups:
        ones = np.nansum(table[:, group.columns], axis=1)
        complete = ~np.isnan(table[:, group.columns]).any(1)
        wrong = (ones > 1) | (complete & (ones == 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InvalidInputError(
                f"row {row} has {int(ones[row])} ones in the categorical group {[names[j] for j in group.columns]}; "
                "exactly one of its columns must be 1 (give a column for each category, none dropped)"
            )


def most_likely(probability: FloatArray, layout: Layout) -> FloatArray:
    """Probabilities in discrete columns turned into values: 0 or 1, and the likeliest category of each group.

    Parameters
    ----------
    probability : ndarray
        Shape (n, p); continuous columns are left as they are.
    layout : Layout
        Which columns are what.

    Returns
    -------
    ndarray
        A new array.

    Examples
    --------
    >>> most_likely(np.array([[0.3, 0.7, 0.4]]), Layout((), (2,), (Group((0, 1)),)))
    array([[0., 1., 0.]])
    """
    values = probability.copy()
    binary = list(layout.binary)
    values[:, binary] = probability[:, binary] > 0.5
    for group in layout.groups:
        columns = np.array(group.columns)
        values[:, columns] = 0.0
        values[np.arange(len(values)), columns[probability[:, columns].argmax(1)]] = 1.0
    return values


def _is_binary(column: FloatArray) -> bool:
    seen = column[~np.isnan(column)]
    return bool(np.isin(seen, (0.0, 1.0)).all() and (seen == 0).any() and (seen == 1).any())


def describe(table: FloatArray, names: Sequence[str], discrete: Sequence[int] = ()) -> ColumnInfo:
    """Observed mean and standard deviation of each column (0 and 1 where there is nothing to measure).

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, original units.
    names : sequence of str
        p names.
    discrete : sequence of int
        Positions of columns that hold 0 and 1 and stay as they are.

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
    center[list(discrete)], scale[list(discrete)] = 0.0, 1.0
    return ColumnInfo(tuple(names), center, scale, 1.0 - count / max(len(table), 1))


def standardise(table: FloatArray, info: ColumnInfo) -> FloatArray:
    """The table on the model's scale, with 0 in missing cells, shape (n, p)."""
    table = logarithms(table, info.logged, _lowest(info))
    return np.where(np.isnan(table), 0.0, (table - info.center) / info.scale)


def logarithms(table: FloatArray, logged: Sequence[int], lowest: FloatArray | float = 0.0) -> FloatArray:
    """The table with the logarithm in some columns; values below ``lowest`` count as that. A copy, if any."""
    if not logged:
        return table
    columns, result = list(logged), table.copy()
    least = np.broadcast_to(np.asarray(lowest), table.shape[1:])[columns]
    result[:, columns] = np.log(np.maximum(table[:, columns], least))
    return result


def original(values: FloatArray, info: ColumnInfo) -> FloatArray:
    """Values on the model's scale in original units; the last axis is the column."""
    result = values * info.scale + info.center
    if info.logged:
        columns = list(info.logged)
        result[..., columns] = np.exp(np.minimum(result[..., columns], LARGEST_LOG))
    return result


def log_density_factor(table: FloatArray, info: ColumnInfo) -> FloatArray:
    """What turns the log density of a row's standardised values into that of its original ones, shape (n,), nats.

    The sum over the observed cells of log |d standardised / d original|: -log scale_j, and -log x_j more for columns
    that are modelled by their logarithm.

    Examples
    --------
    >>> info = ColumnInfo(("a", "b"), np.zeros(2), np.array([1.0, np.e]), np.zeros(2))
    >>> log_density_factor(np.array([[5.0, 1.0], [5.0, np.nan]]), info).tolist()
    [-1.0, 0.0]
    """
    factor = np.broadcast_to(-np.log(info.scale), table.shape).copy()
    logged = list(info.logged)
    factor[:, logged] -= logarithms(table, info.logged, _lowest(info))[:, logged]
    return np.asarray(np.where(np.isnan(table), 0.0, factor).sum(1))


def _lowest(info: ColumnInfo) -> FloatArray | float:
    """Below this, values of columns that are modelled by their logarithm count as this, shape (p,)."""
    return np.exp(info.center - LOWEST_LOG * info.scale) if info.logged else 0.0
