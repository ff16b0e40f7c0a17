"""Tables as text files (CSV): read with errors that name line and column, written with the seen cells as they were."""

import codecs
import csv
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pyro_mnar.errors import InvalidInputError

#: What means "missing" without being told; the empty cell among them.
MISSING = frozenset({"", "NA", "N/A", "n/a", "<NA>", "#N/A", "NaN", "nan", "NAN", "NULL", "null", "None"})


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
    newline : str
        What ends the lines of the file.
    mark : str
        The byte order mark if the file starts with one, else nothing.
    """

    names: list[str]
    cells: list[list[str]]
    lines: list[int]
    missing: np.ndarray
    newline: str = "\n"
    mark: str = ""

    def numbers(self, excluded: Collection[str] = ()) -> pd.DataFrame:
        """The columns as numbers, NaN = missing, without the excluded ones.

        Raises
        ------
        InvalidInputError
            A cell that is no finite number (the message names column, line and text), or an unknown excluded column.
        """
        unknown = [name for name in excluded if name not in self.names]
        if unknown:
            raise InvalidInputError(f"--exclude names the unknown column {unknown[0]!r}; the columns are {self.names}")
        kept = [j for j, name in enumerate(self.names) if name not in excluded]
        return pd.DataFrame({self.names[j]: self._column(j) for j in kept})

    def _column(self, j: int) -> np.ndarray:
        values = np.full(len(self.cells), np.nan)
        for i, row in enumerate(self.cells):
            if not self.missing[i, j]:
                values[i] = self._number(row[j], i, j)
        return values

    def _number(self, text: str, i: int, j: int) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        # Python reads "1_000" as a number; in a table that is a text.
        if math.isfinite(value) and "_" not in text:
            return value
        where = f"column {self.names[j]!r} holds {text!r} in line {self.lines[i]}, which is not a finite number"
        raise InvalidInputError(
            f"{where}; encode the column as numbers, leave it out of the model (--exclude {self.names[j]!r}), or say "
            "that this means missing (--na-values)"
        )

    def filled(self, completed: pd.DataFrame, sep: str) -> str:
        """The file's text again, lines ended as they were, with numbers in the missing cells of ``completed``."""
        columns = [(j, completed[name].to_numpy()) for j, name in enumerate(self.names) if name in completed]
        written = [_line(self.names, sep)]
        for i, row in enumerate(self.cells):
            new = list(row)
            for j, values in columns:
                if self.missing[i, j]:
                    new[j] = f"{values[i]:.10g}"
            written.append(_line(new, sep))
        return self.mark + "".join(line + self.newline for line in written)


def _line(cells: Sequence[str], sep: str) -> str:
    """A row of the file, each cell in quotes where it must be; Python's csv leaves a lone carriage return without."""
    marks = {sep, '"', "\r", "\n"}
    alone = len(cells) == 1
    return sep.join(
        '"' + cell.replace('"', '""') + '"' if marks & set(cell) or (alone and not cell) else cell for cell in cells
    )


def read_table(path: Path, sep: str = ",", na_values: Sequence[str] = ()) -> TextTable:
    """Read a file with a header line.

    Parameters
    ----------
    path : Path
        A text file in UTF-8.
    sep : str
        What separates the columns: one character.
    na_values : sequence of str
        Texts that mean "missing", beside the usual ones.

    Raises
    ------
    InvalidInputError
        The file is empty, is no text, has no rows, a row of another length, or a column name twice.
    OSError
        The file is missing or cannot be read.
    """
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
    signs = MISSING | {text.strip() for text in na_values}
    missing = np.array([[text.strip() in signs for text in row] for row in cells])
    return TextTable(names, cells, lines, missing, newline, mark)
