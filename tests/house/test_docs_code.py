"""Whatever a page tells people to type runs, and what it says comes out does."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import pyro_mnar
from pyro_mnar import assess, comparison, kinds, mechanisms, pooling, sensitivity
from pyro_mnar.datasets import make_household_survey
from pyro_mnar.studies import environment
from tests.support.pages import APART, PAGES, ROOT, blocks, name, run

#: What people call, by its name.
CALLED = {
    each: getattr(module, each)
    for module in (pyro_mnar, mechanisms, kinds, comparison, pooling, sensitivity)
    for each in module.__all__
    if callable(getattr(module, each))
}
WITH_CODE = [page for page in PAGES[1:] if page not in APART and {"python", "sh"} & {b.language for b in blocks(page)}]


def test_there_are_pages_with_code() -> None:
    assert len(WITH_CODE) >= 15


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
# ArviZ is behind its own dependencies, and announces its successor once a day to who imports it himself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings(r"ignore:\s*ArviZ is undergoing a major refactor:FutureWarning")
def test_its_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "limit_threads", lambda n: None)
    monkeypatch.chdir(tmp_path)
    survey, _ = make_household_survey(60)
    for file in ("survey.csv", "new_rows.csv"):
        survey.to_csv(file, index=False)
    run(page)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_its_blocks_have_a_language_that_is_known(page: Path) -> None:
    opened = re.findall(r"^```([^\n]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(opened) <= {"python", "sh", "bibtex", "{eval-rst}", "{toctree}"}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_calls_in_its_text_have_parameters_that_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for code in re.findall(r"`([A-Za-z_.]+\([^`]*\))`", text):
        for call in ast.walk(ast.parse(code.replace("\n", " "), mode="eval")):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in CALLED:
                taken = inspect.signature(CALLED[call.func.id]).parameters
                unknown = {given.arg for given in call.keywords} - set(taken) - {None}
                assert not unknown or any(each.kind is each.VAR_KEYWORD for each in taken.values()), code
                assert len(call.args) <= len(taken), code


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_numbers_of_start_here_come_out() -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    told = {
        key: float(re.search(pattern, text)[1].replace(",", ""))  # type: ignore[index]
        for key, pattern in (
            ("imputed", r"mean income is ([\d,]+) with"),
            ("truth", r"the truth is ([\d,]+)"),
            ("stated", r"and ([\d,]+) among"),
            ("at random", r"would be ([\d,]+) if"),
            ("threshold", r"incomes above about ([\d,]+) are missing"),
        )
    }
    survey, complete = make_household_survey(800)
    found = assess(survey, "income", budget="quick")
    said = " ".join(str(found).split())
    assert complete["income"].mean() == pytest.approx(told["truth"], abs=0.5)
    assert survey["income"].mean() == pytest.approx(told["stated"], abs=0.5)
    for pattern, key in (
        (r"mean of income is ([\d,]+)", "imputed"),
        (r"would be ([\d,]+) if income were missing at random", "at random"),
        (r"above about ([\d,]+) \(the odds are about 10 to 1", "threshold"),
    ):
        match = re.search(pattern, said)
        assert match is not None, said
        assert float(match[1].replace(",", "")) == pytest.approx(told[key], rel=0.01)
