"""Three masks for tables of any kinds of columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import ndtri

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.studies.field.masks import BoolArray, by_curve, mar, mcar, standardised
from pyro_mnar.studies.mixed.tables import level_columns

MASKS = ("mcar", "mar", "self-masked")
#: Slope, per standard deviation, and share of the cells, of a column that is self-masked.
SLOPE, SHARE = 3.0, 0.5


def lose(table: pd.DataFrame, name: str, mask: str, seed: int) -> BoolArray:
    """Which cells of a complete table are lost, shape (n, p), True = lost; the same for the same arguments.

    "mcar": 30 % of all cells. "mar": a third of the columns is complete, the others lose 30 % by a logistic of those.
    "self-masked": half of the columns lose half of their cells, high numbers and frequent levels first. A table of
    another name loses other cells.
    """
    rng = np.random.default_rng([seed, *name.encode(), *mask.encode()])
    x = ranks(table)
    if mask == "mcar":
        return mcar(x, rng).cells
    if mask == "mar":
        return mar(x, rng).cells
    if mask != "self-masked":
        raise InvalidInputError(f"there is no mask {mask!r}; the names are {', '.join(MASKS)}")
    cells = np.zeros(x.shape, dtype=bool)
    for j in rng.permutation(x.shape[1])[: x.shape[1] // 2]:
        cells[:, j] = by_curve(SLOPE * x[:, j], SHARE, rng)
    return cells


def ranks(table: pd.DataFrame) -> FloatArray:
    """A number for each cell, standardised, shape (n, p): the normal score of a number's rank, how frequent a level is.

    Examples
    --------
    >>> ranks(pd.DataFrame({"a": pd.Categorical(["x", "y", "x", "x"])})).round(2).ravel()
    array([ 0.58, -1.73,  0.58,  0.58])
    """
    levels = level_columns(table)
    scores = np.empty(table.shape)
    for j, column in enumerate(table):
        if column in levels:
            scores[:, j] = table[column].map(table[column].value_counts(normalize=True)).astype(float)
        else:
            scores[:, j] = ndtri((table[column].rank() - 0.5) / len(table))
    return standardised(scores)
