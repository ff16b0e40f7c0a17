"""Rows with what is known of their missing cells: limits, put on the model's scale and kept on the way back."""

from typing import NamedTuple

import numpy as np

from pyro_mnar.data.columns import ColumnInfo, Support, standardise_column
from pyro_mnar.data.transforms import BoolArray, FloatArray, Identity, Tabulated
from pyro_mnar.errors import InvalidInputError

#: Standard deviations that an interval is wide at least.
LEAST_INTERVAL = 1e-5


class Rows(NamedTuple):
    """The columns that the model has, in original units.

    Attributes
    ----------
    values : ndarray
        Shape (n, p), NaN = missing.
    limits : ndarray or None
        Shape (n, p, 2): between which values a missing cell is known to lie, ends included, -inf and inf where nothing
        is known; None where no column has limits.
    beside : ndarray or None
        Columns that the mechanism alone reads, shape (n, q), NaN = missing; None where there are none.
    """

    values: FloatArray
    limits: FloatArray | None = None
    beside: FloatArray | None = None

    def at(self, rows: BoolArray) -> "Rows":
        """Some of the rows."""
        limits, beside = (None if part is None else part[rows] for part in (self.limits, self.beside))
        return Rows(self.values[rows], limits, beside)

    @property
    def censored(self) -> BoolArray:
        """Missing cells of which limits are known, bool, shape (n, p)."""
        missing = np.isnan(self.values)
        return np.zeros_like(missing) if self.limits is None else missing & np.isfinite(self.limits).any(-1)


def standardised_limits(rows: Rows, info: ColumnInfo) -> FloatArray | None:
    """Limits on the model's scale, shape (n, p, 2): those of values that the column can have; None without limits.

    InvalidInputError names column and row of limits between which the column can have no value.

    Examples
    --------
    >>> info = ColumnInfo(("x",), np.array([1.0]), np.array([2.0]), np.zeros(1))
    >>> standardised_limits(Rows(np.array([[np.nan]]), np.array([[[-np.inf, 5.0]]])), info).tolist()
    [[[-inf, 2.0]]]
    """
    if rows.limits is None:
        return None
    result: FloatArray = np.full(rows.limits.shape, (-np.inf, np.inf))
    censored = rows.censored
    for j in np.flatnonzero(censored.any(0)):
        cells = np.flatnonzero(censored[:, j])
        g = info.transforms[j] if info.transforms else Identity()
        low, high = possible_limits(rows.limits[cells, j], info, int(j)).T
        if isinstance(g, Tabulated):
            # The levels that lie between, not those nearest to the ends.
            first, last = np.searchsorted(g.values, low), np.searchsorted(g.values, high, "right") - 1
            wrong, scores = first > last, np.asarray(g.scores)
            ends = scores[np.minimum(first, len(scores) - 1)], scores[np.maximum(last, 0)]
        else:
            wrong = low > high
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                placed = [standardise_column(end, int(j), info) for end in (low, high)]
            ends = np.where(np.isinf(low), low, placed[0]), np.where(np.isinf(high), high, placed[1])
        if wrong.any():
            row = int(cells[np.argmax(wrong)])
            raise InvalidInputError(
                f"column {info.names[j]!r} has the limits {rows.limits[row, j, 0]:g} and {rows.limits[row, j, 1]:g} in "
                f"row {row}, but no value that the column can have lies between them; declare another kind in 'types' "
                "when fitting, or correct them"
            )
        # Single precision must tell the ends apart.
        gap = LEAST_INTERVAL * (1 + np.abs(np.where(np.isfinite(ends[0]), ends[0], 0.0)))
        levels = isinstance(g, Tabulated)
        result[cells, j] = np.column_stack([ends[0], ends[1] if levels else np.maximum(ends[1], ends[0] + gap)])
    return result


def possible_limits(limits: FloatArray, info: ColumnInfo, column: int) -> FloatArray:
    """Limits of one column's cells, shape (..., 2), cut to its support, and to whole numbers where it has these."""
    support = info.supports[column] if info.supports else Support()
    low, high = limits[..., 0], limits[..., 1]
    if support.whole:
        low, high = np.ceil(low), np.floor(high)
    return np.stack([np.maximum(low, support.lowest), np.minimum(high, support.highest)], -1)


def between_limits(values: FloatArray, rows: Rows, info: ColumnInfo) -> FloatArray:
    """Imputed values, shape (..., n, p), with those of censored cells between their limits, original units."""
    if rows.limits is None:
        return values
    result, censored = values.copy(), rows.censored
    for j in np.flatnonzero(censored.any(0)):
        cells = censored[:, j]
        low, high = possible_limits(rows.limits[cells, j], info, int(j)).T
        result[..., cells, j] = np.clip(values[..., cells, j], low, high)
    return result
