"""Limits as users write them: texts, numbers, columns of limits, flags; and what is wrong with them, by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.data.censored import with_limits
from pyro_mnar.data.limits import Limits, example_of_limits, read_interval
from pyro_mnar.data.raw import RawColumn, read_columns
from pyro_mnar.errors import InvalidInputError, InvalidTypeError

INF = math.inf


def read(frame: Any, declared: Any) -> dict[str, RawColumn]:
    return {str(column.name): column for column in with_limits(read_columns(frame, None, None, declared), declared)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<0.5", (-INF, math.nextafter(0.5, 0))),
        (" < .5 ", (-INF, math.nextafter(0.5, 0))),
        ("<=0.5", (-INF, 0.5)),
        ("\u2264 0.5", (-INF, 0.5)),
        (">200", (math.nextafter(200, INF), INF)),
        (">= 2e2", (200.0, INF)),
        ("90+", (90.0, INF)),
        ("0.1-0.5", (0.1, 0.5)),
        ("0.1 to 0.5", (0.1, 0.5)),
        ("-3--1", (-3.0, -1.0)),
        ("[0.1, 0.5]", (0.1, 0.5)),
        ("3.25", (3.25, 3.25)),
        ("-3", (-3.0, -3.0)),
    ],
)
def test_texts_that_name_intervals(text: str, expected: tuple[float, float]) -> None:
    assert read_interval(text) == expected


@pytest.mark.parametrize("text", ["", "low", "<", "n.d.", "0.5 mg", "1/2", "<0.5 mg", "nan", "inf"])
def test_texts_that_name_none(text: str) -> None:
    assert read_interval(text) is None
    assert example_of_limits(["<0.5", text]) is None


@pytest.mark.parametrize("kind", ["object", "string", "category", "mixed", "polars", "array"])
def test_a_declared_column_of_text_becomes_numbers_with_limits_in_every_container(kind: str) -> None:
    cells: list[Any] = ["0.7", "<0.5", None, "1.5", "0.1-0.2", ">9"]
    if kind == "mixed":
        cells = [0.7, "<0.5", None, 1.5, "0.1-0.2", ">9"]
    frame: Any = pd.DataFrame({"x0": pd.Series(cells, dtype=kind if kind in ("string", "category") else object)})
    if kind == "polars":
        frame = pytest.importorskip("polars").DataFrame({"x0": cells})
    if kind == "array":
        frame = np.array(cells, dtype=object)[:, None]
    column = read(frame, {"x0": Limits()})["x0"]
    assert column.holds == "number"
    assert column.missing.tolist() == [False, True, True, False, True, True]
    np.testing.assert_array_equal(column.values, [0.7, np.nan, np.nan, 1.5, np.nan, np.nan])
    assert column.limits is not None
    np.testing.assert_allclose(
        column.limits, [[-INF, INF], [-INF, 0.5], [-INF, INF], [-INF, INF], [0.1, 0.2], [9, INF]], rtol=1e-9
    )


def test_one_number_and_columns_of_limits_belong_to_the_missing_cells() -> None:
    frame = pd.DataFrame({"crp": [np.nan, 0.7, np.nan], "lod": [0.5, 0.5, np.nan], "top": [0.2, 1.0, 1.0]})
    column = read(frame, {"crp": Limits(upper=0.5)})["crp"]
    np.testing.assert_array_equal(column.limits, [[-INF, 0.5], [-INF, INF], [-INF, 0.5]])
    both = read(frame, {"crp": Limits(lower=0.1, upper="lod")})
    np.testing.assert_array_equal(both["crp"].limits, [[0.1, 0.5], [-INF, INF], [0.1, INF]])
    assert both["lod"].serves == "upper limits of 'crp'" and both["top"].serves == ""


@pytest.mark.parametrize(
    "flags",
    [["left", "none", "right", "interval"], [-1, 0, 1, 2], [-1.0, np.nan, 1.0, 2.0]],
)
def test_flags_turn_values_into_limits(flags: list[Any]) -> None:
    frame = pd.DataFrame({"y": [0.5, 0.7, 9.0, 2.0], "y2": [np.nan, np.nan, np.nan, 3.0], "cens": flags})
    column = read(frame, {"y": Limits(upper="y2", flag="cens")})["y"]
    np.testing.assert_array_equal(column.limits, [[-INF, 0.5], [-INF, INF], [9, INF], [2, 3]])
    np.testing.assert_array_equal(column.values, [np.nan, 0.7, np.nan, np.nan])
    below = read(pd.DataFrame({"y": [0.5, 0.7], "cens": [True, False]}), {"y": Limits(flag="cens")})["y"]
    np.testing.assert_array_equal(below.limits, [[-INF, 0.5], [-INF, INF]])


def test_limits_that_agree_are_the_value() -> None:
    column = read(pd.DataFrame({"a": ["1", "2-2", "<3"]}), {"a": Limits()})["a"]
    assert column.values[1] == 2.0 and column.missing.tolist() == [False, False, True]


def test_one_rule_for_all_columns_reads_those_whose_texts_are_numbers_or_intervals() -> None:
    frame = pd.DataFrame({"a": ["1", "<0.5"], "b": ["low", "<0.5"], "c": [1.0, np.nan], "d": ["1", "2"]})
    columns = read(frame, Limits())
    assert {name: column.holds for name, column in columns.items()} == {
        "a": "number",
        "b": "label",
        "c": "number",
        "d": "label",
    }


@pytest.mark.parametrize(
    ("frame", "declared", "error", "match"),
    [
        ({"a": ["1", "low"]}, {"a": Limits()}, InvalidTypeError, "'a' is censored and holds 'low' in row 1"),
        ({"a": ["1", "3-2"]}, {"a": Limits()}, InvalidInputError, "'3-2' in row 1, of which the lower end is above"),
        ({"a": [1.0]}, {"b": Limits()}, InvalidInputError, "names the unknown column 'b'"),
        (
            {"a": [1.0]},
            {"a": Limits(upper="lod")},
            InvalidInputError,
            "names the unknown column 'lod'",
        ),
        ({"a": [1.0]}, {"a": Limits(upper="a")}, InvalidInputError, "names the column itself"),
        ({"a": [1.0]}, {"a": Limits(lower=2, upper=1)}, InvalidInputError, "lower of column 'a' is 2 and upper 1"),
        ({"a": [1.0]}, {"a": Limits(upper=[1])}, InvalidInputError, r"Censored upper of column 'a' is \[1\]"),
        ({"a": [1.0], "l": ["x"]}, {"a": Limits(upper="l")}, InvalidTypeError, "'l' is to hold limits"),
        (
            {"a": [np.nan], "f": ["left"]},
            {"a": Limits(flag="f")},
            InvalidInputError,
            "says that the value of 'a'",
        ),
        ({"a": [1.0], "f": ["up"]}, {"a": Limits(flag="f")}, InvalidInputError, "row 0 is 'up'; it must be 'left'"),
        ({"a": [True, False]}, {"a": Limits()}, InvalidTypeError, "holds booleans"),
        (
            {"a": [np.nan], "l": [2.0], "u": [1.0]},
            {"a": Limits("l", "u")},
            InvalidInputError,
            "'a' has the lower limit 2 in row 0, above the upper limit 1",
        ),
    ],
)
def test_what_is_wrong_is_named(frame: Any, declared: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        read(pd.DataFrame(frame), declared)
