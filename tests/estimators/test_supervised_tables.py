"""The classifier and the regressor on tables as people have them: the imputer's plan of the columns, in both frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from pyro_mnar.kinds import Ordinal
from pyro_mnar.mechanisms import SelfMasking

from pyro_mnar import MNARClassifier, MNARRegressor
from pyro_mnar.datasets import make_household_survey
from pyro_mnar.persistence import load, save
from tests.support.estimators import small_classifier, small_imputer, small_regressor

LEVELS = ["low", "middle", "high"]
KINDS = {
    "name": "identifier",
    "city": "nominal",
    "visits": "count",
    "grade": "ordinal",
    "spend": "semicontinuous",
    "since": "date",
    "code": "binary",
    "fixed": "constant",
    "rent": "continuous",
    "income": "continuous",
}


def messy(n: int = 300, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A table with holes in every column, in which high incomes are missing, and a number that follows the incomes."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)

    def noisy() -> np.ndarray:
        return 0.8 * z + 0.6 * rng.normal(size=n)

    income = np.exp(10 + 0.6 * noisy())
    table = pd.DataFrame(
        {
            "name": [f"person {i}" for i in range(n)],
            "city": np.array(["Lima", "Oslo", "Rome"])[np.clip(np.rint(1 + noisy()), 0, 2).astype(int)],
            "visits": pd.array(rng.poisson(np.exp(0.5 * z)), dtype="Int64"),
            "grade": pd.Categorical.from_codes(np.clip(np.rint(1 + noisy()), 0, 2).astype(int), LEVELS, ordered=True),
            "spend": np.where(noisy() < 0, 0.0, np.exp(3 + noisy())),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(500 + 100 * noisy()), "D"),
            "code": pd.array(np.where(noisy() > 0, 2, 1), dtype="Int64"),
            "fixed": pd.array(np.full(n, 7), dtype="Int64"),
            "rent": np.exp(6 + 0.8 * noisy()),
            "income": income,
        }
    )
    lost = rng.random(table.shape) < 0.15
    lost[:, -1] |= income > np.quantile(income, 0.7)
    return table.mask(lost), np.log(income) + 0.3 * rng.normal(size=n)


def in_polars(table: pd.DataFrame) -> pl.DataFrame:
    plain = table.astype({"grade": object}).astype(object).where(table.notna(), None)
    types = {
        "name": pl.String,
        "city": pl.Enum(["Lima", "Oslo", "Rome"]),
        "visits": pl.Int64,
        "grade": pl.Enum(LEVELS),
        "spend": pl.Float64,
        "since": pl.Datetime("us"),
        "code": pl.Int64,
        "fixed": pl.Int64,
        "rent": pl.Float64,
        "income": pl.Float64,
    }
    return pl.DataFrame({name: pl.Series(plain[name].tolist(), dtype=types[name]) for name in plain})


def fitted(make: Any, table: Any, y: np.ndarray, **settings: Any) -> Any:
    target = np.where(y > 10, "rich", "poor") if make is small_classifier else y
    return make(**settings).fit(table, target)


@pytest.mark.parametrize("make", [small_classifier, small_regressor])
@pytest.mark.parametrize("mechanism", ["ignorable", "self-masking", "auto", "latent"])
def test_a_messy_table_is_read_completed_and_predicted_from_in_both_frames(make: Any, mechanism: str) -> None:
    table, y = messy()
    from_pandas = fitted(make, table, y, mechanism=mechanism)
    assert from_pandas.schema_.set_index("column")["kind"].to_dict() == KINDS
    # Only pandas says that categories have an order.
    from_polars = fitted(make, in_polars(table), y, mechanism=mechanism, types={"grade": Ordinal(LEVELS)})
    for estimator, given in ((from_pandas, table), (from_polars, in_polars(table))):
        completed = estimator.transform(given)
        assert type(completed) is type(given)
        frame = completed if isinstance(completed, pd.DataFrame) else pd.DataFrame(completed.to_dict(as_series=False))
        assert frame.drop(columns="name").notna().all(axis=None)
        # A name is not made up.
        assert frame["name"].isna().tolist() == table["name"].isna().tolist()
        assert frame["city"].isin(["Lima", "Oslo", "Rome"]).all() and frame["grade"].isin(LEVELS).all()
        assert frame["code"].isin([1, 2]).all() and (frame["fixed"] == 7).all()
        assert (frame["visits"].astype(float) % 1 == 0).all()
        assert (frame[["visits", "spend", "income"]].astype(float) >= 0).all(axis=None)
        assert (pd.to_datetime(frame["since"]).dt.normalize() == pd.to_datetime(frame["since"])).all()
    assert from_pandas.transform(table).dtypes.to_dict() == table.dtypes.to_dict()
    assert from_polars.transform(in_polars(table)).schema == in_polars(table).schema
    predicted = [from_pandas.predict(table), from_polars.predict(in_polars(table))]
    if make is small_classifier:
        assert set(predicted[0]) <= {"rich", "poor"} and (predicted[0] == predicted[1]).all()
    else:
        np.testing.assert_allclose(predicted[0], predicted[1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("make", [small_classifier, small_regressor])
@pytest.mark.parametrize(
    "mechanism", ["ignorable", "auto", "latent", "self-masking", SelfMasking(direction={"income": "high"})]
)
def test_the_plan_of_the_columns_is_the_imputers(make: Any, mechanism: Any) -> None:
    """Kinds, scales, supports, what speaks for each column, and where the mechanism starts."""
    table, y = messy(600)
    ours = fitted(make, table, y, mechanism=mechanism)
    imputer = small_imputer(mechanism=mechanism).fit(table)
    pd.testing.assert_frame_equal(ours.schema_, imputer.schema_)
    for one, other in zip(ours.columns_, imputer.columns_, strict=True):
        np.testing.assert_equal(one, other)
    assert ours.layout_ == imputer.layout_ and ours.findings_ == imputer.findings_
    # Not what it would be by the observed mean and spread alone.
    transforms = ours.schema_.set_index("column")["transform"]
    assert "log" in set(transforms[["rent", "income"]])
    if mechanism == "auto":
        found = dict(zip(ours.columns_.names, ours.findings_, strict=True))["income"]
        assert (found.direction, found.kind) == (1, "cliff")


def test_a_scale_can_be_said(tmp_path: Any) -> None:
    table, y = messy()
    plain = fitted(small_regressor, table, y, log_columns=None)
    assert plain.schema_.set_index("column").loc["income", "transform"] == "none"
    logged = fitted(small_regressor, table, y, log_columns=["income"])
    assert logged.schema_.set_index("column").loc["income", "transform"] == "log"
    save(logged, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.log_columns == ["income"]
    np.testing.assert_array_equal(again.predict(table), logged.predict(table))


@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
@pytest.mark.parametrize("cls", [MNARClassifier, MNARRegressor])
def test_evidence_that_values_hide_themselves_helps_to_predict(cls: Any) -> None:
    survey, complete = make_household_survey(1200)
    survey, rng = survey.drop(columns="person"), np.random.default_rng(1)
    y = np.log(complete["income"].to_numpy()) - 0.01 * complete["satisfaction_percent"].to_numpy()
    y = (y - y.mean()) / y.std() + 0.3 * rng.normal(size=len(y))
    target = np.where(y > 0.8, "a", "b") if cls is MNARClassifier else y
    losses = {}
    for mechanism in ("auto", "ignorable"):
        model = cls(mechanism, max_iter=40, random_state=0).fit(survey[:600], target[:600])
        if cls is MNARClassifier:
            p = model.predict_proba(survey[600:])[:, 0]
            losses[mechanism] = -np.mean(np.log(np.where(target[600:] == "a", p, 1 - p)))
        else:
            losses[mechanism] = np.sqrt(np.mean((model.predict(survey[600:]) - target[600:]) ** 2))
    assert losses["auto"] < 0.97 * losses["ignorable"], losses
