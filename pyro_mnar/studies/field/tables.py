"""The tables of the study: their numbers, complete, and what each column can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pyro_mnar.datasets.tables import load_table, sample_rows
from pyro_mnar.studies.sources import load

#: By the study's name: the loader's.
_PUBLISHED = {
    "banknote": "banknote",
    "concrete": "concrete",
    "red": "wine_red",
    "white": "wine_white",
    "breast": "breast_cancer",
}
NAMES = (*_PUBLISHED, "airfoil", "power", "california", "bike", "health", "cmc")
#: Most rows of a table that are used, the same for all seeds: hundreds of cells times ten methods must be affordable.
MOST_ROWS = 1_000


def complete_table(
    name: str, data_home: Path | None, rows: int | None = None, inputs_only: bool = False
) -> pd.DataFrame:
    """The numeric columns of a table, float, without holes, shape (n, p).

    Of a table so many rows are used, drawn at random once; None takes the study's number. ``inputs_only`` is for the
    seed table: all rows, and concrete without its strength, which is a column like the others else.

    Examples
    --------
    >>> complete_table("breast", None).shape
    (569, 30)
    """
    if name in _PUBLISHED:
        source = load(_PUBLISHED[name], data_home)
        table = source.with_target() if name == "concrete" and not inputs_only else source.data
    else:
        table = load_table(name, data_home=data_home).select_dtypes("number")
    if rows is None and not inputs_only:
        rows = MOST_ROWS
    return sample_rows(table.astype(np.float64), rows)
