"""The README stays true: its Python runs, its tables are those of results/, its commands and links exist."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import COMMANDS, app
from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.estimators import base

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def run_python(names: dict[str, Any], n_rows: str = "500") -> None:
    for number, block in enumerate(PYTHON, start=1):
        code = block.replace("500", n_rows)
        with warnings.catch_warnings():
            if "MNARClassifier" in code:  # With so few rows and passes its predictions do warn.
                warnings.simplefilter("ignore", UnreliableWeightsWarning)
            exec(compile(code, f"README.md, Python block {number}", "exec"), names)


def test_its_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands, but for fewer rows and fewer passes over the data."""
    whole = base.fit

    def short(joint: Any, data: Any, settings: Any, *rest: Any) -> Any:
        return whole(joint, data, replace(settings, max_iter=2), *rest)

    monkeypatch.setattr(base, "fit", short)
    assert len(PYTHON) >= 5
    names: dict[str, Any] = {}
    run_python(names, n_rows="60")
    survey, completed = names["survey"], names["completed"]
    seen = survey.notna()
    assert (completed[seen] == survey[seen])[seen].sum().sum() == seen.sum().sum()
    assert len(names["incomes"]) == 20 and np.isfinite(names["answer"].estimate).all()
    assert np.isfinite(names["nats"]) and names["codes"].shape[-2] == len(survey)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_it_says_of_its_example_is_true() -> None:
    names: dict[str, Any] = {}
    run_python(names)
    hidden, income = names["survey"]["income"].isna(), names["income"]
    threshold = names["imputer"].mechanism_report().set_index("feature").loc["income", "threshold"]
    assert threshold == pytest.approx(60_000, rel=0.02)
    assert names["completed"].loc[hidden, "income"].mean() == pytest.approx(income[hidden].mean(), rel=0.03)
    ignorable = names["MNARImputer"]("ignorable", random_state=0).fit_transform(names["survey"])
    assert ignorable.loc[hidden, "income"].mean() == pytest.approx(58_500, rel=0.02)
    assert income[hidden].mean() == pytest.approx(68_000, rel=0.02)


def test_the_demos_table_is_the_recorded_one() -> None:
    table = re.search(r"<!-- demo:begin -->\n(.*?)<!-- demo:end -->", README, re.DOTALL)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].strip().splitlines()[2:]]
    summary = pd.read_csv(ROOT / "results" / "demo" / "summary.csv")
    assert rows == [[row.method, f"{row.rmse:.2f}", f"{row.seconds:.0f}"] for row in summary.itertuples()]


def test_the_images_errors_are_the_recorded_ones() -> None:
    section = README.split("## Images")[1].split("## ")[0]
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line.startswith("| ")]
    for column, folder in ((1, "celeba"), (4, "images")):
        summary = pd.read_csv(ROOT / "results" / folder / "summary.csv")
        recorded = {row.method: f"{row.rmse_mean:.4f}" for row in summary.itertuples()}
        assert {line[0]: line[column] for line in lines[1:] if line[column]} == recorded


def test_its_commands_exist() -> None:
    for command, options in re.findall(r"^pyro-mnar (\w+)(.*)$", README, re.MULTILINE):
        assert command in {function.__name__ for function in COMMANDS}
        shown = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"]).stdout
        assert all(option in shown for option in re.findall(r"--[\w-]+", options))
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([\w-]+) ", README)) <= set(targets)


def test_its_local_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_each_section_is_there_once_and_has_a_text() -> None:
    headings = re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert not re.search(r"^## .*\n\n## ", README, re.MULTILINE)
