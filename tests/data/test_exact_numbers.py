"""Numbers that a float64 does not hold come back as they were, or are refused by name."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from pyro_mnar.data.exact import check_exact
from pyro_mnar.errors import InvalidInputError
from tests.support.estimators import small_classifier, small_imputer, table

N = 40
#: 18 digits, as identifiers have them; every second one is odd.
IDS = [10**17 + 2**53 + 3 * k for k in range(N)]
TENTHS = [Decimal(k) / 10 for k in IDS]
NUMBERS = table(N, 2)


def columns(ids: Any) -> dict[str, Any]:
    return {"id": ids, "a": NUMBERS[:, 0], "b": NUMBERS[:, 1]}


def holed(values: list[Any], hole: Any = None) -> list[Any]:
    return [hole if k % 7 == 3 else value for k, value in enumerate(values)]


def arrow_integers() -> Any:
    return pd.ArrowDtype(pytest.importorskip("pyarrow").int64())


COMPLETE: dict[str, Any] = {
    "int64": lambda: pd.DataFrame(columns(np.array(IDS))),
    "uint64": lambda: pd.DataFrame(columns(np.array(IDS, dtype=np.uint64))),
    "nullable": lambda: pd.DataFrame(columns(pd.array(IDS, "Int64"))),
    "pyarrow": lambda: pd.DataFrame(columns(pd.array(IDS, arrow_integers()))),
    "objects": lambda: pd.DataFrame(columns(pd.Series(IDS, dtype=object))),
    "polars": lambda: pl.DataFrame(columns(pl.Series(IDS))),
    "polars 128": lambda: pl.DataFrame(columns(pl.Series(IDS, dtype=pl.Int128))),
    "polars decimals": lambda: pl.DataFrame(
        columns(pl.Series([Decimal(k) / 10 for k in IDS], dtype=pl.Decimal(30, 1)))
    ),
    "decimals": lambda: pd.DataFrame(columns(pd.Series([Decimal(k) / 10 for k in IDS], dtype=object))),
}


def cells(X: Any) -> list[Any]:
    return X["id"].to_list()


@pytest.mark.parametrize("make", COMPLETE.values(), ids=COMPLETE)
def test_complete_columns_come_back_as_they_were(make: Any) -> None:
    X = make()
    for fitted in (small_imputer().fit(X), small_classifier().fit(X, np.arange(N) % 2)):
        found = fitted.transform(X)
        assert cells(found) == cells(X)
        assert [type(cell) for cell in cells(found)] == [type(cell) for cell in cells(X)]


KEPT: dict[str, Any] = {
    "objects": lambda: pd.DataFrame(columns(pd.Series(holed(IDS), dtype=object))),
    "decimals": lambda: pd.DataFrame(columns(pd.Series(holed([Decimal(k) / 10 for k in range(N)]), dtype=object))),
    "mixed": lambda: pd.DataFrame(columns(pd.Series(holed([*IDS[:-1], Decimal("0.1")]), dtype=object))),
    "polars decimals": lambda: pl.DataFrame(
        columns(pl.Series(holed([Decimal(k) / 10 for k in IDS]), dtype=pl.Decimal(30, 1)))
    ),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("indicator", [False, True])
def test_exact_numbers_with_holes_are_kept(make: Any, indicator: bool) -> None:
    X = make()
    imputer = small_imputer(add_indicator=indicator).fit(X)
    for found in (imputer.transform(X), *imputer.multiple_impute(X, 2)):
        for before, after in zip(cells(X), cells(found), strict=True):
            assert after is not None and after == after
            assert before is None or (before == after and type(before) is type(after))
        decimals = [cell for cell in cells(X) if isinstance(cell, Decimal)]
        if len(decimals) == sum(cell is not None for cell in cells(X)):
            assert all(isinstance(cell, Decimal) for cell in cells(found))


def test_objects_that_a_float_holds_become_floats() -> None:
    X = pd.DataFrame(columns(pd.Series(holed([Decimal(k) / 8 for k in range(N)]), dtype=object)))
    assert small_imputer().fit_transform(X)["id"].dtype == np.float64


REFUSED: dict[str, Any] = {
    "nullable": lambda: pd.DataFrame(columns(pd.array(holed(IDS), "Int64"))),
    "nullable unsigned": lambda: pd.DataFrame(columns(pd.array(holed(IDS), "UInt64"))),
    "pyarrow": lambda: pd.DataFrame(columns(pd.array(holed(IDS), arrow_integers()))),
    "polars": lambda: pl.DataFrame(columns(pl.Series(holed(IDS)))),
    "polars 128": lambda: pl.DataFrame(columns(pl.Series(holed(IDS), dtype=pl.Int128))),
    "an array": lambda: np.array([IDS, range(N)]).T,
    "an unsigned array": lambda: np.array([IDS, range(N)], dtype=np.uint64).T,
    "an array of objects": lambda: np.array([holed(IDS), range(N)], dtype=object).T,
    "decimals in an array": lambda: np.array([holed([Decimal(k) / 10 for k in range(N)]), range(N)], dtype=object).T,
    "lists": lambda: [list(row) for row in zip(holed(IDS), range(N), strict=True)],
    "a masked array": lambda: np.ma.masked_array(np.array([IDS, range(N)]).T, np.arange(2 * N).reshape(N, 2) % 9 == 4),
    "long doubles": lambda: np.array([np.arange(N), np.arange(N)], dtype=np.longdouble).T / 10,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_would_come_back_changed_is_refused_before_the_fit(make: Any) -> None:
    X = make()
    with pytest.raises(InvalidInputError, match=r"column '(id|x0)' holds .* in row \d+, which no float64 holds"):
        small_imputer(max_iter=10**9).fit(X)


def test_a_marker_makes_holes_too() -> None:
    X = pd.DataFrame(columns(np.array(holed(IDS, -1))))
    with pytest.raises(InvalidInputError, match="column 'id' holds"):
        small_imputer(missing_values=-1).fit(X.fillna(0.5))


def test_a_marker_beyond_whole_numbers_of_the_machine() -> None:
    X = np.where(np.arange(2 * N).reshape(N, 2) % 5 == 0, float(2**70), 1.0 * np.arange(2 * N).reshape(N, 2))
    completed = small_imputer(missing_values=2**70).fit_transform(X)
    assert completed.max() < 1e6


def test_new_tables_are_looked_at_too() -> None:
    imputer = small_imputer(types={"id": "continuous"}).fit(pd.DataFrame(columns(3 * np.arange(N))))
    for act in (imputer.transform, imputer.multiple_impute):
        with pytest.raises(InvalidInputError, match="column 'id' holds"):
            act(REFUSED["nullable"]())


def test_numbers_that_a_float_holds_pass() -> None:
    even = [2 * k + 2**53 for k in range(N)]
    for X in (
        pd.DataFrame(columns(pd.array(holed(even), "Int64"))),
        np.array([even, range(N)]).T,
        np.array([holed(even, np.nan), range(N)]).T,
        np.arange(2.0 * N, dtype=np.longdouble).reshape(N, 2) / 8,
        np.array([[1, None], [0.1, True]], dtype=object),
    ):
        imputer = small_imputer(types="continuous").fit(X)
        check_exact(X, imputer._schema.numbers(imputer._read(X, False)))
