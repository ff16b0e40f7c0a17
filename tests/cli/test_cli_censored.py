"""Columns of numbers and limits at the command line, and messages in its own words."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.cli.wording import as_options
from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import ImputationWarning, UnreliableWeightsWarning
from pyro_mnar.estimators.guard import warn_far
from pyro_mnar.inference.posterior.reliability import warn_of

LIMIT = 0.6


def water(folder: Path, n: int = 120) -> tuple[Path, pd.DataFrame]:
    """Lead below a detection limit, given as text; zinc with cells missing at random."""
    rng = np.random.default_rng(0)
    lead = np.exp(rng.normal(size=n)).round(2)
    zinc = np.where(rng.random(n) < 0.2, np.nan, (lead * np.exp(0.3 * rng.normal(size=n))).round(3))
    table = pd.DataFrame({"lead": [f"{x}" if x > LIMIT else f"<{LIMIT}" for x in lead], "zinc": zinc})
    table.to_csv(folder / "water.csv", index=False)
    return folder / "water.csv", table


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def check_completed(path: Path, table: pd.DataFrame) -> None:
    done = pd.read_csv(path, dtype=str)
    limited = table["lead"].str.startswith("<")
    assert (done["lead"][~limited] == table["lead"][~limited]).all()
    imputed = done["lead"][limited].astype(float)
    assert ((imputed < LIMIT) & (imputed > 0)).all() and imputed.nunique() > 5
    assert done["zinc"].astype(float).notna().all()


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_limits_are_completed_by_impute_and_by_fit_and_transform(tmp_path: Path) -> None:
    data, table = water(tmp_path)
    few = ("--max-iter", 3)
    said = run("impute", data, "--out", tmp_path / "a.csv", "--censored", "lead", *few, "--n-draws", 60)
    check_completed(tmp_path / "a.csv", table)
    n_cells = int(table["lead"].str.startswith("<").sum() + table["zinc"].isna().sum())
    assert f"Imputed {n_cells} cells in 2 of 2 columns" in said
    run("fit", data, "--out", tmp_path / "model", "--censored", "lead", *few)
    said = run("transform", tmp_path / "model", data, "--out", tmp_path / "b.csv", "--n-draws", 60)
    check_completed(tmp_path / "b.csv", table)
    assert f"{n_cells} cells imputed" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--censored", "tin"], "--censored names the unknown column 'tin'"),
        (["--censored", "lead", "--direction", "lead=low"], "--direction and --censored both name 'lead'"),
        (["--censored", "lead", "--exclude", "lead"], "--exclude and --censored both name 'lead'"),
        ([], "--censored 'lead'"),
    ],
)
def test_what_cannot_be_is_said_with_the_option(tmp_path: Path, options: list[str], words: str) -> None:
    data, _ = water(tmp_path)
    done = CliRunner().invoke(app, ["impute", str(data), "--out", str(tmp_path / "o.csv"), *options])
    assert done.exit_code == 1 and words in done.output and not (tmp_path / "o.csv").exists()


def test_warnings_name_options_and_no_parameters() -> None:
    columns = ColumnInfo(("a",), np.zeros(1), np.ones(1), np.zeros(1))
    bad = np.ones(4, dtype=bool)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_far(np.array([[0.0], [1.0], [np.nan]]), np.array([[0.0], [1.0], [99.0]]), columns, [0])
        for refined in (bad, ~bad):
            warn_of(bad, refined, "")
    assert [w.category for w in found] == [ImputationWarning, UnreliableWeightsWarning, UnreliableWeightsWarning]
    python = re.compile(r"n_draws_posterior|mechanism=|types=| types|\w\.\w+\(")
    for warning in found:
        assert python.search(str(warning.message)), "in Python's words it names what to change there"
        words = as_options(str(warning.message))
        assert not python.search(words) and "--" in words
