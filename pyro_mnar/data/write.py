"""Completed tables in the container that was given, each column with the type and the values that it had."""

import datetime
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.kinds.schema import Schema, alike
from pyro_mnar.data.raw import MICROSECONDS, BoolArray, holds_text, is_polars, read_pandas, read_polars
from pyro_mnar.data.transforms import FloatArray


def write_table(
    X: Any,
    values: FloatArray,
    filled: BoolArray,
    kept: BoolArray,
    extra: Mapping[str, BoolArray],
    schema: Schema,
) -> Any:
    """The completed table in the container of ``X``, with the type of each column.

    A column in which nothing was filled in comes back as it is. A filled one keeps its type, and holds the labels,
    dates and whole numbers that its kind has; where its type does not hold the new values (numbers with decimals for a
    column of integers that was declared continuous) it becomes float64, and a column without any value, whatever its
    type, gets the type that its kind has by itself.

    Parameters
    ----------
    X : array-like
        What was given to ``transform``, p columns; its index and the order of its columns are kept.
    values, filled : ndarray
        Completed, shape (n, p), as the schema reads the table (codes of labels, days of dates), and what is new.
    kept : ndarray
        bool, shape (p,); columns to give back.
    extra : mapping
        Further columns (missing indicators), by name, shape (n,) each.
    schema : Schema
        What the columns are.
    """
    index = np.flatnonzero(kept)
    kinds = schema.columns
    if isinstance(X, pd.DataFrame):
        columns: list[Any] = [_write_pandas(X.iloc[:, int(j)], values[:, j], filled[:, j], kinds[j]) for j in index]
        frame = pd.DataFrame(dict(enumerate([*columns, *extra.values()])), index=X.index)
        names = X.columns[index]
        frame.columns = names.append(pd.Index(list(extra))) if extra else names
        return frame
    if is_polars(X):
        series = [_write_polars(X[:, int(j)], values[:, j], filled[:, j], kinds[j]) for j in index]
        polars = sys.modules["polars"]
        return polars.DataFrame([*series, *(polars.Series(name, column) for name, column in extra.items())])
    completed = _write_array(X, values, filled, index, schema)
    if not extra:
        return completed
    return np.hstack([completed, np.column_stack(list(extra.values())).astype(completed.dtype)])


def decode(kind: ColumnKind, values: FloatArray) -> npt.NDArray[Any]:
    """What a column's own cells hold: labels for codes, numbers else.

    Examples
    --------
    >>> decode(ColumnKind("a", "binary", "", labels=("no", "yes")), np.array([1.0, 0.0])).tolist()
    ['yes', 'no']
    """
    if not kind.labels:
        return values
    labels = np.empty(len(kind.labels), dtype=object)
    labels[:] = kind.labels
    found: npt.NDArray[Any] = labels[np.rint(values).astype(int)]
    numbers = all(isinstance(label, int | float) and not isinstance(label, bool) for label in kind.labels)
    return found.astype(np.float64) if numbers else found


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


def _within(values: FloatArray, dtype: np.dtype[Any]) -> FloatArray:
    """Whole numbers cut to the range of an integer type; others as they are."""
    if dtype.kind not in "iu" or not (values == np.rint(values)).all():
        return values
    limits = np.iinfo(dtype)
    return np.clip(values, float(limits.min), np.nextafter(float(limits.max) + 1, 0.0))


def _stamps(days: FloatArray, unit: str, resolution: str = "us") -> npt.NDArray[Any]:
    """Dates (unit M) or durations (m), cut to the whole days that a resolution holds, whatever the zone."""
    most = np.floor(2.0**63 / MICROSECONDS / (1000 if resolution == "ns" else 1)) - 1
    return np.rint(np.clip(days, -most, most) * MICROSECONDS).astype(np.int64).astype(f"{unit}8[us]")


def _write_pandas(column: "pd.Series[Any]", values: FloatArray, filled: BoolArray, kind: ColumnKind) -> Any:
    dtype: Any = column.dtype
    types = pd.api.types
    if isinstance(dtype, pd.SparseDtype):
        return values
    if _numbers_as_text(column, kind):
        return values
    if not filled.any() or not (kind.modelled or types.is_numeric_dtype(dtype)):
        return column.copy()
    new = decode(kind, values[filled])
    if filled.all() and not _suits(column, kind):
        return pd.Series(natural(kind, new), index=column.index)
    if isinstance(dtype, pd.CategoricalDtype):
        lacking = [label for label in pd.unique(pd.Series(new)) if label not in dtype.categories]
        categorical: Any = column.cat.add_categories(lacking) if lacking else column.copy()
        categorical[filled] = new
        return categorical.array
    if types.is_object_dtype(dtype):
        objects = _objects(column.to_numpy(), values, filled, new, kind)
        # As a series with its type: pandas would take an array of text for a column of strings.
        return pd.Series(objects, index=column.index, dtype=objects.dtype)
    if str(dtype).startswith(("dictionary", "date32", "date64")):
        cells = column.to_numpy(dtype=object)
        return pd.array(_objects(cells, values, filled, new, kind).tolist(), dtype=dtype)
    if kind.holds in ("date", "duration"):
        return _dated(column, filled, new, kind)
    completed = column.array.copy()
    if not types.is_numeric_dtype(dtype):
        if types.is_string_dtype(dtype) and not all(isinstance(cell, str) for cell in new):
            # Categories of numbers, in a table where they are text.
            completed = column.to_numpy(dtype=object, copy=True)
        completed[filled] = new.tolist()
        return pd.Series(completed, index=column.index, dtype=completed.dtype)
    nullable = not isinstance(dtype, np.dtype)
    plain: np.dtype[Any] = dtype.numpy_dtype if nullable else dtype
    new = _within(new, plain)
    if not fits(new, plain):
        other = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        other[filled] = new
        return pd.array(other, dtype="Float64") if nullable else other
    completed[filled] = new.astype(plain)
    return completed


def _suits(column: "pd.Series[Any]", kind: ColumnKind) -> bool:
    """Whether the type of a column holds what its kind holds: a column without values may come in any type."""
    name = str(column.dtype)
    if name.startswith(("dictionary", "date32", "date64")):
        return kind.holds == ("label" if name.startswith("dictionary") else "date")
    return bool(pd.api.types.is_object_dtype(column.dtype)) or alike(read_pandas(column, ""), kind)


def natural(kind: ColumnKind, new: npt.NDArray[Any]) -> Any:
    """Cells of a kind as pandas and polars turn them into a column of their own accord.

    Examples
    --------
    >>> natural(ColumnKind("day", "date", "", holds="date"), np.array([1.0]))
    array(['1970-01-02T00:00:00.000000'], dtype='datetime64[us]')
    """
    if kind.holds in ("date", "duration"):
        return _stamps(new, "M" if kind.holds == "date" else "m")
    if kind.holds == "boolean":
        return new.astype(bool)
    return new.tolist() if kind.holds == "label" else new.astype(np.float64)


def _numbers_as_text(column: Any, kind: ColumnKind) -> bool:
    """Whether a column was read as numbers though it holds text: it is censored, and comes back as numbers."""
    return kind.holds == "number" and kind.modelled and not kind.labels and holds_text(column)


def _objects(
    cells: npt.NDArray[Any], values: FloatArray, filled: BoolArray, new: npt.NDArray[Any], kind: ColumnKind
) -> npt.NDArray[Any]:
    """A column of Python objects: numbers become float64, everything else stays what it was."""
    if kind.holds == "number":
        if not kind.labels:
            return values
        completed: npt.NDArray[Any] = np.array([np.nan if _absent(cell) else float(cell) for cell in cells])
        completed[filled] = new
        return completed
    completed = cells.copy()
    if kind.holds == "boolean":
        completed[filled] = new.astype(bool).astype(object)
    elif kind.holds == "label":
        completed[filled] = new
    else:
        completed[filled] = _like(cells, new, kind)
    return completed


def _absent(cell: Any) -> bool:
    return cell is None or cell is pd.NA or cell is pd.NaT or cell != cell


def _days_of_calendar(days: FloatArray) -> FloatArray:
    """Days that Python's calendar has whatever the zone: from the second of the year 1 to the last but one of 9999."""
    first, last = (
        day.toordinal() - datetime.date(1970, 1, 1).toordinal() for day in (datetime.date.min, datetime.date.max)
    )
    return np.clip(days, first + 1, last - 1)


def _like(cells: npt.NDArray[Any], days: FloatArray, kind: ColumnKind) -> npt.NDArray[Any]:
    """Dates or durations of the Python type that the column has."""
    example = next((cell for cell in cells if not _absent(cell)), None)
    result = np.empty(len(days), dtype=object)
    if kind.holds == "duration":
        result[:] = list(pd.to_timedelta(_stamps(days, "m")))
        return result
    stamps = list(pd.to_datetime(_stamps(_days_of_calendar(days), "M")))
    if isinstance(example, datetime.datetime):
        zone = example.tzinfo
        result[:] = [_localised(stamp, zone) if zone is not None else stamp for stamp in stamps]
    elif isinstance(example, datetime.date):
        result[:] = [stamp.date() for stamp in stamps]
    else:
        result[:] = stamps
    return result


def _localised(stamps: Any, zone: Any) -> Any:
    """Local times in their zone; a time that a change of the clock leaves out moves to the next that is there."""
    ambiguous: Any = False if isinstance(stamps, pd.Timestamp) else np.zeros(len(stamps), bool)
    return stamps.tz_localize(zone, nonexistent="shift_forward", ambiguous=ambiguous)


def _dated(column: "pd.Series[Any]", filled: BoolArray, days: FloatArray, kind: ColumnKind) -> Any:
    dtype: Any = column.dtype
    unit = getattr(dtype, "unit", None) or getattr(getattr(dtype, "pyarrow_dtype", None), "unit", None)
    unit = unit or np.datetime_data(dtype)[0]
    new: Any
    if kind.holds == "duration":
        new = pd.to_timedelta(_stamps(days, "m", unit))
    else:
        zone = getattr(column.dt, "tz", None)
        new = pd.to_datetime(_stamps(days if zone is None else _days_of_calendar(days), "M", unit))
        new = _localised(new, zone) if zone is not None else new
    completed = column.copy()
    completed[filled] = new.as_unit(unit)
    return completed.array


def _write_polars(column: Any, values: FloatArray, filled: BoolArray, kind: ColumnKind) -> Any:
    polars = sys.modules["polars"]
    dtype = column.dtype
    if _numbers_as_text(column, kind):
        return polars.Series(column.name, values)
    if not filled.any() or not (kind.modelled or dtype.is_numeric() or dtype == polars.Null):
        return column
    new = decode(kind, np.where(filled, values, 0.0))
    if filled.all() and (dtype == polars.Null or (dtype != polars.Object and not alike(read_polars(column, ""), kind))):
        return polars.Series(column.name, natural(kind, new))
    where = polars.Series(filled)
    if dtype == polars.Object:
        objects = _objects(column.to_numpy(), values, filled, decode(kind, values[filled]), kind)
        return polars.Series(column.name, objects, dtype=polars.Object if objects.dtype == object else None)
    if kind.holds == "label":
        cells = [str(cell) if gone else None for cell, gone in zip(new, filled, strict=True)]
        return polars.Series(column.name, cells, dtype=dtype).zip_with(where, column)
    unit = getattr(dtype, "time_unit", None) or "us"
    if kind.holds == "duration":
        return polars.Series(column.name, _stamps(new, "m", unit)).cast(dtype).zip_with(where, column)
    if kind.holds == "date":
        zone = getattr(dtype, "time_zone", None)
        stamps = polars.Series(column.name, _stamps(new if zone is None else _days_of_calendar(new), "M", unit))
        if zone is not None:
            local = stamps.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
            later = stamps.dt.offset_by("1h").dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
            stamps = local.zip_with(local.is_not_null(), later)
        return stamps.cast(dtype).zip_with(where, column)
    plain: np.dtype[Any] = np.dtype(np.float64)
    if dtype == polars.Boolean:
        plain = np.dtype(bool)
    elif dtype.is_integer() and "128" in str(dtype):
        # NumPy has no whole numbers of 128 bits.
        plain = np.dtype(np.int64)
    elif dtype.is_numeric() and not dtype.is_decimal():
        plain = column.head(0).to_numpy().dtype
    new = np.where(filled, _within(new, plain), 0.0)
    plain = plain if fits(new, plain) else np.dtype(np.float64)
    imputed = polars.Series(column.name, new.astype(plain))
    imputed = imputed.cast(dtype) if plain.kind == "i" else imputed
    return imputed.zip_with(where, column.cast(imputed.dtype))


def _write_array(
    X: Any, values: FloatArray, filled: BoolArray, index: npt.NDArray[np.int64], schema: Schema
) -> npt.NDArray[Any]:
    """An array of floats, in its own float type where that holds the values; of objects where it holds other things."""
    given = np.ma.getdata(X) if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    kinds = [schema.columns[j] for j in index]
    if all(kind.holds in ("number", "boolean") for kind in kinds):
        completed = values[:, index].copy()
        for place, (j, kind) in enumerate(zip(index, kinds, strict=True)):
            if kind.labels:
                column = given[:, j].astype(np.float64)
                column[filled[:, j]] = decode(kind, values[filled[:, j], j])
                completed[:, place] = column
        short = given.dtype.kind == "f" and given.dtype.itemsize < 8 and fits(completed, given.dtype)
        return completed.astype(given.dtype) if short else completed
    dates = given.dtype.kind in "mM"
    result = given[:, index].copy() if dates else given[:, index].astype(object)
    for place, (j, kind) in enumerate(zip(index, kinds, strict=True)):
        gone = filled[:, j]
        if dates and gone.any() and kind.modelled:
            days = decode(kind, values[gone, j])
            result[gone, place] = _stamps(days, given.dtype.kind, np.datetime_data(given.dtype)[0])
            continue
        if _numbers_as_text(given[:, j], kind):
            result[:, place] = values[:, j].tolist()
            continue
        if gone.any() and kind.modelled:
            new = decode(kind, values[gone, j])
            dated = kind.holds in ("date", "duration")
            result[gone, place] = _like(given[:, j], new, kind) if dated else new.tolist()
    return result
