"""Completed tables come back as they were given: types, labels, dates, and the observed cells bit for bit."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyro_mnar.data.columns import original, possible, standardise
from pyro_mnar.data.kinds.schema import Schema, find_schema
from pyro_mnar.data.raw import read_columns
from pyro_mnar.data.write import write_table

N = 60


def holes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(n) < 0.3


def people(seed: int = 0) -> pd.DataFrame:
    """A table with a column of each kind and type, and holes in all of them."""
    generator = np.random.default_rng(seed)
    normal, code = generator.normal(size=N), generator.integers(0, 3, N)
    days = pd.Timestamp("2024-03-30 23:00") + pd.to_timedelta(generator.integers(0, 96, N), "h")
    frame = pd.DataFrame(
        {
            "float": normal,
            "float32": normal.astype("float32"),
            "amount": np.where(normal < 0, 0.0, np.exp(normal)),
            "Int64": pd.array(code, dtype="Int64"),
            "object": pd.Series(normal, dtype=object),
            "boolean": pd.array(code == 1, dtype="boolean"),
            "flags": pd.Series(code == 1, dtype=object),
            "text": np.array(["a", "b", "c"])[code],
            "objects": pd.Series(np.array(["a", "b", "c"])[code], dtype=object),
            "category": pd.Categorical.from_codes(code, ["x", "y", "z"]),
            "ordered": pd.Categorical.from_codes(code, ["low", "mid", "high"], ordered=True),
            "numbered": pd.Categorical.from_codes(code, [10, 20, 30]),
            "codes": 1.0 + (code == 1),
            "day": days.normalize(),
            "time": days.tz_localize("Europe/Berlin", nonexistent="shift_forward", ambiguous=False),
            "seconds": days.astype("datetime64[s]"),
            "date": pd.Series([day.date() for day in days], dtype=object),
            "span": pd.to_timedelta(generator.integers(0, 9999, N), "s"),
            "constant": 7,
            "word": "same",
            "name": [f"person {i}" for i in range(N)],
        }
    ).set_axis(np.arange(N) + 100)
    for j, name in enumerate(frame.columns):
        frame[name] = frame[name].mask(holes(N, seed + j))
    return frame


def round_trip(X: Any, noise: float = 3.0, seed: int = 0) -> tuple[Any, Schema]:
    """Impute with wild values of the model's scale, as no model would."""
    raw = read_columns(X, None, "test")
    schema = find_schema(raw)
    table, missing, *_ = schema.read(raw)
    modelled = schema.expand(table)
    _, info = schema.describe(modelled)
    draws = noise * np.random.default_rng(seed).standard_cauchy(modelled.shape)
    values = possible(original(np.where(np.isnan(modelled), draws, standardise(modelled, info)), info), info)
    for start in (j for j, column in enumerate(info.names) if "=" in column):
        values[:, start] = np.abs(values[:, start])
    binary = schema.describe(modelled)[0].binary
    values[:, list(binary)] = values[:, list(binary)] > 0.5
    completed = np.zeros_like(table)
    completed[:, schema.modelled] = schema.contract(np.where(np.isnan(modelled), values, modelled))
    return write_table(X, completed, schema.filled(missing), np.ones(len(raw), bool), {}, schema), schema


def test_a_frame_comes_back_with_its_types_and_cells() -> None:
    frame = people()
    before = frame.copy(deep=True)
    completed, schema = round_trip(frame)
    pd.testing.assert_frame_equal(frame, before)
    expected = frame.dtypes.astype(str).to_dict() | {"object": "float64"}
    assert completed.dtypes.astype(str).to_dict() == expected
    assert completed.index.equals(frame.index) and list(completed.columns) == list(frame.columns)
    for name in frame.columns:
        seen = frame[name].notna()
        assert (completed[name][seen] == frame[name][seen]).all(), name
        assert completed[name].isna().sum() == (frame[name].isna().sum() if name == "name" else 0), name
    assert schema.frame().set_index("column").loc["name", "kind"] == "identifier"
    assert (completed["amount"] >= 0).all() and completed["codes"].isin([1.0, 2.0]).all()
    assert (completed["constant"] == 7).all() and (completed["word"] == "same").all()
    assert (completed["day"] == completed["day"].dt.normalize()).all()
    assert completed["date"].map(type).eq(datetime.date).all()
    assert completed["flags"].map(type).eq(bool).all()
    for name in ("category", "ordered", "numbered"):
        assert completed[name].dtype == frame[name].dtype


def test_polars_comes_back_with_its_types_and_cells() -> None:
    frame = people()
    letters = frame["text"].to_list()
    clean = [None if not isinstance(cell, str) else cell for cell in letters]
    given = pl.DataFrame(
        {
            "float": pl.Series(frame["float"].to_numpy()).fill_nan(None),
            "int": pl.Series([None if cell is pd.NA else cell for cell in frame["Int64"]], dtype=pl.Int16),
            "bool": pl.Series([None if cell is pd.NA else cell for cell in frame["boolean"]], dtype=pl.Boolean),
            "text": clean,
            "enum": pl.Series(clean, dtype=pl.Enum(["c", "b", "a", "unused"])),
            "category": pl.Series(clean, dtype=pl.Categorical),
            "date": pl.Series(frame["day"].to_numpy()).cast(pl.Date),
            "time": pl.Series(frame["seconds"].to_numpy("datetime64[us]")),
            "zone": pl.Series(frame["time"].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Europe/Berlin"),
            "span": pl.Series(frame["span"].to_numpy()),
            "code": pl.Series([None if np.isnan(cell) else int(cell) for cell in frame["codes"]], dtype=pl.UInt8),
        }
    )
    completed, _ = round_trip(given)
    assert completed.dtypes == given.dtypes and completed.columns == given.columns
    assert completed.null_count().sum_horizontal().item() == 0
    for name in given.columns:
        seen = given[name].is_not_null()
        assert completed[name].filter(seen).equals(given[name].filter(seen)), name


def test_arrays_come_back_as_arrays() -> None:
    frame = people()
    numbers, _ = round_trip(frame[["float", "codes"]].to_numpy())
    assert numbers.dtype == np.float64 and np.isin(numbers[:, 1], (1.0, 2.0)).all()
    single, _ = round_trip(frame[["float32"]].to_numpy("float32"))
    assert single.dtype == np.float32
    mixed = frame[["float", "objects", "flags", "date"]].to_numpy(dtype=object)
    completed, _ = round_trip(mixed)
    assert completed.dtype == object and not pd.isna(completed).any()
    assert set(completed[:, 1]) == {"a", "b", "c"} and set(map(type, completed[:, 3])) == {datetime.date}


@pytest.mark.parametrize("unit", ["D", "s", "us", "ns"])
@pytest.mark.parametrize("kind", ["M", "m"])
def test_arrays_of_dates_and_durations_keep_their_type_and_their_cells(kind: str, unit: str) -> None:
    rng = np.random.default_rng(0)
    given = (rng.normal(18_000, 100, size=(60, 2)) * 86_400e6).astype(np.int64).astype(f"{kind}8[us]")
    given = given.astype(f"{kind}8[{unit}]")
    given[:10, 0] = "NaT"
    before = given.copy()
    completed, _ = round_trip(given, noise=1e9)
    assert completed.dtype == given.dtype and not np.isnat(completed).any()
    np.testing.assert_array_equal(completed[10:], before[10:])
    np.testing.assert_array_equal(completed[:, 1], before[:, 1])
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    "storage", ["dates", "datetimes", "with a zone", "arrow", "pandas with a zone", "polars with a zone"]
)
def test_what_is_imputed_is_within_the_calendar(storage: str) -> None:
    utc = datetime.UTC if storage == "with a zone" else None
    noons = pd.DatetimeIndex([f"{year:04}-01-01T12" for year in range(1900, 9_900, 270)], dtype="datetime64[us]")
    days = noons.tz_localize("America/Anchorage" if "s with a zone" in storage else None)
    frame: Any = pd.DataFrame({"a": days})
    if storage in ("dates", "arrow"):
        frame["a"] = pd.Series([day.date() for day in days], dtype="date32[pyarrow]" if storage == "arrow" else object)
    elif storage in ("datetimes", "with a zone"):
        frame["a"] = pd.Series([day.to_pydatetime().replace(tzinfo=utc) for day in days], dtype=object)
    frame.loc[:9, "a"] = None
    frame = pl.from_pandas(frame) if storage.startswith("polars") else frame
    completed, _ = round_trip(frame, noise=1e8)
    if "s with a zone" in storage:
        # pandas 2 crashes where such dates become Python's.
        years = completed["a"].dt.year()[:10].to_list() if storage.startswith("polars") else completed["a"][:10].dt.year
    else:
        years = [day.year for day in completed["a"][:10]]
    assert set(years) <= {1, 9999}


def test_a_pooled_level_comes_back_as_the_most_frequent_of_them() -> None:
    letters = [*"abcdefghij"] * 100 + ["rare"] * 4 + ["rarest"] * 2
    frame = pd.DataFrame({"c": letters, "x": np.random.default_rng(0).normal(size=len(letters))})
    frame.loc[:500, "c"] = frame.loc[:500, "c"].mask(holes(501))
    completed, _ = round_trip(frame, noise=100.0)
    filled = frame["c"].isna()
    assert set(completed["c"][filled]) <= {*"abcdefghij", "rare"} and (completed["c"] == "rarest").sum() == 2


@st.composite
def mixed_tables(draw: Any) -> pd.DataFrame:
    """Tables of up to four columns of any kind."""
    n = draw(st.integers(2, 40))
    number = st.floats(-1e6, 1e6, allow_nan=False)
    cells = [
        number,
        st.floats(0, 1),
        st.sampled_from([0.0, 0.0, 0.0, 3.5, 1e5]),
        st.integers(0, 12),
        st.integers(-(2**40), 2**40),
        st.booleans(),
        st.sampled_from(["no", "yes"]),
        st.text(min_size=1, max_size=3),
        st.sampled_from([1, 2]),
        st.dates(datetime.date(1800, 1, 1), datetime.date(2200, 1, 1)).map(pd.Timestamp),
        st.timedeltas(datetime.timedelta(0), datetime.timedelta(900)).map(pd.Timedelta),
    ]
    columns: dict[str, Any] = {}
    for j in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(cells))
        values = draw(st.lists(st.one_of(kind, st.none()), min_size=n, max_size=n))
        ordered = draw(st.booleans()) and all(isinstance(v, str | None) for v in values)
        columns[f"c{j}"] = pd.Categorical(values, ordered=True) if ordered else pd.Series(values)
    return pd.DataFrame(columns)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
@given(mixed_tables(), st.integers(0, 99))
def test_whatever_the_model_draws_is_possible(frame: pd.DataFrame, seed: int) -> None:
    raw = read_columns(frame, None, "test")
    if not find_schema(raw).modelled.any():
        return
    completed, schema = round_trip(frame, noise=100.0, seed=seed)
    for column in schema.columns:
        before, after = frame[column.name], completed[column.name]
        seen = before.notna()
        assert (after[seen] == before[seen]).all()
        if not column.modelled:
            assert after.isna().sum() == before.isna().sum()
            continue
        assert after.notna().all()
        if before.dtype != object:
            assert after.dtype == before.dtype
        observed = set(before[seen])
        if column.kind in ("binary", "nominal", "discrete", "constant"):
            assert set(after) <= observed
        if column.kind == "count":
            assert all(value >= 0 and value == int(value) for value in after)
        if column.kind in ("bounded", "semicontinuous", "continuous"):
            assert after.between(column.support.lowest, column.support.highest).all()


def test_nothing_is_imputed_where_a_clock_is_put_forward() -> None:
    times = pd.Series(pd.date_range("2024-03-31 00:30", periods=12, freq="h", tz="Europe/Berlin"))
    frame = pd.DataFrame({"t": times.mask(holes(12)), "x": np.arange(12.0)})
    for seed in range(20):
        completed, _ = round_trip(frame, seed=seed)
        assert completed["t"].notna().all() and completed["t"].dtype == frame["t"].dtype


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_units_of_dates_are_kept(unit: str) -> None:
    stamps = pd.Series(pd.date_range("1700-01-01", periods=N, freq="37D")).astype(f"datetime64[{unit}]")
    completed, _ = round_trip(pd.DataFrame({"t": stamps.mask(holes(N))}))
    assert completed["t"].dtype == stamps.dtype and completed["t"].notna().all()


def test_local_times_are_the_same_in_every_storage() -> None:
    arrow = pytest.importorskip("pyarrow")
    local = pd.Series(pd.date_range("2024-03-30 01:00", periods=N, freq="7D")).mask(holes(N))
    frame = local.dt.tz_localize("Europe/Oslo").to_frame("t")
    stored = {
        "us": frame.astype("datetime64[us, Europe/Oslo]"),
        "ns": frame.astype("datetime64[ns, Europe/Oslo]"),
        "arrow": frame.astype(pd.ArrowDtype(arrow.timestamp("ms", "Europe/Oslo"))),
        "objects": frame.astype(object),
        "polars": pl.DataFrame({"t": pl.Series(local.to_numpy("M8[us]")).dt.replace_time_zone("Europe/Oslo")}),
    }
    days = (local - pd.Timestamp(0)) / pd.Timedelta("1D")
    wanted, _ = round_trip(stored["us"])
    for name, table in stored.items():
        (column,) = read_columns(table, None, "test")
        np.testing.assert_allclose(column.values, days, rtol=0, atol=1e-9, err_msg=name)
        completed, _ = round_trip(table)
        found = pd.Series(completed["t"].to_list()).map(pd.Timestamp)
        assert ((found - wanted["t"]).abs() <= pd.Timedelta("1ms")).all(), name


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo", "America/Anchorage"])
@pytest.mark.parametrize("storage", ["numpy", "arrow", "polars"])
def test_what_is_imputed_is_within_what_nanoseconds_hold(storage: str, zone: str | None) -> None:
    days = pd.Series(pd.to_datetime(["1875-01-01", "2069-01-01", *[None] * 30]))
    spans = pd.Series(pd.to_timedelta(["-30000D", "80000D", *[None] * 30]))
    frame = pd.DataFrame({"day": days.astype("M8[ns]").dt.tz_localize(zone), "span": spans.astype("m8[ns]")})
    table: Any = frame
    if storage == "arrow":
        arrow = pytest.importorskip("pyarrow")
        types = {"day": arrow.timestamp("ns", zone), "span": arrow.duration("ns")}
        table = frame.astype({name: pd.ArrowDtype(type_) for name, type_ in types.items()})
    elif storage == "polars":
        stamps = pl.Series(frame["day"].dt.tz_localize(None).to_numpy())
        stamps = stamps if zone is None else stamps.dt.replace_time_zone(zone)
        table = pl.DataFrame({"day": stamps, "span": pl.Series(frame["span"].to_numpy())})
    completed, _ = round_trip(table, noise=100.0)
    assert list(completed.dtypes) == list(table.dtypes)
    # The ends of the support, 1680 and 2263, are drawn; where the type ends before, so do the values.
    drawn = [pd.Timestamp(cell).tz_localize(None) for cell in completed["day"].to_list()[2:]]
    # An hour later where polars moves a local time.
    assert pd.Timestamp("2262-04-10") <= max(drawn) <= pd.Timestamp("2262-04-10 01:00")
    assert min(drawn) == pd.Timestamp("1680-12-30")
    assert max(pd.Timedelta(cell) for cell in completed["span"].to_list()) == pd.Timedelta(106_750, "D")


def test_columns_of_arrow_come_back_as_such() -> None:
    arrow = pytest.importorskip("pyarrow")
    frame = people()
    text, days = frame["text"].to_list(), [None if pd.isna(day) else day for day in frame["day"]]
    clean = [None if not isinstance(cell, str) else cell for cell in text]
    columns = {
        "whole": ([None if pd.isna(cell) else int(cell) for cell in frame["Int64"]], arrow.int16()),
        "number": ([None if pd.isna(cell) else cell for cell in frame["float"]], arrow.float64()),
        "flag": ([None if pd.isna(cell) else bool(cell) for cell in frame["boolean"]], arrow.bool_()),
        "text": (clean, arrow.string()),
        "category": (clean, arrow.dictionary(arrow.int32(), arrow.string())),
        "time": (days, arrow.timestamp("us")),
        "zone": ([day and day.tz_localize("Europe/Berlin") for day in days], arrow.timestamp("us", "Europe/Berlin")),
        "day": ([day and day.date() for day in days], arrow.date32()),
        "span": ([None if pd.isna(span) else span for span in frame["span"]], arrow.duration("s")),
    }
    given_frame = pd.DataFrame({name: pd.array(v, dtype=pd.ArrowDtype(t)) for name, (v, t) in columns.items()})
    completed, _ = round_trip(given_frame)
    assert completed.dtypes.to_dict() == given_frame.dtypes.to_dict()
    assert completed.notna().all(axis=None)
    for name in columns:
        seen = given_frame[name].notna()
        assert (completed[name][seen] == given_frame[name][seen]).all(), name
