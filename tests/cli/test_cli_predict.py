"""The commands that predict: fit --target, and predict."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from pyro_mnar import MNARClassifier, MNARRegressor, load
from pyro_mnar.cli import app
from pyro_mnar.cli.options import Task
from pyro_mnar.cli.tables import read_table
from pyro_mnar.cli.target import read_target

pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
NUMBER = ("fit", "survey.csv", "--out", "model", "--target", "spend", "--exclude", "person", "--exclude", "owner")
LABEL = ("fit", "survey.csv", "--out", "model", "--target", "owner", "--exclude", "person", "--exclude", "spend")
QUICK = ("--max-iter", "4")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("pyro_mnar.studies.environment.available_cores", lambda: 1)
    n_threads = torch.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    torch.set_num_threads(n_threads)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the current folder, with a survey in which high incomes and some targets are missing, and later rows."""
    rng = np.random.default_rng(0)
    n = 120
    age = rng.integers(20, 70, n)
    income = 1000.0 + 30.0 * age + rng.normal(0, 300, n)
    owner = np.where(income > 2300, "yes, own", "no")
    spend = 0.5 * income + rng.normal(0, 20, n)
    rows = pd.DataFrame({"person": [f"p{i}" for i in range(n)], "age": age, "income": income.round(2)})
    rows["town"] = np.where(age > 50, "Oslo", "Bergen")
    rows.loc[income > 2500, "income"] = None
    rows.drop(columns="age").to_csv(tmp_path / "narrow.csv", index=False)
    rows.tail(40).to_csv(tmp_path / "later.csv", index=False)
    rows["owner"], rows["spend"] = owner, spend.round(2)
    rows.loc[:2, ["owner", "spend"]] = None
    rows.to_csv(tmp_path / "survey.csv", index=False)
    rows.assign(predicted=1).to_csv(tmp_path / "named.csv", index=False)
    rows.assign(day="2024-01-05", gone=None).to_csv(tmp_path / "odd.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return file.read().splitlines()


def test_labels_with_their_probabilities(run: Any) -> None:
    fitted = run(*LABEL, *QUICK, "--direction", "income=high")
    assert fitted.exit_code == 0, fitted.stderr
    assert "Target 'owner', one of 2 labels (--task classification); 3 rows without it are left out" in fitted.stdout
    assert "Fitted to 117 rows" in fitted.stdout
    done = run("predict", "model", "later.csv", "--out", "p.csv", "--n-draws", "50")
    assert done.exit_code == 0 and "Predicted for 40 rows: p.csv" in done.stdout, done.stderr
    for old, new in zip(lines_of("later.csv"), lines_of("p.csv"), strict=True):
        assert new.startswith(f"{old},")
    model = load("model")
    assert isinstance(model, MNARClassifier) and model.classes_.tolist() == ["no", "yes, own"]
    rows = pd.read_csv("later.csv")[["age", "income", "town"]]
    expected = model.set_params(n_draws_posterior=50).predict_proba(rows)
    answer = pd.read_csv("p.csv")
    assert answer.columns[-3:].tolist() == ["predicted", "probability_no", "probability_yes, own"]
    np.testing.assert_allclose(answer.iloc[:, -2:], expected, atol=1e-9)
    assert answer["predicted"].tolist() == model.classes_[expected.argmax(1)].tolist()
    assert "MNARClassifier of " in run("report", "model").stdout


def test_numbers_with_their_intervals(run: Any) -> None:
    fitted = run(*NUMBER, *QUICK, "--types", "town=nominal", "--checkpoint-dir", "state")
    assert fitted.exit_code == 0 and "Target 'spend', a number (--task regression)" in fitted.stdout, fitted.stderr
    model = load("model")
    assert isinstance(model, MNARRegressor) and model.training is None
    rows = pd.read_csv("later.csv")[["age", "income", "town"]]
    for options, coverage in (((), 0.9), (("--coverage", "0.5"), 0.5)):
        done = run("predict", "model", "later.csv", "--out", "p.csv", "--force", *options)
        assert done.exit_code == 0, done.stderr
        answer = pd.read_csv("p.csv")[["predicted", "low", "high"]]
        expected = np.column_stack([model.predict(rows), model.predict_interval(rows, coverage)])
        np.testing.assert_allclose(answer, expected, rtol=1e-9)


def test_a_continental_file_is_answered_in_its_own_notation(run: Any) -> None:
    frame = pd.read_csv("survey.csv").drop(columns=["person", "owner", "town"])
    text = frame.to_csv(index=False, sep=";", decimal=",", lineterminator="\r\n")
    Path("a.csv").write_text(f"\ufeff{text}", encoding="utf-8", newline="")
    options = ("--sep", ";", "--decimal", ",")
    assert run("fit", "a.csv", "--out", "model", "--target", "spend", *options, *QUICK).exit_code == 0
    assert run("predict", "model", "a.csv", "--out", "p.csv", *options).exit_code == 0
    assert Path("p.csv").read_bytes().startswith(b"\xef\xbb\xbfage;income;spend;predicted;low;high\r\n")
    answer = pd.read_csv("p.csv", sep=";", decimal=",", encoding="utf-8-sig")
    assert (answer["low"] < answer["predicted"]).all() and (answer["predicted"] < answer["high"]).all()


@pytest.mark.parametrize(
    ("cells", "task", "expected"),
    [
        (["0", "1", "", "1"], None, Task.CLASSIFICATION),
        (["a", "b", "a", "c"], None, Task.CLASSIFICATION),
        (["1", "2", "3", "4.5"], None, Task.REGRESSION),
        (["1", "2", "3", "1"], Task.CLASSIFICATION, Task.CLASSIFICATION),
        (["0", "1", "1", "0"], Task.REGRESSION, Task.REGRESSION),
        (["5 %", "7 %", "9 %", ""], None, Task.REGRESSION),
    ],
)
def test_what_a_target_is_taken_for(
    cells: list[str], task: Task | None, expected: Task, run: Any, folder: Path
) -> None:
    with (folder / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["a", "y"], *[["1", cell] for cell in cells]])
    target = read_target(read_table(folder / "t.csv"), "y", task)
    assert target.task is expected
    assert target.rows == [i for i, cell in enumerate(cells) if cell] and target.n_without == cells.count("")
    known = [cell for cell in cells if cell]
    labels = expected is Task.CLASSIFICATION
    assert target.values.tolist() == (known if labels else [float(cell.rstrip(" %")) for cell in known])


PREDICT = ("predict", "model", "later.csv", "--out", "p.csv")
FAULTS = {
    "an unknown target": ((*NUMBER[:5], "spent"), "--target names the unknown column 'spent'"),
    "an excluded target": ((*NUMBER, "--exclude", "spend"), "--target and --exclude both name 'spend'"),
    "a declared target": ((*NUMBER, "--types", "spend=count"), "--target and --types both name 'spend'"),
    "a target with limits": ((*NUMBER, "--censored", "spend"), "--target and --censored both name 'spend'"),
    "a direction of the target": ((*NUMBER, "--direction", "spend=high"), "'spend'"),
    "a target of names": ((*NUMBER[:5], "person"), "holds 120 labels, each in one row"),
    "a target of days": (("fit", "odd.csv", *NUMBER[2:5], "day"), "the target 'day' holds days"),
    "a target that is never there": (("fit", "odd.csv", *NUMBER[2:5], "gone"), "is missing in every row"),
    "text as a number": ((*LABEL, "--task", "regression"), "holds text, such as 'no'; give --task classification"),
    "a task without a target": (("fit", "survey.csv", "--out", "m", "--task", "regression"), "give --target COLUMN"),
    "a target in a Parquet file": (("fit", "a.parquet", *NUMBER[2:6]), "--target is for CSV files"),
    "a model without a target": (("predict", "plain", *PREDICT[2:]), "holds a MNARImputer, which has no target"),
    "a model with one, to impute": (("transform", *PREDICT[1:]), "'pyro-mnar predict' takes this one"),
    "no model": (("predict", "nothing", *PREDICT[2:]), "manifest.json is missing"),
    "a column that is not there": (("predict", "model", "narrow.csv", *PREDICT[3:]), "no column 'age'"),
    "a name that is taken": (
        ("predict", "model", "named.csv", *PREDICT[3:]),
        "a column 'predicted', as the predictions",
    ),
    "an interval of labels": ((*PREDICT, "--coverage", "0.5"), "--coverage is for a target of numbers"),
    "an interval beyond": ((*PREDICT, "--coverage", "1"), "--coverage is 1.0; it must lie between 0 and 1"),
    "a file that exists": ((*PREDICT[:4], "survey.csv"), "--force"),
    "the table as output": ((*PREDICT[:4], "./later.csv", "--force"), "which is read"),
    "a Parquet file": ((*PREDICT[:4], "p.parquet"), "predict reads and writes CSV files"),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a saved classifier and a saved imputer."""
    folder = tmp_path_factory.mktemp("models")
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"age": rng.integers(20, 70, 60).astype(float), "income": rng.normal(2000, 300, 60)})
    rows.loc[::4, "income"] = None
    from pyro_mnar import MNARImputer, save

    save(MNARClassifier(max_iter=1, random_state=0).fit(rows, rows["age"] > 40), folder / "model")
    save(MNARImputer(max_iter=1, random_state=0).fit(rows), folder / "plain")
    return folder


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_gives_one_clear_line(case: str, run: Any, models: Path, folder: Path) -> None:
    import shutil

    arguments, expected = FAULTS[case]
    if arguments[0] != "fit":
        shutil.copytree(models, folder, dirs_exist_ok=True)
    names = sorted(path.name for path in folder.iterdir())
    result = run(*arguments)
    assert result.exit_code == 1, result.stdout
    assert result.stderr.startswith("pyro-mnar: ") and result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == names
