"""Bad and unusual input: a named error before training, or the documented result; the table is never changed."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

from pyro_mnar.errors import DataWarning, InvalidInputError, InvalidTypeError, MNARError
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.mechanisms import Fixed, Linear, SelfMasking
from tests.support.estimators import MAKERS, SMALL, small_imputer, table
from tests.support.validation import record

# A case that is not refused would train for hours.
pytestmark = pytest.mark.timeout(60)
SECONDS = 1.0
#: Training that would take hours: an error that comes within a second came before it.
ENDLESS = {"max_iter": 10**9}


class Case(NamedTuple):
    """What is given, and the pattern of the error (or warning) that must come; None where all is well."""

    name: str
    make: Callable[[], Any]
    message: str | None = None
    error: type[Exception] = InvalidInputError
    warning: str | None = None


def frame(**columns: Any) -> pd.DataFrame:
    X = table()
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], **columns})


def cell(value: Any) -> pd.DataFrame:
    column = np.array(table()[:, 2], dtype=object)
    column[3] = value
    return frame(c=column)


def number(value: float) -> pd.DataFrame:
    column = table()[:, 2]
    column[3] = value
    return frame(c=column)


def with_empty_row() -> np.ndarray:
    X = table()
    X[5] = np.nan
    return X


def read_only() -> np.ndarray:
    X = table()
    X.setflags(write=False)
    return X


TABLES = [
    Case("all-NaN column", lambda: frame(c=np.full(40, np.nan)), warning=r"left out of the model: \['c'\]"),
    Case("all-NaN row", with_empty_row),
    Case("everything NaN", lambda: np.full((5, 3), np.nan), r"every cell of the table, shape \(5, 3\), is missing"),
    Case("nothing missing", lambda: table(missing=0.0)),
    Case("constant column", lambda: frame(c=np.where(np.isnan(table()[:, 2]), np.nan, 7.0))),
    Case("+inf", lambda: number(np.inf), r"contains infinity: column 'c', row 3"),
    Case("-inf", lambda: number(-np.inf), r"contains infinity: column 'c', row 3"),
    Case("inf in an array", lambda: np.array([[1.0, 2.0], [np.inf, 1.0]]), r"infinity: column 'x0', row 1"),
    Case("text column", lambda: frame(c=["a", "b", None, "c"] * 10)),
    Case(
        "numbers as text", lambda: frame(c=[str(k) for k in range(40)]), "'c' holds numbers as text", InvalidTypeError
    ),
    Case("names", lambda: frame(c=[f"person {k}" for k in range(40)])),
    Case("text cell", lambda: cell("12"), r"column 'c' holds the text '12' in row 3 .*to_numeric", InvalidTypeError),
    Case("array of text", lambda: np.array([["x", "u"], ["y", "v"], ["x", "u"], ["y", "u"]])),
    Case("only names", lambda: pd.DataFrame({"c": [f"person {k}" for k in range(40)]}), "no column can be modelled"),
    Case("categorical column", lambda: frame(c=pd.Categorical([1.0, None] * 20, [0, 1, 2]))),
    Case("object column with None", lambda: cell(None)),
    Case("object column with NA", lambda: cell(pd.NA)),
    Case("object array", lambda: table().astype(object)),
    Case("dict cell", lambda: cell({"v": 1}), r"column 'c' holds \{'v': 1\} in row 3", InvalidTypeError),
    Case("list cell", lambda: cell([1.0]), r"column 'c' holds \[1\.0\] in row 3", InvalidTypeError),
    Case("huge integer cell", lambda: cell(10**400), r"column 'c' holds 1000.* in row 3", InvalidTypeError),
    Case("datetime", lambda: frame(c=pd.date_range("2024", periods=40))),
    Case("timedelta", lambda: frame(c=pd.to_timedelta(range(40)))),
    Case("datetime array", lambda: np.arange("2024-01", "2024-09", dtype="datetime64[M]").reshape(4, 2)),
    Case("periods", lambda: frame(c=pd.period_range("2024", periods=40)), "'c' has the type period", InvalidTypeError),
    Case("complex column", lambda: frame(c=np.full(40, 1j)), "column 'c' has the type complex128.*two columns"),
    Case("complex array", lambda: np.full((4, 2), 1j), "Complex data not supported"),
    Case("sparse", lambda: scipy.sparse.csr_array(np.eye(4)), "Sparse data was passed", InvalidTypeError),
    Case("sparse column", lambda: frame(c=pd.arrays.SparseArray(np.arange(40.0)))),
    Case("0 rows", lambda: np.empty((0, 3)), r"0 sample\(s\) \(shape=\(0, 3\)\)"),
    Case("0 rows, DataFrame", lambda: frame().iloc[:0], r"0 sample\(s\) \(shape=\(0, 2\)\)"),
    Case("0 columns", lambda: np.empty((5, 0)), r"0 feature\(s\) \(shape=\(5, 0\)\)"),
    Case("0 columns, DataFrame", lambda: frame()[[]], r"0 feature\(s\) \(shape=\(40, 0\)\)"),
    Case("1-D", lambda: np.arange(4.0), "Expected 2D array, got 1D array"),
    Case("series", lambda: frame()["a"], "Expected a 2-dimensional container"),
    Case("a number", lambda: 3.0, "Expected 2D array, got scalar"),
    Case("3-D", lambda: np.zeros((2, 2, 2)), "dim 3"),
    Case("ragged", lambda: [[1.0, 2.0], [3.0]], "inhomogeneous"),
    Case("one row", lambda: table(n=1, missing=0.0)),
    Case("fewer rows than a batch", lambda: table(n=3)),
    Case(
        "duplicate names",
        lambda: pd.DataFrame(table(), columns=list("abca")),
        "two columns of the table have the name 'a'",
    ),
    Case(
        "mixed names", lambda: pd.DataFrame(table(), columns=["a", 1, "c", "d"]), r"\['int', 'str'\]", InvalidTypeError
    ),
    Case("identical columns", lambda: np.repeat(table(p=1, n=40), 3, axis=1)),
    Case("float16", lambda: table().astype("float16")),
    Case("integers", lambda: np.arange(12).reshape(6, 2)),
    Case("booleans", lambda: np.arange(12).reshape(6, 2) % 3 == 0),
    Case(
        "nullable columns",
        lambda: frame(c=pd.array([None, *(k % 7 for k in range(39))], "Int64"), d=pd.array([None, True] * 20)),
    ),
    Case("1e300", lambda: number(1e300), "column 'c' holds 1e\\+300 in row 3; magnitudes must not exceed 1e\\+150"),
    Case("1e140", lambda: number(1e140)),
    Case("1e-300", lambda: number(1e-300)),
    Case("a column of 1e-300", lambda: frame(c=table()[:, 2] * 1e-300)),
    Case("Fortran order", lambda: np.asfortranarray(table())),
    Case("read-only", read_only),
    Case("every second row of an array", lambda: table(n=80)[::2]),
    Case("nested lists", lambda: table().tolist()),
    Case("a torch tensor", lambda: torch.as_tensor(table())),
]

PARAMETERS = [
    Case("K = 0", lambda: {"n_draws": 0}, r"'n_draws' .* int in the range \[1, inf\) or None\. Got 0"),
    Case("K = 2.5", lambda: {"n_draws": 2.5}, r"'n_draws' .*Got 2.5"),
    Case("no draws of the posterior", lambda: {"n_draws_posterior": 0}, r"'n_draws_posterior' .*Got 0"),
    Case("learning rate 0", lambda: {"learning_rate": 0.0}, r"'learning_rate' .* \(0\.0, inf\) or None\. Got 0.0"),
    Case("learning rate NaN", lambda: {"learning_rate": np.nan}, r"'learning_rate' .*Got nan"),
    Case("learning rate < 0", lambda: {"mechanism_learning_rate": -1.0}, r"'mechanism_learning_rate' .*Got -1.0"),
    Case("bad random_state", lambda: {"random_state": "x"}, r"'random_state' .*Got 'x'"),
    Case("random_state < 0", lambda: {"random_state": -1}, r"'random_state' .*Got -1"),
    Case("no iterations", lambda: {"max_iter": 0}, r"'max_iter' .*Got 0"),
    Case("batch of 0", lambda: {"batch_size": 0}, r"'batch_size' .*Got 0"),
    Case("latent_dim 0", lambda: {"latent_dim": 0}, r"'latent_dim' .*Got 0"),
    Case("hidden units", lambda: {"hidden_units": (8, 0)}, r"'hidden_units' .* Got 0 among \[8, 0\]"),
    Case("hidden units, a number", lambda: {"hidden_units": 8}, r"'hidden_units' .*Got 8"),
    Case("all rows held out", lambda: {"validation_fraction": 1.0}, r"'validation_fraction' .*Got 1.0"),
    Case("unknown decoder", lambda: {"decoder": "cnn"}, "'decoder' .* must be a str among .*Got 'cnn'"),
    Case(
        "unknown mechanism",
        lambda: {"mechanism": "selfmasking"},
        r"'selfmasking'; .* \['auto', 'censored', 'ignorable', 'latent', 'linear', 'nonlinear', 'self-masking'\]",
    ),
    Case("mechanism of a wrong type", lambda: {"mechanism": 3}, r"'mechanism' .*Got 3"),
    Case("a mechanism's class", lambda: {"mechanism": SelfMasking}, r"'mechanism' .*Got <class"),
    Case(
        "too few directions",
        lambda: {"mechanism": SelfMasking(direction=["high", None])},
        "direction has 2 entries, the table 4 columns",
    ),
    Case(
        "direction not high or low",
        lambda: {"mechanism": SelfMasking(direction=["high", "up", None, None])},
        "direction of column 'b' is 'up'; it must be 'high', 'low' or None",
    ),
    Case(
        "direction of an unknown column",
        lambda: {"mechanism": SelfMasking(direction={"e": "high"})},
        r"unknown column 'e'; the columns are \['a', 'b', 'c', 'd'\]",
    ),
    Case(
        "several directions of one curve",
        lambda: {"mechanism": SelfMasking(direction={"a": "high"}, shared=True)},
        "shared=True has one slope for all columns",
    ),
    Case("thresholds", lambda: {"mechanism": Fixed(slope=1.0, threshold=[1.0])}, "has 1 entries, the table 4 columns"),
    Case("unknown device", lambda: {"device": "abacus"}, "device is 'abacus', which cannot be used here"),
    Case("a device that is not there", lambda: {"device": "cuda:99"}, "device is 'cuda:99', which cannot be used here"),
    Case(
        "an exact mask term where there is none",
        lambda: {"mechanism": Linear(), "collapse": True},
        "Linear with GaussianLikelihood has no closed form; use collapse='auto'",
        MNARError,
    ),
]

NAMED = pd.DataFrame(table(), columns=list("abcd"))
NEW_TABLES = [
    Case("columns reordered", lambda: NAMED[list("badc")], "in the same order"),
    Case("extra column", lambda: NAMED.assign(e=1.0), "unseen at fit time:\n- e"),
    Case("missing column", lambda: NAMED[list("abc")], "seen at fit time, yet now missing:\n- d"),
    Case("renamed column", lambda: NAMED.rename(columns={"d": "z"}), "unseen at fit time:\n- z"),
    Case(
        "wrong column count",
        lambda: pd.DataFrame(table(p=3)),
        "X has 3 features, but .* is expecting 4",
        warning="X does not have",
    ),
    Case("no names after names", lambda: NAMED.to_numpy(), warning="X does not have valid feature names"),
    Case("inf", lambda: NAMED.replace(NAMED.iloc[0, 0], np.inf), "contains infinity: column 'a', row 0"),
    Case("text", lambda: NAMED.assign(d="x"), "column 'd' holds text, such as 'x', but was of the", InvalidTypeError),
    Case("0 rows", lambda: NAMED.iloc[:0], r"0 sample\(s\)"),
    Case("everything NaN", lambda: NAMED * np.nan),
    Case("far outside", lambda: NAMED * 1e6),
    Case("too far outside", lambda: NAMED * 1e100, "column 'a' holds .* in row 0, .* standard deviations .* units"),
]


def target(n: int) -> np.ndarray:
    return np.arange(n) % 2


def rows(X: Any) -> int:
    return len(X) if isinstance(X, (list, np.ndarray, pd.DataFrame, torch.Tensor)) else 4


def contents(X: Any) -> Any:
    """What must be the same before and after."""
    if isinstance(X, pd.DataFrame):
        return repr([(str(X.dtypes.iloc[j]), X.iloc[:, j].to_list()) for j in range(X.shape[1])])
    return repr(X.tolist() if isinstance(X, (np.ndarray, torch.Tensor)) else X)


def answer(estimator: Any, X: Any) -> np.ndarray:
    out = estimator.transform(X) if hasattr(estimator, "transform") else estimator.predict(X)
    return as_numbers(out)


def as_numbers(out: Any) -> np.ndarray:
    """The cells as numbers: 1 for text and dates, NaN for what is missing."""
    found = [
        np.nan if pd.isna(cell) else float(cell) if isinstance(cell, int | float | np.number) else 1.0
        for cell in np.asarray(out, dtype=object).ravel()
    ]
    return np.array(found).reshape(len(out), -1)


def judged(case: Case, action: Callable[[], Any]) -> Any:
    """Run it; the error or warning of the case must come, no other, and errors within a second."""
    start = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if case.message is None:
            result = action()
        else:
            with pytest.raises(case.error, match=f"(?s){case.message}") as raised:
                action()
            assert isinstance(raised.value, MNARError), "the error must be one of the package's own"
            assert time.process_time() - start < SECONDS
            result = None
    messages = [str(w.message) for w in caught]
    if case.warning is None:
        assert [str(w.message) for w in caught if not issubclass(w.category, DataWarning)] == []
    else:
        assert any(pd.Series(messages).str.contains(case.warning)), messages
    return result


def names(cases: list[Case]) -> dict[str, Any]:
    return {"argvalues": cases, "ids": [c.name for c in cases]}


every_estimator = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@every_estimator
@pytest.mark.parametrize("case", **names(TABLES))
def test_table(make: Any, case: Case) -> None:
    X = case.make()
    before = contents(X)
    estimator = make(**(ENDLESS if case.message else {}))

    def fitted() -> Any:
        return estimator.fit(X, target(rows(X)))

    if judged(case, fitted) is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            out = answer(estimator, X)
        assert len(out) == rows(X)
        assert np.isfinite(out).all()
    assert contents(X) == before


@every_estimator
@pytest.mark.parametrize("case", **names(PARAMETERS))
def test_parameter(make: Any, case: Case) -> None:
    judged(case, lambda: make(**{**ENDLESS, **case.make()}).fit(NAMED, target(40)))


@every_estimator
@pytest.mark.parametrize("case", **names(NEW_TABLES))
def test_new_table(make: Any, case: Case) -> None:
    estimator = make().fit(NAMED, target(40))
    X = case.make()
    before = contents(X)
    out = judged(case, lambda: answer(estimator, X))
    assert case.message is not None or np.isfinite(out).all()
    assert contents(X) == before


class Target(NamedTuple):
    """A target for 40 rows, and what must come of it."""

    name: str
    y: Any
    message: str | None = None
    error: type[Exception] = InvalidInputError
    warning: str | None = None


def spoiled(value: Any, kind: str) -> np.ndarray:
    y = (target(40) if kind == "classifier" else np.linspace(0, 1, 40)).astype(object)
    y[3] = value
    return y


TARGETS = {
    kind: [
        Target("NaN", spoiled(np.nan, kind).astype(float), "contains NaN: .*nan.* in row 3"),
        Target("inf", spoiled(np.inf, kind).astype(float), "contains infinity.* in row 3"),
        Target("None", spoiled(None, kind), "contains NaN: None in row 3"),
        Target("no target at all", None, "requires y to be passed, but the target y is None"),
        Target("too short", target(39), "the table has 40 rows, y has 39"),
        Target("too long", target(41), "the table has 40 rows, y has 41"),
        Target("two columns", np.column_stack([target(40), target(40)]), "y should be a 1d array"),
        Target("one column", target(40)[:, None], warning="A column-vector y was passed"),
        Target("empty", np.array([]), "the table has 40 rows, y has 0"),
    ]
    for kind in ("classifier", "regressor")
}
TARGETS["classifier"] += [
    Target("continuous", np.linspace(0, 1, 40), "Unknown label type: y holds numbers that are not whole"),
    Target("one class", np.full(40, "yes")),
    Target("text", np.array(["no", "yes"])[target(40)]),
    Target("booleans", target(40).astype(bool)),
    Target("a series", pd.Series(target(40), index=range(100, 140))),
]
TARGETS["regressor"] += [
    Target("text", np.array(["no", "yes"])[target(40)], "y holds 'no' in row 0, which is no real number"),
    Target("numbers as text", target(40).astype(str), "y holds '0' in row 0, which is no real number"),
    Target("complex", target(40) * 1j, r"y holds .*j in row 0, which is no real number"),
    Target("constant", np.full(40, 3.0)),
    Target("one huge value", spoiled(1e300, "regressor").astype(float), r"y holds 1e\+300 in row 3"),
    Target("integers", target(40)),
]


@pytest.mark.parametrize(
    ("kind", "case"),
    [pytest.param(kind, case, id=f"{kind}-{case.name}") for kind, cases in TARGETS.items() for case in cases],
)
def test_target(kind: str, case: Target) -> None:
    before = copy.deepcopy(case.y)
    estimator = MAKERS[kind](**(ENDLESS if case.message else {}))
    as_case = Case(case.name, lambda: None, case.message, case.error, case.warning)
    fitted = judged(as_case, lambda: estimator.fit(NAMED, case.y))
    if fitted is not None:
        found = fitted.predict(NAMED)
        assert found.shape == (40,)
        if case.name == "one class":
            assert (found == "yes").all()
            assert (fitted.predict_proba(NAMED) == 1).all()
        elif kind == "regressor":
            assert np.isfinite(found).all()
        else:
            assert set(found) <= set(np.ravel(case.y))
    assert repr(case.y) == repr(before)


@every_estimator
@pytest.mark.parametrize("method", ["transform", "predict", "predict_proba", "score", "mechanism_report"])
def test_unfitted_use(make: Any, method: str) -> None:
    estimator = make()
    if not hasattr(estimator, method):
        pytest.skip(f"no method {method}")
    with pytest.raises(NotFittedError):
        arguments = {"mechanism_report": [], "score": [NAMED, target(40)]}.get(method, [NAMED])
        getattr(estimator, method)(*arguments)


@every_estimator
def test_first_missing_value_of_a_column_after_training(make: Any) -> None:
    X = table()
    X[:, 2] = np.arange(40)
    estimator = make().fit(X, target(40))
    X[0, 2] = np.nan
    with pytest.warns(DataWarning, match=r"columns \['x2'\] have missing values now but had none in training"):
        assert np.isfinite(answer(estimator, X)).all()


def test_nothing_missing_comes_back_bit_for_bit() -> None:
    X = table(missing=0.0)
    assert np.array_equal(small_imputer().fit_transform(X), X)


def test_observed_cells_come_back_bit_for_bit() -> None:
    X = table() * np.logspace(-200, 100, 4)
    seen = ~np.isnan(X)
    completed = small_imputer().fit_transform(X)
    assert np.array_equal(completed[seen].view(np.int64), X[seen].view(np.int64))


@pytest.mark.parametrize(
    ("observed", "value", "message"),
    [
        (True, np.nan, "row 2, column 1 is marked as observed but holds nan; mark it as missing"),
        (True, np.inf, "row 2, column 1 is marked as observed but holds inf"),
        (False, np.nan, "row 2, column 1 is marked as missing but holds nan; put 0 there"),
    ],
)
def test_a_mask_that_contradicts_the_values(observed: bool, value: float, message: str) -> None:
    joint = small_imputer().fit(table()).joint_
    x = torch.zeros(5, 4)
    mask = torch.ones(5, 4, dtype=torch.bool)
    x[2, 1], mask[2, 1] = value, observed
    with pytest.raises(InvalidInputError, match=message):
        fit(joint, Batch(x, mask), FitSettings(**ENDLESS))
    with pytest.raises(InvalidInputError, match=r"x has the shape \(5, 4\) and the mask \(5, 3\)"):
        fit(joint, Batch(torch.zeros(5, 4), mask[:, :3]), FitSettings(**ENDLESS))


def test_a_mechanism_that_is_given_is_not_changed() -> None:
    mechanism = SelfMasking(direction={"a": "high"})
    before = copy.deepcopy(vars(mechanism))
    small_imputer(mechanism=mechanism).fit(NAMED)
    assert vars(mechanism) == before


odd_numbers = st.one_of(
    st.floats(-10, 10),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([np.nan, 0.0, -0.0, 1.0, 1e-320, 1e149, -1e149]),
    st.integers(-5, 5),
)
odd_cells = st.one_of(odd_numbers, st.none(), st.booleans(), st.sampled_from([pd.NA, "text", 1j, 2**70, b"", ()]))
mild = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan))


@st.composite
def odd_tables(draw: Any) -> Any:
    """Give arrays, lists and DataFrames, most of them of numbers."""
    n, p = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    cells = draw(st.sampled_from([mild, mild, odd_numbers, odd_cells]))
    columns = [draw(st.lists(cells, min_size=n, max_size=n)) for _ in range(p)]
    kind = draw(st.sampled_from(["array", "list", "frame", "float32", "object"]))
    if kind == "list":
        return [list(row) for row in zip(*columns, strict=True)]
    if kind == "frame":
        labels = draw(st.lists(st.sampled_from(["a", "b", "c", 0, 1]), min_size=p, max_size=p))
        return pd.DataFrame(list(zip(*columns, strict=True)), columns=labels)
    X = np.empty((n, p), dtype=object)
    for j, column in enumerate(columns):
        for i, value in enumerate(column):
            X[i, j] = value
    if kind == "object":
        return X
    try:
        with np.errstate(over="ignore"):
            return X.astype("float64" if kind == "array" else "float32")
    except (TypeError, ValueError, OverflowError):
        return X


def check_odd_table(X: Any, keep: bool, mechanism: str) -> None:
    parameters = SMALL | {"max_iter": 1, "n_draws": 2, "n_draws_posterior": 4}
    imputer = small_imputer(**parameters, keep_empty_features=keep, mechanism=mechanism)
    before = contents(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        try:
            out = imputer.fit_transform(X)
        except MNARError as error:
            assert len(str(error)) > 20
        else:
            names = imputer.schema_.loc[imputer.schema_["kind"] == "identifier", "column"]
            assert np.isfinite(as_numbers(out)).all() or len(names)
    assert contents(X) == before


odd = given(odd_tables(), st.booleans(), st.sampled_from(["self-masking", "linear", "nonlinear", "ignorable"]))
quiet = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True, "database": None}


@settings(max_examples=40, **quiet)
@odd
def test_random_tables(X: Any, keep: bool, mechanism: str) -> None:
    check_odd_table(X, keep, mechanism)


@pytest.mark.slow
@pytest.mark.timeout(1000)
@settings(max_examples=500, **quiet)
@odd
def test_500_random_tables(X: Any, keep: bool, mechanism: str) -> None:
    check_odd_table(X, keep, mechanism)
    record("random tables (Hypothesis)", "500 tables: finite output or an error by name", "500 tables", True)
