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

    ``levels`` are columns of levels without an order, besides those of text; ``ordered`` columns have one, of codes
    from low to high (None: in the order of the codes); ``kinds`` are numbers with an end from above, as ``types``
    declares them.
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

    Of it so many rows are used, drawn at random once; None takes the study's number.
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
    """What a column of numbers holds at least and at most, as far as its owner knows; infinite where there is no end.

    A column without negative numbers in the complete table starts at 0.
    """
    low = 0.0 if complete[column].min() >= 0 else -np.inf
    match TABLES[name].kinds.get(column):
        case Bounded(high=high) | Count(high=high):
            return low, float(high)
        case Semicontinuous() as capped:
            return low, capped.places[-1]
    return low, np.inf


def impossible(name: str, complete: pd.DataFrame, column: str, values: FloatArray) -> np.ndarray:
    """Which values a column of numbers cannot hold, bool: those beyond its ends, and broken ones of whole numbers."""
    truth = complete[column].to_numpy(dtype=float)
    low, high = ends(name, complete, column)
    bad = (values < low - 1e-9) | (values > high + 1e-9)
    if (truth == np.rint(truth)).all():
        bad |= np.abs(values - np.rint(values)) > 1e-9
    return bad
