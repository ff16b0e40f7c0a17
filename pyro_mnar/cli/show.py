"""DataFrames on the terminal."""

import math
from typing import TYPE_CHECKING, Literal

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pyro_mnar.cli.wording import as_options
from pyro_mnar.data.kinds.notes import notes_on
from pyro_mnar.errors import printable

if TYPE_CHECKING:
    from pyro_mnar.estimators.base import JointEstimator


def print_table(frame: pd.DataFrame, title: str) -> None:
    """A DataFrame with numbers to four digits, and nothing where a cell has no value."""
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        # Text, so that no name is taken for markup.
        justify: Literal["left", "right"] = "right" if pd.api.types.is_numeric_dtype(frame[name]) else "left"
        table.add_column(Text(printable(name)), justify=justify)
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(printable(_text(value))) for value in row))
    console = Console()
    # Into a file or a pipe a table is not to be cut at a width that no one sees.
    console = console if console.is_terminal else Console(width=140)
    console.print(table)


def print_mechanism(report: pd.DataFrame) -> None:
    """A mechanism report as a table of numbers; the kind of evidence is part of its sentences."""
    print_table(report.drop(columns="evidence", errors="ignore"), "Why cells are missing, as learned (original units)")


def print_words(report: pd.DataFrame) -> None:
    """A mechanism report in words, a line for each column that has holes, or its numbers where it has no words."""
    holed = report[report["missing_rate"] > 0]
    if "words" in holed.columns:
        for line in holed["words"]:
            print(f"  {printable(line)}")
    else:
        print_table(holed, "")


def say_notes(imputer: "JointEstimator", rows: pd.DataFrame) -> None:
    """What to look at in how the table was read."""
    for note in notes_on(imputer._schema.columns, rows):
        print(f"Note: {as_options(printable(note))}")


def _text(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"
