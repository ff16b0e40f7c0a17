from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from pyro_mnar.data.columns import standardise
from pyro_mnar.errors import InvalidInputError, UnsupportedModelError
from pyro_mnar.estimators.readable import MechanismReport
from pyro_mnar.model.curve import LOGISTIC_PER_PROBIT
from pyro_mnar.model.mechanisms import Linear, SelfMasking
from tests.support.surveys import CUT, MEAN, NAMES, SLOPE, UNIT, fitted, imputer, survey

# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")


def test_report_finds_the_mechanism_and_says_it_in_words() -> None:
    report = fitted().mechanism_report().set_index("feature")
    slope = SLOPE / UNIT[:2]
    np.testing.assert_allclose(report["slope"].iloc[:2], slope, rtol=0.3)
    np.testing.assert_allclose(report["threshold"].iloc[:2], (MEAN + CUT * UNIT)[:2], atol=0.25 * UNIT[0])
    line = report.loc["income"]
    assert line["words"].startswith("income: values above 4")
    assert f"slope {line['slope_per_sd']:.2g} per sd; {100 * line['missing_rate']:.0f} % missing)" in line["words"]
    assert report.loc["age", "words"] == "age: never missing in training"
    assert report.loc["age", "direction"] == ""


def test_a_printed_report_has_its_sentences_whole_and_all_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    report = fitted().mechanism_report()
    shown, html = str(report), report._repr_html_()
    assert max(map(len, report["words"])) > 60
    for words in report["words"]:
        assert words in shown.splitlines() and f"<li>{words}</li>" in html
    for name in set(report.columns) - {"words"}:
        assert name in shown and f"<th>{name}</th>" in html
    assert "..." not in shown and f"{report.loc[0, 'threshold']:,.0f}" in shown
    assert repr(report[["feature"]]) == repr(pd.DataFrame({"feature": report["feature"]}))
    many = MechanismReport(pd.concat([report] * 20, ignore_index=True))
    assert "... and 20 more" in str(many)
    marked = MechanismReport({"feature": ["<b>"], "words": ["<b>: missing"]})
    assert "<b>" not in marked._repr_html_()


def test_report_of_an_ignorable_model_claims_no_mechanism() -> None:
    report = fitted("ignorable").mechanism_report()
    assert report["words"].iloc[0].startswith("income: no mechanism in the model (")
    with pytest.raises(UnsupportedModelError, match="no mechanism"):
        fitted("ignorable").mechanism_sensitivity()


def test_sensitivity_of_a_linear_mechanism_is_its_matrix() -> None:
    model = imputer("linear", max_iter=3).fit(survey(0, 100)[1])
    mechanism = model.joint_.mechanism
    assert isinstance(mechanism, Linear)
    expected = -mechanism.linear.weight.detach().numpy()
    for rows in (None, survey(0, 100)[1]):
        matrix = model.mechanism_sensitivity(rows)
        np.testing.assert_allclose(matrix.iloc[:2], expected[:2], rtol=1e-5, atol=1e-7)
        assert matrix.iloc[2:].isna().all(axis=None)
        assert list(matrix.index) == list(matrix.columns) == NAMES


def test_sensitivity_of_a_nonlinear_mechanism_is_its_mean_slope() -> None:
    _, holed = survey(0, 100)
    model = imputer("nonlinear", max_iter=3).fit(holed)
    with torch.no_grad():
        model.joint_.mechanism.last.weight += 0.5 * torch.randn(model.joint_.mechanism.last.weight.shape)
    matrix = model.mechanism_sensitivity(holed)
    x = torch.as_tensor(standardise(model.posterior(holed).mean(), model.columns_))
    mechanism, step = copy.deepcopy(model.joint_.mechanism).double(), 1e-4
    for k in range(4):
        move = torch.zeros(4, dtype=x.dtype)
        move[k] = step
        with torch.no_grad():
            slope = -(mechanism(x + move).logits - mechanism(x - move).logits).mean(0) / (2 * step)
        np.testing.assert_allclose(matrix.iloc[:2, k], slope[:2], atol=1e-4)
    words = model.mechanism_report(holed)["words"]
    assert "likelier missing where" in words.iloc[0]


@pytest.mark.parametrize("link", ["logistic", "probit"])
def test_a_fixed_slope_stays_while_the_rest_is_learned(link: str) -> None:
    _, holed = survey(0, 500)
    mechanism = SelfMasking(link=link, slope={"income": 1.5}, direction="high")  # type: ignore[arg-type]
    report = imputer(mechanism, max_iter=100).fit(holed).mechanism_report().set_index("feature")
    assert report.loc["income", "slope_per_sd"] == pytest.approx(1.5)
    assert report.loc["spending", "slope_per_sd"] > 2
    start = SelfMasking(link=link, slope=0.0)  # type: ignore[arg-type]
    flat = imputer(start, max_iter=30).fit(holed)
    assert (flat.mechanism_report()["slope_per_sd"].iloc[:2] == 0).all()
    assert "missing whatever its value" in flat.mechanism_report()["words"].iloc[0]


def test_fixed_slopes_are_checked() -> None:
    _, holed = survey(0, 50)
    with pytest.raises(InvalidInputError, match="unknown column 'wage'"):
        imputer(SelfMasking(slope={"wage": 1.0}), max_iter=1).fit(holed)
    with pytest.raises(InvalidInputError, match="finite"):
        imputer(SelfMasking(slope=float("nan")), max_iter=1).fit(holed)
    with pytest.raises(InvalidInputError, match="shared"):
        imputer(SelfMasking(slope={"income": 1.0}, shared=True), max_iter=1).fit(holed)


def test_probit_slopes_are_reported_in_logits() -> None:
    model = imputer(SelfMasking(link="probit", slope=2.0), max_iter=1).fit(survey(0, 50)[1])
    curve = model.joint_.mechanism.curve()
    assert curve is not None
    assert curve.slope[0].item() == pytest.approx(2.0 / LOGISTIC_PER_PROBIT)
