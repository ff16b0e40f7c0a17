from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
import torch

from pyro_mnar import MNARImputer
from pyro_mnar.data.columns import standardise
from pyro_mnar.errors import InvalidInputError, UnsupportedModelError
from pyro_mnar.estimators.readable import MechanismReport
from pyro_mnar.model.curve import LOGISTIC_PER_PROBIT
from pyro_mnar.model.mechanisms import Linear, Nested, SelfMasking
from tests.support.estimators import small_imputer
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


def columns_of_many_kinds() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    n = 400
    table = pd.DataFrame(
        {
            "satisfaction": generator.integers(1, 6, n),
            "education": pd.Categorical.from_codes(
                generator.integers(0, 3, n), ["low", "middle", "high"], ordered=True
            ),
            "children": generator.poisson(2.0, n),
            "sex": generator.choice(["female", "male"], n),
            "member": generator.random(n) < 0.5,
            "city": generator.choice(["Lima", "Oslo", "Rome"], n),
            "spend": np.where(generator.random(n) < 0.4, 0.0, np.exp(3 + 0.5 * generator.normal(size=n))),
            "since": pd.Timestamp("2021-01-01") + pd.to_timedelta(generator.integers(0, 300, n), "D"),
            "income": np.exp(10 + 0.5 * generator.normal(size=n)),
            "constant": 7,
        }
    )
    nullable = {"satisfaction": "Int64", "children": "Int64", "member": "boolean", "constant": "Int64"}
    return table.astype(nullable).mask(generator.random(table.shape) < 0.3)


def set_curve(model: MNARImputer, name: str, slope: float, threshold: float) -> None:
    """Let high values of one of the model's columns go missing, beyond a threshold on the model's scale."""
    j = model.columns_.names.index(name)
    with torch.no_grad():
        model.joint_.mechanism.slope_parameter[j] = slope
        model.joint_.mechanism.offset_parameter[j] = -slope * threshold


def test_sentences_speak_of_the_values_that_a_column_has() -> None:
    given = columns_of_many_kinds()
    model = small_imputer(mechanism=SelfMasking(link="logistic"), max_iter=1, start="neutral").fit(given)
    scores = dict(zip(range(1, 6), model.layout_.levels[0].scores, strict=True))
    set_curve(model, "satisfaction", 3.0, (scores[3] + scores[4]) / 2)
    set_curve(model, "education", -3.0, (model.layout_.levels[1].scores[0] + model.layout_.levels[1].scores[1]) / 2)
    children = model.layout_.levels[2]
    set_curve(model, "children", 4.0, (children.scores[2] + children.scores[3]) / 2)
    set_curve(model, "sex", -2.0, 0.5)
    set_curve(model, "member", 0.1, 0.5)
    for city, odds in (("Lima", -2.0), ("Oslo", 1.0), ("Rome", 0.5)):
        set_curve(model, f"city={city}", odds, 0.0)
    (atom,) = model.layout_.atoms[0].values
    set_curve(model, "spend", -5.0, atom + 0.1)
    set_curve(model, "since", 3.0, 0.0)
    set_curve(model, "income", 3.0, 0.0)
    report = model.mechanism_report().set_index("feature")
    assert list(report.index) == list(given.columns)
    rates = {name: f"{100 * given[name].isna().mean():.0f} % missing" for name in given}
    middle = (given["since"].dropna() - pd.Timestamp(0)).dt.days.mean()
    expected = {
        "satisfaction": f"levels 4 and 5 are likely missing (slope 3 per sd; {rates['satisfaction']})",
        "education": f"level low is likely missing (slope -3 per sd; {rates['education']})",
        "children": f"values from {children.values[3]:g} on are likely missing (slope 4 per sd; {rates['children']})",
        "sex": f"female is missing more often than male (73 % against 27 %; {rates['sex']})",
        "member": f"missing whatever its value ({rates['member']})",
        "city": f"Oslo and Rome are likely missing (12 % of Lima, 73 % of Oslo, 62 % of Rome; {rates['city']})",
        "spend": f"the value 0 is likely missing (slope -5 per sd; {rates['spend']})",
        "since": f"dates after {pd.Timestamp(0) + pd.to_timedelta(middle, 'D'):%Y-%m-%d} are likely missing "
        f"(slope 3 per sd; {rates['since']})",
    }
    assert {name: report.loc[name, "words"] for name in expected} == {k: f"{k}: {v}" for k, v in expected.items()}
    assert report.loc["satisfaction", "threshold"] == pytest.approx(3.5)
    assert report.loc["satisfaction", "slope"] == pytest.approx(3.0 * (scores[5] - scores[1]) / 4)
    assert report.loc["since", "threshold"] == pytest.approx(middle)
    assert report.loc[["education", "sex", "city"], "threshold"].isna().all()
    assert report["direction"].to_dict()["sex"] == "low" and report.loc["city", "direction"] == ""
    assert report.loc["income", "words"].startswith("income: values above 2")
    assert np.isfinite(report.loc["income", ["slope", "threshold"]].to_numpy(dtype=float)).all()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_columns_of_labels_have_one_line_in_every_report() -> None:
    given = columns_of_many_kinds()
    for mechanism in ("auto", "ignorable", "linear"):
        model = small_imputer(mechanism=mechanism, max_iter=1).fit(given)
        report = model.mechanism_report().set_index("feature")
        assert list(report.index) == list(given.columns)
        assert all(words.startswith(f"{name}: ") for name, words in report["words"].items())
        assert report["words"].str.contains(f"{100 * given['city'].isna().mean():.0f} % missing").loc["city"]
    mechanism = model.joint_.mechanism
    with torch.no_grad():
        mechanism.linear.weight.zero_()
        names = list(model.columns_.names)
        for name, slope in (("sex", 2.0), ("city=Oslo", 1.0), ("city=Rome", -0.5), ("income", -3.0)):
            mechanism.linear.weight[names.index("income"), names.index(name)] = slope
    assert (
        "likelier missing where its own value is high (+3 per sd), sex is female (-2 per sd), city is not Oslo"
        in (model.mechanism_report().set_index("feature").loc["income", "words"])
    )


def test_the_default_says_why_labels_are_not_judged() -> None:
    given = columns_of_many_kinds()
    few = given["city"].notna() | (given["city"].isna().cumsum() <= 4)
    report = small_imputer(max_iter=1).fit(given[few]).mechanism_report().set_index("feature")
    assert "there is nothing to judge it by" in report.loc["city", "words"]
    assert report.loc["city", "evidence"] == "none"
    told = small_imputer(mechanism=Nested(direction={"member": "high"}), max_iter=1).fit(given)
    words = told.mechanism_report().set_index("feature").loc["member", "words"]
    assert words.startswith("member: True is missing more often than False (") and words.endswith("direction was given")
