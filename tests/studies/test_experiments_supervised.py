"""The supervised study: its tasks, its figures of merit, and what it writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.studies.study import Record, row_key
from pyro_mnar.studies.supervised import report, supervised_study
from pyro_mnar.studies.supervised.metrics import class_metrics, value_metrics
from pyro_mnar.studies.supervised.study import (
    BASELINES,
    FOREST,
    MLP,
    SEEDS,
    SETTINGS,
    Row,
    find_sample,
    run_row,
    with_error,
)
from pyro_mnar.studies.supervised.tasks import SLOPE, make_task, missing_probability


def test_masks_have_the_stated_slope_and_rate() -> None:
    standard = np.random.default_rng(0).normal(size=(500, 4))
    probability = missing_probability(standard, np.arange(300))
    assert probability[:300].mean() == pytest.approx(0.3, abs=1e-9)
    logit = np.log(probability / (1 - probability))
    np.testing.assert_allclose(logit - SLOPE * standard, (logit - SLOPE * standard)[0, 0])


def test_class_metrics_by_hand() -> None:
    probability = np.array([[0.7, 0.3, 0.0], [0.4, 0.5, 0.1], [0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    found = class_metrics(np.array(["a", "a", "b", "c"]), probability, np.array(["a", "b", "c"]))
    assert found["accuracy"] == pytest.approx(0.5)
    assert found["log_loss"] == pytest.approx(-np.log([0.7, 0.4, 0.2, 0.4]).mean())


def test_value_metrics_against_simulation() -> None:
    draws = np.random.default_rng(0).normal(1.0, 2.0, size=(2, 200_000))
    crps = np.abs(draws[0] - 0.3).mean() - 0.5 * np.abs(draws[0] - draws[1]).mean()
    found = value_metrics(np.array([0.3]), np.array([1.0]), np.array([2.0]))
    assert found["crps"] == pytest.approx(crps, abs=0.01) and found["rmse"] == pytest.approx(0.7)


def test_every_row_is_there_once() -> None:
    study = supervised_study()
    assert len({row_key(row) for row in study.rows}) == len(study.rows)
    expected = len(SEEDS) * sum(len(parts) + len(BASELINES) for parts in SETTINGS.values())
    assert len(study.rows) == expected


def records() -> list[Record]:
    found = []
    for seed in range(3):
        for task, metrics in (
            ("covertype", {"accuracy": 0.7 + 0.01 * seed, "log_loss": 0.66, "auc": 0.9}),
            ("wine_red", {"rmse": 0.62, "crps": 0.33}),
        ):
            result = {"methods": {MLP: {**metrics, "seconds": 10.0}}}
            found.append(Record({"task": task, "part": MLP, "seed": seed}, result, 10.0, 100.0, [], {}))
    return found


def test_report(tmp_path: Path) -> None:
    table = report(records(), tmp_path)
    written = pd.read_csv(tmp_path / "summary.csv")
    assert list(written.columns) == list(table.columns) and len(written) == 2
    line = written[written["task"] == "covertype"].iloc[0]
    assert line["mean"] == pytest.approx(0.71) and line["se"] == pytest.approx(0.01 / 3**0.5, rel=1e-3)
    assert "| sup-not-MIWAE, MLP head | 0.7100 ± 0.0058 |" in (tmp_path / "table.md").read_text()
    assert (tmp_path / "figure.png").stat().st_size > 1000


def data_folder() -> Path:
    import os

    named = os.environ.get("PYRO_MNAR_DATA")
    if named is None:
        pytest.skip("needs the data files: set PYRO_MNAR_DATA")
    return Path(named)


def test_tasks_are_as_stated() -> None:
    task = make_task("wine_red", 0, data_folder())
    assert task.train.shape == (1119, 11) and task.test.shape == (480, 11)
    assert 0.25 < task.train.isna().mean(axis=None) < 0.35
    seen = task.train.notna()
    assert (task.train == task.train_complete).where(seen, True).all(axis=None)
    again = make_task("wine_red", 0, data_folder())
    pd.testing.assert_frame_equal(again.test, task.test)
    assert not make_task("wine_red", 1, data_folder()).test.equals(task.test)


def test_covertype_comes_from_the_sample_where_there_is_one() -> None:
    sample = find_sample(data_folder())
    if sample is None:
        pytest.skip("no sample of Covertype in the data folder")
    task = make_task("covertype", 0, data_folder(), sample)
    assert len(task.train) == 14_000 and len(task.test) == 6_000 and task.classifies
    assert (task.train_complete[task.groups[1]].sum(axis=1) == 1).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_rows_run() -> None:
    folder = data_folder()
    found = run_row(Row("wine_red", "baselines", 0), folder)["methods"]
    assert found["mean, indicators + linear"]["rmse"] < found["mean + linear"]["rmse"]
    short = {"max_iter": 1, "n_draws": 2, "n_draws_posterior": 10, "hidden_units": [8], "head_hidden_units": [4]}
    model = run_row(Row("wine_red", MLP, 0, short), folder)["methods"][MLP]
    assert 0.5 < model["rmse"] < 1.5 and model["crps"] < model["rmse"]


@pytest.mark.slow
def test_rows_of_forests_run() -> None:
    folder = data_folder()
    short = {"max_iter": 1, "n_draws": 2, "n_draws_posterior": 10, "hidden_units": [8], "head_hidden_units": [4]}
    models = run_row(Row("wine_red", MLP, 0, short | {"forest_leaf": 50}), folder)["methods"]
    # The forest learns in one step what the network cannot in one pass, from the same completions.
    assert models[FOREST[MLP]]["rmse"] < min(models[MLP]["rmse"], 0.75)
    trees = run_row(Row("wine_red", "forest", 0), folder)["methods"]["random forest on NaN"]
    assert trees["rmse"] < 0.68


def test_one_seed_has_no_standard_error() -> None:
    assert with_error(0.7, float("nan")) == "0.7000"
