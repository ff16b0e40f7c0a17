"""Signs that people write where a value is missing, and that a table may still hold as values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_TEXTS = (
    "?",
    "-",
    "--",
    ".",
    "*",
    "na",
    "n/a",
    "nan",
    "null",
    "missing",
    "unknown",
    "not stated",
    "no answer",
    "refused",
)
_NUMBERS = (-9, -99, -999, -9999)
#: Cells from which on a number below all others is a sign.
_LEAST = 3


class Sign(NamedTuple):
    """What may mark missing cells of a column: its name, the text or number, and how many cells hold it."""

    column: str
    sign: Any
    cells: int


def signs_of_missing(X: pd.DataFrame) -> list[Sign]:
    """Values that look like signs of missing cells: "?", "unknown" and the like, and -999 below numbers from 0 on.

    At most one per column, the most frequent.

    Examples
    --------
    >>> table = pd.DataFrame({"job": ["clerk", "?", "?"], "age": [41, 35, 28], "pay": [-999] * 3})
    >>> signs_of_missing(table)
    [Sign(column='job', sign='?', cells=2)]
    """
    found = []
    for name, column in X.items():
        values = column.dropna()
        if pd.api.types.is_bool_dtype(values.dtype):
            continue
        if pd.api.types.is_numeric_dtype(values.dtype):
            rest = values[~values.isin(_NUMBERS)]
            counts = values[values.isin(_NUMBERS)].value_counts()
            suspect = len(rest) > 0 and len(counts) > 0 and counts.iloc[0] >= _LEAST and bool((rest >= 0).all())
        else:
            texts = values[[isinstance(value, str) for value in values]].astype(str)
            counts = texts[texts.str.strip().str.lower().isin(_TEXTS)].value_counts()
            suspect = len(counts) > 0 and int(counts.iloc[0]) < len(values)
        if suspect:
            sign = counts.index[0]
            found.append(Sign(str(name), sign.item() if isinstance(sign, np.generic) else sign, int(counts.iloc[0])))
    return found


def in_words(signs: list[Sign]) -> str:
    """Where they are: ``"'?' in 1,115 cells of workclass and 1,118 of occupation"``; empty without any.

    Examples
    --------
    >>> in_words([Sign("job", "?", 2), Sign("town", "?", 1), Sign("pay", -999, 7)])
    "'?' in 2 cells of job and 1 of town, and -999 in 7 cells of pay"
    """
    parts = []
    for sign in dict.fromkeys(one.sign for one in signs):
        first, *others = (one for one in signs if one.sign == sign)
        places = [f"{first.cells:,} cell{'' if first.cells == 1 else 's'} of {first.column}"]
        places += [f"{one.cells:,} of {one.column}" for one in others]
        parts.append(f"{sign!r} in " + " and ".join(filter(None, [", ".join(places[:-1]), places[-1]])))
    return ", and ".join(parts)
