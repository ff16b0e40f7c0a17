"""A column that has no value in a new table comes in any type; what is filled in has that of its kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pyro_mnar.errors import DataWarning, InvalidTypeError
from tests.support.estimators import small_imputer

N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(size=N),
        "number": RNG.normal(size=N),
        "count": RNG.poisson(3, N).astype(float),
        "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(RNG.integers(0, 900, N), unit="D"),
        "span": pd.to_timedelta(RNG.integers(1, 900, N), unit="h"),
        "category": pd.Categorical(RNG.choice(["a", "b", "c"], N)),
        "text": RNG.choice(["u", "v", "w"], N),
        "flag": pd.array(RNG.random(N) < 0.5, dtype="boolean"),
    }
).mask(RNG.random((N, 8)) < 0.2)
NAMES = list(TABLE.columns[1:])
#: Types in which pandas may read a column without values.
PANDAS: dict[str, Any] = {
    "float": np.full(N, np.nan),
    "None": np.full(N, None),
    # In pandas 2 "str" is NumPy's, of which None is the text "None".
    "str": pd.array([None] * N, dtype="str" if int(pd.__version__.partition(".")[0]) >= 3 else "string"),
    "Int64": pd.array([None] * N, dtype="Int64"),
    "boolean": pd.array([None] * N, dtype="boolean"),
    "datetime": pd.array([None] * N, dtype="datetime64[ns]"),
    "timedelta": pd.array([None] * N, dtype="timedelta64[s]"),
    "category": pd.Categorical([None] * N),
}
POLARS = (pl.Null, pl.Float64, pl.Int64, pl.String, pl.Boolean, pl.Datetime, pl.Duration)


def right(name: str, values: list[Any]) -> bool:
    """Whether these are values that the column can have."""
    if name in ("category", "text"):
        return set(values) <= set(TABLE[name].dropna())
    if name == "day":
        return all(pd.Timestamp("2019-01-01") < pd.Timestamp(value) < pd.Timestamp("2024-01-01") for value in values)
    if name == "span":
        return all(pd.Timedelta(0) <= pd.Timedelta(value) < pd.Timedelta("100D") for value in values)
    if name == "flag":
        return set(values) <= {False, True}
    return all(-10.0 < value < 20.0 and (name != "count" or value == round(value)) for value in values)


@pytest.fixture(scope="module")
def of_pandas() -> Any:
    return small_imputer().fit(TABLE)


@pytest.fixture(scope="module")
def of_polars() -> Any:
    pytest.importorskip("pyarrow", reason="polars reads nullable columns of pandas with it")
    return small_imputer().fit(pl.from_pandas(TABLE))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", PANDAS)
def test_pandas(dtype: str, name: str, of_pandas: Any) -> None:
    found = of_pandas.transform(TABLE.assign(**{name: PANDAS[dtype]}))[name]
    assert not found.isna().any()
    assert right(name, found.tolist())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", POLARS, ids=str)
def test_polars(dtype: Any, name: str, of_polars: Any) -> None:
    table = pl.from_pandas(TABLE).with_columns(pl.Series(name, [None] * N, dtype=dtype))
    found = of_polars.transform(table)[name]
    assert found.null_count() == 0
    assert right(name, found.to_list())


@pytest.mark.parametrize(
    "values",
    [
        RNG.choice([1.0, 2.0, np.nan], N),
        pd.to_datetime(RNG.choice(["2020-01-01", None], N)),
        RNG.choice([True, False], N),
    ],
    ids=["numbers", "dates", "booleans"],
)
@pytest.mark.parametrize("name", ["text", "category"])
def test_values_of_another_sort_are_refused(name: str, values: Any, of_pandas: Any) -> None:
    with pytest.raises(InvalidTypeError, match=rf"column '{name}' holds .*s, but held labels when fitting; give it so"):
        of_pandas.transform(TABLE.assign(**{name: values}))


def test_categories_of_numbers_in_a_table_of_text() -> None:
    numbered = TABLE[["x"]].assign(code=pd.Categorical(RNG.choice([10, 20, 30], N)))
    imputer = small_imputer().fit(numbered.mask(RNG.random((N, 2)) < 0.2))
    text = (
        TABLE[["x"]].assign(code=pd.array(RNG.choice(["10", "eleven"], N), dtype="str")).mask(RNG.random((N, 2)) < 0.2)
    )
    with pytest.warns(DataWarning, match="a level that it did not have"):
        found = imputer.transform(text)["code"]
    assert set(found) <= {"10", "eleven", 10, 20, 30}
