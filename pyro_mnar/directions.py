"""What a user says of each column's mechanism: which values go missing, and how steeply."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pyro_mnar.errors import InvalidInputError

Direction = Literal["high", "low"]


def direction_signs(
    direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None, names: Sequence[str]
) -> list[float]:
    """+1 ("high"), -1 ("low") or 0 (unknown) per column."""
    if direction is None or isinstance(direction, str):
        per_column = [direction] * len(names)
    elif isinstance(direction, Mapping):
        unknown = [name for name in direction if name not in names]
        if unknown:
            raise InvalidInputError(f"direction names the unknown column {unknown[0]!r}; the columns are {list(names)}")
        per_column = [direction.get(name) for name in names]
    else:
        per_column = list(direction)
        if len(per_column) != len(names):
            raise InvalidInputError(f"direction has {len(per_column)} entries, the table {len(names)} columns")
    for name, value in zip(names, per_column, strict=True):
        if value not in ("high", "low", None):
            raise InvalidInputError(f"direction of column {name!r} is {value!r}; it must be 'high', 'low' or None")
    return [{"high": 1.0, "low": -1.0, None: 0.0}[value] for value in per_column]


def fixed_slopes(slope: float | Mapping[str, float] | None, names: Sequence[str]) -> list[float | None]:
    """The slope to hold fixed, or None, per column."""
    if isinstance(slope, Mapping):
        unknown = [name for name in slope if name not in names]
        if unknown:
            raise InvalidInputError(f"slope names the unknown column {unknown[0]!r}; the columns are {list(names)}")
        per_column = [slope.get(name) for name in names]
    else:
        per_column = [slope] * len(names)
    for name, value in zip(names, per_column, strict=True):
        if value is not None and not math.isfinite(value):
            raise InvalidInputError(f"slope of column {name!r} is {value}; it must be a finite number")
    return per_column
