"""The columns of a table with the limits of their missing cells, from where it was declared that these are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pyro_mnar.data.kinds.declared import find_column
from pyro_mnar.data.limits import Declared, Limits, checked_limits, side_of
from pyro_mnar.data.raw import BESIDE, RawColumn
from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.errors import InvalidInputError, InvalidTypeError


def with_limits(columns: Sequence[RawColumn], declared: Declared) -> list[RawColumn]:
    """The columns with their limits; columns that hold limits or flags of others serve these alone.

    Texts such as "<0.5" have their limits already; ``declared`` has those of others by name of the column, or one rule
    for every column of numbers. InvalidInputError names the column and the row of limits that are no numbers or
    contradict each other.

    Examples
    --------
    >>> x = np.array([0.7, np.nan])
    >>> column = RawColumn("crp", "number", x, np.isnan(x))
    >>> with_limits([column], {"crp": Limits(upper=0.5)})[0].limits.tolist()
    [[-inf, inf], [-inf, 0.5]]
    """
    if declared is None:
        return list(columns)
    names = [column.name for column in columns]
    result = list(columns)
    for j, limits in _by_position(columns, declared).items():
        limits = checked_limits(limits, names[j])
        serving = {
            what: find_column(name, names, f"Censored of {names[j]!r}") for name, what in limits.columns().items()
        }
        for what, place in serving.items():
            if place == j:
                raise InvalidInputError(f"Censored of column {names[j]!r} names the column itself for {what}")
            result[place] = replace(result[place], serves=f"{what} of {names[j]!r}")
        result[j] = _limited(result[j], limits, columns, serving)
    return result


def with_beside(columns: Sequence[RawColumn], names: Sequence[str]) -> list[RawColumn]:
    """The columns, of which those named tell the mechanism something and are not modelled.

    InvalidInputError for unknown columns, and for one that has limits or tells those of others.
    """
    result, known = list(columns), [str(column.name) for column in columns]
    for name in names:
        place = find_column(name, known, "mechanism_features")
        if result[place].serves or result[place].limits is not None:
            what = result[place].serves or "values of which limits are known"
            raise InvalidInputError(f"'mechanism_features' names the column {name!r}, which holds {what}; name another")
        result[place] = replace(result[place], serves=BESIDE)
    return result


def _by_position(columns: Sequence[RawColumn], declared: Declared) -> dict[int, Limits]:
    if isinstance(declared, Limits):
        return {j: declared for j, column in enumerate(columns) if column.holds == "number"}
    assert declared is not None
    names = [str(column.name) for column in columns]
    return {find_column(name, names, "mechanism"): limits for name, limits in declared.items()}


def _limited(
    column: RawColumn, declared: Limits, columns: Sequence[RawColumn], serving: Mapping[str, int]
) -> RawColumn:
    if column.holds != "number":
        if column.missing.all() and column.holds != "label":
            return column
        example = column.observed[0] if len(column.observed) else None
        raise InvalidTypeError(
            f"column {column.name!r} is declared as censored but holds {column.holds}s, such as {example!r}; limits "
            "need a column of numbers"
        )
    n = len(column.values)
    values, missing = column.values.copy(), column.missing.copy()
    limits = np.tile([-np.inf, np.inf], (n, 1)) if column.limits is None else column.limits.copy()
    ends = [
        _ends(declared.lower, columns, serving.get("lower limits"), -np.inf, n),
        _ends(declared.upper, columns, serving.get("upper limits"), np.inf, n),
    ]
    if declared.flag is not None:
        _by_flag(values, limits, columns[serving["the flags"]], ends[1], column.name)
    else:
        unknown = missing & ~np.isfinite(limits).any(1)
        limits[unknown] = np.column_stack(ends)[unknown]
    wrong = limits[:, 0] > limits[:, 1]
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidInputError(
            f"column {column.name!r} has the lower limit {limits[row, 0]:g} in row {row}, above the upper limit "
            f"{limits[row, 1]:g}"
        )
    # An interval of no width is the value itself.
    known = np.isnan(values) & (limits[:, 0] == limits[:, 1])
    values[known] = limits[known, 0]
    missing = np.isnan(values)
    limits[~missing] = -np.inf, np.inf
    return replace(column, values=values, missing=missing, limits=limits)


def _ends(
    given: str | float | None, columns: Sequence[RawColumn], place: int | None, open_end: float, n: int
) -> FloatArray:
    """One side's limits of all rows, infinite where there is none."""
    if place is None:
        return np.full(n, open_end if given is None else float(given))
    found = columns[place]
    if found.holds != "number":
        raise InvalidTypeError(
            f"column {found.name!r} is to hold limits, which are numbers, but holds {found.holds}s; convert it with "
            "pandas.to_numeric"
        )
    return np.where(found.missing, open_end, found.values.astype(np.float64))


def _by_flag(values: FloatArray, limits: FloatArray, flags: RawColumn, upper: FloatArray, name: Any) -> None:
    """Turn the values that are limits into limits, in place."""
    cells = flags.values if flags.holds != "boolean" else [bool(v) if v == v else None for v in flags.values]
    for row, flag in enumerate(cells):
        side = side_of(flag, flags.name, row)
        if side == "none":
            continue
        if np.isnan(values[row]):
            raise InvalidInputError(
                f"the flag in column {flags.name!r}, row {row} says that the value of {name!r} is a limit, but "
                "there is no value"
            )
        limits[row] = {
            "left": (-np.inf, values[row]),
            "right": (values[row], np.inf),
            "interval": (values[row], upper[row]),
        }[side]
        values[row] = np.nan
