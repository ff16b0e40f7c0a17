"""Amputation: which cells go, at which rate, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.datasets.amputation import mar, mcar, self_mask
from pyro_mnar.errors import InvalidInputError

N = 20_000
# A binomial share of N cells stays within this of its probability, except once in a million.
TOLERANCE = 5 * 0.5 / np.sqrt(N)


@pytest.fixture
def x() -> np.ndarray:
    rng = np.random.default_rng(1)
    shared = rng.normal(size=(N, 1))
    return np.hstack([shared + rng.normal(size=(N, 3)), rng.exponential(size=(N, 1))])


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "count": [1, 2, 3, 10],
            "share": np.array([0.1, 0.2, 0.3, 0.9], dtype=np.float32),
            "flag": [True, False, True, True],
            "word": ["a", "b", "c", "d"],
        },
        index=[3, 1, 4, 1],
    )


def missing_share(x: np.ndarray) -> np.ndarray:
    return np.isnan(x).mean(axis=0)


def test_mcar_rate_and_independence(x: np.ndarray) -> None:
    gone = np.isnan(mcar(x, {0: 0.5, 3: 0.2}, columns=[0, 3], random_state=0))
    assert np.abs(gone.mean(axis=0) - [0.5, 0, 0, 0.2]).max() < TOLERANCE
    # The lost values are a fair sample: 5 standard errors.
    assert abs(x[gone[:, 0], 0].mean() - x[:, 0].mean()) < 5 * x[:, 0].std() / np.sqrt(N / 4)


def test_mar_rate_and_cause(x: np.ndarray) -> None:
    holed = mar(x, 0.35, slope=3.0, direction=["high", "low"], random_state=0)
    gone = np.isnan(holed)
    assert np.abs(gone.mean(axis=0) - [0.35, 0.35, 0, 0]).max() < TOLERANCE
    causes = (x[:, 2:] - x[:, 2:].mean(axis=0)) / x[:, 2:].std(axis=0)
    score = causes.sum(axis=1)
    assert score[gone[:, 0]].mean() > score[~gone[:, 0]].mean() + 1
    assert score[gone[:, 1]].mean() < score[~gone[:, 1]].mean() - 1


def test_mar_depends_on_its_causes_only(x: np.ndarray) -> None:
    gone = np.isnan(mar(x, 0.5, columns=[0], depends_on=[3], slope=4.0, random_state=0))[:, 0]
    within = np.abs(x[:, 3] - np.median(x[:, 3])) < 0.05
    # Given the cause, the column's own values are the same where lost and where kept (5 standard errors).
    lost, kept = x[within & gone, 0], x[within & ~gone, 0]
    error = np.sqrt(lost.var() / lost.size + kept.var() / kept.size)
    assert abs(lost.mean() - kept.mean()) < 5 * error


@pytest.mark.parametrize(("columns", "affected"), [("first-half", [0, 1]), (None, [0, 1, 2, 3]), ([2], [2])])
def test_sharp_cut_at_the_mean_is_the_published_protocol(
    x: np.ndarray, columns: list[int] | str | None, affected: list[int]
) -> None:
    expected = x.copy()
    for j in affected:
        expected[x[:, j] > x[:, j].mean(), j] = np.nan
    np.testing.assert_array_equal(self_mask(x, columns=columns), expected)


@pytest.mark.parametrize(
    ("threshold", "direction", "kept"),
    [
        ("mean", "high", [0, 1, 2, 3]),
        ("mean", "low", [10]),
        ("median", "high", [0, 1, 2]),
        ("median", "low", [2, 3, 10]),
        ("q0.75", "high", [0, 1, 2, 3]),
        ("q0.25", "low", [1, 2, 3, 10]),
        (1.5, "high", [0, 1]),
        (1, "low", [1, 2, 3, 10]),
    ],
)
def test_sharp_cuts_by_hand(threshold: str | float, direction: str, kept: list[float]) -> None:
    column = np.array([[0.0], [1.0], [2.0], [3.0], [10.0]])
    holed = self_mask(column, threshold=threshold, direction=direction)
    assert holed[~np.isnan(holed)].tolist() == kept


@pytest.mark.parametrize("direction", ["high", "low"])
def test_sharp_cut_calibrated(x: np.ndarray, direction: str) -> None:
    gone = np.isnan(self_mask(x, rate=0.3, direction=direction))
    assert gone.mean(axis=0) == pytest.approx(0.3, abs=1 / N)
    for j in range(x.shape[1]):
        lost, kept = x[gone[:, j], j], x[~gone[:, j], j]
        assert lost.min() > kept.max() if direction == "high" else lost.max() < kept.min()


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.95])
@pytest.mark.parametrize("slope", [0.1, 2.0, 500.0])
def test_logistic_calibrated(x: np.ndarray, rate: float, slope: float) -> None:
    share = missing_share(self_mask(x, rate=rate, slope=slope, direction=["high", "low"] * 2, random_state=0))
    assert np.abs(share - rate).max() < TOLERANCE


def test_logistic_has_the_stated_slope_and_threshold(x: np.ndarray) -> None:
    holed = self_mask(x, columns=[3], threshold=1.2, slope=1.5, direction="low", random_state=0)
    gone = np.isnan(holed[:, 3])
    probability = 1 / (1 + np.exp(1.5 * (x[:, 3] - 1.2) / x[:, 3].std()))
    for low in np.arange(0.0, 3.0, 0.5):
        bin_ = (x[:, 3] >= low) & (x[:, 3] < low + 0.5)
        error = np.sqrt(0.25 / bin_.sum())
        assert abs(gone[bin_].mean() - probability[bin_].mean()) < 5 * error


def test_rate_counts_observed_cells_only() -> None:
    column = np.array([[np.nan], [np.nan], [1.0], [2.0], [3.0], [4.0]])
    holed = self_mask(column, rate=0.25)
    assert np.isnan(holed[:, 0]).tolist() == [True, True, False, False, False, True]
    assert np.isnan(mcar(np.full((5, 2), np.nan), 0.5, random_state=0)).all()
    assert np.isnan(self_mask(np.full((5, 2), np.nan), rate=0.5)).all()


def test_seeds(x: np.ndarray, untouched_generators: Callable[[], AbstractContextManager[None]]) -> None:
    with untouched_generators():
        a, b, c = (self_mask(x, slope=1.0, random_state=seed) for seed in (0, 0, 1))
        fresh = self_mask(x, slope=1.0)
    np.testing.assert_array_equal(a, b)
    assert (np.isnan(a) != np.isnan(c)).any() and (np.isnan(a) != np.isnan(fresh)).any()
    from_generator = self_mask(x, slope=1.0, random_state=np.random.default_rng(0))
    np.testing.assert_array_equal(a, from_generator)
    as_frame = self_mask(pd.DataFrame(x), slope=1.0, random_state=0)
    np.testing.assert_array_equal(a, as_frame.to_numpy())


def test_frame_in_frame_out(frame: pd.DataFrame) -> None:
    before = frame.copy(deep=True)
    holed = self_mask(frame, columns=["count", "share", "flag"])
    pd.testing.assert_frame_equal(frame, before)
    assert isinstance(holed, pd.DataFrame)
    assert holed.dtypes.astype(str).tolist()[:3] == ["float64", "float32", "float64"]
    assert list(holed.index) == list(frame.index) and holed["word"].equals(frame["word"])
    expected = [
        [True, True, False, True],
        [True, True, True, True],
        [True, True, False, True],
        [False] * 2 + [False, True],
    ]
    assert holed.notna().to_numpy().tolist() == expected


def test_untouched_columns_keep_their_type(frame: pd.DataFrame) -> None:
    holed = mcar(frame, 0.5, columns=["share", "word"], random_state=0)
    assert holed.dtypes.drop("word").equals(frame.dtypes.drop("word"))
    assert holed["word"].isna().any() and holed["word"].dropna().isin(frame["word"]).all()


def test_nullable_and_categorical_columns() -> None:
    frame = pd.DataFrame({"i": pd.array([1, None, 3, 40], dtype="Int64"), "c": pd.Categorical(["a", "b", "a", "b"])})
    holed = self_mask(frame, columns=["i"])
    assert holed["i"].isna().tolist() == [False, True, False, True]
    assert holed["i"].dtype == np.float64
    assert isinstance(mcar(frame, 0.5, random_state=0)["c"].dtype, pd.CategoricalDtype)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float32, np.float64])
def test_array_in_array_out(dtype: type) -> None:
    x = np.array([[0, 1], [1, 0], [0, 1], [1, 1]]).astype(dtype)
    x.flags.writeable = False
    holed = mcar(x, 0.5, random_state=0)
    observed = ~np.isnan(holed)
    assert holed.dtype == (dtype if np.issubdtype(dtype, np.floating) else np.float64)
    np.testing.assert_array_equal(holed[observed], x[observed].astype(holed.dtype))
    assert observed.any() and not observed.all()


def test_names_positions_and_fortran_order(frame: pd.DataFrame) -> None:
    by_name = self_mask(frame, columns=["share"])
    pd.testing.assert_frame_equal(by_name, self_mask(frame, columns=[1]))
    pd.testing.assert_frame_equal(by_name, self_mask(frame, columns="share"))
    pd.testing.assert_frame_equal(by_name, self_mask(frame, columns=["share"], direction={"share": "high"}))
    x = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(self_mask(x, columns=[-1]), self_mask(np.ascontiguousarray(x), columns=[2]))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda x: self_mask(x.tolist()), "list"),
        (lambda x: self_mask(x[0]), r"shape \(4,\)"),
        (lambda x: self_mask(x[:0]), r"shape \(0, 4\)"),
        (lambda x: self_mask(x.astype(str)), "dtype"),
        (lambda x: self_mask(np.where(x > 1, np.inf, x)), "infinite"),
        (lambda x: self_mask(x, columns=["age"]), "'age'"),
        (lambda x: self_mask(x, columns=[0, 0]), "twice"),
        (lambda x: self_mask(x, columns=[9]), "9"),
        (lambda x: self_mask(x, columns=[]), "empty"),
        (lambda x: self_mask(x[:, :1], columns="first-half"), "first-half"),
        (lambda x: self_mask(x, threshold="mode"), "'mode'"),
        (lambda x: self_mask(x, threshold="q1.5"), "q1.5"),
        (lambda x: self_mask(x, threshold=np.nan), "nan"),
        (lambda x: self_mask(x, threshold=[1.0]), "1 values for 4"),
        (lambda x: self_mask(x, threshold="mean", rate=0.1), "both given"),
        (lambda x: self_mask(x, direction="up"), "'up'"),
        (lambda x: self_mask(x, direction={0: "high"}), "given for"),
        (lambda x: self_mask(x, slope=0.0), "slope=0.0"),
        (lambda x: self_mask(x, slope=True), "True"),
        (lambda x: self_mask(np.eye(4), rate=0.6), "equal values"),
        (lambda x: mcar(x, 1.0), "rate=1.0"),
        (lambda x: mcar(x, -0.1), "rate=-0.1"),
        (lambda x: mcar(x, "half"), "'half'"),
        (lambda x: mcar(x, 0.1, random_state="seed"), "'seed'"),
        (lambda x: mcar(x, 0.1, random_state=-1), "-1"),
        (lambda x: mar(x, 0.1, columns=[0], depends_on=[0, 1]), r"\[0\] also lose"),
        (lambda x: mar(x, 0.1, columns=None), "both None"),
        (lambda x: mar(x, 0.1, columns=[0, 1, 2, 3]), "no column is left"),
        (lambda x: mar(np.where(x == x[0, 3], np.nan, x), 0.1), r"\[3\] have missing"),
    ],
)
def test_bad_input_is_named(call: Callable[[np.ndarray], object], named: str) -> None:
    x = np.random.default_rng(0).exponential(size=(4, 4)) + np.arange(4)
    with pytest.raises(InvalidInputError, match=named):
        call(x)


def test_bad_frames_are_named(frame: pd.DataFrame) -> None:
    with pytest.raises(InvalidInputError, match="'word'"):
        self_mask(frame)
    with pytest.raises(InvalidInputError, match="more than once"):
        self_mask(pd.DataFrame(np.eye(2), columns=["a", "a"]))
