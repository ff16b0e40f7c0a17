"""Parquet files at the command line: fitted, completed, said by name what does not go together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from pyro_mnar.cli import app

pytest.importorskip("pyarrow")
QUICK = ("--max-iter", "2", "--n-draws", "20", "--jobs", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with survey-0.parquet and survey-1.parquet in it."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"age": generator.integers(20, 70, 120), "person": [f"p{n:03d}" for n in range(120)]})
    frame["income"] = 1000.0 + 30.0 * frame["age"] + generator.normal(0, 300, 120)
    frame["income"] = frame["income"].mask(frame["income"] > 2500)
    for part in (0, 1):
        frame[60 * part : 60 * part + 60].to_parquet(tmp_path / f"survey-{part}.parquet", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run():
    """Run the command line in this process; torch's thread count, which it sets, is put back."""
    n_threads = torch.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    torch.set_num_threads(n_threads)


def test_files_are_completed_and_nothing_else(folder: Path, run) -> None:
    asked = ("impute", "survey-*.parquet", "--out", "done.parquet", "--exclude", "person", *QUICK)
    result = run(*asked, "--direction", "income=high", "--report", "mechanism.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("Why cells are missing, as learned:\n  income: values above 2,5")
    assert result.stdout.endswith(" s: done.parquet\n")
    before = pd.concat([pd.read_parquet(f"survey-{part}.parquet") for part in (0, 1)], ignore_index=True)
    after, gone = pd.read_parquet("done.parquet"), before["income"].isna()
    pd.testing.assert_frame_equal(after[~gone], before[~gone])
    assert after[["age", "person"]].equals(before[["age", "person"]]) and after["income"].notna().all()
    assert set(pd.read_csv("mechanism.csv")["feature"]) == {"age", "income"}
    names = {"done.parquet", "mechanism.csv", "survey-0.parquet", "survey-1.parquet"}
    assert {path.name for path in folder.iterdir()} == names
    assert run(*asked).exit_code == 1 and run(*asked, "--force").exit_code == 0


def test_a_model_is_fitted_saved_and_completes_other_rows(folder: Path, run) -> None:
    fitted = run("fit", "survey-0.parquet", "--out", "model", "--exclude", "person", "--max-iter", "2")
    assert fitted.exit_code == 0 and "Fitted to 60 rows" in fitted.stdout, fitted.stderr
    done = run("transform", "model", "survey-1.parquet", "--out", "done.feather", "--n-draws", "20", "--jobs", "1")
    assert done.exit_code == 0 and done.stdout == "Completed: done.feather\n", done.stderr
    found = pd.read_feather("done.feather")
    assert list(found) == ["age", "person", "income"] and found["income"].notna().all()


def test_a_csv_becomes_parquet(folder: Path, run) -> None:
    pd.read_parquet("survey-0.parquet").to_csv("survey.csv", index=False)
    result = run("impute", "survey.csv", "--out", "done.parquet", *QUICK)
    assert result.exit_code == 0 and pd.read_parquet("done.parquet")["income"].notna().all(), result.stderr


FAULTS = {
    "a sign of missing": (("--na-values", "-9"), "--na-values is for CSV files that are written as CSV files"),
    "a separator": (("--sep", "tab"), "--sep is for CSV files"),
    "a decimal": (("--decimal", ","), "--decimal is for CSV files"),
    "thousands": (("--thousands", "."), "--thousands is for CSV files"),
    "excluded": (("--exclude", "x"), "--exclude names the unknown column 'x'; the columns are ['age',"),
    "censored": (("--censored", "x"), "--censored names the unknown column 'x'"),
    "a type": (("--types", "x=count"), "--types 'x=count' is for the unknown column 'x'"),
    "nothing": (
        ("--exclude", "age", "--exclude", "income", "--exclude", "person"),
        "--exclude leaves no column to model",
    ),
    "an input": (
        ("--out", "survey-1.parquet", "--force"),
        "survey-1.parquet is, or is in, survey-1.parquet, which is read",
    ),
    "the report": (("--report", "survey-1.parquet", "--force"), "which is read"),
    "the next input": (("--out", "survey-2.parquet"), "would match next time"),
    "no table": (("--out", "done.xlsx"), "'done.xlsx' must end in one of"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_and_nothing_is_written(fault: str, folder: Path, run) -> None:
    given, message = FAULTS[fault]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run("impute", "survey-*.parquet", "--out", "done.parquet", *QUICK, *given)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("pyro-mnar: ") and result.stderr.count("\n") == 1
    assert message in result.stderr, result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_files_of_different_columns_are_named(folder: Path, run) -> None:
    pd.DataFrame({"age": [1]}).to_parquet("survey-2.parquet")
    result = run("impute", "survey-*.parquet", "--out", "done.parquet", *QUICK)
    assert result.exit_code == 1 and "survey-2.parquet has no column 'person'" in result.stderr
    assert run("impute", "none.parquet", "--out", "done.parquet").stderr == "pyro-mnar: none.parquet is not there\n"
