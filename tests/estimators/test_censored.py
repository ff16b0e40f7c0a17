"""Censored columns through the estimators: read, fitted, completed within their limits, reported, checked and saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyro_mnar.mechanisms import Censored, SelfMasking
from scipy.stats import norm
from sklearn.base import clone

from pyro_mnar import MNARImputer, MNARRegressor, TrainingSettings, load, ppc, save, sensitivity
from pyro_mnar import comparison as comparing
from pyro_mnar.data.transforms import Identity
from pyro_mnar.errors import DataWarning, InvalidInputError, InvalidTypeError
from pyro_mnar.estimators.start.censored_scale import censored_scale

#: Too few draws for a row to be judged, so that none is refined.
QUICK: dict[str, Any] = {
    "decoder": "linear",
    "latent_dim": 1,
    "max_iter": 5,
    "n_draws_posterior": 99,
    "random_state": 0,
}
FITTED = {**QUICK, "max_iter": 40}


def laboratory(n: int = 160, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A log-normal column with a detection limit that differs between two laboratories, and one that predicts it."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    crp = np.exp(0.9 * z + 0.3 * rng.normal(size=n)).round(3)
    limit = np.where(rng.random(n) < 0.5, 0.5, 1.0)
    text = [f"<{low}" if value < low else f"{value}" for value, low in zip(crp, limit, strict=True)]
    return pd.DataFrame({"crp": text, "age": 50 + 10 * z + rng.normal(size=n), "lod": limit}), crp


def numbers(table: pd.DataFrame, crp: np.ndarray) -> pd.DataFrame:
    return table.assign(crp=np.where(crp < table["lod"], np.nan, crp))


def test_text_is_read_completed_within_its_limits_and_comes_back_as_numbers() -> None:
    table, crp = laboratory()
    table.loc[3, "crp"] = None
    given = table.copy()
    imputer = MNARImputer({"crp": Censored()}, **FITTED).fit(table)
    completed = imputer.transform(table)
    pd.testing.assert_frame_equal(table, given)
    assert completed["crp"].dtype == np.float64
    hidden = crp < table["lod"].to_numpy()
    hidden[3] = False
    seen = ~hidden
    seen[3] = False
    np.testing.assert_array_equal(completed["crp"][seen], crp[seen])
    assert (completed["crp"][hidden] < table["lod"][hidden]).all() and (completed["crp"] > 0).all()
    # What another column says of a cell shows in it, beside its own limit.
    share = (completed["crp"] / table["lod"])[hidden]
    assert np.corrcoef(share, (crp / table["lod"])[hidden])[0, 1] > 0.2
    tables = imputer.multiple_impute(table, 2)
    assert all((each["crp"][hidden] <= table["lod"][hidden]).all() for each in tables)
    assert not tables[0]["crp"].equals(tables[1]["crp"])
    low, high = imputer.posterior(table).quantile([0.05, 0.95])[:, :, 0]
    assert (high[hidden] <= table["lod"][hidden] + 1e-9).all() and (low[hidden] < high[hidden]).all()


def test_limits_in_a_column_say_the_same_as_texts_and_the_column_is_not_modelled() -> None:
    table, crp = laboratory()
    by_text = MNARImputer({"crp": Censored()}, **QUICK).fit(table.drop(columns="lod"))
    by_column = MNARImputer({"crp": Censored(upper="lod")}, **QUICK).fit(numbers(table, crp))
    assert by_column.columns_.names == ("crp", "age")
    row = by_column.schema_.set_index("column").loc["lod"]
    assert (row["kind"], row["why"]) == ("identifier", "upper limits of 'crp'; passed through")
    one, other = by_text.transform(table.drop(columns="lod")), by_column.transform(numbers(table, crp))
    np.testing.assert_allclose(one["crp"], other["crp"], rtol=1e-4)
    assert other["lod"].equals(table["lod"])


def test_the_scale_is_that_of_observed_and_censored_cells_together() -> None:
    table, _ = laboratory(800)
    imputer = MNARImputer({"crp": Censored()}, **QUICK).fit(table)
    assert imputer.columns_.transforms[0].describe() == "log"
    # The logarithm has the mean 0 and the standard deviation sqrt(0.9^2 + 0.3^2).
    assert imputer.columns_.center[0] == pytest.approx(0.0, abs=0.1)
    assert imputer.columns_.scale[0] == pytest.approx(np.hypot(0.9, 0.3), rel=0.1)


def test_the_likelihood_of_one_censored_column_is_the_tobit_likelihood() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(3.0, 2.0, size=100)
    frame = pd.DataFrame({"x": np.where(x < 2, np.nan, x), "c": 0.5 * x + rng.normal(size=100)})
    imputer = MNARImputer({"x": Censored(upper=2.0), "default": "ignorable"}, types="continuous", **QUICK)
    imputer.set_params(log_columns=None, n_draws_posterior=20_000).fit(frame)
    joint, columns = imputer.joint_, imputer.columns_
    loading = joint.likelihood.loc.weight.detach().double().numpy()
    mean = joint.likelihood.loc.bias.detach().double().numpy()
    sd = joint.rows_given_code(joint.prior(joint.likelihood.loc.weight).rsample()[None, None]).scale
    noise = float(sd.detach().flatten()[0])
    cov = loading @ loading.T + noise**2 * np.eye(2)
    standard = (frame.to_numpy() - columns.center) / columns.scale
    u = (2.0 - columns.center[0]) / columns.scale[0]
    slope, rest = cov[0, 1] / cov[1, 1], np.sqrt(cov[0, 0] - cov[0, 1] ** 2 / cov[1, 1])
    of_c = norm.logpdf(standard[:, 1], mean[1], np.sqrt(cov[1, 1]))
    place = mean[0] + slope * (standard[:, 1] - mean[1])
    of_x = np.where(np.isnan(standard[:, 0]), norm.logcdf(u, place, rest), norm.logpdf(standard[:, 0], place, rest))
    np.testing.assert_allclose(imputer.score_samples(frame), of_c + of_x, atol=0.02)


def test_other_columns_keep_their_mechanism_and_missing_cells_without_limits_are_at_random() -> None:
    table, crp = laboratory()
    frame = numbers(table, crp).assign(income=lambda t: 1000 + 20 * t["age"])
    frame.loc[frame["income"] > 2100, "income"] = np.nan
    frame.loc[frame.index[:5], ["crp", "lod"]] = np.nan
    mechanism = {"crp": Censored(upper="lod"), "income": SelfMasking("high")}
    imputer = MNARImputer(mechanism, **QUICK).fit(frame)
    assert imputer.joint_.collapsed and imputer.joint_.active.tolist() == [False, False, True]
    report = imputer.mechanism_report().set_index("feature")
    assert report.loc["crp", "words"].startswith("crp: of ") and "imputed within these" in report.loc["crp", "words"]
    assert "3 % missing without limits" in report.loc["crp", "words"]
    assert report.loc["income", "direction"] == "high" and "above" in report.loc["income", "words"]
    assert report.loc["age", "words"] == "age: never missing in training"
    assert not imputer.transform(frame)[["crp", "income"]].isna().to_numpy().any()


@pytest.mark.parametrize("mechanism", [Censored(), {"crp": Censored(), "default": "linear"}, "text of all"])
def test_whole_tables_and_sampled_mechanisms(mechanism: Any) -> None:
    table, crp = laboratory()
    frame = table.drop(columns="lod")
    frame.loc[::7, "age"] = np.nan
    given = Censored() if mechanism == "text of all" else mechanism
    imputer = MNARImputer(given, **QUICK).fit(frame)
    completed = imputer.transform(frame)
    hidden = crp < table["lod"].to_numpy()
    assert (completed["crp"][hidden] <= table["lod"][hidden]).all()


@pytest.mark.parametrize(
    ("kind", "values"),
    [("count", [0, 1, 2, 3, 4, 5, 6, 7]), ("bounded(0, 100)", [5.0, 20.5, 40.25, 60.0, 80.0, 95.5])],
)
def test_other_kinds_of_numbers_stay_within_limits_and_support(kind: str, values: list[float]) -> None:
    from pyro_mnar.data.kinds.declared import read_kind

    rng = np.random.default_rng(0)
    x = rng.choice(values, size=200)
    limit = values[3]
    text = [f"<{limit}" if value < limit else str(value) for value in x]
    frame = pd.DataFrame({"x": text, "y": x + rng.normal(size=200)})
    imputer = MNARImputer({"x": Censored()}, types={"x": read_kind(kind)}, **QUICK).fit(frame)
    completed = np.array(imputer.multiple_impute(frame, 2)[0]["x"])
    assert (completed[x < limit] < limit).all() and (completed >= 0).all() and len(np.unique(completed)) > 4
    if kind == "count":
        assert (completed == np.rint(completed)).all()


def test_the_regressor_takes_limits_too() -> None:
    table, crp = laboratory()
    model = MNARRegressor({"crp": Censored()}, max_iter=3, n_draws_posterior=50, random_state=0)
    model.fit(table.drop(columns="lod"), crp)
    assert np.isfinite(model.predict(table.drop(columns="lod"))).all()
    hidden = crp < table["lod"].to_numpy()
    assert (model.transform(table.drop(columns="lod"))["crp"][hidden] <= table["lod"][hidden]).all()


def test_save_load_and_clone(tmp_path: Path) -> None:
    table, _ = laboratory()
    imputer = MNARImputer({"crp": Censored(), "age": SelfMasking("high"), "default": "ignorable"}, **QUICK)
    frame = table.drop(columns="lod")
    frame.loc[frame["age"] > 60, "age"] = np.nan
    imputer.fit(frame)
    save(imputer, tmp_path / "model")
    again = load(tmp_path / "model")
    pd.testing.assert_frame_equal(again.transform(frame), imputer.transform(frame))
    assert again.mechanism_report().equals(imputer.mechanism_report())
    assert isinstance(clone(again).mechanism["crp"], Censored)


def test_checks_leave_censored_columns_out_and_comparisons_and_sweeps_say_what_they_cannot() -> None:
    table, crp = laboratory()
    frame = numbers(table, crp).drop(columns="lod")
    frame.loc[::9, "age"] = np.nan
    knows = MNARImputer({"crp": Censored(upper=0.5)}, **QUICK).fit(frame)
    lines = ppc.check(knows, frame, n_tables=10)
    assert "crp" not in set(lines["column"]) and "age" in set(lines["column"])
    other = MNARImputer("ignorable", **QUICK).fit(frame)
    with pytest.raises(InvalidInputError, match=r"knows limits of the columns \[\], the first model of \['crp'\]"):
        comparing.compare({"a": knows, "b": other}, frame)
    same = MNARImputer({"crp": Censored(upper=0.5), "default": "ignorable"}, **QUICK).fit(frame)
    found = comparing.compare({"a": knows, "b": same}, frame)
    assert np.isfinite(found[["bound", "mask_log_score"]].to_numpy()).all()
    with pytest.raises(InvalidInputError, match="column 'crp' is censored"):
        sensitivity.sweep(knows, frame, lambda t: t["crp"].mean(), "crp", [0.0], n_imputations=2)
    knows.set_params(max_iter=2)
    moved = sensitivity.sweep(knows, frame, lambda t: t["crp"].mean(), "age", [0.0, 2.0], n_imputations=2)
    assert np.isfinite(moved["estimate"]).all()
    assert np.isfinite(knows.fit(frame).to_inference_data(frame, n_samples=8).log_likelihood_parts["limits"]).all()


def test_undeclared_texts_of_limits_are_pointed_out() -> None:
    table, _ = laboratory()
    with pytest.raises(InvalidTypeError, match=r"'<1.0'; mechanism=\{'crp': Censored\(\)\}"):
        MNARImputer(**QUICK).fit(table)
    few = pd.DataFrame({"a": ["<1", "2", "3", "2", "<1", "3"] * 5, "b": np.arange(30.0) ** 0.5})
    schema = MNARImputer(**QUICK).fit(few).schema_.set_index("column")
    assert "'<1'" in schema.loc["a", "why"] and "Censored()" in schema.loc["a", "why"]


@pytest.mark.parametrize(
    ("mechanism", "match"),
    [
        ({"b": Censored()}, "unknown column 'b'"),
        ({"a": {"a": "auto"}}, "the mechanism of column 'a' is"),
        ({"a": "no such"}, "mechanism is 'no such'"),
        ({"default": Censored()}, "'default' cannot be Censored"),
        ({"a": SelfMasking(link="logistic")}, "different links: logistic for 'a', probit for 'default'"),
        ({"c": "ignorable"}, "names the column 'c', which the model does not have"),
    ],
)
def test_wrong_mechanisms_by_column_are_named(mechanism: Any, match: str) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.5, np.nan, 4.0, 0.5] * 6, "d": np.arange(30.0) ** 0.5})
    with pytest.raises(InvalidInputError, match=match):
        MNARImputer(mechanism, **QUICK).fit(frame)


def test_limits_without_a_possible_value_are_named_when_they_meet_the_fitted_column() -> None:
    table, _ = laboratory()
    imputer = MNARImputer({"crp": Censored()}, **QUICK).fit(table)
    new = table.copy()
    new.loc[0, "crp"] = "<0"
    with pytest.raises(InvalidInputError, match=r"'crp' has the limits -inf and .* in row 0, but no value"):
        imputer.transform(new)


def test_a_new_column_with_holes_but_limits_needs_no_warning(recwarn: Any) -> None:
    table, crp = laboratory()
    frame = numbers(table, crp)
    imputer = MNARImputer({"crp": Censored(upper="lod")}, training=TrainingSettings(n_draws=2), **QUICK)
    imputer.fit(frame[crp > 0.9]).transform(frame)
    assert not [warning for warning in recwarn if issubclass(warning.category, DataWarning)]


def test_two_sided_masking_is_fitted_reported_saved_and_completed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=200)
    frame = pd.DataFrame({"dose": 10 + 2 * z + 0.5 * rng.normal(size=200), "age": 50 + 10 * z})
    frame.loc[(frame["dose"] < 8.5) | (frame["dose"] > 11.5), "dose"] = np.nan
    imputer = MNARImputer({"dose": SelfMasking(shape="two-sided"), "default": "ignorable"}, **QUICK).fit(frame)
    words = imputer.mechanism_report().set_index("feature").loc["dose", "words"]
    assert words.startswith("dose: values below ") and " and above " in words
    completed = imputer.transform(frame)
    assert not completed.isna().to_numpy().any()
    save(imputer, tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").transform(frame), completed)
    with pytest.raises(InvalidInputError, match="no slope to hold"):
        sensitivity.sweep(
            imputer.set_params(mechanism=SelfMasking(shape="middle")), frame, lambda t: t["dose"].mean(), "dose"
        )


@pytest.mark.parametrize("side", [1, -1])
def test_the_scale_of_a_column_with_limits_is_that_of_its_values_near_them(side: int) -> None:
    """A twentieth lies far away at the other end, which says nothing about how the column goes on beyond its limits."""
    rng = np.random.default_rng(0)
    x = rng.normal(10.0, 2.0, size=2000)
    x[rng.random(2000) < 0.05] = 40.0 + rng.exponential(20.0)
    x, limit = side * x, side * 8.0
    hidden = side * x < 8.0
    ends = np.tile(np.sort([limit, -side * np.inf]), (hidden.sum(), 1))
    near, all_alike = (censored_scale(x[~hidden], ends, far=far) for far in (side, 0))
    assert isinstance(near.transform, Identity)
    assert near.center == pytest.approx(side * 10.0, abs=0.3) and near.scale == pytest.approx(2.0, abs=0.3)
    assert not isinstance(all_alike.transform, Identity) or all_alike.scale > 4.0
    few = censored_scale(x[~hidden][:3], ends[:1], far=side)
    assert np.isfinite([few.center, few.scale]).all()
