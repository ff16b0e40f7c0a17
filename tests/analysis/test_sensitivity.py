from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pyro_mnar import MNARImputer, sensitivity
from pyro_mnar.analysis.pooling import pool
from pyro_mnar.analysis.sensitivity import delta_adjustment, sweep, tipping_point
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanisms import Censored, Nested, SelfMasking
from tests.support.estimators import small_imputer
from tests.support.surveys import UNIT, imputer, survey

# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")


def mean_income(table: pd.DataFrame) -> tuple[float, float]:
    return table["income"].mean(), table["income"].var() / len(table)


def test_the_sweep_moves_the_mean_towards_the_truth() -> None:
    complete, holed = survey(0, 500)
    model = imputer(SelfMasking(link="logistic", direction={"spending": "high"}), batch_size=250)
    before = clone(model).get_params()
    table = sweep(model, holed, mean_income, "income", slopes=(0.0, 2.5), n_imputations=3)
    assert list(table.columns) == ["estimate", "standard_error", "low", "high", "fraction_missing", "bound"]
    assert table.index.name == "slope of income (logits per sd)" and table.index.tolist() == [0.0, 2.5]
    truth = complete["income"].mean()
    assert table.loc[0.0, "high"] < truth
    assert table.loc[0.0, "estimate"] < table.loc[2.5, "estimate"]
    assert table.loc[2.5, "low"] < truth < table.loc[2.5, "high"]
    assert table.loc[2.5, "bound"] > table.loc[0.0, "bound"]
    assert str(model.get_params()) == str(before) and not hasattr(model, "joint_")


def test_a_quantity_without_a_variance_gets_one_by_the_bootstrap() -> None:
    complete, holed = survey(0, 400)
    completed = [holed.fillna(holed.mean() + shift * UNIT) for shift in (0.9, 1.0, 1.1)]
    given, estimated = (
        delta_adjustment(completed, holed, quantity, "income", [0.0])
        for quantity in (mean_income, lambda table: mean_income(table)[0])
    )
    np.testing.assert_allclose(estimated["estimate"], given["estimate"])
    np.testing.assert_allclose(estimated["standard_error"], given["standard_error"], rtol=0.15)
    assert len(complete) == 400


def test_delta_moves_imputed_cells_only_and_pools_by_rubin() -> None:
    _, holed = survey(0, 300)
    completed = [holed.fillna(holed.mean() + shift) for shift in (0.0, 500.0, 900.0)]
    table = delta_adjustment(completed, holed, mean_income, "income", [0.0, 1000.0])
    answers = np.array([mean_income(t) for t in completed])
    pooled = pool(answers[:, 0], answers[:, 1])
    np.testing.assert_allclose(table.loc[0.0, ["estimate", "low", "high"]], [pooled.estimate, pooled.low, pooled.high])
    rate = holed["income"].isna().mean()
    assert table.loc[1000.0, "estimate"] - table.loc[0.0, "estimate"] == pytest.approx(1000 * rate)
    both = delta_adjustment(
        completed, holed, lambda t: (t.sum(axis=1).mean(), 1.0), {"income": 1.0, "age": 2.0}, [0, 1]
    )
    assert both.loc[1.0, "estimate"] - both.loc[0.0, "estimate"] == pytest.approx(rate)  # Age has no hole.


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([1.0, 0.5, -0.5], [2.0, 1.5, 0.5], 1.5),
        ([-2.0, -2.0, -1.0], [-1.0, 1.0, 2.0], 0.5),
        ([-1.0, -0.5, 0.5], [1.0, 1.5, 2.5], 1.5),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], float("nan")),
        ([1.0, -3.0, -3.0], [3.0, -1.0, -1.0], 0.25),
    ],
)
def test_tipping_point(low: list[float], high: list[float], expected: float) -> None:
    table = pd.DataFrame({"low": low, "high": high}, index=[0.0, 1.0, 2.0])
    np.testing.assert_allclose(tipping_point(table), expected)
    shifted = table + 7.0
    np.testing.assert_allclose(tipping_point(shifted, reference=7.0), expected)


def test_bad_arguments_are_named() -> None:
    _, holed = survey(0, 50)
    with pytest.raises(InvalidInputError, match="'wage' is not a column"):
        sweep(imputer(), holed, mean_income, "wage")
    with pytest.raises(InvalidInputError, match="n_imputations is 1"):
        sweep(imputer(), holed, mean_income, "income", n_imputations=1)
    with pytest.raises(InvalidInputError, match="'wage' is not a column"):
        delta_adjustment([holed, holed], holed, mean_income, "wage", [0.0])
    with pytest.raises(InvalidInputError, match="at least 2"):
        delta_adjustment([holed], holed, mean_income, "income", [0.0])
    with pytest.raises(InvalidInputError, match="shape"):
        delta_adjustment([holed, holed.iloc[:3]], holed, mean_income, "income", [0.0])


def answers(n: int = 400) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    z = generator.normal(size=n)
    table = pd.DataFrame(
        {
            "city": np.array(["Lima", "Oslo", "Rome"])[np.clip(np.rint(1 + z), 0, 2).astype(int)],
            "score": z + 0.5 * generator.normal(size=n),
            "stars": np.clip(np.rint(3 + z), 1, 5),
            "member": z + generator.normal(size=n) > 0,
        }
    )
    return table.astype({"member": "boolean"}).mask(generator.random(table.shape) < 0.3)


def share_of(column: str, level: object) -> Any:
    return lambda table: ((table[column] == level).mean(), 1e-4)


def test_the_odds_of_a_level_are_shifted_in_missing_cells_and_nowhere_else() -> None:
    X, generator = answers(), np.random.default_rng(1)
    missing = X["city"].isna()
    n = int(missing.sum())
    completed = []
    for _ in range(200):
        u = generator.random(n)
        # The first half of the missing cells is Oslo with probability 0.2, the other with 0.5.
        p = np.where(np.arange(n) < n // 2, 0.2, 0.5)
        drawn = np.where(u < p, "Oslo", np.where(u < p + (1 - p) / 2, "Lima", "Rome"))
        city = X["city"].copy()
        city[missing] = drawn
        completed.append(X.assign(city=city))
    tables: list[pd.DataFrame] = []

    def oslo(table: pd.DataFrame) -> tuple[float, float]:
        tables.append(table)
        return share_of("city", "Oslo")(table)  # type: ignore[no-any-return]

    deltas = [-1.0, 0.0, 1.0]
    found = delta_adjustment(completed, X, oslo, "city", deltas, category="Oslo")
    assert found.index.name == "delta of the log odds of city=Oslo"
    observed = (X["city"] == "Oslo").sum()
    for delta in deltas:
        p = np.array([0.2, 0.5])
        moved = p * np.exp(delta) / (1 - p + p * np.exp(delta))
        expected = (observed + missing.sum() * moved.mean()) / len(X)
        assert found.loc[delta, "estimate"] == pytest.approx(expected, abs=0.01)
    for table, before in zip(tables[200:400], completed, strict=True):
        pd.testing.assert_frame_equal(table, before)
    for table in tables:
        pd.testing.assert_series_equal(table["city"][~missing], X["city"][~missing])
        assert table["city"].isin(["Lima", "Oslo", "Rome"]).all()


def test_levels_of_numbers_and_booleans_keep_their_type() -> None:
    X = answers().astype({"stars": "Int64"})
    completed = small_imputer(mechanism="ignorable").fit(X).multiple_impute(X, 5)
    for column, level in (("stars", 5), ("member", True)):
        kept: list[object] = []

        def quantity(
            table: pd.DataFrame, column: str = column, level: object = level, kept: list[object] = kept
        ) -> tuple[float, float]:
            kept.append(table[column].dtype)
            return share_of(column, level)(table)  # type: ignore[no-any-return]

        found = delta_adjustment(completed, X, quantity, column, [-20.0, 0.0, 3.0], category=level)
        assert found["estimate"].is_monotonic_increasing and found["estimate"].nunique() == 3
        assert set(kept) == {X[column].dtype}
    shifted = delta_adjustment(completed, X, lambda t: (t["stars"].mean(), 0.1), "stars", [0.0, 1.0])
    assert shifted.loc[1.0, "estimate"] - shifted.loc[0.0, "estimate"] == pytest.approx(X["stars"].isna().mean())


def test_a_sweep_of_the_default_keeps_what_it_was_told() -> None:
    X = answers()
    model = small_imputer(mechanism=Nested(direction={"score": "high"}), max_iter=1)
    seen: list[Any] = []
    real = MNARImputer.fit

    def fit(self: MNARImputer, X: Any, y: object = None) -> MNARImputer:
        real(self, X, y)
        seen.append(self)
        return self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MNARImputer, "fit", fit)
        for name in ("stars", "member"):
            table = sweep(model, X, share_of("city", "Oslo"), name, slopes=(0.0, 1.5), n_imputations=2)
            assert table["estimate"].between(0, 1).all() and table["bound"].notna().all()
    for number, fitted in enumerate(seen):
        report = fitted.mechanism_report().set_index("feature")
        swept, slope = ("stars", "member")[number // 4], (0.0, 0.0, 1.5, 1.5)[number % 4]
        assert report.loc[swept, "slope_per_sd"] == pytest.approx(slope)
        assert report.loc["score", "direction"] == "high" and report.loc["city", "evidence"] == "none"


def test_a_column_of_labels_needs_its_level() -> None:
    X = answers()
    completed = [X.fillna({"city": "Oslo"}), X.fillna({"city": "Lima"})]
    quantity = share_of("city", "Oslo")
    with pytest.raises(InvalidInputError, match=r"'city' holds .*give the level whose odds"):
        delta_adjustment(completed, X, quantity, "city", [0.0])
    with pytest.raises(InvalidInputError, match=r"'Bonn' is no level of column 'city'; its levels are \['Lima'"):
        delta_adjustment(completed, X, quantity, "city", [0.0], category="Bonn")
    with pytest.raises(InvalidInputError, match="'category' is a level of one column"):
        delta_adjustment(completed, X, quantity, {"city": 1.0}, [0.0], category="Oslo")
    with pytest.raises(InvalidInputError, match="of the kind nominal, which has no order and so no slope"):
        sweep(small_imputer(), X, quantity, "city")


def test_limits_in_texts_stay_limits_while_another_column_is_varied() -> None:
    z = np.random.default_rng(0).normal(size=100)
    crp = pd.Series([round(value, 3) if value >= 0.5 else "<0.5" for value in np.exp(z)], dtype=object)
    holed = pd.DataFrame({"crp": crp, "fever": np.where(z < 1, 37 + z, np.nan)})
    told = MNARImputer({"crp": Censored(), "default": "auto"}, decoder="linear", max_iter=2, n_draws_posterior=50)
    below = (crp == "<0.5").to_numpy()

    def highest_below(table: pd.DataFrame) -> tuple[float, float]:
        return table["crp"].astype(float)[below].max(), 1.0

    found = sweep(told, holed, highest_below, "fever", (0.0, 2.0), n_imputations=2)
    assert (found["estimate"] <= 0.5).all() and below.sum() > 20
    with pytest.raises(InvalidInputError, match="column 'crp' is censored: its limits say why"):
        sweep(told, holed, highest_below, "crp", (0.0,), n_imputations=2)


def test_bounds_of_a_large_table_are_means_over_some_of_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    _, holed = survey(0, 120)
    model, asked = small_imputer(), []
    score = MNARImputer.score

    def noted(self: MNARImputer, X: pd.DataFrame, y: object = None) -> float:
        asked.append((list(X.index), score(self, X)))
        return asked[-1][1]

    monkeypatch.setattr(MNARImputer, "score", noted)
    for most in (120, 50):
        asked.clear()
        monkeypatch.setattr(sensitivity, "MOST_ROWS_OF_BOUND", most)
        found = sweep(model, holed, mean_income, "income", (0.0, 1.0), n_imputations=2)
        assert len(asked) == 4 and all(rows == asked[0][0] and len(set(rows)) == most for rows, _ in asked)
        np.testing.assert_allclose(found["bound"], np.reshape([bound for _, bound in asked], (2, 2)).mean(1))
