"""MNARImputer from the outside: what comes back, what stays as it was, and that it finds what hid the values."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pyro
import pytest
import torch

from pyro_mnar import MNARImputer, TrainingSettings
from pyro_mnar.errors import ImputationWarning
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.estimators import small_imputer, table

THRESHOLD, SLOPE = 55_000.0, 1 / 1500.0


@pytest.fixture(scope="module")
def survey() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Complete and holed: four correlated columns in very different units; high incomes are not stated."""
    generator = np.random.default_rng(0)
    common = generator.normal(size=(600, 1))
    values = (0.9 * common + 0.45 * generator.normal(size=(600, 4))) * [12_000, 3, 1, 0.5] + [50_000, 10, 0, -2]
    complete = pd.DataFrame(values, columns=["income", "rooms", "a", "b"], index=range(1000, 1600))
    hidden = generator.random(600) < 1 / (1 + np.exp(-SLOPE * (complete["income"] - THRESHOLD)))
    return complete, complete.assign(income=complete["income"].mask(hidden))


def fitted(mechanism: object, holed: pd.DataFrame) -> MNARImputer:
    return MNARImputer(
        mechanism,  # type: ignore[arg-type]
        latent_dim=2,
        hidden_units=(32,),
        n_draws_posterior=90,  # enough for these means; rows are judged, and warned of, from 100 on
        max_iter=100,
        training=TrainingSettings(n_draws=10, learning_rate=3e-3),
        random_state=0,
    ).fit(holed)


@pytest.fixture(scope="module")
def known_direction(survey: tuple[pd.DataFrame, pd.DataFrame]) -> MNARImputer:
    return fitted(SelfMasking(direction={"income": "high"}), survey[1])


@pytest.fixture(scope="module")
def unknown_direction(survey: tuple[pd.DataFrame, pd.DataFrame]) -> MNARImputer:
    return fitted("self-masking", survey[1])


@pytest.mark.parametrize("which", ["known_direction", "unknown_direction"])
def test_report_recovers_the_mechanism_in_original_units(which: str, request: pytest.FixtureRequest) -> None:
    row = request.getfixturevalue(which).mechanism_report().set_index("feature").loc["income"]
    assert row["threshold"] == pytest.approx(THRESHOLD, abs=0.15 * 12_000)
    assert row["slope"] == pytest.approx(SLOPE, rel=0.35)
    assert row["direction"] == "high"


def test_a_column_without_holes_has_no_mask_term(known_direction: MNARImputer, survey) -> None:
    report = known_direction.mechanism_report().set_index("feature")
    assert report.loc[["rooms", "a", "b"], ["slope", "slope_per_sd", "threshold"]].isna().all(axis=None)
    assert report.loc["income", "missing_rate"] == pytest.approx(survey[1]["income"].isna().mean())
    # Training left their parameters where they started: no gradient ever reached them.
    joint = known_direction.joint_
    fresh = SelfMasking(direction={"income": "high"})
    fresh.setup(known_direction.columns_)
    for name, parameter in joint.mechanism.named_parameters():
        assert torch.equal(parameter[1:], dict(fresh.named_parameters())[name][1:])
        assert not torch.equal(parameter[:1], dict(fresh.named_parameters())[name][:1])


def test_the_mean_of_what_was_hidden_is_found_and_the_ignorable_model_misses_it(known_direction, survey) -> None:
    complete, holed = survey
    hidden = holed["income"].isna()
    truth = complete.loc[hidden, "income"].mean()
    error = abs(known_direction.transform(holed).loc[hidden, "income"].mean() - truth)
    ignorable = fitted("ignorable", holed).transform(holed)
    assert error < 0.2 * 12_000
    assert ignorable.loc[hidden, "income"].mean() < truth - 0.5 * 12_000


def test_frames_come_back_as_frames_with_observed_cells_bit_for_bit(known_direction, survey) -> None:
    holed = survey[1]
    before = holed.copy(deep=True)
    completed = known_direction.transform(holed)
    assert isinstance(completed, pd.DataFrame)
    pd.testing.assert_frame_equal(holed, before, check_exact=True)
    assert completed.index.equals(holed.index) and completed.columns.equals(holed.columns)
    observed = holed.notna().to_numpy()
    assert (completed.to_numpy()[observed] == holed.to_numpy()[observed]).all()
    assert np.isfinite(completed.to_numpy()).all()


@pytest.mark.parametrize("layout", ["C", "F", "read-only"])
def test_arrays_come_back_as_arrays_with_observed_cells_bit_for_bit(layout: str) -> None:
    X = np.array(table(), order="F" if layout == "F" else "C") * 1e6 / 3
    X.setflags(write=layout != "read-only")
    before = X.copy()
    completed = small_imputer().fit_transform(X)
    assert isinstance(completed, np.ndarray)
    np.testing.assert_array_equal(X, before)
    observed = ~np.isnan(X)
    assert (completed[observed] == X[observed]).all() and np.isfinite(completed).all()


def test_one_random_state_gives_one_result_and_another_gives_another() -> None:
    X = table()
    first, again, other = (small_imputer(random_state=seed).fit_transform(X) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    one = small_imputer(random_state=np.random.RandomState(3)).fit_transform(X)
    np.testing.assert_array_equal(one, small_imputer(random_state=np.random.RandomState(3)).fit_transform(X))


@pytest.mark.parametrize("mechanism", ["self-masking", "linear"])
def test_fit_and_transform_leave_every_global_setting_alone(mechanism: str, untouched_generators) -> None:
    # A parameter of another program, under a name that the pair's networks have too.
    pyro.param("encoder.loc_and_scale.bias", torch.ones(3))
    store = {name: value.detach().clone() for name, value in pyro.get_param_store().items()}
    threads = torch.get_num_threads()
    try:
        with untouched_generators():
            small_imputer(mechanism=mechanism, random_state=0).fit_transform(table())
        after = dict(pyro.get_param_store().items())
        assert after.keys() == store.keys()
        assert all(torch.equal(after[name], value) for name, value in store.items())
        assert torch.get_default_dtype() == torch.float32
        assert torch.get_num_threads() == threads and torch.is_grad_enabled()
    finally:
        pyro.clear_param_store()


def test_under_another_default_dtype_the_result_is_the_same() -> None:
    X = table()
    expected = small_imputer().fit_transform(X)
    torch.set_default_dtype(torch.float64)
    try:
        completed = small_imputer().fit_transform(X)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.isfinite(completed).all() and completed.shape == expected.shape


def test_a_second_fit_starts_anew() -> None:
    imputer = small_imputer()
    first = imputer.fit_transform(table(seed=1))
    imputer.fit(table(seed=2))
    np.testing.assert_array_equal(imputer.fit_transform(table(seed=1)), first)


def test_mean_and_median_and_one_draw(known_direction, survey) -> None:
    holed = survey[1]
    hidden = holed["income"].isna()
    imputer = copy.deepcopy(known_direction)
    values = {
        strategy: imputer.set_params(strategy=strategy).transform(holed).loc[hidden, "income"]
        for strategy in ("mean", "median", "sample")
    }
    posterior = known_direction.posterior(holed)
    column = list(holed.columns).index("income")
    np.testing.assert_allclose(values["median"], posterior.median()[hidden, column], rtol=1e-6)
    # A draw keeps the spread that the mean takes away.
    assert values["sample"].std() > 1.1 * values["mean"].std()
    assert values["sample"].mean() == pytest.approx(values["mean"].mean(), abs=0.1 * 12_000)


def test_new_rows_are_imputed_with_the_fitted_model(known_direction, survey) -> None:
    new = pd.DataFrame({"income": [np.nan, np.nan], "rooms": [5.0, 16.0], "a": [-2.0, 2.0], "b": [-3.0, -1.0]})
    low, high = known_direction.transform(new)["income"]
    assert low < high
    assert known_direction.score(survey[1]) > fitted_score_of_noise(known_direction, survey[1])


def fitted_score_of_noise(imputer: MNARImputer, holed: pd.DataFrame) -> float:
    """Score of the same cells with each column shuffled, which breaks what the columns tell of each other."""
    generator = np.random.default_rng(0)
    return imputer.score(holed.apply(lambda column: generator.permutation(column.to_numpy())))


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame], ids=["array", "frame"])
@pytest.mark.parametrize("refit", [None, "bootstrap"])
def test_multiple_imputation_leaves_observed_cells_bit_for_bit(kind: Any, refit: Any) -> None:
    X = table() * 1e5 + 0.1
    given = kind(X.copy())
    imputer = small_imputer().fit(given)
    for completed in imputer.multiple_impute(given, 3, refit=refit):
        found = np.asarray(completed)
        assert found[~np.isnan(X)].tobytes() == X[~np.isnan(X)].tobytes()
        assert np.isfinite(found).all()
    assert np.asarray(given).tobytes() == X.tobytes()


def test_a_second_fit_keeps_no_finding_of_the_first() -> None:
    X = table()
    imputer = small_imputer().fit(X)
    assert len(imputer.findings_) == X.shape[1]
    assert imputer.set_params(mechanism="self-masking").fit(X).findings_ == ()


def test_values_far_beyond_what_was_observed_are_said_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(60, 2))
    holed = pd.DataFrame(x, columns=["far", "near"]).mask(np.random.default_rng(1).random(x.shape) < 0.2)
    imputer = MNARImputer("ignorable", latent_dim=1, max_iter=1, n_draws_posterior=20, random_state=0).fit(holed)
    imputer.transform(holed)
    somewhere = np.array([12.0, 1.0])
    monkeypatch.setattr(
        imputer, "_imputed", lambda rows, first: np.where(np.isnan(rows.values), somewhere, rows.values)
    )
    with pytest.warns(ImputationWarning, match=r"in 'far' \(100% of its imputed values, as 12; observed -2") as caught:
        imputer.transform(holed)
    assert "'near'" not in str(caught[0].message)
