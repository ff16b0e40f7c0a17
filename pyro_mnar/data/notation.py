"""Numbers as people write them: decimal commas, signs between thousands, percent signs, currencies, leading zeros."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pyro_mnar.errors import InvalidInputError

CURRENCIES = "$€£¥"
_GROUPED = r"\d{1,3}(?:(?P<sign>[,.' \u2019\u00a0\u202f])\d{3})(?:(?P=sign)\d{3})*(?:[.,]\d+)?"
_ANY = re.compile(rf"[{CURRENCIES}]?\s*[+-]?(?:{_GROUPED}|\d+,\d+|\d+\.?\d*|\.\d+)\s*[%{CURRENCIES}]?")
_CODE = re.compile(r"\d{3,}")
#: Share of the different texts of a column that must look like numbers for it to be called one of numbers.
_MOST = 0.8


@dataclass(frozen=True)
class Notation:
    """How the numbers of a column are written.

    Attributes
    ----------
    decimal, thousands : str
        What separates decimals, and thousands (nothing).
    prefix, suffix : str
        What stands before and after each number: a currency, a percent sign.
    """

    decimal: str = "."
    thousands: str = ""
    prefix: str = ""
    suffix: str = ""

    def read(self, text: str) -> float:
        """The number that a text is; NaN where it is none, and for "1_000", which is a number to Python alone.

        Examples
        --------
        >>> Notation(",", ".").read("1.234,5"), Notation(suffix="%").read("45 %"), Notation().read("1_000")
        (1234.5, 45.0, nan)
        """
        if not text.startswith(self.prefix) or not text.endswith(self.suffix):
            return math.nan
        digits = text.removeprefix(self.prefix).removesuffix(self.suffix).strip()
        if self.thousands:
            digits = re.sub(rf"(?<=\d){re.escape(self.thousands)}(?=\d{{3}}(?!\d))", "", digits)
        if self.decimal != ".":
            if "." in digits:
                return math.nan
            digits = digits.replace(self.decimal, ".")
        try:
            return math.nan if "_" in digits else float(digits)
        except ValueError:
            return math.nan

    def write(self, value: float) -> str:
        """A number as the column has them.

        Examples
        --------
        >>> Notation(",", ".").write(1234.5), Notation(suffix="%").write(45.0), Notation(thousands=",").write(-12345.0)
        ('1.234,5', '45%', '-12,345')
        """
        text = f"{int(value):,}" if value.is_integer() and abs(value) < 2**53 else f"{value:,.10g}"
        return self.prefix + text.translate({ord(","): self.thousands, ord("."): self.decimal}) + self.suffix

    def of(self, cells: Iterable[str]) -> "Notation":
        """The same with the currency or the percent sign that all cells of a column share.

        Examples
        --------
        >>> Notation().of(["45%", "7 %"]).suffix, Notation().of(["$5", "7"]).prefix
        ('%', '')
        """
        cells = list(cells)
        if not cells:
            return self
        first, last = cells[0][:1], cells[0][-1:]
        if first and first in CURRENCIES and all(cell.startswith(first) for cell in cells):
            return replace(self, prefix=first)
        if last and last in f"%{CURRENCIES}" and all(cell.endswith(last) for cell in cells):
            return replace(self, suffix=last)
        return self


def checked_notation(decimal: str, thousands: str) -> Notation:
    """The notation of a file; InvalidInputError for signs that are not one character, are digits, or the same."""
    for option, sign in (("--decimal", decimal), ("--thousands", thousands)):
        if len(sign) > 1 or sign.isalnum() or sign in ("+", "-", "_"):
            raise InvalidInputError(f"{option} is {sign!r}; it must be one sign, such as '.' or ','")
    if not decimal or decimal == thousands:
        raise InvalidInputError(f"--decimal is {decimal!r} and --thousands {thousands!r}; they must differ")
    return Notation(decimal, thousands)


def has_leading_zeros(cells: Iterable[str]) -> bool:
    """Whether texts are codes of one length such as "01234", of which the zeros mean something.

    Examples
    --------
    >>> has_leading_zeros(["12345", "01234"]), has_leading_zeros(["0.5", "010", "10"])
    (True, False)
    """
    cells = list(cells)
    if len({len(cell) for cell in cells}) != 1 or not all(_CODE.fullmatch(cell) for cell in cells):
        return False
    return any(cell.startswith("0") for cell in cells)


def unread_number(cells: Sequence[str]) -> str | None:
    """A number in a notation that Python does not read, if the texts of a column are numbers; None elsewhere.

    Examples
    --------
    >>> unread_number(["1,387", "950", "2,100"]), unread_number(["18,95"]), unread_number(["45%", "3"])
    ('1,387', '18,95', '45%')
    >>> unread_number(["1.5", "2"]), unread_number(["red", "blue, 2"]), unread_number(["01.02.2021"])
    (None, None, None)
    """
    distinct = list(dict.fromkeys(cells))
    numbers = [cell for cell in distinct if _ANY.fullmatch(cell.strip())]
    if not numbers or len(numbers) < _MOST * len(distinct):
        return None
    return next((cell for cell in numbers if math.isnan(Notation().read(cell.strip()))), None)
