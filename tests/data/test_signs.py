"""Signs of missing cells that a table holds as values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import assess
from pyro_mnar.analysis.assess.summary import _of_signs
from pyro_mnar.data.signs import in_words, signs_of_missing
from pyro_mnar.errors import InvalidInputError

TABLE = pd.DataFrame(
    {
        "job": ["clerk", "?", "nurse", "?", "cook", None],
        "town": pd.Categorical(["Oslo", "Rome", " Unknown", "Oslo", "Rome", "Oslo"]),
        "pay": [-99.0, 2100.0, -99.0, 1800.0, -99.0, np.nan],
        "cold": [-9, -9, -9, -12, 3, 4],
        "debt": [0, -99, 0, 120, 4, 5],
        "member": [True, False, True, True, False, True],
        "nothing": ["-", "-", "-", "-", "-", "-"],
    }
)


def test_texts_and_numbers_that_stand_for_missing_are_found_and_values_are_not() -> None:
    assert [tuple(sign) for sign in signs_of_missing(TABLE)] == [
        ("job", "?", 2),
        ("town", " Unknown", 1),
        ("pay", -99, 3),
    ]
    assert signs_of_missing(TABLE[["cold", "debt", "member", "nothing"]]) == []


def test_a_table_without_holes_is_asked_about_its_signs() -> None:
    full = TABLE[["job", "member"]].dropna()
    with pytest.raises(
        InvalidInputError, match=r"no cell of X is missing: if '\?' in 2 cells of job marks missing ones"
    ):
        assess(full)


def test_an_assessment_asks_what_a_sign_means() -> None:
    (line,) = _of_signs(TABLE)
    assert line.startswith("Does '?' in 2 cells of job, and ' Unknown' in 1 cell of town")
    assert "--na-values '?'" in line and "df.replace('?', float('nan'))" in line
    assert _of_signs(TABLE[["cold"]]) == []
    assert in_words([]) == ""
