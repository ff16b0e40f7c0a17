"""Masks that depend on what is observed, in the table and beside its model, through the estimators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pyro_mnar.mechanisms import Nested, SelfMasking
from scipy.stats import norm

from pyro_mnar import MNARImputer, MNARRegressor, TrainingSettings, load, plots, ppc, save, sensitivity
from pyro_mnar import comparison as comparing
from pyro_mnar.analysis.held_slope import with_slope
from pyro_mnar.errors import FileFormatError, InvalidInputError
from pyro_mnar.model.mechanisms import by_name
from pyro_mnar.persistence.files import MANIFEST
from tests.support.folders import sign

#: Too few draws for a row to be judged, so that none is refined.
QUICK: dict[str, Any] = {"decoder": "linear", "max_iter": 4, "n_draws_posterior": 99, "random_state": 0}
ASKED = SelfMasking("high", depends_on={"income": ["age"]}, mechanism_features={"income": ["mode", "calls"]})


def survey(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """Incomes that go missing by themselves, by age, and by how people were asked, which says nothing of income."""
    rng = np.random.default_rng(seed)
    age = rng.normal(50, 10, n)
    income = 0.5 * age + rng.normal(0, 5, n)
    mode, calls = rng.choice(["face", "phone", "web"], n).astype(object), rng.poisson(2, n).astype(float)
    t = 0.12 * (income - 25) + 0.05 * (age - 50) + 1.2 * (mode == "phone") - 0.6
    income[rng.random(n) < norm.cdf(t)] = np.nan
    age[rng.random(n) < 0.1] = np.nan
    calls[rng.random(n) < 0.1] = np.nan
    mode[0] = None
    return pd.DataFrame(
        {"age": age, "income": income, "mode": np.where(rng.random(n) < 0.05, None, mode), "calls": calls}
    )


@pytest.fixture(scope="module")
def fitted() -> MNARImputer:
    return MNARImputer(ASKED, **{**QUICK, "max_iter": 60}).fit(survey(600))


def test_columns_beside_the_model_pass_through_and_the_report_says_what_matters(fitted: MNARImputer) -> None:
    table = survey(600)
    completed = fitted.transform(table)
    assert fitted.columns_.names == ("age", "income") and fitted.joint_.collapsed
    assert not completed[["age", "income"]].isna().any(axis=None)
    pd.testing.assert_frame_equal(completed[["mode", "calls"]], table[["mode", "calls"]])
    kinds = fitted.schema_.set_index("column")
    assert kinds.loc["mode", "kind"] == "nominal" and kinds.loc["calls", "kind"] == "count"
    assert "read by the mechanism alone" in kinds.loc["mode", "why"]
    words = fitted.mechanism_report().set_index("feature").loc["income", "words"]
    assert words.startswith("income: values above 2")
    assert "likelier where" in words and "mode is phone (+" in words
    report = fitted.mechanism_report(table)
    assert report["slope_per_sd_se"].notna().any() and set(report["feature"]) == {"age", "income"}
    assert "likelier where" not in report.loc[0, "words"]


def test_evidence_and_mean_are_those_of_the_formula() -> None:
    """Two columns, one code: with b | a ~ N(m, v) the mask integrates to Phi((w m + c) / sqrt(1 + w^2 v))."""
    rng = np.random.default_rng(0)
    a, f = rng.normal(size=200), rng.normal(size=200)
    b = a + rng.normal(size=200)
    b[rng.random(200) < norm.cdf(b + 0.5 * a + f)] = np.nan
    X = np.column_stack([a, b, f])
    mechanism = SelfMasking("high", depends_on={"x1": ["x0"]}, mechanism_features={"x1": ["x2"]})
    model = MNARImputer(mechanism, types="continuous", **{**QUICK, "max_iter": 40, "n_draws_posterior": 20_000}).fit(X)
    joint, columns = model.joint_.double(), model.columns_
    with torch.no_grad():
        rows = joint.rows_given_code(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
        center, loading, noise = (
            rows.loc[0].numpy(),
            (rows.loc[1] - rows.loc[0]).numpy(),
            float(rows.scale.reshape(-1)[0]),
        )
        curve = joint.mechanism.curve_of_rows(joint_batch := model.batch(X).to("cpu", torch.float64))
    assert curve is not None and columns.beside is not None
    s = joint_batch.x.numpy()
    covariance = np.outer(loading, loading) + noise**2 * np.eye(2)
    m = center[1] + covariance[0, 1] / covariance[0, 0] * (s[:, 0] - center[0])
    v = covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0]
    w, c = float(curve.slope[1]), curve.intercept[:, 1].numpy()
    h = (w * m + c) / np.sqrt(1 + w**2 * v)
    log_a, gone = norm.logpdf(s[:, 0], center[0], np.sqrt(covariance[0, 0])), np.isnan(b)
    log_b = norm.logpdf(s[:, 1], m, np.sqrt(v)) + norm.logcdf(-(w * s[:, 1] + c))
    posterior = model.posterior(X, refine=False)
    exact = log_a + np.where(gone, norm.logcdf(h), log_b)
    np.testing.assert_allclose(posterior.log_evidence, exact, atol=0.05)
    mean = m + w * v / np.sqrt(1 + w**2 * v) * np.exp(norm.logpdf(h) - norm.logcdf(h))
    asked = posterior.mean()[:, 1]
    np.testing.assert_allclose(asked[gone], (columns.center[1] + columns.scale[1] * mean)[gone], atol=0.05)
    # What is beside the model tells of the cell, by way of the mask alone.
    other = model.posterior(np.column_stack([a, b, f + 2]), refine=False).mean()[:, 1]
    assert (other[gone] < asked[gone]).all()


def test_forgotten_and_wrong_columns_are_errors_by_name(fitted: MNARImputer) -> None:
    table = survey()
    with pytest.raises(ValueError, match="names the unknown column 'mode'"):
        fitted.transform(table.drop(columns="mode"))
    for mechanism, message in (
        (SelfMasking(mechanism_features=["shoe"]), "'shoe'"),
        (SelfMasking(depends_on=["shoe"]), "'depends_on' names the column 'shoe'"),
        (SelfMasking(depends_on={"age": ["income"], "income": ["age"]}), "goes round in a circle"),
        ({"income": Nested(depends_on={"income": ["income"]})}, "depends on itself"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            MNARImputer(mechanism, **QUICK).fit(table)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"of the kind identifier .* tells nothing of the mask"):
        name = table.assign(name=[f"person {i}" for i in range(len(table))])
        MNARImputer(SelfMasking(mechanism_features=["name"]), **QUICK).fit(name)
    table = table.assign(calls=np.random.default_rng(1).normal(size=len(table)))
    numbers = MNARImputer(ASKED, **QUICK).fit(table)
    with pytest.raises(InvalidInputError, match=r"column 'calls' holds 1e\+15"):
        numbers.transform(table.assign(calls=1e15))


def test_a_declared_kind_of_a_column_beside_the_model_counts() -> None:
    table = survey().assign(mode=lambda t: pd.factorize(t["mode"])[0].astype(float))
    table.loc[table["mode"] < 0, "mode"] = np.nan
    found = MNARImputer(ASKED, types={"mode": "nominal"}, **QUICK).fit(table)
    assert found.columns_.beside is not None
    assert found.columns_.beside.names == ("mode=0", "mode=1", "mode=2", "calls")
    # On its own scale, as a probit regression would have it.
    assert found.columns_.beside.center[3] == pytest.approx(table["calls"].mean())
    same = MNARImputer(ASKED, types="continuous", **QUICK).fit(table.astype(float))
    assert same.columns_.names == ("age", "income") and same.columns_.beside is not None
    assert same.columns_.beside.names == ("mode", "calls")


def test_saved_and_loaded_it_answers_alike(fitted: MNARImputer, tmp_path: Path) -> None:
    table = survey(50, seed=1)
    save(fitted, tmp_path / "model")
    other = load(tmp_path / "model")
    pd.testing.assert_frame_equal(other.transform(table), fitted.transform(table))
    pd.testing.assert_frame_equal(other.mechanism_report(), fitted.mechanism_report())


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("state/_schema/fields/beside/tuple/0/tuple", 0, 99),
        ("state/_schema/fields/beside/tuple/0/tuple/1/fields", "kind", "identifier"),
        ("state/_schema/fields", "beside", {"tuple": []}),
        ("state/columns_/fields", "beside", None),
        ("state/columns_/fields/beside/fields", "names", {"tuple": ["mode", "calls"]}),
    ],
)
def test_forged_columns_beside_the_model_are_refused(
    fitted: MNARImputer, tmp_path: Path, place: str, key: Any, value: Any
) -> None:
    save(fitted, tmp_path / "model")
    manifest = part = json.loads((tmp_path / "model" / MANIFEST).read_text())
    for name in place.split("/"):
        part = part[int(name) if isinstance(part, list) else name]
    part[key] = value
    sign(tmp_path / "model", manifest)
    with pytest.raises(FileFormatError):
        load(tmp_path / "model")


def test_checks_simulate_the_masks_that_others_depend_on_first(fitted: MNARImputer) -> None:
    table = survey(600)
    found = ppc.check(fitted, table, n_tables=60)
    rate = found[(found["check"] == "missing rate") & (found["column"] == "income")].iloc[0]
    assert rate["low"] <= rate["observed"] <= rate["high"]
    with torch.no_grad():
        weight = fitted.joint_.mechanism.observed.weight  # type: ignore[union-attr]
        kept = weight.clone()
        # A huge number for "age is missing": then income must be missing too, in every simulated row.
        weight[1, 2 + 4] = 50.0
        simulated = ppc.simulate(fitted, table, n_tables=5)
        weight.copy_(kept)
    hidden = ~simulated.observed
    assert hidden[..., 0].any() and hidden[..., 1][hidden[..., 0]].all()
    assert not hidden[..., 1].all()


def test_comparison_plots_sweep_and_bootstrap_take_it() -> None:
    table = survey()
    small = TrainingSettings(batch_size=300)
    model = MNARImputer(ASKED, training=small, **QUICK).fit(table)
    other = MNARImputer(SelfMasking("high", mechanism_features=["mode", "calls"]), training=small, **QUICK).fit(table)
    assert set(comparing.compare({"with age": model, "without": other}, table, n_draws_mask=20).index) == {
        "with age",
        "without",
    }
    assert plots.mechanism_curves(model, table, "income").lines
    swept = sensitivity.sweep(model, table, lambda t: t["income"].mean(), "income", [0.0, 1.0], n_imputations=2)
    assert swept["estimate"].notna().all()
    for mechanism in (ASKED, {"income": Nested(mechanism_features=["mode"]), "calls": "ignorable"}):
        assert by_name(with_slope(mechanism, {"income": 1.0})).beside == by_name(mechanism).beside  # type: ignore[arg-type]
    assert len(MNARImputer(ASKED, **QUICK).fit(table).multiple_impute(table, 2, refit="bootstrap")) == 2


def test_it_stands_in_a_model_with_a_target_and_where_values_are_drawn() -> None:
    table = survey(120)
    y = np.random.default_rng(0).normal(size=120)
    quick = {**QUICK, "n_draws_posterior": 30}
    regressor = MNARRegressor(ASKED, **quick).fit(table, y)
    assert np.isfinite(regressor.predict(table)).all()
    drawn = MNARImputer(ASKED, training=TrainingSettings(collapse=False, n_inner=3), **quick).fit(table)
    assert not drawn.joint_.collapsed and not drawn.transform(table)["income"].isna().any()
    assert drawn.to_inference_data(table, n_samples=5) is not None
