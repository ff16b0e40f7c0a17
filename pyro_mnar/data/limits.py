"""Cells of which only limits are known: "<0.5" from a laboratory, a top code, a sensor's range, a class of incomes.

They come as text in the column itself ("<0.5", ">200", "0.1-0.5"), as limits in other columns or one number for all
rows, or as a flag beside a value that is the limit: NADA's and survival's conventions (left, right, interval). What is
read is an interval for each such cell, ends included.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from pyro_mnar.data.foreign import shown
from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.errors import InvalidInputError, InvalidTypeError

#: What is said of a table's limits: of some columns by name, or one rule for all of them.
Declared: TypeAlias = "Mapping[str, Limits] | Limits | None"

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_ONE_SIDED = re.compile(rf"(<=|>=|<|>|≤|≥)\s*({_NUMBER})")
_AT_LEAST = re.compile(rf"({_NUMBER})\s*\+")
_BETWEEN = re.compile(rf"[\[(]?\s*({_NUMBER})\s*(?:-|\u2013|\.\.|to)\s*({_NUMBER})\s*[\])]?")
#: Without brackets a comma separates decimals or thousands.
_IN_BRACKETS = re.compile(rf"[\[(]\s*({_NUMBER})\s*,\s*({_NUMBER})\s*[\])]")
_PLAIN = re.compile(_NUMBER)
#: How a flag says on which side of the value a cell lies: brms', survival's and NADA's words.
_SIDES = {
    **dict.fromkeys(("left", "-1", "true"), "left"),
    **dict.fromkeys(("right", "1"), "right"),
    **dict.fromkeys(("interval", "2"), "interval"),
    **dict.fromkeys(("none", "0", "false", ""), "none"),
}


@dataclass(frozen=True)
class Limits:
    """Where the limits of a column's missing cells are to be found.

    Attributes
    ----------
    lower, upper : str, float or None
        A column of limits by name, one number for all rows, or nothing: there is no limit on that side.
    flag : str or None
        A column that says where the value in the column itself is a limit.
    """

    lower: str | float | None = None
    upper: str | float | None = None
    flag: str | None = None

    def columns(self) -> dict[str, str]:
        """The columns that are named, and what each of them holds."""
        named = {"lower limits": self.lower, "upper limits": self.upper, "the flags": self.flag}
        return {name: what for what, name in named.items() if isinstance(name, str)}


class Interval(NamedTuple):
    """What a cell of text says: the value lies between two limits, ends included; a value itself where they agree."""

    lower: float
    upper: float


def read_interval(text: str) -> Interval | None:
    """The interval that a text names; None where it names none, and is no number either.

    Examples
    --------
    >>> read_interval(">= 200"), read_interval("0.1-0.5"), read_interval("3.2"), read_interval("n/a")
    (Interval(lower=200.0, upper=inf), Interval(lower=0.1, upper=0.5), Interval(lower=3.2, upper=3.2), None)
    >>> read_interval("[1, 5]"), read_interval("1,387")
    (Interval(lower=1.0, upper=5.0), None)
    >>> read_interval("<5").upper < 5
    True
    """
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return Interval(float(text), float(text))
    if found := _ONE_SIDED.fullmatch(text):
        sign, value = found.group(1), float(found.group(2))
        # "Below 5" does not hold 5: the next number does as well for amounts, and leaves it out for levels.
        if sign in ("<", ">"):
            value = math.nextafter(value, -math.inf if sign == "<" else math.inf)
        return Interval(-math.inf, value) if sign in ("<", "<=", "≤") else Interval(value, math.inf)
    if found := _AT_LEAST.fullmatch(text):
        return Interval(float(found.group(1)), math.inf)
    if found := _BETWEEN.fullmatch(text) or _IN_BRACKETS.fullmatch(text):
        return Interval(float(found.group(1)), float(found.group(2)))
    return None


def example_of_limits(cells: Sequence[Any]) -> str | None:
    """A text that names an interval, if all texts name intervals or numbers; else None.

    Examples
    --------
    >>> example_of_limits(["0.7", "<0.5"]), example_of_limits(["low", "<0.5"])
    ('<0.5', None)
    """
    found: str | None = None
    for cell in dict.fromkeys(cells):
        interval = read_interval(cell) if isinstance(cell, str) else Interval(0.0, 0.0)
        if interval is None:
            return None
        if interval.lower != interval.upper:
            found = found or cell
    return found


def intervals_of_cells(cells: Sequence[Any], name: object) -> FloatArray:
    """Lower and upper ends of a column of numbers, texts and None (missing: -inf and inf), shape (n, 2).

    InvalidTypeError for a cell that names no number and no interval.
    """
    limits = np.tile([-np.inf, np.inf], (len(cells), 1))
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        found = read_interval(cell) if isinstance(cell, str) else _number(cell)
        if found is None:
            raise InvalidTypeError(
                f"column {name!r} is censored and holds {shown(cell)} in row {row}, which is no number and names no "
                "interval; write it as '<0.5', '>200' or '0.1-0.5', or make it a missing cell"
            )
        if found.lower > found.upper:
            raise InvalidInputError(
                f"column {name!r} holds {shown(cell)} in row {row}, of which the lower end is above the upper one"
            )
        limits[row] = found
    return limits


def _number(cell: Any) -> Interval | None:
    try:
        value = float(cell)
    except Exception:
        return None
    return Interval(value, value)


def checked_limits(limits: Limits, name: object) -> Limits:
    """Limits of which the numbers are numbers.

    InvalidInputError for one that is neither a name nor a number, a flag that is no name, and a lower limit that is not
    below the upper one.
    """
    for side in ("lower", "upper"):
        value = getattr(limits, side)
        good = value is None or isinstance(value, str)
        if not good and (isinstance(value, bool) or not isinstance(value, int | float | np.number) or value != value):
            raise InvalidInputError(
                f"Censored {side} of column {name!r} is {shown(value)}; give a number, or the name of the column that "
                "holds the limits"
            )
    if limits.flag is not None and not isinstance(limits.flag, str):
        raise InvalidInputError(f"Censored flag of column {name!r} is {shown(limits.flag)}; give the name of a column")
    numbers = [v for v in (limits.lower, limits.upper) if v is not None and not isinstance(v, str)]
    if len(numbers) == 2 and not numbers[0] < numbers[1]:
        raise InvalidInputError(
            f"Censored lower of column {name!r} is {numbers[0]} and upper {numbers[1]}; missing cells lie between "
            "them, so lower must be below upper (for a detection limit give upper alone, for a top code lower alone)"
        )
    return replace(limits, lower=_plain(limits.lower), upper=_plain(limits.upper))


def _plain(value: str | float | None) -> str | float | None:
    return float(value) if value is not None and not isinstance(value, str) else value


def side_of(flag: Any, name: object, row: int) -> str:
    """On which side of the value a flag says that the cell lies: "left", "right", "interval" or "none".

    Examples
    --------
    >>> side_of("left", "cens", 0), side_of(1.0, "cens", 0), side_of(True, "cens", 0)
    ('left', 'right', 'left')
    """
    if flag is None or flag != flag:
        return "none"
    text = str(int(flag)) if isinstance(flag, float) and flag.is_integer() else str(flag).strip().lower()
    if text not in _SIDES:
        raise InvalidInputError(
            f"the flag in column {name!r}, row {row} is {shown(flag)}; it must be 'left' (the cell lies below the "
            "value), 'right', 'interval' or 'none', or -1, 1, 2 or 0; True means 'left'"
        )
    return _SIDES[text]
