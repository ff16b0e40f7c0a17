"""What columns are taken for, and what a declaration makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pyro_mnar.data.columns import Atoms, Group, standardise
from pyro_mnar.data.kinds.declared import (
    Binary,
    Bounded,
    Count,
    Date,
    Discrete,
    Nominal,
    OneHot,
    Ordinal,
    Semicontinuous,
    read_kind,
)
from pyro_mnar.data.kinds.schema import Schema, find_schema
from pyro_mnar.data.raw import read_columns
from pyro_mnar.data.transforms import Log, Logit, Tabulated, YeoJohnson
from pyro_mnar.errors import DataWarning, InvalidInputError, InvalidTypeError

N = 400
_GENERATOR = np.random.default_rng(0)
_NORMAL = _GENERATOR.normal(size=N)
_AMOUNT = np.exp(1 + 0.5 * _GENERATOR.normal(size=N))


def schema(frame: Any, types: Any = None) -> Schema:
    return find_schema(read_columns(frame, None, "test"), types)


def kind_of(column: Any, types: Any = None) -> Any:
    found = schema(pd.DataFrame({"c": column, "other": np.resize(_NORMAL, len(column))}), types and {"c": types})
    return found.columns[0]


FOUND: list[tuple[str, Any]] = [
    ("continuous", _NORMAL),
    ("continuous", np.exp(_NORMAL)),
    ("continuous", np.rint(1000 * _NORMAL)),
    ("bounded", 100 * _GENERATOR.beta(2, 1, N)),
    ("bounded", np.clip(1.3 * _GENERATOR.random(N) - 0.1, 0, 1)),
    ("semicontinuous", np.where(_GENERATOR.random(N) < 0.6, 0, _AMOUNT)),
    ("semicontinuous", np.rint(np.where(_GENERATOR.random(N) < 0.6, 0, 1000 * _AMOUNT))),
    ("semicontinuous", np.minimum(2000.0, 1500 + 700 * _NORMAL)),
    ("count", _GENERATOR.poisson(1.5, N)),
    ("count", _GENERATOR.poisson(80, N)),
    ("count", np.where(np.arange(N) == 3, np.nan, _GENERATOR.poisson(1.5, N))),
    ("discrete", _GENERATOR.choice([0.1, 0.25, 0.7, 1.5], N)),
    ("discrete", _GENERATOR.choice([7, 28, 90, 365], N)),
    ("ordinal", _GENERATOR.integers(1, 6, N)),
    ("ordinal", _GENERATOR.integers(0, 24, N)),
    ("ordinal", np.minimum(_GENERATOR.poisson(3, N) + 1, 7)),
    ("ordinal", pd.Categorical.from_codes(_GENERATOR.integers(0, 3, N), ["low", "mid", "high"], ordered=True)),
    ("nominal", _GENERATOR.choice(["a", "b", "c"], N)),
    ("nominal", pd.Categorical(_GENERATOR.choice(["a", "b", "c"], N))),
    ("binary", _GENERATOR.choice([1, 2], N)),
    ("binary", _GENERATOR.choice([0.0, 1.0], N)),
    ("binary", _GENERATOR.choice(["yes", "no"], N)),
    ("binary", _GENERATOR.random(N) < 0.5),
    ("binary", pd.array([True, None] + [False] * (N - 2), dtype="boolean")),
    ("date", pd.Timestamp("2020-01-01") + pd.to_timedelta(_GENERATOR.integers(0, 900, N), "D")),
    ("date", pd.date_range("2020-01-01", periods=N, freq="h", tz="Europe/Berlin")),
    ("duration", pd.to_timedelta(np.abs(_NORMAL), "h")),
    ("constant", np.full(N, 7.0)),
    ("constant", ["same"] * N),
    ("identifier", [f"person {i}" for i in range(N)]),
    ("identifier", np.arange(N) + 1000),
    ("identifier", _GENERATOR.permutation(N)),
    ("empty", np.full(N, np.nan)),
    ("empty", [None] * N),
]


@pytest.mark.parametrize(("kind", "column"), FOUND, ids=[f"{k}-{i}" for i, (k, _) in enumerate(FOUND)])
def test_kinds_are_found(kind: str, column: Any) -> None:
    found = kind_of(column)
    assert found.kind == kind, found
    assert found.why


def test_a_column_that_happens_to_lie_below_one_is_not_bounded() -> None:
    assert kind_of(0.4 * _GENERATOR.random(N)).kind == "continuous"
    assert kind_of(0.02 * np.exp(_NORMAL)).kind == "continuous"
    assert kind_of(_NORMAL / 10).support.lowest == -np.inf
    assert kind_of(np.exp(_NORMAL)).support.lowest == 0


def test_counts_may_go_somewhat_beyond_the_observed_ones() -> None:
    found = kind_of(np.repeat(np.arange(6), [150, 120, 70, 40, 15, 5]))
    assert found.levels == tuple(float(k) for k in range(16))
    assert kind_of(_GENERATOR.integers(20, 41, N)).levels[-1] == 63


def test_columns_of_polars() -> None:
    letters = ["a", "b", "c"] * 20
    frame = pl.DataFrame(
        {
            "enum": pl.Series(letters, dtype=pl.Enum(["c", "b", "a"])),
            "cat": pl.Series(letters, dtype=pl.Categorical),
            "text": letters,
            "bool": [True, None, False] * 20,
            "date": pl.Series(pd.date_range("2024", periods=60)).cast(pl.Date),
            "zone": pl.Series(pd.date_range("2024", periods=60)).dt.replace_time_zone("Europe/Berlin"),
            "span": pl.Series(pd.to_timedelta(np.arange(60) ** 2, "s")),
            "int": pl.Series(np.arange(60) % 3, dtype=pl.Int8),
        }
    )
    kinds = [column.kind for column in schema(frame).columns]
    assert kinds == ["nominal", "nominal", "nominal", "binary", "date", "date", "duration", "ordinal"]
    assert schema(frame).columns[0].labels == ("c", "b", "a")


def test_arrays_and_objects() -> None:
    objects = np.empty((60, 3), dtype=object)
    objects[:, 0] = ["a", None, "b"] * 20
    objects[:, 1] = _NORMAL[:60]
    objects[:, 2] = [True, False, None] * 20
    assert [column.kind for column in schema(objects).columns] == ["binary", "continuous", "binary"]
    # The columns of an array have one type and no names: nothing in it is an identifier.
    assert schema(np.arange(120).reshape(60, 2)).columns[0].kind == "count"


def test_rare_levels_are_pooled_and_never_made_up() -> None:
    letters = np.array([*"abcdefghij"] * 100 + ["rare"] * 4 + ["rarer"] * 2 + ["rarest"])
    found = kind_of(letters)
    assert found.labels == (*"abcdefghij", "rare") and found.pooled == ("rarer", "rarest")
    assert "'rare'" in found.why


def test_many_levels_are_pooled_or_passed_through() -> None:
    often = np.array([f"level {i}" for i in np.random.default_rng(0).integers(0, 80, 4000)])
    assert kind_of(often).width == 50
    once = [f"level {i}" for i in np.random.default_rng(0).integers(0, 300, N)]
    assert kind_of(once).kind == "identifier"


@pytest.mark.parametrize("odd", [None, "?"])
def test_numbers_as_text_are_not_read_in_silence(odd: str | None) -> None:
    text = _NORMAL.round(2).astype(str).astype(object)
    text[5] = odd or text[5]
    row = 5 if odd else 0
    with pytest.raises(InvalidTypeError, match=rf"'c' holds numbers as text.* in row {row}.*to_numeric"):
        kind_of(text)
    mixed = _NORMAL.astype(object)
    mixed[7] = "?"
    with pytest.raises(InvalidTypeError, match=r"the text '\?' in row 7"):
        kind_of(mixed)


DECLARED: list[tuple[Any, Any, str]] = [
    ("continuous", _GENERATOR.poisson(2, N), "continuous"),
    ("count", _GENERATOR.poisson(2, N), "count"),
    (Count(high=23), np.arange(N) % 24, "count"),
    (Bounded(0, 100), _AMOUNT, "bounded"),
    (Semicontinuous(at=0), np.where(_NORMAL < 0, 0, _NORMAL), "semicontinuous"),
    (Ordinal(), _GENERATOR.integers(0, 11, N), "ordinal"),
    (Ordinal(["no", "some", "much"]), _GENERATOR.choice(["no", "much", "some"], N), "ordinal"),
    ("nominal", _GENERATOR.integers(1, 5, N), "nominal"),
    ("nominal", [f"person {i % 30}" for i in range(N)], "nominal"),
    (Binary, _GENERATOR.choice([3.5, 4.5], N), "binary"),
    (Discrete(), _GENERATOR.choice([0.5, 1.0, 9.0], N), "discrete"),
    ("identifier", _NORMAL, "identifier"),
    (Date(), pd.date_range("2024", periods=N), "date"),
]


@pytest.mark.parametrize(("declared", "column", "kind"), DECLARED, ids=[repr(d) for d, _, _ in DECLARED])
def test_declarations_are_followed(declared: Any, column: Any, kind: str) -> None:
    found = kind_of(column, declared)
    assert found.kind == kind


@pytest.mark.parametrize("declared", [Bounded(0, 52), Semicontinuous(at=0), Bounded(0, np.inf)], ids=repr)
@pytest.mark.parametrize("dtype", ["int64", "float64", "Int16", "object"])
def test_declared_numbers_are_whole_where_the_observed_ones_are(declared: Any, dtype: str) -> None:
    weeks = pd.Series(np.where(np.arange(N) % 3 == 0, 0, 4 + np.arange(N) % 48), dtype=dtype)
    holes = weeks if dtype == "int64" else weeks.mask(np.arange(N) % 5 == 0)
    assert kind_of(holes, declared).support.whole
    halves = weeks.astype("float64")
    halves[7] += 0.5
    assert not kind_of(halves, declared).support.whole


IMPOSSIBLE: list[tuple[Any, Any, str]] = [
    ("cuont", _NORMAL, r"'c' the kind 'cuont'; give one of \['binary'"),
    (Count(), _NORMAL, r"'c' as Count\(\), but it holds .* in row .*no whole number"),
    (Count(high=5), np.arange(N) % 7, r"as Count\(high=5\), but it holds 6 in row 6, more than 5"),
    (Bounded(0, 1), np.arange(N) / 100, r"it holds 1.01 in row 101, outside of 0 to 1"),
    (Bounded(0, 1), ["a"] * N, "it holds text, such as 'a' in row 0"),
    (Semicontinuous(at=0), np.zeros(N) + (np.arange(N) == 1), "fewer than two different values"),
    (Ordinal(), ["a", "b"] * (N // 2), "text has no order of its own"),
    (Ordinal(["a"]), ["a", "b"] * (N // 2), "give 2 to 200 different ones"),
    (Ordinal(["a", "c"]), ["a", "b"] * (N // 2), "it holds 'b', which is not among the levels"),
    (Binary(), np.arange(N) % 3, "it has 3 different values"),
    (Date(), ["2024-01-01", "2024-01-02"] * (N // 2), "to_datetime"),
    (Discrete(), _NORMAL, "400 different values, more than 200"),
    (Nominal(), pd.date_range("2024", periods=N), "it holds dates"),
    (OneHot(["a", "b"]), _NORMAL, "'c' two kinds|unknown column 'a'"),
]


@pytest.mark.parametrize(("declared", "column", "message"), IMPOSSIBLE, ids=[repr(d) for d, _, _ in IMPOSSIBLE])
def test_impossible_declarations_are_named(declared: Any, column: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        kind_of(column, declared)


def test_counts_end_at_the_largest_that_is_declared() -> None:
    hours = np.arange(N) % 18
    assert kind_of(hours, Count()).levels[-1] > 23
    found = kind_of(hours, Count(high=23))
    assert found.levels == tuple(float(hour) for hour in range(24)) and found.support == (0.0, 23.0, True)
    assert found.support_in_words() == "whole numbers from 0 to 23"
    # An end that is far off says nothing of the counts near the observed ones.
    assert kind_of(hours, Count(high=1000)).levels == kind_of(hours, Count()).levels
    # Values that are too many to be levels are, if the end says that there are few.
    assert kind_of(hours + 40, Count()).levels == ()
    assert kind_of(hours + 40, Count(high=60)).levels[-1] == 60
    wide = kind_of(hours * 10, Count(high=200))
    assert wide.levels == () and wide.support == (0.0, 200.0, True)
    assert kind_of(np.full(N, 3), Count(high=7)).levels == tuple(float(day) for day in range(8))


@pytest.mark.parametrize("high", [True, "7", None, 0, -3, 2.5, np.nan, -np.inf], ids=repr)
def test_a_largest_count_that_is_none_is_refused(high: Any) -> None:
    with pytest.raises(InvalidInputError, match="high of Count is"):
        Count(high=high)


def test_a_largest_count_is_read_from_text() -> None:
    assert read_kind("count(23)") == Count(high=23) and read_kind(" count ") == Count() == Count(high=np.inf)
    assert repr(Count(1_000_000)) == "Count(high=1000000)"
    for text in ("count()", "count(a)", "count(1, 2)", "count(23", "count(0)"):
        with pytest.raises(InvalidInputError, match="cannot be read; give one of"):
            read_kind(text)


def test_a_cap_that_no_observed_value_has_is_an_end_and_no_pile() -> None:
    below = np.abs(_NORMAL) + 1
    found = kind_of(below, Semicontinuous(at=15.5))
    assert (found.kind, found.atoms, found.support) == ("continuous", (), (0.0, 15.5, False))
    capped = kind_of(np.append(below, [15.5] * 5), Semicontinuous(at=15.5))
    assert (capped.kind, capped.atoms, capped.support) == ("semicontinuous", (15.5,), (0.0, 15.5, False))
    both = kind_of(np.where(_NORMAL < 0, 0, below), Semicontinuous(at=[0, 15.5]))
    assert (both.kind, both.atoms, both.support) == ("semicontinuous", (0.0,), (0.0, 15.5, False))


def test_unknown_columns_and_one_kind_for_all() -> None:
    frame = pd.DataFrame({"a": np.arange(60) % 3, "b": _NORMAL[:60]})
    with pytest.raises(InvalidInputError, match=r"unknown column 'z'; the columns are \['a', 'b'\]"):
        schema(frame, {"z": "count"})
    with pytest.raises(InvalidInputError, match="gives column 'a' two kinds"):
        schema(frame, {"a": "count", 0: "nominal"})
    assert [column.kind for column in schema(frame, "continuous").columns] == ["continuous"] * 2


def test_one_hot_groups_of_several_columns() -> None:
    code = np.arange(60) % 3
    frame = pd.DataFrame({**{name: code == k for k, name in enumerate("abc")}, "x": _NORMAL[:60]})
    found = schema(frame, {"soil": OneHot(["a", "b", "c"])})
    table = found.expand(found.read(read_columns(frame, None, "test")).values)
    layout, _ = found.describe(table)
    assert layout.groups == (Group((0, 1, 2)),) and layout.continuous == (3,) and layout.binary == ()
    for wrong, message in (
        (["a"], "at least two"),
        ("abc", "must be a list of columns"),
        (["a", "a"], "twice"),
        (["a", "x"], "modelled as 0 or 1"),
        (["a", "z"], "unknown column 'z'"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            wrongly = schema(frame, {"soil": OneHot(wrong)})
            wrongly.describe(wrongly.expand(wrongly.read(read_columns(frame, None, "test")).values))


def test_what_the_model_sees() -> None:
    frame = pd.DataFrame(
        {
            "spend": np.where(_NORMAL < 0, 0.0, _AMOUNT),
            "satisfaction": _GENERATOR.integers(1, 6, N),
            "children": _GENERATOR.poisson(1, N),
            "share": _GENERATOR.beta(2, 2, N),
            "income": np.exp(_NORMAL),
            "city": _GENERATOR.choice(["x", "y", "z"], N),
            "code": _GENERATOR.choice([1, 2], N),
            "name": [f"person {i}" for i in range(N)],
        }
    )
    found = schema(frame, {"share": Bounded(0, 1)})
    table = found.expand(found.read(read_columns(frame, None, "test")).values)
    layout, info = found.describe(table)
    assert info.names == (
        *("spend", "satisfaction", "children", "share", "income"),
        *("city=x", "city=y", "city=z", "code"),
    )
    assert layout.continuous == (3, 4) and layout.binary == (8,) and layout.groups == (Group((5, 6, 7), True),)
    assert [level.column for level in layout.levels] == [1, 2]
    assert isinstance(info.transforms[3], Logit) and isinstance(info.transforms[4], Log)
    assert isinstance(info.transforms[1], Tabulated) and info.supports[3] == (0.0, 1.0, False)
    x = standardise(table, info).astype(np.float32)
    (atoms,) = layout.atoms
    assert isinstance(atoms, Atoms) and atoms.column == 0
    at_zero = frame["spend"].to_numpy() == 0
    np.testing.assert_array_equal(x[:, 0] == np.float32(atoms.values[0]), at_zero)
    assert abs(x[~at_zero, 0].mean()) < 1e-5 and x[~at_zero, 0].std() == pytest.approx(1, abs=1e-5)
    for level in layout.levels:
        assert len(level.cuts) == len(level.scores) - 1 == len(level.values) - 1
        between = np.sort([*level.scores, *level.cuts])
        np.testing.assert_array_equal(between[1::2], level.cuts)
        assert set(np.unique(x[:, level.column])) <= set(np.float32(level.scores))
    words = found.frame(info)
    assert list(words.columns) == ["column", "kind", "why", "support", "transform"] and len(words) == 8
    assert words.set_index("column").loc["children", "support"] == "whole numbers >= 0"
    assert words.set_index("column").loc["spend", "transform"].startswith("point mass at 0; rest: log")


def test_a_skewed_column_of_both_signs_is_bent() -> None:
    frame = pd.DataFrame({"x": np.sinh(1.5 * _NORMAL + 1), "y": _NORMAL})
    found = schema(frame)
    _, info = found.describe(found.read(read_columns(frame, None, "test")).values)
    assert isinstance(info.transforms[0], YeoJohnson)
    assert info.transforms[1].describe() == "none"


def test_an_unseen_level_is_missing_for_the_model_and_told() -> None:
    frame = pd.DataFrame({"city": ["x", "y", "z"] * 20, "code": [1, 2] * 30})
    found = schema(frame)
    new = frame.assign(city=["x", "w", None] * 20)
    with pytest.warns(DataWarning, match="'city' holds 'w' in row 1, a level that it did not have"):
        read = found.read(read_columns(new, None, "test")).values
    assert read[:3, 0].tolist()[0] == 0.0 and np.isnan(read[1:3, 0]).all()
    with pytest.raises(InvalidInputError, match=r"'code' holds 3 in row 0; its two values are \[1, 2\]"):
        found.read(read_columns(frame.assign(code=3), None, "test"))
    with pytest.raises(InvalidTypeError, match="'n' holds text, such as 'a', but was of the kind continuous"):
        schema(pd.DataFrame({"n": _NORMAL})).read(read_columns(pd.DataFrame({"n": ["a"]}), None, "test"))
