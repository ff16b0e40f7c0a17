"""Numbers that a float64 does not hold: they come back as they were, or are refused by name before anything is done.

Tables are computed with as float64, which holds whole numbers up to 2**53 and no 0.1. Columns of Python's decimals and
whole numbers, and polars' decimals, are kept exactly; an array has one type, and a column of integers with holes
becomes one of floats, so there a number that would change is refused.
"""

import decimal
import numbers
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.foreign import shown
from pyro_mnar.data.raw import is_polars
from pyro_mnar.data.transforms import BoolArray, FloatArray
from pyro_mnar.errors import InvalidInputError

#: Beyond it a float64 leaves whole numbers out.
LARGEST_WHOLE = 2**53


def check_exact(X: Any, table: FloatArray) -> None:
    """See that observed cells of ``X``, read as ``table`` (n, p), NaN = missing, can be given back as they are.

    InvalidInputError names the column and the row of a cell that would come back changed.
    """
    frame = isinstance(X, pd.DataFrame)
    if frame or is_polars(X):
        for j in map(int, np.flatnonzero(np.isnan(table).any(0))):
            column = X.iloc[:, j] if frame else X[:, j]
            whole = pd.api.types.is_integer_dtype(column.dtype) if frame else column.dtype.is_integer()
            if whole:
                _check_column(column, table[:, j], X.columns[j])
        return
    if np.ma.isMaskedArray(X):
        X = np.ma.getdata(X)
    # Lists with a hole become floats before anyone can look.
    cells = np.array(X, dtype=object) if isinstance(X, (list, tuple)) else np.asarray(X)
    if cells.dtype.kind in "iuO" or (cells.dtype.kind == "f" and cells.dtype.itemsize > 8):
        for j in range(table.shape[1]):
            _check_column(cells[:, j], table[:, j], f"x{j}")


def with_exact_cells(X: Any, completed: Any, missing: BoolArray, kept: BoolArray) -> Any:
    """The completed table with Python's and polars' exact numbers in the cells that were observed.

    ``completed`` has the columns ``kept`` of ``X``, bool, shape (p,), and others after these; ``missing`` is (n, p).
    """
    index = [int(j) for j in np.flatnonzero(kept)]
    if isinstance(X, pd.DataFrame) and isinstance(completed, pd.DataFrame):
        for place, j in enumerate(index):
            given, found = X.iloc[:, j], completed.iloc[:, place]
            if pd.api.types.is_object_dtype(given.dtype) and found.dtype.kind == "f":
                exact = _exact_objects(given.to_numpy(), found.to_numpy(), missing[:, j])
                if exact is not None:
                    completed.isetitem(place, pd.Series(exact, index=completed.index, dtype=object).array)
    elif is_polars(X) and is_polars(completed):
        for place, j in enumerate(index):
            given, found = X[:, j], completed[:, place]
            if given.dtype.is_decimal() and found.dtype != given.dtype:
                polars = sys.modules["polars"]
                imputed = found.cast(given.dtype)
                completed.replace_column(place, imputed.zip_with(polars.Series(missing[:, j]), given))
    return completed


def _exact_objects(cells: npt.NDArray[Any], values: FloatArray, missing: BoolArray) -> npt.NDArray[Any] | None:
    """Observed cells as they are and imputed ones of their type; None where float64 holds them all."""
    observed = [cell for cell, gone in zip(cells, missing, strict=True) if not gone]
    if all(_same(cell, value) for cell, value in zip(observed, values[~missing], strict=True)):
        return None
    # Numbers as text (a censored column) come back as numbers.
    if any(isinstance(cell, str) for cell in cells):
        return None
    result: npt.NDArray[Any] = cells.copy()
    imputed: list[Any] = [float(value) for value in values[missing]]
    if all(isinstance(cell, decimal.Decimal) for cell in observed):
        imputed = [decimal.Decimal(repr(value)) for value in imputed]
    elif all(value.is_integer() for value in imputed):
        imputed = [int(value) for value in imputed]
    result[missing] = np.array(imputed, dtype=object)
    return result


def _check_column(column: Any, values: FloatArray, name: object) -> None:
    # Small whole numbers are exact; other kinds of cells are looked at one by one.
    dtype = column.dtype
    plain = isinstance(dtype, np.dtype) and dtype.kind in "Of"
    rows = np.flatnonzero(~np.isnan(values) & (plain | (np.abs(values) >= LARGEST_WHOLE)))
    for row in rows:
        cell = column.iloc[row] if isinstance(column, pd.Series) else column[int(row)]
        if isinstance(cell, (numbers.Number, decimal.Decimal)) and not _same(cell, values[row]):
            raise InvalidInputError(
                f"column {name!r} holds {shown(cell)} in row {row}, which no float64 holds, so it would come back "
                "changed: leave an identifier out of the table, or round the column to float64 first"
            )


def _same(cell: Any, value: float) -> bool:
    """Whether a cell is a number of exactly this value."""
    if isinstance(cell, np.generic) and not isinstance(cell, np.longdouble):
        cell = cell.item()
    try:
        return bool(cell == float(value))
    except Exception:
        return False
