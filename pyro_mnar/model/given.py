"""What a user gives a self-masking mechanism for each column: directions, slopes, and degrees of freedom, checked."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from pyro_mnar.data.arguments import finite_number
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError

Direction = Literal["high", "low"]
Errors = Literal["normal", "student-t"]

#: Degrees of freedom from which on a t is the normal to more digits than any table tells.
_MOST_FREEDOM = 1e6


def direction_signs(
    direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None, names: Sequence[str]
) -> list[float]:
    """+1 ("high"), -1 ("low") or 0 (unknown) per column."""
    if direction is None or isinstance(direction, str):
        per_column = [direction] * len(names)
    elif isinstance(direction, Mapping):
        per_column = _of_columns("direction", direction, names)
    elif not isinstance(direction, Sequence | np.ndarray) or np.asarray(direction, dtype=object).ndim != 1:
        raise InvalidInputError(
            f"direction is {shown(direction)}; it must be 'high', 'low', None, a mapping from column to these, or one "
            "per column"
        )
    else:
        per_column = list(direction)  # type: ignore[arg-type]
        if len(per_column) != len(names):
            raise InvalidInputError(f"direction has {len(per_column)} entries, the table {len(names)} columns")
    for name, value in zip(names, per_column, strict=True):
        if value is not None and (not isinstance(value, str) or value not in ("high", "low")):
            raise InvalidInputError(f"direction of column {name!r} is {value!r}; it must be 'high', 'low' or None")
    return [{"high": 1.0, "low": -1.0, None: 0.0}[value] for value in per_column]


def fixed_slopes(slope: float | Mapping[str, float] | None, names: Sequence[str]) -> list[float | None]:
    """The slope to hold fixed, or None, per column."""
    per_column = _of_columns("slope", slope, names) if isinstance(slope, Mapping) else [slope] * len(names)
    for name, value in zip(names, per_column, strict=True):
        if value is not None:
            finite_number(f"slope of column {name!r}", value)
    return per_column


def check_degrees_of_freedom(value: float | None, errors: Errors) -> None:
    """See that degrees of freedom are a number that errors of this kind can have; None is always one."""
    if value is None:
        return
    if errors == "normal":
        raise InvalidInputError(
            f"degrees_of_freedom is {shown(value)}, and errors 'normal' have none; give errors='student-t' with it"
        )
    if not 2 < finite_number("degrees_of_freedom", value) <= _MOST_FREEDOM:
        raise InvalidInputError(
            f"degrees_of_freedom is {shown(value)}; it must lie above 2, where a t has a variance, and be at most "
            f"{_MOST_FREEDOM:,.0f}: beyond, errors='normal' is the same"
        )


def _of_columns(parameter: str, given: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    """What a mapping gives for each column, or None; an unknown column is an error."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InvalidInputError(f"{parameter} names the unknown column {unknown[0]!r}; the columns are {list(names)}")
    return [given.get(name) for name in names]
