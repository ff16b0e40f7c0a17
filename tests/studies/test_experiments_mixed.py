"""The study of mixed tables: masks, methods, scores, tables and picture, and its quick form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanisms import SelfMasking
from pyro_mnar.studies.mixed import MIXED
from pyro_mnar.studies.mixed.masks import MASKS, lose, ranks
from pyro_mnar.studies.mixed.methods import BASELINES, Filled, baseline, joint_model
from pyro_mnar.studies.mixed.report import SCORES, cells, write_tables
from pyro_mnar.studies.mixed.scores import scores
from pyro_mnar.studies.mixed.study import run_row
from pyro_mnar.studies.mixed.tables import TABLES, complete_table, ends, impossible, level_columns, number_columns
from pyro_mnar.studies.parts import TableRow, has_miceforest
from pyro_mnar.studies.study import Record, row_settings

OPEN = dict.fromkeys(("age", "income"), (-np.inf, np.inf))
CONVERGENCE = "ignore::sklearn.exceptions.ConvergenceWarning"


def survey(n: int = 300) -> pd.DataFrame:
    """Two numbers and two columns of levels that tell of each other."""
    rng = np.random.default_rng(0)
    age = rng.integers(18, 80, size=n)
    income = np.exp(age / 40 + rng.normal(size=n) * 0.2)
    region = pd.Categorical(np.where(age + rng.normal(size=n) * 5 > 50, "north", "south"))
    rank = pd.Categorical(np.digitize(age, [35, 60]), categories=[0, 1, 2], ordered=True)
    return pd.DataFrame({"age": age, "income": income, "region": region, "rank": rank})


def record(table: str, method: str, **result: float) -> Record:
    found = dict.fromkeys(SCORES, 0.5) | {"impossible_draws": None} | result
    return Record(row_settings(TableRow(table, "mcar", method, 0)), found, 1.0, 1.0, [], {})


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_complete_and_knows_its_levels(name: str, data_folder: Path) -> None:
    table = complete_table(name, data_folder)
    assert len(table) <= 1000 and not table.isna().to_numpy().any()
    assert level_columns(table) and number_columns(table)
    assert all(pd.api.types.is_numeric_dtype(table[column]) for column in number_columns(table))
    for column in number_columns(table):
        assert not impossible(name, table, column, table[column].to_numpy(dtype=float)).any()
    ordered = [column for column in level_columns(table) if table[column].cat.ordered]
    assert set(ordered) == set(TABLES[name].ordered)


def test_levels_of_risk_are_in_their_order_and_not_in_that_of_the_alphabet(data_folder: Path) -> None:
    table = complete_table("health", data_folder)
    measured = table.groupby("RiskLevel", observed=True)[["SystolicBP", "BS"]].mean()
    assert table["RiskLevel"].cat.ordered and (measured.diff().dropna() > 0).all().all()


def test_what_a_column_cannot_hold(data_folder: Path) -> None:
    table = complete_table("bike", data_folder)
    values = np.array([50.0, 50.5, -1.0, 101.0])
    assert impossible("bike", table, "Humidity(%)", values).tolist() == [False, True, True, True]
    assert impossible("bike", table, "Temperature(C)", values).tolist() == [False] * 4


@pytest.mark.parametrize("mask", MASKS)
def test_masks_are_seeded_and_do_what_they_say(mask: str) -> None:
    table = survey(2000)
    lost = lose(table, "survey", mask, 0)
    assert (lost == lose(table, "survey", mask, 0)).all() and (lost != lose(table, "survey", mask, 1)).any()
    assert 0.15 < lost.mean() < 0.35
    if mask == "self-masked":
        assert lost.any(0).sum() == 2
        for seed in range(4):
            lost = lose(table, "survey", mask, seed)
            for j in np.flatnonzero(lost.any(0)):
                assert ranks(table)[lost[:, j], j].mean() > ranks(table)[~lost[:, j], j].mean() + 0.5
    with pytest.raises(InvalidInputError, match="no mask 'rain'"):
        lose(table, "survey", "rain", 0)


@pytest.mark.filterwarnings(CONVERGENCE)
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "miceforest"])
def test_a_baseline_completes_numbers_and_levels(name: str) -> None:
    complete = survey()
    lost = lose(complete, "survey", "mcar", 0)
    filled = baseline(name, complete.mask(lost), 0, OPEN)
    check(complete, lost, filled)
    found = scores("health", complete, lost, filled)
    assert found["accuracy"] is not None and found["nrmse"] is not None
    if name != "mean":
        mean = scores("health", complete, lost, baseline("mean", complete.mask(lost), 0, OPEN))
        assert found["nrmse"] < 0.9 * mean["nrmse"]  # type: ignore[operator]
        assert found["accuracy"] > mean["accuracy"] + 0.1  # type: ignore[operator]
        assert found["log_loss"] < mean["log_loss"]  # type: ignore[operator]


@pytest.mark.skipif(not has_miceforest(), reason="the extra 'bench' is not installed")
@pytest.mark.filterwarnings("ignore")
def test_miceforest_completes_numbers_and_levels() -> None:
    complete = survey(200)
    lost = lose(complete, "survey", "mcar", 0)
    filled = baseline("miceforest", complete.mask(lost), 0, OPEN)
    check(complete, lost, filled)
    assert filled.draws is not None
    # Predictive mean matching draws observed values.
    assert set(filled.draws["age"].ravel()) <= set(complete["age"])


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_a_joint_model_completes_numbers_and_levels() -> None:
    complete = survey(120)
    lost = lose(complete, "survey", "mcar", 0)
    settings = {"mechanism": "ignorable", "max_iter": 2, "n_draws_posterior": 100}
    filled = joint_model(complete.mask(lost), 0, settings, {})
    check(complete, lost, filled)
    assert filled.draws is not None and filled.draws["income"].shape == (100, 120)


def test_the_ends_of_numbers_are_those_that_are_declared(data_folder: Path) -> None:
    found = {}
    for name in ("bike", "california", "health"):
        table = complete_table(name, data_folder)
        found |= {column: ends(name, table, column) for column in number_columns(table)}
        assert set(TABLES[name].kinds) <= set(number_columns(table))
    assert found["Hour"] == (0, 23) and found["Humidity(%)"] == (0, 100) and found["Visibility (10m)"] == (0, 2000)
    assert found["housing_median_age"] == (0, 52) and found["median_income"] == (0, 15.0001)
    assert found["Temperature(C)"] == (-np.inf, np.inf) and found["Age"] == (0, np.inf)


@pytest.mark.filterwarnings(CONVERGENCE)
def test_mice_stays_within_the_ends_that_it_is_told() -> None:
    complete = survey()
    lost = np.zeros(complete.shape, dtype=bool)
    lost[complete["age"] > 60, 1] = True
    open_ended = baseline("mice", complete.mask(lost), 0, OPEN).numbers["income"]
    seen = complete["income"][~lost[:, 1]]
    assert open_ended.max() > seen.max()
    told = baseline("mice", complete.mask(lost), 0, OPEN | {"income": (2.5, float(seen.max()))}).numbers["income"]
    assert told[lost[:, 1]].max() == pytest.approx(seen.max()) and told[lost[:, 1]].min() >= 2.5
    assert np.allclose(told[~lost[:, 1]], seen)


def weather(n: int = 300) -> pd.DataFrame:
    """Three of the columns of bike: two that end, and one that tells of them."""
    rng = np.random.default_rng(0)
    warm = rng.normal(size=n)
    hour, humidity = (
        np.clip(np.rint(middle + spread * warm), 0, 2 * middle) for middle, spread in ((11.5, 6), (50, 25))
    )
    return pd.DataFrame({"Hour": hour.astype(int), "Humidity(%)": humidity.astype(int), "Temperature(C)": warm})


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_no_draw_is_beyond_an_end_that_is_declared_and_not_observed() -> None:
    complete = weather()
    lost = np.column_stack([complete["Hour"] > 16, complete["Humidity(%)"] > 80, np.zeros(len(complete), dtype=bool)])
    settings = {"mechanism": SelfMasking("high"), "max_iter": 20, "n_draws_posterior": 100}
    told, untold = (
        scores("bike", complete, lost, joint_model(complete.mask(lost), 0, settings, kinds))
        for kinds in ({name: TABLES["bike"].kinds[name] for name in ("Hour", "Humidity(%)")}, {})
    )
    assert untold["impossible_draws"] > 0.01  # type: ignore[operator]
    assert told["impossible_draws"] == told["impossible"] == 0
    assert told["crps"] <= untold["crps"]  # type: ignore[operator]


@pytest.mark.parametrize("method", ["mice", "ignorable"])
def test_a_row_tells_its_method_where_numbers_end(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def listen(*arguments: Any) -> Filled:
        told.append(arguments[-1])
        raise InterruptedError

    monkeypatch.setattr("pyro_mnar.studies.mixed.study.complete_table", lambda *_: weather())
    monkeypatch.setattr("pyro_mnar.studies.mixed.study.baseline", listen)
    monkeypatch.setattr("pyro_mnar.studies.mixed.study.joint_model", listen)
    with pytest.raises(InterruptedError):
        run_row(TableRow("bike", "mcar", method, 0), None)
    ranges = {"Hour": (0, 23), "Humidity(%)": (0, 100), "Temperature(C)": (-np.inf, np.inf)}
    assert told == [ranges if method == "mice" else TABLES["bike"].kinds]


def check(complete: pd.DataFrame, lost: np.ndarray, filled: Filled) -> None:
    for name in number_columns(complete):
        seen = ~lost[:, complete.columns.get_loc(name)]
        assert np.isfinite(filled.numbers[name]).all()
        assert np.allclose(filled.numbers[name][seen], complete[name].to_numpy(dtype=float)[seen])
    for name in level_columns(complete):
        shares = filled.probabilities[name]
        assert shares.shape == (len(complete), len(complete[name].cat.categories))
        assert shares.min() > 0 and np.allclose(shares.sum(1), 1)


def test_scores_of_known_answers() -> None:
    complete = survey(4)
    lost = np.array([[True, False, True, False]] * 2 + [[False] * 4] * 2)
    age = complete["age"].to_numpy(dtype=float)
    sd = age.std()
    right = np.eye(2)[complete["region"].cat.codes]
    shares = {"region": 0.9 * right + 0.1 * (1 - right), "rank": np.full((4, 3), 1 / 3)}
    numbers = {"age": age + sd, "income": complete["income"].to_numpy()}
    found = scores("health", complete, lost, Filled(numbers, shares, None, 0.0, 0.0))
    assert found["nrmse"] == found["mae"] == found["crps"] == pytest.approx(1.0)
    assert found["accuracy"] == 1.0 and found["log_loss"] == pytest.approx(-np.log(0.9))
    assert found["impossible"] == 1.0 and found["impossible_draws"] is None
    draws = {"age": np.stack([age, age]), "income": np.stack([numbers["income"]] * 2)}
    exact = scores("health", complete, lost, Filled(numbers, shares, draws, 0.0, 0.0))
    assert exact["crps"] == pytest.approx(0.0) and exact["impossible_draws"] == 0.0
    nothing = scores("health", complete, lost & [True, True, False, False], Filled(numbers, shares, None, 0.0, 0.0))
    assert nothing["accuracy"] is None and nothing["log_loss"] is None


def test_tables_and_picture_are_written(tmp_path: Path) -> None:
    records = [record("cmc", "mean", nrmse=1.0), record("cmc", "auto", nrmse=0.5), record("bike", "mean", nrmse=9.0)]
    assert cells(records)["method"].tolist() == ["mean", "mean", "auto"]
    written = write_tables(records, tmp_path)
    assert {path.name for path in written} == {"summary.csv", "table.md", "methods.png"}
    text = (tmp_path / "table.md").read_text()
    # Bike, which one method has not finished, is in no mean.
    assert "| mean | 1.000 | 0.500 |" in text and "(cmc)" in text
    assert (tmp_path / "methods.png").stat().st_size > 5_000


def test_the_parts_make_the_whole() -> None:
    part = MIXED.rows({"tables": ["cmc"], "masks": ["mar"], "methods": ["auto", "knn"]}, seeds=[1])
    assert [(row.method, row.seed) for row in part] == [("knn", 1), ("auto", 1)]
    assert all(row in MIXED.rows({"methods": ["auto", "knn"]}) for row in part)
    with pytest.raises(InvalidInputError, match="tables holds 'zoo'"):
        MIXED.rows({"tables": ["zoo"]})
    with pytest.raises(InvalidInputError, match="no row"):
        MIXED.rows({}, seeds=[99])


@pytest.mark.filterwarnings(CONVERGENCE)
def test_a_part_runs(tmp_path: Path, data_folder: Path) -> None:
    methods = ["mean", "knn", "mice"]
    MIXED.reproduce(tmp_path, {"methods": methods}, quick=True, data_home=data_folder, workers=1)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 18
    assert (tmp_path / "methods.png").exists()


@pytest.mark.slow
def test_the_quick_form_runs(tmp_path: Path, data_folder: Path) -> None:
    MIXED.reproduce(tmp_path, {}, quick=True, data_home=data_folder, workers=2)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(MIXED.rows({}, quick=True))
