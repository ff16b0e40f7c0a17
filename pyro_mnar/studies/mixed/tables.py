"""The tables of the study, complete: which columns are levels, and what a column can hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.kinds.declared import Bounded, Count, Semicontinuous
from pyro_mnar.datasets.tables import load_table, sample_rows

#: Rows of each table that are used, the same for all seeds.
ROWS = 1_000


class Description(NamedTuple):
    """What its owner knows of a table.

    Attributes
    ----------
    levels : tuple of str
        Columns that are levels without an order; text is among them without being named.
    ordered : mapping
        Columns that are levels with an order: their codes from low to high; None: in the order of the codes.
    kinds : mapping
        Numbers with an end from above, as ``types`` declares them: percentages, caps and hours.
    """

    levels: tuple[str, ...] = ()
    ordered: Mapping[str, tuple[int, ...] | None] = MappingProxyType({})
    kinds: Mapping[str, Bounded | Count | Semicontinuous] = MappingProxyType({})


TABLES: dict[str, Description] = {
    "adult": Description(),
    "bike": Description(
        levels=("Seasons", "Holiday", "Functioning Day"),
        kinds={"Hour": Count(high=23), "Humidity(%)": Bounded(0, 100), "Visibility (10m)": Semicontinuous(at=2000)},
    ),
    "california": Description(
        kinds={
            "housing_median_age": Semicontinuous(at=52),
            "median_income": Bounded(0, 15.0001),
            "median_house_value": Semicontinuous(at=500_001),
        }
    ),
    "cmc": Description(
        levels=("wife_religion", "wife_working", "husband_occupation", "media_exposure", "method"),
        ordered=dict.fromkeys(("wife_education", "husband_education", "living_standard")),
    ),
    "health": Description(ordered={"RiskLevel": (1, 2, 0)}),  # codes by the alphabet: 0 is high, 1 low, 2 middle
}


def complete_table(name: str, data_home: Path | None, rows: int | None = None) -> pd.DataFrame:
    """A table without holes: numbers as they are, levels as categories; adult's rows with a ``?`` are left out.

    Parameters
    ----------
    name : str
        One of ``TABLES``.
    data_home : Path or None
        Folder with the original data files.
    rows : int or None
        So many rows, drawn at random once; None takes the study's number.

    Returns
    -------
    DataFrame
        Shape (n, p).
    """
    table, known = load_table(name, data_home=data_home).dropna(), TABLES[name]
    table = sample_rows(table, ROWS if rows is None else rows)
    text = [column for column in table if not pd.api.types.is_numeric_dtype(table[column])]
    for column in (*text, *known.levels, *known.ordered):
        levels = known.ordered.get(str(column)) or sorted(table[column].unique())
        table[column] = pd.Categorical(table[column], categories=levels, ordered=column in known.ordered)
    return table


def level_columns(table: pd.DataFrame) -> list[str]:
    """Names of the columns that hold levels."""
    return [str(column) for column in table if isinstance(table[column].dtype, pd.CategoricalDtype)]


def number_columns(table: pd.DataFrame) -> list[str]:
    """Names of the columns that hold numbers."""
    levels = set(level_columns(table))
    return [str(column) for column in table if column not in levels]


def ends(name: str, complete: pd.DataFrame, column: str) -> tuple[float, float]:
    """What a column of numbers holds at least and at most, as far as its owner knows.

    Parameters
    ----------
    name, column : str
        Table and column.
    complete : DataFrame
        The table without holes: a column without negative numbers starts at 0.

    Returns
    -------
    tuple of float
        The two ends, infinite where there is none.
    """
    low = 0.0 if complete[column].min() >= 0 else -np.inf
    match TABLES[name].kinds.get(column):
        case Bounded(high=high) | Count(high=high):
            return low, float(high)
        case Semicontinuous() as capped:
            return low, capped.places[-1]
    return low, np.inf


def impossible(name: str, complete: pd.DataFrame, column: str, values: FloatArray) -> np.ndarray:
    """Which values a column of numbers cannot hold: negative, broken or too large ones, bool, shape of ``values``.

    Parameters
    ----------
    name, column : str
        Table and column.
    complete : DataFrame
        The table without holes: a column without broken numbers has none; see also :func:`ends`.
    values : ndarray
        Imputed values, any shape.
    """
    truth = complete[column].to_numpy(dtype=float)
    low, high = ends(name, complete, column)
    bad = (values < low - 1e-9) | (values > high + 1e-9)
    if (truth == np.rint(truth)).all():
        bad |= np.abs(values - np.rint(values)) > 1e-9
    return bad
