"""From a user's table to the model's scale and back."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pyro_mnar.data.transforms import (
    FARTHEST_END,
    FloatArray,
    Identity,
    Log,
    Tabulated,
    Transform,
    WithAtoms,
)
from pyro_mnar.errors import InvalidInputError

#: Largest distance of a new value from the training mean, in standard deviations: single precision holds its square.
FARTHEST = 1e12


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


class Levels(NamedTuple):
    """A column of ordered levels, which cut a distribution given z: P(level k | z) is its share between two cuts.

    Attributes
    ----------
    column : int
        Position of the column.
    values, scores : tuple of float
        Original values and what stands for them on the model's scale, both ascending, C each.
    cuts : tuple of float
        Between the scores, on the model's scale, C - 1.
    """

    column: int
    values: tuple[float, ...]
    scores: tuple[float, ...]
    cuts: tuple[float, ...]


class Atoms(NamedTuple):
    """A continuous column with point masses; its mean and scale are those of the rest.

    Attributes
    ----------
    column : int
        Position of the column.
    values : tuple of float
        Where the masses are, on the model's scale, ascending: a cell is there if it is equal in single precision.
    """

    column: int
    values: tuple[float, ...]


class Layout(NamedTuple):
    """Which columns are of which kind; together they are 0 .. p-1, each once.

    Attributes
    ----------
    continuous, binary : tuple of int
        Positions of the standardised columns, and of those that hold 0 and 1.
    groups : tuple of Group
        One-hot groups.
    levels : tuple of Levels
        Columns of ordered levels.
    atoms : tuple of Atoms
        Continuous columns with point masses.
    """

    continuous: tuple[int, ...]
    binary: tuple[int, ...] = ()
    groups: tuple[Group, ...] = ()
    levels: tuple[Levels, ...] = ()
    atoms: tuple[Atoms, ...] = ()

    @property
    def discrete(self) -> list[int]:
        """Positions of the columns that hold 0 and 1."""
        return [*self.binary, *(column for group in self.groups for column in group.columns)]


class Support(NamedTuple):
    """Which values a column can have.

    Attributes
    ----------
    lowest, highest : float
        Its ends, infinite where it has none.
    whole : bool
        Whole numbers only.
    """

    lowest: float = -np.inf
    highest: float = np.inf
    whole: bool = False


class LostTail(NamedTuple):
    """A side of a column beyond which every value was lost, so that nothing observed says how far they reach.

    Attributes
    ----------
    column : int
        Position of the column.
    end : float or None
        Where it begins, on the model's scale; None: at its own limit for each censored cell.
    sign : int
        +1 where high values were lost, -1 where low ones were.
    spread : float
        Standard deviation of the logarithm of the factor by which distances beyond the end may be off.
    """

    column: int
    end: float | None
    sign: int
    spread: float


class ColumnInfo(NamedTuple):
    """What a mechanism may know of the table: standardised value = (g(value) - center) / scale.

    Attributes
    ----------
    names : tuple of str
        Column names, p of them.
    center, scale : ndarray
        Mean and standard deviation of g(value), shape (p,): of the observed values, or of the distribution that lost a
        tail of them; 0 and 1 for columns that hold 0 and 1, and for levels.
    missing_rate : ndarray
        Share of missing cells in training, shape (p,).
    transforms : tuple of Transform
        g of each column; empty where all are the identity.
    supports : tuple of Support
        Which values each column can have; empty where all are open.
    codes : tuple of tuple of float
        Of each column of two numbers other than 0 and 1, which two they are: the model reads them as 0 and 1. Empty
        for other columns, and where there are none.
    tails : tuple of LostTail
        Sides of columns that lost every value, and how uncertain their reach is.
    within_limits : tuple of float
        Share of the cells of which only limits were known in training; empty where there were none.
    beside : ColumnInfo or None
        The columns that the mechanism alone reads, which are no part of the model of the table.
    """

    names: tuple[str, ...]
    center: FloatArray
    scale: FloatArray
    missing_rate: FloatArray
    transforms: tuple[Transform, ...] = ()
    supports: tuple[Support, ...] = ()
    codes: tuple[tuple[float, ...], ...] = ()
    tails: tuple[LostTail, ...] = ()
    within_limits: tuple[float, ...] = ()
    beside: "ColumnInfo | None" = None

    @property
    def transformed(self) -> list[tuple[int, Transform]]:
        """Positions and transforms of the columns of which the transform is not the identity."""
        return [(j, g) for j, g in enumerate(self.transforms) if not isinstance(g, Identity)]

    @property
    def logged(self) -> tuple[int, ...]:
        """Positions of the columns that are modelled by their logarithm."""
        return tuple(j for j, g in enumerate(self.transforms) if isinstance(g, Log))


def atoms_of(column: int, info: ColumnInfo) -> Atoms:
    """Where the point masses of a column are on the model's scale."""
    g = info.transforms[column]
    assert isinstance(g, WithAtoms)
    return Atoms(column, tuple(standardise_column(np.array(g.values), column, info).tolist()))


def check_discrete(table: FloatArray, layout: Layout, names: Sequence[str]) -> None:
    """Check that binary columns hold 0 and 1, and rows of a group at most one 1, and not only zeros.

    InvalidInputError names the column and the row.
    """
    for j in layout.discrete:
        wrong = ~np.isin(table[:, j], (0.0, 1.0)) & ~np.isnan(table[:, j])
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InvalidInputError(
                f"column {names[j]!r} holds {table[row, j]:g} in row {row}, but is modelled as 0 or 1; encode it so, "
                "or declare another kind in 'types' when fitting"
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
    """Probabilities (n, p) in discrete columns turned into values: 0 or 1, and the likeliest category of each group.

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


def describe(table: FloatArray, names: Sequence[str], discrete: Sequence[int] = ()) -> ColumnInfo:
    """Observed mean and standard deviation of each column (0 and 1 where there is nothing to measure).

    The table (n, p) is in original units, NaN = missing; columns at the positions ``discrete`` stay as they are.

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
    return np.where(np.isnan(table), 0.0, _standardised(table, info))


def transformed(table: FloatArray, transforms: Sequence[Transform]) -> FloatArray:
    """The columns after their transforms, shape (n, p): a copy, or the table itself where no column has a transform."""
    changed = [j for j, g in enumerate(transforms) if not isinstance(g, Identity)]
    if not changed:
        return table
    result = table.copy()
    for j in changed:
        result[:, j] = transforms[j].forward(table[:, j])
    return result


def original(values: FloatArray, info: ColumnInfo) -> FloatArray:
    """Values on the model's scale in original units, cut to each column's support; the last axis is the column.

    Not rounded, so that averages pass through it; see :func:`possible`.
    """
    result = values * info.scale + info.center
    for j, g in info.transformed:
        result[..., j] = g.inverse(result[..., j])
    for j, support in enumerate(info.supports):
        if support.lowest > -np.inf or support.highest < np.inf:
            result[..., j] = np.clip(result[..., j], support.lowest, support.highest)
    return result


def standardise_column(values: FloatArray, column: int, info: ColumnInfo) -> FloatArray:
    """Values of one column on the model's scale, any shape; NaN stays."""
    g = info.transforms[column] if info.transforms else Identity()
    return np.asarray((g.forward(values) - info.center[column]) / info.scale[column])


def original_column(values: FloatArray, column: int, info: ColumnInfo) -> FloatArray:
    """:func:`original` of the values of one column, any shape."""
    result = values * info.scale[column] + info.center[column]
    if info.transforms:
        result = info.transforms[column].inverse(result)
    if info.supports:
        result = np.clip(result, info.supports[column].lowest, info.supports[column].highest)
    return result


def possible(values: FloatArray, info: ColumnInfo) -> FloatArray:
    """The nearest values (..., p) that the columns can have: levels, whole numbers, within the support; a new array.

    Examples
    --------
    >>> info = ColumnInfo(("n",), np.zeros(1), np.ones(1), np.zeros(1), supports=(Support(0.0, whole=True),))
    >>> possible(np.array([[-0.7], [2.6]]), info).tolist()
    [[0.0], [3.0]]
    """
    result = values.copy()
    for j, support in enumerate(info.supports):
        low, high = support.lowest, support.highest
        if support.whole:
            # How far values may reach beyond the observed ones need not be a whole number.
            result[..., j], low, high = np.rint(result[..., j]), np.ceil(low), np.floor(high)
        # Adding 0 turns -0.0 into 0.0.
        result[..., j] = np.clip(result[..., j], low, high) + 0.0
    for j, g in info.transformed:
        if isinstance(g, Tabulated):
            result[..., j] = g.nearest(result[..., j])
    return result


def log_density_factor(table: FloatArray, info: ColumnInfo) -> FloatArray:
    """What turns the log density of a row's standardised values into that of its original ones, shape (n,), nats.

    The sum over the observed cells of log |d standardised / d original|: log g'(x_j) - log scale_j; 0 for values that
    have a probability and not a density.

    Examples
    --------
    >>> info = ColumnInfo(("a", "b"), np.zeros(2), np.array([1.0, np.e]), np.zeros(2))
    >>> log_density_factor(np.array([[5.0, 1.0], [5.0, np.nan]]), info).tolist()
    [-1.0, 0.0]
    """
    factor = np.broadcast_to(-np.log(info.scale), table.shape).copy()
    standard = _standardised(table, info)
    for j, g in info.transformed:
        column = table[:, j]
        far = np.abs(standard[:, j]) >= FARTHEST_END
        inside = np.where(far, g.inverse(info.center[j] + info.scale[j] * standard[:, j]), column)
        factor[:, j] = np.where(g.is_mass(column), 0.0, factor[:, j] + g.log_derivative(inside))
    return np.asarray(np.where(np.isnan(table), 0.0, factor).sum(1))


def reject_far(values: FloatArray, columns: ColumnInfo) -> None:
    """See that new values (n, p), original units, are within reach of what was trained on.

    InvalidInputError names column and row of a value so far off that its density is no number.
    """
    distance = np.abs(standardise(values, columns))
    far = distance > FARTHEST
    if far.any():
        row, column = (int(place) for place in np.argwhere(far)[0])
        raise InvalidInputError(
            f"column {columns.names[column]!r} holds {values[row, column]:g} in row {row}, "
            f"{distance[row, column]:.1g} standard deviations from the mean in training, more than {FARTHEST:g}; "
            "check its units"
        )


def _standardised(table: FloatArray, info: ColumnInfo) -> FloatArray:
    """(g(x) - center) / scale, NaN in missing cells; beyond an open end (zeros of a log) far out, and finite."""
    result: FloatArray = (transformed(table, info.transforms) - info.center) / info.scale
    for j, g in info.transformed:
        low, high = g.open_ends
        result[:, j] = np.clip(result[:, j], -FARTHEST_END if low else -np.inf, FARTHEST_END if high else np.inf)
    return result
