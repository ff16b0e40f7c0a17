"""A DataFrame line by line."""

from typing import Any

import pandas as pd


def lines_of(frame: pd.DataFrame) -> list[Any]:
    """Its lines, each with the columns as attributes and the index as ``Index``."""
    return list(frame.itertuples())


def numbered(frame: pd.DataFrame) -> list[tuple[float, Any]]:
    """Its index as numbers, each with the line's columns by name."""
    return list(zip(frame.index.astype(float), frame.to_dict("records"), strict=True))


def at_zero(frame: pd.DataFrame, column: str = "estimate") -> float:
    """The number in its line 0.0."""
    return float(dict(numbered(frame))[0.0][column])
