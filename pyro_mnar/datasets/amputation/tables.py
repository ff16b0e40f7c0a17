"""Tables and columns for amputation: which columns, one setting for each, checked, and NaN put into a copy."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import finite_number, list_only, one_of
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError

Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Table = TypeVar("Table", np.ndarray, pd.DataFrame)
Columns = Sequence[str | int] | str | None
RandomState = int | np.random.Generator | None
Direction = Literal["high", "low"]
Value = TypeVar("Value")
PerColumn: TypeAlias = Value | Mapping[str | int, Value] | Sequence[Value]


def column_names(X: np.ndarray | pd.DataFrame) -> list[str | int]:
    """Check that `X` is a table, and give its columns' names; an array's are its positions."""
    if not isinstance(X, np.ndarray | pd.DataFrame):
        raise InvalidInputError(f"X is a {type(X).__name__}; give a numpy array or a DataFrame")
    if X.ndim != 2 or 0 in X.shape:
        raise InvalidInputError(f"X has shape {X.shape}; a table with rows and columns is needed")
    if isinstance(X, np.ndarray):
        if X.dtype.kind not in "fiub":
            raise InvalidInputError(f"X has dtype {X.dtype}; convert it to numbers, or give a DataFrame")
        return list(range(X.shape[1]))
    if not X.columns.is_unique:
        twice = X.columns[X.columns.duplicated()].unique().tolist()
        raise InvalidInputError(f"column names {twice} occur more than once; rename them")
    return list(X.columns)


def select_columns(X: np.ndarray | pd.DataFrame, columns: Columns, what: str = "columns") -> list[int]:
    """Give the positions of the named columns."""
    names = column_names(X)
    if columns is None:
        return list(range(len(names)))
    if isinstance(columns, str) and columns == "first-half":
        if len(names) < 2:
            raise InvalidInputError(f"{what}='first-half' selects nothing of {len(names)} column; name the column")
        return list(range(len(names) // 2))
    wanted = [columns] if isinstance(columns, str) else list_only(what, columns, "a list of names or positions")
    positions = [_position(c, names, what) for c in wanted]
    if not positions or len(set(positions)) < len(positions):
        raise InvalidInputError(f"{what}={columns!r} is empty or names a column twice; name each column once")
    return positions


def _position(column: str | int, names: list[str | int], what: str) -> int:
    if isinstance(column, Hashable) and column in names:
        return names.index(column)
    if isinstance(column, int | np.integer) and not isinstance(column, bool) and -len(names) <= column < len(names):
        return int(column) % len(names)
    raise InvalidInputError(f"{what} names {column!r}, which is not a column; the columns are {names}")


def other_columns(names: list[str | int], taken: list[int], what: str) -> list[int]:
    """Give the positions that are not taken, of which there must be some."""
    left = [j for j in range(len(names)) if j not in taken]
    if not left:
        raise InvalidInputError(f"no column is left for {what}; name fewer columns for the other role")
    return left


def spread(
    given: Any, names: list[str | int], chosen: list[int], what: str, check: Callable[[Any], Value]
) -> list[Value]:
    """Spread one value, a mapping or a sequence over the chosen columns, each checked."""
    if isinstance(given, Mapping):
        by_position = {_position(c, names, what): v for c, v in given.items()}
        if set(by_position) != set(chosen):
            expected = [names[j] for j in chosen]
            raise InvalidInputError(
                f"{what} is given for {list(given)}, but the columns that lose values are {expected}"
            )
        each = [by_position[j] for j in chosen]
    elif isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) and np.ndim(given) != 0:
        if len(given) != len(chosen):
            raise InvalidInputError(f"{what} has {len(given)} values for {len(chosen)} columns; give one each")
        each = list(given)
    else:
        each = [given] * len(chosen)
    return [check(v) for v in each]


def check_rate(value: Any) -> float:
    """Check a share in [0, 1)."""
    rate = finite_number("rate", value)
    if not 0 <= rate < 1:
        raise InvalidInputError(f"rate={value!r} is not in [0, 1); it is the share of a column's values to remove")
    return rate


def check_slope(value: Any) -> float:
    """Check a positive steepness."""
    slope = finite_number("slope", value)
    if slope <= 0:
        raise InvalidInputError(f"slope={value!r} is not positive; the sign comes from direction")
    return slope


def check_direction(value: Any) -> float:
    """Check a direction, and give the sign that it stands for."""
    one_of("direction", value, ("high", "low"))
    return 1.0 if value == "high" else -1.0


def check_threshold(value: Any) -> float | str:
    """Check a cut: the name of a statistic, or a finite number."""
    if isinstance(value, str):
        if value in ("mean", "median") or (value.startswith("q") and _quantile_level(value) is not None):
            return value
        raise InvalidInputError(f"threshold={value!r} is not 'mean', 'median', a number or a quantile such as 'q0.8'")
    return finite_number("threshold", value)


def _quantile_level(text: str) -> float | None:
    try:
        level = float(text[1:])
    except ValueError:
        return None
    return level if 0 <= level <= 1 else None


def flagged(names: list[str | int], chosen: list[int], bad: Mask) -> list[str | int]:
    """Name the chosen columns that have a bad cell."""
    return [names[j] for k, j in enumerate(chosen) if bad[:, k].any()]


def missing_cells(X: np.ndarray | pd.DataFrame) -> Mask:
    """Give a bool array that is True where a value is missing."""
    return np.asarray(pd.isna(X))


def numeric_values(X: np.ndarray | pd.DataFrame, chosen: list[int]) -> Floats:
    """Give the chosen columns as float64, missing as NaN."""
    if isinstance(X, np.ndarray):
        values = X[:, chosen].astype(np.float64)
    else:
        text = [X.columns[j] for j in chosen if not pd.api.types.is_numeric_dtype(X.dtypes.iloc[j])]
        if text:
            raise InvalidInputError(f"columns {text} are not numeric; leave them out, or use mcar for them")
        values = X.iloc[:, chosen].to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = flagged(column_names(X), chosen, np.isinf(values))
    if infinite:
        raise InvalidInputError(f"columns {infinite} hold infinite values; replace them first")
    return values


def _generator(random_state: RandomState) -> np.random.Generator:
    if isinstance(random_state, np.random.Generator):
        return random_state
    whole = isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    if random_state is None or (whole and random_state >= 0):
        return np.random.default_rng(random_state)
    raise InvalidInputError(f"random_state={shown(random_state)} is not None, a non-negative int or a numpy Generator")


def remove_cells(X: Table, chosen: list[int], probability: Floats, random_state: RandomState) -> Table:
    """Draw which of the chosen cells go, and put NaN into a copy of the table."""
    gone = _generator(random_state).random(probability.shape) < probability
    if isinstance(X, np.ndarray):
        holed: Any = X.astype(X.dtype if X.dtype.kind == "f" else np.float64)
        holed[:, chosen] = np.where(gone, np.nan, holed[:, chosen])
    else:
        holed = X.copy()
        for k, j in enumerate(chosen):
            column = X.iloc[:, j]
            if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_float_dtype(column.dtype):
                column = pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), index=X.index)
            holed.isetitem(j, column.mask(gone[:, k]))
    return holed
