"""Columns as users have them, from pandas, polars and arrays: numbers, labels, dates, and what is missing."""

import datetime
import sys
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_array

from pyro_mnar.data.foreign import check_distinct, reading, shown
from pyro_mnar.data.limits import Declared, Limits, example_of_limits, intervals_of_cells
from pyro_mnar.data.transforms import BoolArray, FloatArray
from pyro_mnar.errors import InvalidInputError, InvalidTypeError, one_line

#: Largest magnitude that a cell may have: its square must be a float64.
LARGEST = 1e150
#: Microseconds of a day.
MICROSECONDS = 86_400e6


#: What a column serves for that is beside the model.
BESIDE = "read by the mechanism alone"


@dataclass(frozen=True, eq=False)
class RawColumn:
    """A column of a user's table.

    Attributes
    ----------
    name : object
        Its name.
    holds : {"number", "boolean", "label", "date", "duration"}
        What its cells are.
    values : ndarray
        Shape (n,): float64 with NaN in missing cells (dates: days since 1970 in local time; durations: days), or
        objects for labels.
    missing : ndarray
        bool, shape (n,).
    integer : bool
        Whether its type has whole numbers only.
    categories : tuple, or None
        Of a categorical type, all of them.
    ordered : bool
        Whether these have an order.
    from_array : bool
        It is a column of an array, all columns of which have one type.
    limits : ndarray or None
        Shape (n, 2): between which values a missing cell is known to lie, -inf and inf where nothing is known.
    serves : str
        What the column holds about another one, which is why it is not modelled; "" for others.
    """

    name: Any
    holds: Literal["number", "boolean", "label", "date", "duration"]
    values: npt.NDArray[Any]
    missing: BoolArray
    integer: bool = False
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    from_array: bool = field(default=False, kw_only=True)
    limits: FloatArray | None = field(default=None, kw_only=True)
    serves: str = field(default="", kw_only=True)

    @property
    def observed(self) -> npt.NDArray[Any]:
        """Values of the cells that are not missing."""
        seen: npt.NDArray[Any] = self.values[~self.missing]
        return seen


def read_columns(X: Any, missing_values: float | None, estimator: Any, declared: Declared = None) -> list[RawColumn]:
    """The columns of a table, checked; ``X`` is not changed.

    ``X`` is a DataFrame (pandas, polars), an array or a nested sequence, in which None, NaN, NA, NaT and masked cells
    are missing, and so is ``missing_values`` where that is a number; ``declared`` says of which columns limits are
    given, and where. InvalidInputError for what is no table, and InvalidTypeError for a column or cell of a type that
    cannot be modelled, name the column, the row and the fix, and the ``estimator``.
    """
    if isinstance(X, pd.DataFrame):
        names = list(X.columns)
        check_distinct(names, "of the table")
        columns = [
            _with_text(name, X.iloc[:, j], declared) or read_pandas(X.iloc[:, j], name) for j, name in enumerate(names)
        ]
        _array(np.empty((len(X), len(names))), estimator)
    elif is_polars(X):
        columns = [_with_text(name, X[name], declared) or read_polars(X[name], name) for name in X.columns]
        _array(np.empty(X.shape), estimator)
    else:
        raw = _array(_without_mask(X), estimator)
        columns = [
            _with_text(f"x{j}", raw[:, j], declared) or _read_array(raw[:, j], f"x{j}") for j in range(raw.shape[1])
        ]
    for column in columns:
        if column.holds == "number":
            _mark_missing(column, missing_values)
            _reject_extreme(column)
    return columns


def _with_text(name: object, column: Any, declared: Declared) -> RawColumn | None:
    """A column of numbers and texts such as "<0.5", if limits were declared for it; None for other columns.

    Where one rule was declared for all columns, those are meant of which every text names a number or an interval.
    """
    for_all = isinstance(declared, Limits)
    if declared is None or (not isinstance(declared, Limits) and str(name) not in declared):
        return None
    if not holds_text(column):
        return None
    cells = list(column)
    missing = pd.isna(pd.Series(cells, dtype=object)).to_numpy()
    if for_all and example_of_limits([cell for cell, gone in zip(cells, missing, strict=True) if not gone]) is None:
        return None
    limits = intervals_of_cells([None if gone else cell for cell, gone in zip(cells, missing, strict=True)], name)
    exact = limits[:, 0] == limits[:, 1]
    return RawColumn(name, "number", np.where(exact, limits[:, 0], np.nan), ~exact, limits=limits)


def holds_text(column: Any) -> bool:
    """Whether a cell of a column, of pandas, polars or numpy, is a text."""
    plain = isinstance(column.dtype, np.dtype) and column.dtype.kind not in "OUT"
    return not plain and any(isinstance(cell, str) for cell in column)


def marks_with_number(missing_values: Any) -> bool:
    """Whether missing cells hold a number, and not NaN, None or NA."""
    return not pd.isna(missing_values)


def is_polars(X: Any) -> bool:
    """Whether ``X`` is a polars DataFrame; polars is not needed for the answer."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(X, polars.DataFrame)


def has_text_names(X: Any) -> bool:
    """Whether the columns of ``X`` have names that scikit-learn compares between tables."""
    if isinstance(X, pd.DataFrame):
        return all(isinstance(name, str) for name in X.columns)
    return is_polars(X)


def _array(X: Any, estimator: Any) -> npt.NDArray[Any]:
    """A 2-D array with at least one row and one column."""
    with reading("X"):
        array: npt.NDArray[Any] = check_array(X, dtype=None, ensure_all_finite=False, estimator=estimator)
    return array


def _without_mask(X: Any) -> Any:
    if not isinstance(X, np.ma.MaskedArray):
        return X
    cells: Any = X.astype(np.float64 if X.dtype.kind in "biuf" else object)
    return cells.filled(np.nan)


def _numbers(name: object, values: FloatArray, integer: bool = False, from_array: bool = False) -> RawColumn:
    # A copy: missing cells are marked in it.
    return RawColumn(name, "number", np.array(values), np.isnan(values), integer, from_array=from_array)


def _labels(name: object, cells: npt.NDArray[Any], missing: BoolArray, from_array: bool = False) -> RawColumn:
    values = cells.astype(object)
    values[missing] = None
    return RawColumn(name, "label", values, missing, from_array=from_array)


def _days(name: object, stamps: npt.NDArray[Any], holds: Literal["date", "duration"]) -> RawColumn:
    missing = np.isnat(stamps)
    microseconds = stamps.astype(f"{stamps.dtype.kind}8[us]").astype(np.int64)
    return RawColumn(name, holds, np.where(missing, np.nan, microseconds / MICROSECONDS), missing)


def _read_array(column: npt.NDArray[Any], name: str) -> RawColumn:
    if column.dtype.kind == "b":
        return RawColumn(name, "boolean", column.astype(float), np.zeros(len(column), bool), from_array=True)
    if column.dtype.kind in "iuf":
        return _numbers(name, column.astype(np.float64), column.dtype.kind in "iu", from_array=True)
    if column.dtype.kind == "M":
        return _days(name, column, "date")
    if column.dtype.kind == "m":
        return _days(name, column, "duration")
    return _read_objects(column, name, from_array=True)


def read_pandas(column: "pd.Series[Any]", name: object) -> RawColumn:
    """A column of a pandas table; errors as in :func:`read_columns`."""
    dtype: Any = column.dtype
    types = pd.api.types
    missing = column.isna().to_numpy()
    if isinstance(dtype, pd.CategoricalDtype):
        read = _labels(name, column.to_numpy(dtype=object), missing)
        return RawColumn(
            name, "label", read.values, missing, False, tuple(dtype.categories.tolist()), bool(dtype.ordered)
        )
    if types.is_object_dtype(dtype):
        return _read_objects(column.to_numpy(), name)
    if str(dtype).startswith(("dictionary", "date32", "date64")):
        # Arrow's categories and days.
        return _read_objects(column.to_numpy(dtype=object), name)
    if types.is_bool_dtype(dtype):
        return RawColumn(name, "boolean", column.to_numpy(dtype=np.float64, na_value=np.nan), missing)
    if types.is_numeric_dtype(dtype) and not types.is_complex_dtype(dtype):
        return _numbers(name, column.to_numpy(dtype=np.float64, na_value=np.nan), types.is_integer_dtype(dtype))
    if types.is_string_dtype(dtype):
        return _labels(name, column.to_numpy(dtype=object), missing)
    if types.is_datetime64_any_dtype(dtype):
        stamps = column.to_numpy(dtype="datetime64[us]")
        if column.dt.tz is not None:
            # Not column.dt.tz_localize(None): of a column of Arrow, pandas 2 makes UTC of that.
            local = pd.DatetimeIndex(stamps).tz_localize("UTC").tz_convert(column.dt.tz).tz_localize(None)
            stamps = local.to_numpy(dtype="datetime64[us]")
        return _days(name, stamps, "date")
    if types.is_timedelta64_dtype(dtype) or getattr(dtype, "kind", "") == "m":
        return _days(name, column.to_numpy(dtype="timedelta64[us]"), "duration")
    raise _not_a_kind(name, str(dtype))


def read_polars(column: Any, name: str) -> RawColumn:
    """A column of a polars table; errors as in :func:`read_columns`."""
    polars = sys.modules["polars"]
    dtype = column.dtype
    missing = column.is_null().to_numpy()
    if dtype == polars.Object:
        return _read_objects(column.to_numpy(), name)
    if dtype == polars.Boolean:
        return RawColumn(name, "boolean", column.cast(polars.Float64).to_numpy().astype(np.float64), missing)
    if dtype.is_numeric() or dtype == polars.Null:
        values: FloatArray = column.cast(polars.Float64).to_numpy().astype(np.float64)
        return _numbers(name, values, dtype.is_integer())
    if dtype in (polars.String, polars.Categorical, polars.Enum):
        read = _labels(name, np.array(column.cast(polars.String).to_list() + [None], dtype=object)[:-1], missing)
        known = tuple(dtype.categories) if dtype == polars.Enum else None
        return RawColumn(name, "label", read.values, missing, False, known)
    if dtype in (polars.Date, polars.Datetime):
        local = column.cast(polars.Datetime("us")) if dtype == polars.Date else column.dt.replace_time_zone(None)
        return _days(name, local.to_numpy(), "date")
    if dtype == polars.Duration:
        return _days(name, column.to_numpy(), "duration")
    raise _not_a_kind(name, str(dtype))


def _read_objects(cells: npt.NDArray[Any], name: object, from_array: bool = False) -> RawColumn:
    """A column of Python objects: all numbers, all text, all booleans, or all dates."""
    absent = np.asarray(pd.isna(pd.Series(cells, dtype=object)))
    found = pd.api.types.infer_dtype(cells, skipna=True)
    if found == "string":
        return _labels(name, cells, absent, from_array)
    if found == "boolean":
        values = np.array([np.nan if gone else float(cell) for cell, gone in zip(cells, absent, strict=True)])
        return RawColumn(name, "boolean", values, absent, from_array=from_array)
    if found in ("date", "datetime", "datetime64"):
        stamps = [np.datetime64("NaT") if gone else _stamp(cell) for cell, gone in zip(cells, absent, strict=True)]
        return _days(name, np.array(stamps, "datetime64[us]"), "date")
    if found in ("timedelta", "timedelta64"):
        return _days(name, pd.to_timedelta(pd.Series(cells)).to_numpy(dtype="timedelta64[us]"), "duration")
    return _numbers(name, _read_cells(cells, name), from_array=from_array)


def _stamp(cell: Any) -> np.datetime64:
    if isinstance(cell, datetime.date) and not isinstance(cell, datetime.datetime):
        return np.datetime64(cell, "us")
    return pd.Timestamp(cell).tz_localize(None).to_datetime64()


def _read_cells(cells: npt.NDArray[Any], name: object) -> FloatArray:
    """Cells of any type, one by one; None, NaN, NA and NaT are missing."""
    if cells.dtype.kind not in "biufOUS":
        raise _not_a_kind(name, str(cells.dtype))
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        if cell is None or cell is pd.NA or cell is pd.NaT:
            values[row] = np.nan
        elif isinstance(cell, (str, bytes)):
            text = cell if isinstance(cell, bytes) else str(cell)  # a NumPy string shows its type otherwise
            raise InvalidTypeError(
                f"column {name!r} holds the text {text!r} in row {row} beside cells that are no text; convert the "
                "column with pandas.to_numeric (errors='coerce' makes text a missing cell), or turn all of it into text"
            )
        else:
            try:
                values[row] = float(cell)
            except Exception as error:
                raise InvalidTypeError(
                    f"column {name!r} holds {shown(cell)} in row {row}, which is no number ({one_line(error)}); "
                    "replace it by a number, or by NaN if it is missing"
                ) from error
    return values


def _not_a_kind(name: object, dtype: str) -> InvalidTypeError:
    way_out = "turn it into numbers, text or dates, or drop it"
    if dtype.startswith("complex"):
        way_out = "give real and imaginary part as two columns"
    return InvalidTypeError(f"column {name!r} has the type {dtype}, which is no kind of column; {way_out}")


def _mark_missing(column: RawColumn, missing_values: Any) -> None:
    if not marks_with_number(missing_values):
        return
    if column.limits is None and column.missing.any():
        raise InvalidInputError(
            f"Input X contains NaN: column {column.name!r}, row {int(np.argmax(column.missing))}; "
            f"missing_values={missing_values!r} says that missing cells hold that number: replace one of the two by "
            "the other"
        )
    column.missing[:] = (column.values == missing_values) | (column.missing if column.limits is not None else False)
    column.values[column.missing] = np.nan


def _reject_extreme(column: RawColumn) -> None:
    infinite = np.isinf(column.values)
    if infinite.any():
        raise InvalidInputError(
            f"Input X contains infinity: column {column.name!r}, row {int(np.argmax(infinite))}; replace it by a "
            "number, or by NaN if it is missing"
        )
    large = np.abs(column.values) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        raise InvalidInputError(
            f"column {column.name!r} holds {column.values[row]:g} in row {row}; magnitudes must not exceed "
            f"{LARGEST:g}: give the column in a larger unit"
        )
