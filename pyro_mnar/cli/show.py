"""DataFrames on the terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Table


def print_table(frame: pd.DataFrame, title: str) -> None:
    """A DataFrame with numbers to four digits, and nothing where a cell has no value."""
    table = Table(title=title, title_justify="left")
    for name in frame.columns:
        table.add_column(str(name), justify="right" if pd.api.types.is_numeric_dtype(frame[name]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(_text(value) for value in row))
    console = Console()
    # Into a file or a pipe a table is not to be cut at a width that no one sees.
    console = console if console.is_terminal else Console(width=140)
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.4g}"
    return str(value)
