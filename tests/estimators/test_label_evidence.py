"""Labels that hide themselves: the regression that finds them, where they start, and what users see of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pyro_mnar import MNARImputer, load, save
from pyro_mnar.analysis.assess.evidence import evidence
from pyro_mnar.analysis.assess.summary import _of_evidence, _to_ask
from pyro_mnar.data.columns import ColumnInfo, Group, Layout, Levels
from pyro_mnar.estimators.start import label_models
from pyro_mnar.estimators.start.label_evidence import LabelEvidence, find_label_evidence
from pyro_mnar.estimators.start.label_models import hidden_labels
from pyro_mnar.estimators.start.nested import Finding, start_nested
from pyro_mnar.estimators.start.rate_shape import shape_of_rates
from pyro_mnar.model.mechanisms import Nested, SelfMasking
from tests.support.estimators import small_imputer

#: How often each of three levels goes missing: the middle one most.
RATES = np.array([0.05, 0.9, 0.4])


def people(n: int, seed: int, mask: str) -> pd.DataFrame:
    """Two numbers, and a label that follows from them but for noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 2))
    level = np.digitize(z[:, 0] + 0.3 * rng.normal(size=n), [-0.5, 0.5])
    frame = pd.DataFrame({"a": z[:, 0] + 0.4 * rng.normal(size=n), "b": z[:, 1]})
    frame["label"] = pd.Categorical.from_codes(level, ["low", "mid", "top"])
    missing = {
        "itself": RATES[level],
        "another": 1 / (1 + np.exp(-2 * frame["a"].to_numpy())),
        "the size of another": 1 / (1 + np.exp(-3 * (frame["a"].abs().to_numpy() - 0.7))),
        "nothing": np.full(n, 0.4),
    }[mask]
    frame.loc[rng.random(n) < missing, "label"] = None
    return frame


def one_hot(frame: pd.DataFrame) -> np.ndarray:
    dummies = pd.get_dummies(frame["label"]).astype(float)
    dummies[frame["label"].isna()] = np.nan
    return np.column_stack([frame[["a", "b"]], dummies])


def as_levels(frame: pd.DataFrame) -> np.ndarray:
    codes = frame["label"].cat.codes.to_numpy(dtype=float, copy=True)
    codes[codes < 0] = np.nan
    return np.column_stack([frame[["a", "b"]], codes])


LABELS = Layout((0, 1), groups=(Group((2, 3, 4), True),))
LEVELS = Layout((0, 1), levels=(Levels(2, (0.0, 1.0, 2.0), (-1.0, 0.0, 1.0), (-0.5, 0.5)),))
FORMS: dict[str, tuple[Any, Layout]] = {"without an order": (one_hot, LABELS), "levels": (as_levels, LEVELS)}


def test_the_curvature_is_that_of_the_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, kept = np.random.default_rng(0), {}
    search = label_models.minimize

    def remembering(function: Any, start: Any, **more: Any) -> Any:
        kept["function"] = function
        return search(function, start, **more)

    monkeypatch.setattr(label_models, "minimize", remembering)
    u, label = rng.normal(size=(200, 2)), rng.integers(0, 3, 200)
    label[(label == 1) & (u[:, 0] > -0.5)] = -1
    rows = label_models._Rows(np.column_stack([u, np.ones(200)]), label, 3)
    place, _ = label_models._best(rows, np.append(np.zeros(9), np.full(3, rows.center)), rates=True)
    value = kept["function"]
    steps = 1e-5 * np.eye(len(place))
    slope = [(value(place + 0.1 + s)[0] - value(place + 0.1 - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(value(place + 0.1)[1], slope, rtol=1e-5, atol=1e-5)
    hessian = np.array([(value(place + s)[1] - value(place - s)[1]) / 2e-5 for s in steps])
    prior = float(np.log(rows.precision).sum()) - 2 * 3 * np.log(2.0)
    expected = 0.5 * (prior - np.log(np.linalg.eigvalsh(0.5 * (hessian + hessian.T))).sum())
    assert label_models._volume(rows, *rows.split(place)) == pytest.approx(expected, abs=1e-4)


def test_rates_and_shares_are_those_of_all_rows() -> None:
    frame = people(3000, 0, "itself")
    u = frame[["a", "b"]].to_numpy()
    found = hidden_labels((u - u.mean(0)) / u.std(0), frame["label"].cat.codes.to_numpy().astype(int), 3)
    np.testing.assert_allclose(found.rates, RATES, atol=0.08)
    complete = pd.Series(np.digitize(np.random.default_rng(0).normal(0, np.sqrt(1.09), 200_000), [-0.5, 0.5]))
    np.testing.assert_allclose(found.shares, complete.value_counts(normalize=True).sort_index(), atol=0.05)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mask", ["itself", "another", "the size of another", "nothing"])
def test_what_hides_itself_is_told_from_what_others_explain(form: str, mask: str) -> None:
    make, layout = FORMS[form]
    found = [find_label_evidence(make(people(700, seed, mask)), layout)[0].believed for seed in range(8)]
    assert sum(found) >= 7 if mask == "itself" else sum(found) == 0


@pytest.mark.parametrize("n_others", [1, 6])
def test_two_values(n_others: int) -> None:
    """One column that predicts it explains its mask nearly as well; six would have to do so by the same weights."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        others = rng.normal(size=(800, n_others))
        label = others.sum(1) + 0.3 * rng.normal(size=800) > np.sqrt(n_others)
        x = np.column_stack([others, label])
        x[(label == 1) & (rng.random(800) < 0.6), -1] = np.nan
        (found,) = find_label_evidence(x, Layout(tuple(range(n_others)), binary=(n_others,)))
        assert (found.log_odds > 10) == (n_others > 1) and found.columns == (n_others,)
        np.testing.assert_allclose(found.rates, [0.0, 0.6], atol=0.15)


def test_what_is_not_judged() -> None:
    frame = people(400, 0, "itself")
    table = as_levels(frame)
    assert find_label_evidence(table, LEVELS, left_out=[2]) == []
    few = table.copy()
    few[np.isnan(few[:, 2]), 2] = 1.0
    few[:5, 2] = np.nan
    assert find_label_evidence(few, LEVELS) == []
    # A level that was never observed, of which nothing says how often it goes missing.
    never = Layout((0, 1), levels=(Levels(2, (0.0, 1.0, 2.0, 3.0), (-1.0, 0.0, 1.0, 2.0), (-0.5, 0.5, 1.5)),))
    assert find_label_evidence(table, never) == []
    # One-hot columns that may go missing one by one.
    assert find_label_evidence(one_hot(frame), Layout((0, 1), groups=(Group((2, 3, 4)),))) == []
    many = np.column_stack([table[:, :2], np.where(np.isnan(table[:, 2]), np.nan, np.arange(400) % 20)])
    values = tuple(float(v) for v in range(20))
    layout = Layout((0, 1), levels=(Levels(2, values, values, tuple(v + 0.5 for v in values[:-1])),))
    assert find_label_evidence(many, layout) == []


@pytest.mark.parametrize(
    ("rates", "two_sided", "thresholds"),
    [([0.1, 0.3, 0.7, 0.9], None, 1), ([0.05, 0.9, 0.9, 0.05], False, 2), ([0.9, 0.05, 0.05, 0.9], True, 2)],
)
def test_the_shape_of_the_rates(rates: list[float], two_sided: bool | None, thresholds: int) -> None:
    scores, many = np.array([-1.5, -0.5, 0.5, 1.5]), np.full(4, 500.0)
    found = shape_of_rates(scores, np.array(rates), many)
    assert (thresholds == 1) == bool(np.isnan(found.high))
    mechanism = Nested()
    mechanism.setup(ColumnInfo(("a",), np.zeros(1), np.ones(1), np.full(1, 0.4)))
    one = (torch.ones(1, dtype=torch.bool), torch.tensor([found.slope]), torch.tensor([found.low]))
    if two_sided is None:
        mechanism.start_at(*one)
    else:
        assert found.two_sided == two_sided
        mechanism.start_between(*one, torch.tensor([found.high]), torch.tensor([two_sided]))
    missing = mechanism.curve().log_missing(torch.as_tensor(scores, dtype=torch.float32)[:, None]).exp()
    np.testing.assert_allclose(missing.detach()[:, 0], rates, atol=0.05)


@pytest.mark.parametrize("shape", ["two-sided", "middle"])
def test_two_thresholds_are_those_of_self_masking(shape: Any) -> None:
    columns = ColumnInfo(("a", "b"), np.zeros(2), np.ones(2), np.full(2, 0.4))
    own, nested = SelfMasking(shape=shape), Nested()
    for mechanism in (own, nested):
        mechanism.setup(columns)
    nested.setup_code(3)
    where = torch.tensor([True, False])
    slope, low, high = torch.tensor([2.0, 1.0]), torch.tensor([-0.7, 0.0]), torch.tensor([1.1, 0.0])
    with torch.no_grad():
        own.slope_parameter[:1], own.offset_parameter[:1] = slope[:1].log(), low[:1]
        own.width_parameter[:1] = (high - low)[:1].log()
    nested.start_between(where, slope, low, high, torch.tensor([shape == "two-sided"] * 2))
    nested.hold(where)
    x = torch.linspace(-3, 3, 13)[:, None].expand(13, 2)
    a, b = own.curve(), nested.curve()
    np.testing.assert_allclose(a.log_missing(x).detach()[:, 0], b.log_missing(x).detach()[:, 0], rtol=1e-6)
    np.testing.assert_allclose(a.log_observed(x).detach()[:, 0], b.log_observed(x).detach()[:, 0], rtol=1e-6)
    # The other column has the code's part alone, and one end.
    assert b.flat is not None and b.flat.tolist() == [False, True]
    z = torch.ones(4, 5, 3)
    rate = nested.curve(z).log_missing(torch.zeros(4, 5, 2))[..., 1].exp()
    np.testing.assert_allclose(rate.detach(), 0.4, rtol=1e-5)
    # What is held has no gradient, what is not does.
    (nested.curve(z).log_missing(torch.ones(4, 5, 2)).sum()).backward()
    for parameter in (nested.own.slope_parameter, nested.own.offset_parameter, nested.width_parameter):
        assert parameter.grad is None or float(parameter.grad[0]) == 0.0
    assert nested.loading.grad is not None and float(nested.loading.grad[1].abs().sum()) > 0


def test_levels_are_cut_by_what_they_are_in_all_cells() -> None:
    table = as_levels(people(900, 2, "itself"))
    columns = ColumnInfo(("a", "b", "c"), np.zeros(3), np.ones(3), np.isnan(table).mean(0))
    start, findings = start_nested(table, LEVELS, columns, Nested(), 0)
    assert findings[2].kind == "labels" and findings[2].log_odds > 0 and start.mechanism.held.tolist() == [0, 0, 1]
    (cut,) = start.levels
    scores = torch.tensor(cut.scores, dtype=torch.float32)
    missing = start.mechanism.curve().log_missing(torch.stack([scores * 0, scores * 0, scores], -1)).exp()[:, 2]
    np.testing.assert_allclose(missing.detach(), RATES, atol=0.12)
    # About a third of all cells are in the middle, of the observed ones a tenth.
    assert np.ptp(cut.cuts) > 0.6


def imputed(frame: pd.DataFrame) -> tuple[MNARImputer, pd.DataFrame]:
    imputer = MNARImputer(random_state=0, max_iter=40).fit(frame)
    return imputer, imputer.transform(frame)


@pytest.mark.parametrize("ordered", [False, True])
def test_the_default_imputes_the_label_that_hides(ordered: bool, tmp_path: Path) -> None:
    frame = people(700, 3, "itself")
    frame["label"] = frame["label"].cat.set_categories(["low", "mid", "top"], ordered=ordered)
    imputer, completed = imputed(frame)
    gone = frame["label"].isna()
    # By another route than the model: of rows whose a lies in the middle, nine in ten labels went missing.
    inside = gone & frame["a"].abs().lt(0.3)
    assert (completed.loc[inside, "label"] == "mid").mean() > 0.85
    line = imputer.mechanism_report().set_index("feature").loc["label"]
    assert line["evidence"] == "labels" and "label: mid is likely missing (" in line["words"]
    assert "how often each of its labels goes missing" in line["words"]
    told = evidence(imputer).set_index("column").loc["label"]
    assert told["verdict"] == "hides itself" and told["chance"] > 0.5 and told["kind"] == "labels"
    save(imputer, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.transform(frame).equals(completed)
    assert again.mechanism_report().equals(imputer.mechanism_report())


def test_a_label_lost_at_random_is_said_to_be_free_of_it() -> None:
    imputer = small_imputer().fit(people(300, 0, "nothing"))
    line = imputer.mechanism_report().set_index("feature").loc["label"]
    assert (
        line["evidence"] == "none" and "no evidence that its values are missing because of themselves" in line["words"]
    )
    assert evidence(imputer).set_index("column").loc["label", "verdict"] == "no sign of it"


@pytest.mark.parametrize(("log_odds", "verdict"), [(0.4, "undecided"), (1.2, "hides itself")])
def test_weak_odds_are_called_undecided_and_it_is_said_what_was_done(log_odds: float, verdict: str) -> None:
    imputer = small_imputer().fit(people(300, 0, "nothing"))
    imputer.findings_ = (Finding(0, "labels", log_odds, "its labels"),) * len(imputer.findings_)
    told = evidence(imputer)
    assert told[["column", "verdict", "imputed_so", "kind"]].to_numpy().tolist() == [["label", verdict, True, "labels"]]
    said = _of_evidence(told)[0]
    if verdict == "undecided":
        assert said.startswith(
            "Whether label hides its own values cannot be told from this table (the odds are about 1.5"
        )
        assert said.endswith("of it is missing, and it was imputed as if it did.")
    else:
        assert said.startswith("label hides some of its own values (the odds are about 3.3 to 1 for it, 77 %)")
    nothing = pd.DataFrame({name: [] for name in ("column", "kind", "why", "other", "chance", "p_adjusted")})
    assert _to_ask(nothing, nothing, told)[0].startswith("Can it be that of label ")
    # Labels without an order have no high end to ask for.
    profile = pd.DataFrame({"column": ["label"], "kind": ["nominal"], "why": ["labels"]})
    unlikely = told.assign(verdict="undecided", imputed_so=False, kind="")
    assert _to_ask(profile, nothing, unlikely)[0] == "Would anyone keep back some values of label rather than others?"


def test_two_values_have_a_direction_and_what_is_told_is_kept() -> None:
    rng = np.random.default_rng(5)
    a = rng.normal(size=600)
    frame = pd.DataFrame(
        {"a": a, "b": rng.normal(size=600), "member": np.where(a + 0.4 * rng.normal(size=600) > 0, "yes", "no")}
    )
    frame.loc[(frame["member"] == "yes") & (rng.random(600) < 0.7), "member"] = None
    line = small_imputer().fit(frame).mechanism_report().set_index("feature").loc["member"]
    assert line["evidence"] == "labels" and line["direction"] == "high"
    assert "yes is missing more often than no" in line["words"]
    told = small_imputer(mechanism=Nested({"member": "low"})).fit(frame)
    assert told.mechanism_report().set_index("feature").loc["member", "evidence"] != "labels"


def test_what_is_shown_counts_its_cells() -> None:
    (found,) = find_label_evidence(as_levels(people(5000, 4, "itself")), LEVELS)
    assert isinstance(found, LabelEvidence) and found.n_cells.sum() == pytest.approx(5000)
    np.testing.assert_allclose(found.n_cells / 5000, [0.316, 0.368, 0.316], atol=0.07)


def test_a_part_of_a_mechanism_looks_at_its_own_labels_only() -> None:
    parts = {"label": "ignorable", "default": "auto"}
    imputer = small_imputer(mechanism=parts).fit(people(500, 3, "itself"))
    assert [finding.kind for finding in imputer.findings_][2:] == ["told"] * 3
    (nested,) = (part for part in imputer.joint_.mechanism.mechanisms if isinstance(part, Nested))
    assert not nested.believed.any() and not nested.held.any()
    assert "no mechanism in the model" in imputer.mechanism_report().set_index("feature").loc["label", "words"]
