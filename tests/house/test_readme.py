"""The README is short, its first command leads to a page, its example does what it says, its links exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyro_mnar.datasets import make_household_survey
from pyro_mnar.studies import environment
from tests.support.pages import ROOT, blocks, run

PAGE = ROOT / "README.md"
README = PAGE.read_text(encoding="utf-8")


def test_what_it_says_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "limit_threads", lambda n: None)
    monkeypatch.chdir(tmp_path)
    make_household_survey(60)[0].to_csv("table.csv", index=False)
    names = run(PAGE)
    assert {"report.html", "completed.csv"} <= {path.name for path in (tmp_path / "folder").iterdir()}
    survey, completed = names["survey"], names["completed"]
    seen = survey.notna()
    assert (completed[seen] == survey[seen])[seen].sum().sum() == seen.sum().sum()
    assert len(names["incomes"]) == 20 and np.isfinite(names["answer"].estimate).all()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_it_says_of_its_example_is_true() -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE):
        if block.language == "python":
            exec(compile(block.code, f"README.md:{block.line}", "exec"), names)
    hidden, income = names["survey"]["income"].isna(), names["income"]
    threshold = names["imputer"].mechanism_report().set_index("feature").loc["income", "threshold"]
    assert threshold == pytest.approx(60_000, rel=0.02)
    assert names["completed"].loc[hidden, "income"].mean() == pytest.approx(income[hidden].mean(), rel=0.03)
    ignorable = names["MNARImputer"]("ignorable", random_state=0).fit_transform(names["survey"])
    assert ignorable.loc[hidden, "income"].mean() == pytest.approx(58_500, rel=0.02)
    assert income[hidden].mean() == pytest.approx(68_000, rel=0.02)


def test_it_is_read_in_three_minutes() -> None:
    lines = README.splitlines()
    assert len(lines) < 150
    first = next(number for number, line in enumerate(lines) if line.startswith("pyro-mnar assess"))
    assert first < 20


def test_its_local_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links and all((ROOT / link).exists() for link in links)


def test_each_section_is_there_once_and_has_a_text() -> None:
    headings = re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", README, flags=re.DOTALL), re.MULTILINE)
    assert len(headings) == len(set(headings))
    assert not re.search(r"^## .*\n\n## ", README, re.MULTILINE)
