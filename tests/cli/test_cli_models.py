"""The commands on saved models: fit, transform, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from pyro_mnar import load
from pyro_mnar.cli import app

FIT = ("fit", "survey.csv", "--out", "model", "--exclude", "person", "--max-iter", "2")
DRAWS = ("--n-draws", "20")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    n_threads = torch.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    torch.set_num_threads(n_threads)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the current folder, with two surveys of which high incomes are missing."""
    generator = np.random.default_rng(0)
    for name in ("survey", "later"):
        age = generator.integers(20, 70, 80)
        income = 1000.0 + 30.0 * age + generator.normal(0, 300, 80)
        shown = ["" if value > 2500 else f"{value:.2f}" for value in income]
        rows = [f"p{n},{i},{a}" for n, (a, i) in enumerate(zip(age, shown, strict=True))]
        (tmp_path / f"{name}.csv").write_text("\n".join(["person,income,age", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fit_then_transform_then_report(folder: Path, run: Any) -> None:
    fitted = run(*FIT, "--direction", "income=high")
    assert fitted.exit_code == 0, fitted.stderr
    assert "Fitted to 80 rows" in fitted.stdout
    done = run("transform", "model", "later.csv", "--out", "completed.csv", "--n-draws", "20")
    assert done.exit_code == 0, done.stderr
    before, after = pd.read_csv("later.csv", dtype=str), pd.read_csv("completed.csv", dtype=str)
    holes = before.isna()
    assert f"{int(holes.to_numpy().sum())} cells imputed" in done.stdout
    assert (after[~holes].fillna("") == before.fillna("")).all(axis=None)
    imputer = load("model").set_params(n_draws_posterior=20)
    expected = imputer.transform(pd.read_csv("later.csv")[["income", "age"]])
    np.testing.assert_allclose(after["income"].astype(float), expected["income"], rtol=1e-9)
    shown = run("report", "model", "--out", "mechanism.csv")
    assert shown.exit_code == 0, shown.stderr
    assert "MNARImputer of 2 columns, 2 passes" in shown.stdout
    pd.testing.assert_frame_equal(
        pd.read_csv("mechanism.csv").fillna({"direction": ""}), pd.DataFrame(imputer.mechanism_report()), rtol=1e-12
    )


def test_columns_in_another_order_and_strategies(folder: Path, run: Any) -> None:
    assert run(*FIT).exit_code == 0
    later = pd.read_csv("later.csv", dtype=str)
    later[["age", "person", "income"]].to_csv("turned.csv", index=False)
    texts = set()
    for name, strategy in (("later.csv", "mean"), ("turned.csv", "mean"), ("later.csv", "median")):
        done = run("transform", "model", name, "--out", "o.csv", "--force", "--strategy", strategy, *DRAWS)
        assert done.exit_code == 0, done.stderr
        texts.add(pd.read_csv("o.csv", dtype=str)["income"].str.cat())
    assert len(texts) == 2


def test_a_checkpoint_folder_leaves_nothing_behind(folder: Path, run: Any) -> None:
    assert run(*FIT, "--checkpoint-dir", "state").exit_code == 0
    assert list((folder / "state").iterdir()) == []
    assert load("model").training is None


FAULTS = {
    "no model": (("transform", "nothing", "later.csv", "--out", "o.csv"), "manifest.json is missing"),
    "no model to report": (("report", "survey.csv"), "manifest.json is missing"),
    "column missing": (("transform", "model", "narrow.csv", "--out", "o.csv"), "no column 'income'"),
    "model exists": (FIT, "model exists; give another place"),
    "place taken by something else": (
        ("fit", "survey.csv", "--out", "later.csv", *FIT[4:], "--force"),
        "is not a saved estimator",
    ),
    "table exists": (("transform", "model", "later.csv", "--out", "survey.csv"), "--force"),
    "the table is the output": (
        ("transform", "model", "later.csv", "--out", "./later.csv", "--force"),
        "which is read",
    ),
    "a file of the model as output": (
        ("transform", "model", "later.csv", "--out", "model/manifest.json", "--force"),
        "which is read",
    ),
    "a report over its model": (("report", "model", "--out", "./model/manifest.json", "--force"), "which is read"),
    "the table as model": (("fit", "survey.csv", "--out", "./survey.csv", "--force"), "a path of its own"),
    "a checkpoint in the model": ((*FIT, "--force", "--checkpoint-dir", "./model"), "a path of its own"),
    "text": (("transform", "model", "text.csv", "--out", "o.csv"), "column 'age' holds text, such as 'old'"),
    "changed": (("report", "broken"), "does not have the checksum"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_gives_one_clear_line(folder: Path, run: Any, case: str) -> None:
    import shutil

    arguments, expected = FAULTS[case]
    assert run(*FIT).exit_code == 0
    shutil.copytree("model", "broken")
    manifest = folder / "broken" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"max_iter": 2', '"max_iter": 3'))
    (folder / "narrow.csv").write_text("age\n30\n")
    (folder / "text.csv").write_text("income,age\n1,old\n")
    names = sorted(path.name for path in folder.iterdir())
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("pyro-mnar: ")
    assert result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == names


def test_help(run: Any) -> None:
    for command in ("fit", "transform", "report"):
        assert "Usage" in run(command, "--help").stdout


NAMES = ["[/b]", "[red]a", "x\x1b[2J", "[link=file:///etc/passwd]c[/link]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_shown_as_they_are(name: str, folder: Path, run: Any) -> None:
    frame = pd.read_csv("survey.csv").rename(columns={"income": name})
    frame.to_csv("odd.csv", index=False)
    options = ("--exclude", "person", "--max-iter", "2")
    results = [
        run("fit", "odd.csv", "--out", "model", *options),
        run("report", "model"),
        run("impute", "odd.csv", "--out", "o.csv", *options, *DRAWS),
        run("transform", "model", "odd.csv", "--out", "t.csv", *DRAWS),
    ]
    for result in results:
        assert result.exit_code == 0, result.stderr
        assert "\x1b" not in result.stdout
    shown = name.replace("\x1b", "\\x1b")
    assert all(shown in result.stdout for result in results[:3])
    bad = run("impute", "odd.csv", "--out", "p.csv", "--direction", "wrong=high")
    assert bad.exit_code == 1 and bad.stderr.count("\n") == 1 and "\x1b" not in bad.stderr


def test_paths_that_steer_a_terminal(folder: Path, run: Any) -> None:
    result = run("impute", "survey.csv", "--out", "[red]o\x1b[2J.csv", "--exclude", "person", "--max-iter", "2", *DRAWS)
    assert result.exit_code == 0, result.stderr
    assert "[red]o\\x1b[2J.csv" in result.stdout and "\x1b" not in result.stdout
