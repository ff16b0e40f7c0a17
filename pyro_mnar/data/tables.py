"""Tables as users have them: read to float64 with NaN in missing cells, and written back with their own types."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.utils import check_array

from pyro_mnar.data.columns import ColumnInfo, FloatArray, standardise
from pyro_mnar.data.foreign import reading, shown
from pyro_mnar.errors import InvalidInputError, InvalidTypeError, one_line

BoolArray = npt.NDArray[np.bool_]

#: Largest magnitude that a cell may have: its square must be a float64.
LARGEST = 1e150
#: Largest distance of a new value from the training mean, in standard deviations: single precision holds its square.
FARTHEST = 1e12


def category_labels(X: Any) -> dict[int, list[Any]]:
    """The categories of the categorical columns of a pandas DataFrame, by position.

    Examples
    --------
    >>> category_labels(pd.DataFrame({"a": [1.0], "b": pd.Categorical(["x"], ["w", "x"])}))
    {1: ['w', 'x']}
    """
    if not isinstance(X, pd.DataFrame):
        return {}
    kinds = enumerate(X.dtypes)
    return {j: dtype.categories.tolist() for j, dtype in kinds if isinstance(dtype, pd.CategoricalDtype)}


def read_table(
    X: Any, missing_values: float | None, estimator: Any, labels: Mapping[int, Sequence[Any]] | None = None
) -> FloatArray:
    """A new float64 array, shape (n, p), original units, with NaN in missing cells; ``X`` is not changed.

    Parameters
    ----------
    X : array-like
        DataFrame (pandas, polars), array or nested sequence. None, NaN, NA, and masked cells are missing.
    missing_values : float or None
        Another number that marks missing cells; None or NaN when there is none.
    estimator : object
        Named in errors.
    labels : mapping or None
        Categories of the categorical columns, by position: these columns become codes, 0 for the first category.

    Returns
    -------
    ndarray

    Raises
    ------
    InvalidInputError
        No table of numbers: the message names the column, the row and the fix.
    InvalidTypeError
        A column or a cell of a type that is not a number.
    """
    if isinstance(X, pd.DataFrame):
        names = list(X.columns)
        _reject_duplicates(names)
        labels = labels or {}
        values = _stacked([_read_pandas(X.iloc[:, j], name, labels.get(j)) for j, name in enumerate(names)], len(X))
    elif is_polars(X):
        names = list(X.columns)
        values = _stacked([_read_polars(X[name], name) for name in names], len(X))
    else:
        raw = _array(_without_mask(X), estimator)
        names = [f"x{j}" for j in range(raw.shape[1])]
        values = _read_array(raw, names)
    _array(values, estimator)
    _mark_missing(values, missing_values, names)
    _reject_extreme(values, names)
    return values


def reject_far(values: FloatArray, columns: ColumnInfo) -> None:
    """See that new values are within reach of what was trained on.

    Parameters
    ----------
    values : ndarray
        Shape (n, p), original units, NaN = missing.
    columns : ColumnInfo
        Of the training table.

    Raises
    ------
    InvalidInputError
        A value so far off that its density is no number; the message names the column and the row.
    """
    distance = np.abs(standardise(values, columns))
    row, column = _first(distance > FARTHEST)
    if row is not None:
        raise InvalidInputError(
            f"column {columns.names[column]!r} holds {values[row, column]:g} in row {row}, "
            f"{distance[row, column]:.1g} standard deviations from the mean in training, more than {FARTHEST:g}; "
            "check its units"
        )


def write_table(
    X: Any,
    values: FloatArray,
    filled: BoolArray,
    kept: BoolArray,
    extra: dict[str, BoolArray],
    labels: Mapping[int, Sequence[Any]] | None = None,
) -> Any:
    """The completed table in the container of ``X``, with the type of each column where the values allow it.

    A column in which nothing was filled in comes back as it is. A filled one keeps its type if the new values have it:
    whole numbers for integers, 0 and 1 for booleans, finite ones for short floats; otherwise it becomes float64.

    Parameters
    ----------
    X : array-like
        What was given to ``transform``, p columns.
    values : ndarray
        Completed, shape (n, p), original units.
    filled : ndarray
        bool, shape (n, p); True where a value was filled in.
    kept : ndarray
        bool, shape (p,); columns to give back.
    extra : dict
        Further columns (missing indicators), by name, shape (n,) each.
    labels : mapping or None
        Categories of the columns that hold codes, by position.

    Returns
    -------
    DataFrame or ndarray
        Shape (n, kept + extra); index and column order of ``X``.
    """
    index = np.flatnonzero(kept)
    if isinstance(X, pd.DataFrame):
        labels = labels or {}
        columns: list[Any] = [
            _write_pandas(X.iloc[:, int(j)], values[:, j], filled[:, j], labels.get(int(j))) for j in index
        ]
        frame = pd.DataFrame(dict(enumerate([*columns, *extra.values()])), index=X.index)
        names = X.columns[index]
        frame.columns = names.append(pd.Index(list(extra))) if extra else names
        return frame
    if is_polars(X):
        series = [_write_polars(X[:, int(j)], values[:, j], filled[:, j]) for j in index]
        polars = sys.modules["polars"]
        return polars.DataFrame([*series, *(polars.Series(name, column) for name, column in extra.items())])
    completed = _short_float(values[:, index], np.asarray(X).dtype)
    if not extra:
        return completed
    return np.hstack([completed, np.column_stack(list(extra.values())).astype(completed.dtype)])


def marks_with_number(missing_values: Any) -> bool:
    """Whether missing cells hold a number, and not NaN, None or NA.

    Examples
    --------
    >>> marks_with_number(-1), marks_with_number(np.nan), marks_with_number(None)
    (True, False, False)
    """
    return not (missing_values is None or missing_values is pd.NA or np.isnan(missing_values))


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


def _read_array(array: npt.NDArray[Any], names: Sequence[str]) -> FloatArray:
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    return _stacked([_read_cells(array[:, j], name) for j, name in enumerate(names)], len(array))


def _read_pandas(column: "pd.Series[Any]", name: object, labels: Sequence[Any] | None) -> FloatArray:
    dtype = column.dtype
    if labels is not None:
        return _read_labels(column, name, labels)
    if isinstance(dtype, pd.CategoricalDtype):
        raise InvalidTypeError(
            f"column {name!r} is categorical, but was numeric when fitting; give it as numbers, or fit again"
        )
    if pd.api.types.is_object_dtype(dtype):
        return _read_cells(column.to_numpy(), name)
    if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_complex_dtype(dtype):
        raise _not_numbers(name, str(dtype))
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _read_labels(column: "pd.Series[Any]", name: object, labels: Sequence[Any]) -> FloatArray:
    """Codes of a column of labels; whatever type it has, its values must be among those of the fitted table."""
    codes = pd.Index(labels).get_indexer(pd.Index(column)).astype(np.float64)
    missing = column.isna().to_numpy()
    unknown = (codes < 0) & ~missing
    if unknown.any():
        row = int(np.argmax(unknown))
        raise InvalidInputError(
            f"column {name!r} holds {column.iloc[row]!r} in row {row}; the categories of the fitted table are "
            f"{list(labels)}"
        )
    return np.where(missing, np.nan, codes)


def _read_polars(column: Any, name: str) -> FloatArray:
    polars = sys.modules["polars"]
    dtype = column.dtype
    if dtype == polars.Object:
        return _read_cells(column.to_numpy(), name)
    if not (dtype.is_numeric() or dtype in (polars.Boolean, polars.Null)):
        raise _not_numbers(name, str(dtype))
    read: FloatArray = column.cast(polars.Float64).to_numpy().astype(np.float64)
    return read


def _read_cells(cells: npt.NDArray[Any], name: object) -> FloatArray:
    """Cells of any type, one by one; None, NaN, NA and NaT are missing."""
    if cells.dtype.kind not in "biufOUS":
        raise _not_numbers(name, str(cells.dtype))
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        if cell is None or cell is pd.NA or cell is pd.NaT:
            values[row] = np.nan
        elif isinstance(cell, (str, bytes)):
            text = cell if isinstance(cell, bytes) else str(cell)  # a NumPy string shows its type otherwise
            raise InvalidTypeError(
                f"column {name!r} holds the text {text!r} in row {row}; convert the column with pandas.to_numeric "
                "(errors='coerce' makes text a missing cell), encode it as numbers, or drop it"
            )
        else:
            try:
                values[row] = float(cell)
            except Exception as error:
                raise InvalidTypeError(
                    f"column {name!r} holds {shown(cell)} in row {row}, which is no number ({one_line(error)}); "
                    "replace it by a "
                    "number, or by NaN if it is missing"
                ) from error
    return values


def _not_numbers(name: object, dtype: str) -> InvalidTypeError:
    way_out = "make it categorical (pandas: .astype('category')), encode it as numbers, or drop it"
    if dtype.startswith(("datetime", "Datetime", "timedelta", "Duration", "Date")):
        way_out = "turn it into a number, such as the days since a first date, or drop it"
    elif dtype.startswith("complex"):
        way_out = "give real and imaginary part as two columns"
    return InvalidTypeError(f"column {name!r} has the type {dtype}, not numbers; {way_out}")


def _stacked(columns: list[FloatArray], n_rows: int) -> FloatArray:
    return np.column_stack(columns) if columns else np.empty((n_rows, 0))


def _reject_duplicates(names: list[Any]) -> None:
    seen: set[Any] = set()
    for name in names:
        if name in seen:
            raise InvalidInputError(f"two columns have the name {name!r}; names must differ: rename one of them")
        seen.add(name)


def _mark_missing(values: FloatArray, missing_values: Any, names: list[Any]) -> None:
    if not marks_with_number(missing_values):
        return
    row, column = _first(np.isnan(values))
    if row is not None:
        raise InvalidInputError(
            f"Input X contains NaN: column {names[column]!r}, row {row}; missing_values={missing_values!r} says that "
            "missing cells hold that number: replace one of the two by the other"
        )
    values[values == missing_values] = np.nan


def _reject_extreme(values: FloatArray, names: list[Any]) -> None:
    row, column = _first(np.isinf(values))
    if row is not None:
        raise InvalidInputError(
            f"Input X contains infinity: column {names[column]!r}, row {row}; replace it by a number, or by NaN if it "
            "is missing"
        )
    row, column = _first(np.abs(values) > LARGEST)
    if row is not None:
        raise InvalidInputError(
            f"column {names[column]!r} holds {values[row, column]:g} in row {row}; magnitudes must not exceed "
            f"{LARGEST:g}: give the column in a larger unit"
        )


def _first(where: BoolArray) -> tuple[int | None, int]:
    if not where.any():
        return None, 0
    row, column = np.argwhere(where)[0]
    return int(row), int(column)


def _write_pandas(column: "pd.Series[Any]", values: FloatArray, filled: BoolArray, labels: Sequence[Any] | None) -> Any:
    dtype: Any = column.dtype
    if labels is not None and filled.any():
        ordered = isinstance(dtype, pd.CategoricalDtype) and bool(dtype.ordered)
        return pd.Categorical.from_codes(values.astype(int).tolist(), categories=pd.Index(labels), ordered=ordered)
    if isinstance(dtype, pd.SparseDtype) or pd.api.types.is_object_dtype(dtype):
        return values
    if not filled.any():
        return column.array.copy()
    nullable = not isinstance(dtype, np.dtype)
    plain = dtype.numpy_dtype if nullable else dtype
    new = values[filled]
    if not fits(new, plain):
        return pd.array(values, dtype="Float64") if nullable else values
    completed = column.array.copy()
    completed[filled] = new.astype(plain)
    return completed


def _write_polars(column: Any, values: FloatArray, filled: BoolArray) -> Any:
    polars = sys.modules["polars"]
    dtype = column.dtype
    if not filled.any() and dtype != polars.Object:
        return column
    plain: np.dtype[Any] = np.dtype(np.float64)
    if dtype == polars.Boolean:
        plain = np.dtype(bool)
    elif dtype.is_integer() and "128" in str(dtype):
        # NumPy has no whole numbers of 128 bits.
        if fits(values[filled], np.dtype(np.int64)):
            whole = polars.Series(column.name, np.where(filled, values, 0.0).astype(np.int64)).cast(dtype)
            return whole.zip_with(polars.Series(filled), column)
    elif dtype.is_numeric() and not dtype.is_decimal():
        plain = column.head(0).to_numpy().dtype
    if not fits(values[filled], plain):
        plain = np.dtype(np.float64)
    new = polars.Series(column.name, np.where(filled, values, 0.0).astype(plain))
    kept = column.cast(new.dtype) if dtype != polars.Object else polars.Series(column.name, values)
    return new.zip_with(polars.Series(filled), kept)


def fits(values: FloatArray, dtype: np.dtype[Any]) -> bool:
    """Whether a type holds these values: whole ones for integers, 0 and 1 for booleans, finite ones for floats.

    Examples
    --------
    >>> fits(np.array([1.0, 2.0]), np.dtype("int8")), fits(np.array([1.5]), np.dtype("int8"))
    (True, False)
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return bool(np.isfinite(values.astype(dtype)).all())
    if dtype.kind == "b":
        return bool(np.isin(values, (0.0, 1.0)).all())
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # float(2**63 - 1) is 2**63, which an int64 does not hold.
        inside = (values >= float(limits.min)) & (values < float(limits.max) + 1)
        return bool((inside & (values == np.rint(values))).all())
    return False


def _short_float(values: FloatArray, dtype: np.dtype[Any]) -> npt.NDArray[np.floating[Any]]:
    """The array in its own float type when that holds it, else float64 (integers too: an array has one type)."""
    if dtype.kind == "f" and dtype.itemsize < 8 and fits(values, dtype):
        return values.astype(dtype)
    return values
