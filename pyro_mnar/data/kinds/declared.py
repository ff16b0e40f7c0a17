"""Kinds as a user declares them: ``types={"age": "count", "score": Bounded(0, 100)}``."""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from pyro_mnar.data.arguments import finite_number, instance_only, list_only
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError

__all__ = [
    "Binary",
    "Bounded",
    "Continuous",
    "Count",
    "Date",
    "Discrete",
    "Identifier",
    "Nominal",
    "OneHot",
    "Ordinal",
    "Semicontinuous",
]


@dataclass(frozen=True)
class Continuous:
    """Numbers without a natural end."""


@dataclass(frozen=True)
class Bounded:
    """Numbers between two bounds; values at a bound may pile up there.

    Where every observed value is whole (weeks worked, of 52) imputed ones are too; means before they are rounded are in
    ``posterior(X).mean()``.

    Attributes
    ----------
    low, high : float
        The bounds; one of the two may be infinite.

    Examples
    --------
    >>> Bounded(0, 100)
    Bounded(low=0, high=100)
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        ends: dict[str, Any] = {"low": self.low, "high": self.high}
        for name, value in ends.items():
            if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
                raise InvalidInputError(f"{name} of Bounded is {shown(value)}; it must be a number")
        if not self.low < self.high or not (math.isfinite(self.low) or math.isfinite(self.high)):
            raise InvalidInputError(f"{self!r} has no inside; give low < high, at least one of them finite")


@dataclass(frozen=True)
class Semicontinuous:
    """Numbers of which many are exactly one value (zeros and amounts; a cap), or several.

    Imputed values are whole where every observed one is. A value that no observed cell has gets no probability of its
    own; at an end it is as far as imputed values reach.

    Attributes
    ----------
    at : float or sequence of float
        These values.
    """

    at: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        several = isinstance(self.at, Sequence)
        values = list_only("'at' of Semicontinuous", self.at, "a number, or a list of them") if several else [self.at]
        for value in values:
            finite_number("'at' of Semicontinuous", value)
        if not values:
            raise InvalidInputError("'at' of Semicontinuous is empty; give the value at which many cells are")

    @property
    def places(self) -> tuple[float, ...]:
        """The values, ascending."""
        several = self.at if isinstance(self.at, Sequence) else [self.at]
        return tuple(sorted(float(value) for value in several))


@dataclass(frozen=True)
class Count:
    """Whole numbers from 0 on, up to a largest one if there is one: hours of a day, days of a week.

    Declare the largest where values near it may be missing: what was observed does not show it then.

    Attributes
    ----------
    high : float
        The largest possible count, a whole number; infinite where there is none.

    Examples
    --------
    >>> Count(high=23)
    Count(high=23)
    """

    high: float = math.inf

    def __post_init__(self) -> None:
        value: Any = self.high
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
            raise InvalidInputError(f"high of Count is {shown(value)}; it must be a number")
        high = float(value)
        if not high >= 1 or (math.isfinite(high) and not high.is_integer()):
            raise InvalidInputError(f"high of Count is {shown(value)}; give the largest possible count, 1 or more")

    def __repr__(self) -> str:
        return "Count()" if self.high == math.inf else f"Count(high={self.high:.0f})"


@dataclass(frozen=True)
class Discrete:
    """Numbers with few values, such as the settings of an experiment: only values that were observed come back."""


@dataclass(frozen=True)
class Ordinal:
    """Levels with an order.

    Attributes
    ----------
    levels : sequence or None
        All of them, from low to high; None takes the categories of an ordered categorical column, or the values of
        a column of numbers.

    Examples
    --------
    >>> Ordinal(["low", "middle", "high"]).levels
    ['low', 'middle', 'high']
    """

    levels: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.levels is not None:
            for level in list_only("'levels' of Ordinal", self.levels, "a list, from low to high"):
                instance_only("a level of Ordinal", level, Hashable, "a number or a text")


@dataclass(frozen=True)
class Nominal:
    """Labels without an order."""


@dataclass(frozen=True)
class Binary:
    """Two values of any coding."""


@dataclass(frozen=True)
class Date:
    """Days and times."""


@dataclass(frozen=True)
class Identifier:
    """Names and keys: passed through, and not modelled."""


@dataclass(frozen=True)
class OneHot:
    """Several columns of 0 and 1 that are one variable: ``types={"soil": OneHot(["clay", "sand", "silt"])}``.

    Attributes
    ----------
    columns : sequence of str or int
        Their names, or positions.
    """

    columns: Sequence[Any]

    def __post_init__(self) -> None:
        list_only("'columns' of OneHot", self.columns, "a list of columns")


Kind: TypeAlias = (
    Continuous | Bounded | Semicontinuous | Count | Discrete | Ordinal | Nominal | Binary | Date | Identifier | OneHot
)
#: What ``types`` may be: one kind for all columns, or kinds of some columns by name (or position).
Types: TypeAlias = "str | Kind | Mapping[Any, str | Kind] | None"

#: Short names.
KINDS: dict[str, type] = {
    cls.__name__.lower(): cls
    for cls in (Continuous, Bounded, Semicontinuous, Count, Discrete, Ordinal, Nominal, Binary, Date, Identifier)
}


def as_kind(given: object, column: object) -> Kind:
    """The kind that a user means by its name, itself or its class; InvalidInputError for anything else."""
    if isinstance(given, str) and given in KINDS:
        made: Kind = KINDS[given]()
        return made
    if isinstance(given, Kind):
        return given
    if isinstance(given, type) and given in KINDS.values():
        made = given()
        return made
    raise InvalidInputError(
        f"'types' gives column {column!r} the kind {given!r}; give one of {sorted(KINDS)}, or an instance such as "
        "pyro_mnar.kinds.Bounded(0, 100)"
    )


def read_kind(text: str) -> Kind:
    """A kind as it is written on a command line: a short name, with what it needs in brackets.

    InvalidInputError if it cannot be read.

    Examples
    --------
    >>> read_kind("bounded(0, 100)"), read_kind("ordinal(low|high)"), read_kind("count")
    (Bounded(low=0.0, high=100.0), Ordinal(levels=['low', 'high']), Count())
    """
    found = re.fullmatch(r"\s*([a-z]+)\s*(?:\((.*)\))?\s*", text)
    name, inside = (found.group(1), found.group(2)) if found else ("", None)
    try:
        if name in KINDS and inside is None:
            return as_kind(name, text)
        if name == "bounded" and inside is not None:
            low, high = (float(end) for end in inside.split(","))
            return Bounded(low, high)
        if name == "semicontinuous" and inside is not None:
            return Semicontinuous([float(place) for place in inside.split(",")])
        if name == "count" and inside is not None:
            return Count(float(inside))
        if name == "ordinal" and inside is not None:
            return Ordinal([level.strip() for level in inside.split("|")])
    except ValueError:
        pass
    raise InvalidInputError(
        f"the kind {text!r} cannot be read; give one of {sorted(KINDS)}, with what it needs: 'bounded(0, 100)', "
        "'count(23)', 'semicontinuous(0)', 'ordinal(low|middle|high)'"
    )


def find_column(column: object, names: Sequence[Any], parameter: str) -> int:
    """The position of a column that is given by name, or by position; InvalidInputError where there is none."""
    if column in names:
        return list(names).index(column)
    if isinstance(column, int) and not isinstance(column, bool) and 0 <= column < len(names):
        return column
    raise InvalidInputError(f"{parameter!r} names the unknown column {column!r}; the columns are {list(names)}")
