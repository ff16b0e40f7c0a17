"""Tables of other kinds: what they raise becomes one line of ours, and no two columns of an output have one name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from pyro_mnar.data.foreign import check_distinct, reading, shown
from pyro_mnar.errors import InvalidInputError, InvalidTypeError, MNARError, one_line, printable
from tests.support.estimators import small_imputer, small_regressor, table


class Raising:
    """An object of a user's own that fails when it is read."""

    shape = (40, 4)

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 40

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise self.error


class Cell:
    """A cell that fails when it is read, and when it is shown."""

    def __float__(self) -> float:
        raise ZeroDivisionError("of all\nthings")

    def __repr__(self) -> str:
        raise RuntimeError("no text")


ODD: dict[str, Any] = {
    "a tensor with a gradient": lambda: torch.tensor(table(), requires_grad=True),
    "a file that is gone": lambda: Raising(OSError("disk\ngone")),
    "a type": lambda: Raising(TypeError("not\nthis")),
    "a value": lambda: Raising(ValueError("not\nthis")),
    "a key": lambda: Raising(KeyError("a")),
    "a vector": lambda: table()[:, 0],
    "a long vector": lambda: np.arange(900.0),
    "a cell": lambda: pd.DataFrame({"a": [Cell(), 1.0], "b": [1.0, 2.0]}),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_errors_over_a_table_are_ours_and_one_line(make: Any) -> None:
    fitted = small_imputer().fit(table())
    for act in (small_imputer().fit, small_imputer().fit_transform, fitted.transform, fitted.posterior, fitted.score):
        with pytest.raises(MNARError) as raised:
            act(make())
        assert isinstance(raised.value, InvalidInputError)
        assert "\n" not in str(raised.value) and len(str(raised.value)) < 500


@pytest.mark.parametrize("y", [Raising(OSError("disk\ngone")), torch.zeros(40, requires_grad=True), [[1], [1, 2]] * 20])
def test_errors_over_a_target_are_too(y: Any) -> None:
    with pytest.raises(InvalidInputError) as raised:
        small_regressor().fit(table(), y)
    assert "\n" not in str(raised.value)


def test_the_advice_of_another_library_is_kept() -> None:
    with pytest.raises(InvalidInputError, match=r"Reshape your data either using array\.reshape"):
        small_imputer().fit(np.arange(900.0))


def test_what_is_ours_and_memory_pass_through() -> None:
    for error in (InvalidInputError("a\nb"), MemoryError()):
        with pytest.raises(type(error)) as raised, reading("X"):
            raise error
        assert raised.value is error
    with pytest.raises(InvalidTypeError, match=r"^X could not be read \(KeyError: 'a'\); give numbers"), reading("X"):
        raise KeyError("a")


def test_a_tensor_is_a_table() -> None:
    X = table()
    np.testing.assert_array_equal(small_imputer().fit_transform(torch.tensor(X)), small_imputer().fit_transform(X))


def test_whole_numbers_of_128_bits() -> None:
    frame = pl.DataFrame(
        {"a": pl.Series([1, None, 3, 4, 5] * 8, dtype=pl.Int128), "b": pl.Series([1.0, 2.0, 3.0, None, 6.0] * 8)}
    )
    completed = small_imputer().fit_transform(frame)
    assert completed["a"].dtype == pl.Int128
    assert completed["a"][0] == 1 and completed["a"].null_count() == 0


@pytest.mark.parametrize("names", [["a", "missingindicator_a"], ["missingindicator_b", "b"]])
def test_an_indicator_of_a_name_that_is_taken(names: list[str]) -> None:
    X = pd.DataFrame(table(p=2), columns=names)
    match = rf"of the output .* have the name '{max(names, key=len)}'"
    for act in (small_imputer(add_indicator=True).fit, small_imputer(add_indicator=True).fit_transform):
        with pytest.raises(InvalidInputError, match=match):
            act(X)
    assert list(small_imputer().fit_transform(X).columns) == names


def test_a_category_of_a_name_that_is_taken() -> None:
    X = pd.DataFrame({"city": pd.Categorical(["Oslo", "Lima", "Bonn", None] * 10), "city=Oslo": np.arange(40.0) / 7})
    with pytest.raises(InvalidInputError, match="two columns of the model have the name 'city=Oslo'"):
        small_imputer().fit(X)


def test_texts_are_printable() -> None:
    assert printable("a\x1b[31mb\r\x07é") == "a\\x1b[31mb\\r\\x07é"
    assert one_line("x" * 1000) == "x" * 150 + " ... " + "x" * 150
    assert shown(Cell()) == "a Cell"
    check_distinct(["a", "b"], "of a test")
