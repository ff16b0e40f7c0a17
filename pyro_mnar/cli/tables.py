"""Tables as text files (CSV): read with errors that name line and column, written with the observed cells as they were.

A column is numbers if all of its cells are, days if all are written as 2024-12-31, and else text. A text among numbers
is an error: whether it means "missing" or is a level only the user knows.
"""

import codecs
import csv
import datetime
import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar.cli.options import TextOptions, check_columns
from pyro_mnar.data.atomic import replacing
from pyro_mnar.data.kinds.declared import Binary, Identifier, Kind, Nominal, Ordinal, read_kind
from pyro_mnar.data.kinds.infer import MOST_VALUES
from pyro_mnar.data.notation import CURRENCIES, Notation, checked_notation, has_leading_zeros, unread_number
from pyro_mnar.data.sources import MISSING
from pyro_mnar.errors import InvalidInputError

#: How numbers are written without being told.
_ENGLISH = Notation()
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class TextTable:
    """The cells of a file as text, so that what is not imputed can be written back character for character.

    Attributes
    ----------
    names : list of str
        The header.
    cells : list of list of str
        One list per row.
    lines : list of int
        The line of the file at which each row ends.
    missing : ndarray
        bool, shape (n, p); True where the cell holds none but a missing value's sign.
    sep : str
        What separates the columns.
    newline : str
        What ends the lines of the file.
    mark : str
        The byte order mark if the file starts with one, else nothing.
    notation : Notation
        How its numbers are written.
    censored : frozenset of str
        Columns of numbers and of limits such as "<0.5".
    """

    names: list[str]
    cells: list[list[str]]
    lines: list[int]
    missing: np.ndarray
    sep: str
    newline: str
    mark: str
    notation: Notation
    censored: frozenset[str] = frozenset()

    def with_limits(self, censored: Collection[str]) -> "TextTable":
        """The same table, in which cells of these columns that are no numbers are to be completed too."""
        check_columns("--censored", censored, self.names)
        return replace(self, censored=frozenset(censored))

    def frame(self, excluded: Collection[str] = (), text: Collection[str] = ()) -> pd.DataFrame:
        """The columns as numbers, days or text, without the excluded ones; missing cells hold NaN, NaT or None.

        Cells of the columns in ``text`` are labels or names, whatever they look like.

        Raises
        ------
        InvalidInputError
            A cell that is no finite number in a column of numbers (the message names column, line and text), an unknown
            excluded column, or none is left.
        """
        check_columns("--exclude", excluded, self.names)
        kept = [j for j, name in enumerate(self.names) if name not in excluded]
        if not kept:
            raise InvalidInputError("--exclude leaves no column to model; exclude fewer columns")
        text = {*text, *self.censored}
        return pd.DataFrame({self.names[j]: self._column(j, self.names[j] in text) for j in kept})

    def at(self, rows: Sequence[int]) -> "TextTable":
        """Some rows of the table."""
        cells, lines = [self.cells[i] for i in rows], [self.lines[i] for i in rows]
        return replace(self, cells=cells, lines=lines, missing=self.missing[list(rows)])

    @functools.cached_property
    def incomplete(self) -> np.ndarray:
        """Which cells are to be completed, bool, shape (n, p): those that are missing, or hold a limit."""
        cells = self.missing.copy()
        for j in (self.names.index(name) for name in self.censored):
            cells[:, j] |= [math.isnan(_ENGLISH.read(row[j].strip())) for row in self.cells]
        return cells

    def completed_cells(self, completed: pd.DataFrame) -> tuple[int, int]:
        """How many cells a completed table fills, and in how many columns."""
        filled = self.incomplete & completed.reindex(columns=self.names).notna().to_numpy()
        return int(filled.sum()), int(filled.any(0).sum())

    def _column(self, j: int, is_text: bool) -> "pd.Series[Any]":
        cells = [None if self.missing[i, j] else row[j].strip() for i, row in enumerate(self.cells)]
        seen = [cell for cell in cells if cell is not None]
        if not is_text and seen and all(_DAY.fullmatch(cell) for cell in seen):
            return pd.Series([self._day(cell, i, j) for i, cell in enumerate(cells)], dtype="datetime64[s]")
        style = self.notations[j]
        numbers = [math.nan if cell is None else style.read(cell) for cell in cells]
        is_text = is_text or has_leading_zeros(seen)
        if is_text or (seen and sum(not math.isnan(number) for number in numbers) < len(seen) / 2):
            if not is_text:
                self._reject_unread(j, seen)
            return pd.Series(cells, dtype=object)
        if sum(math.isfinite(number) for number in numbers) < len(seen):
            i = next(i for i, cell in enumerate(cells) if cell is not None and not math.isfinite(numbers[i]))
            raise InvalidInputError(
                f"column {self.names[j]!r} holds {cells[i]!r} in line {self.lines[i]}, which is not a finite number as "
                f"other cells are; say that this means missing (--na-values {cells[i]!r}), that such cells are limits "
                f"(--censored {self.names[j]!r}), that the column holds labels (--types {self.names[j]}=nominal), or "
                f"leave it out of the model (--exclude {self.names[j]!r})"
            )
        return pd.Series(numbers, dtype=float)

    @functools.cached_property
    def notations(self) -> list[Notation]:
        """How the numbers of each column are written."""
        return [
            self.notation.of(
                row[j].strip() for row, gone in zip(self.cells, self.missing[:, j], strict=True) if not gone
            )
            for j in range(len(self.names))
        ]

    def _reject_unread(self, j: int, seen: list[str]) -> None:
        example = unread_number(seen)
        if example is None or len(set(seen)) <= MOST_VALUES:
            return
        name = self.names[j]
        signs = " or ".join(
            f"--decimal {sign!r} if {sign!r} separates decimals, --thousands {sign!r} if it separates thousands"
            for sign in dict.fromkeys(character for character in example if not character.isalnum())
            if sign not in f"+-%{CURRENCIES}"
        )
        raise InvalidInputError(
            f"column {name!r} holds numbers written as {example!r}; "
            f"{f'give {signs}' if signs else 'write them in one way'}, or say that it is text (--types "
            f"'{name}=nominal')"
        )

    def _day(self, cell: str | None, i: int, j: int) -> datetime.datetime | None:
        try:
            return None if cell is None else datetime.datetime.fromisoformat(cell)
        except ValueError as error:
            raise InvalidInputError(
                f"column {self.names[j]!r} holds {cell!r} in line {self.lines[i]}, which is no day ({error})"
            ) from error

    def write_filled(self, path: Path, completed: pd.DataFrame) -> None:
        """Write the file again, lines ended as they were, with values in the missing cells of ``completed``."""
        columns = [
            (j, completed[name].tolist(), self.notations[j]) for j, name in enumerate(self.names) if name in completed
        ]
        rows = []
        for i, row in enumerate(self.cells):
            new = list(row)
            for j, values, style in columns:
                if self.incomplete[i, j] and not pd.isna(values[i]):
                    new[j] = _written(values[i], style)
            rows.append(new)
        self._write(path, [self.names, *rows])

    def write_beside(self, path: Path, names: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        """Write the file again, with more columns at the end of its lines."""
        rows = [[*row, *new] for row, new in zip(self.cells, cells, strict=True)]
        self._write(path, [[*self.names, *names], *rows])

    def _write(self, path: Path, rows: Sequence[Sequence[str]]) -> None:
        text = self.mark + "".join(_line(row, self.sep) + self.newline for row in rows)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")


def _line(cells: Sequence[str], sep: str) -> str:
    """A row of the file, each cell in quotes where it must be; Python's csv leaves a lone carriage return without."""
    marks = {sep, '"', "\r", "\n"}
    alone = len(cells) == 1
    return sep.join(
        '"' + cell.replace('"', '""') + '"' if marks & set(cell) or (alone and not cell) else cell for cell in cells
    )


def read_table(path: Path, options: TextOptions | None = None) -> TextTable:
    """Read a file with a header line.

    Parameters
    ----------
    path : Path
        A text file in UTF-8.
    options : TextOptions or None
        How it is written; None is as usual.

    Raises
    ------
    InvalidInputError
        The file is empty, is no text, has no rows, a row of another length, or a column name twice.
    OSError
        The file is missing or cannot be read.
    """
    options = options or TextOptions()
    sep = {"tab": "\t", "\\t": "\t"}.get(options.sep, options.sep)
    notation = checked_notation(options.decimal, options.thousands)
    if len(sep) != 1 or sep in '"\r\n':
        raise InvalidInputError(f"--sep is {sep!r}; it must be one character, such as ',' ';' or a tab")
    names: list[str] = []
    cells: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open("rb") as raw:
            mark = "\ufeff" if raw.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8 else ""
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=sep, strict=True)
            for row in reader:
                if not names:
                    names = row
                elif row or len(names) == 1:
                    if len(row or [""]) != len(names):
                        raise InvalidInputError(
                            f"{path} line {reader.line_num} has {len(row)} cells, the header {len(names)}; "
                            "correct the line, or give --sep"
                        )
                    cells.append(row or [""])
                    lines.append(reader.line_num)
            # Known once the whole file was read: one kind, or several, of which the first of these is written.
            found = file.newlines or "\n"
            newline = found if isinstance(found, str) else next(end for end in ("\r\n", "\n", "\r") if end in found)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{path} is not UTF-8 text ({error.reason}); convert it first") from error
    except csv.Error as error:
        raise InvalidInputError(f"{path} line {reader.line_num} cannot be read: {error}") from error
    if not names:
        raise InvalidInputError(f"{path} is empty; a header line and rows are needed")
    other = [character for character in ";\t|," if character in names[0]] if len(names) == 1 else []
    if other:
        raise InvalidInputError(
            f"{path} has the one column {names[0]!r}; if {other[0]!r} separates, give --sep {other[0]!r}"
        )
    if not cells:
        raise InvalidInputError(f"{path} has a header but no rows")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"{path} has the column {twice[0]!r} more than once; rename one of them")
    signs = MISSING | {text.strip() for text in options.na_values or ()}
    missing = np.array([[text.strip() in signs for text in row] for row in cells])
    return TextTable(names, cells, lines, missing, sep, newline, mark, notation)


def read_types(given: Sequence[str], names: Sequence[str]) -> dict[str, Kind]:
    """The kinds that ``--types`` gives, by column.

    Raises
    ------
    InvalidInputError
        One that cannot be read, or is for an unknown column.

    Examples
    --------
    >>> read_types(["age=count"], ["age"])
    {'age': Count()}
    """
    found: dict[str, Kind] = {}
    for text in given:
        column, _, kind = text.partition("=")
        if column not in names:
            raise InvalidInputError(f"--types {text!r} is for the unknown column {column!r}; the columns are {names}")
        if column in found:
            raise InvalidInputError(f"--types names the column {column!r} twice; give it once")
        found[column] = read_kind(kind)
    return found


def text_columns(types: Mapping[str, Kind]) -> list[str]:
    """The columns whose cells are labels or names by what was declared.

    Examples
    --------
    >>> text_columns({"age": read_kind("count"), "zip": read_kind("nominal")})
    ['zip']
    """
    return [
        name
        for name, kind in types.items()
        if isinstance(kind, Nominal | Identifier | Binary) or (isinstance(kind, Ordinal) and kind.levels is not None)
    ]


def _written(value: Any, style: Notation) -> str:
    if isinstance(value, datetime.date):
        return value.isoformat()[:10]
    return style.write(value) if isinstance(value, float) else str(value)
