from __future__ import annotations

from functools import cache
from pathlib import Path

import arviz as az
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pyro_mnar import MNARClassifier, MNARRegressor
from pyro_mnar.data.columns import standardise
from pyro_mnar.errors import InvalidInputError
from tests.support.surveys import NAMES, fitted, survey

# The fits are quick ones; a few rows with uneven weights are expected. ArviZ is behind its own dependencies.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning"),
]

N = 200


@cache
def data() -> az.InferenceData:
    _, holed = survey(0, N)
    return fitted(n=N).to_inference_data(holed.set_axis([f"person {i}" for i in range(N)]), n_samples=100)


def test_groups_have_named_dimensions_and_original_units() -> None:
    idata, (_, holed) = data(), survey(0, N)
    assert set(idata.groups()) == {
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "sample_stats",
        "prior",
        "prior_predictive",
        "observed_data",
        "constant_data",
    }
    assert idata.posterior["x"].dims == ("chain", "draw", "row", "column")
    assert idata.posterior["z"].dims == ("chain", "draw", "row", "latent")
    assert idata.posterior["column"].values.tolist() == NAMES
    x = idata.posterior["x"].sel(row="person 3").values[0]
    seen = holed.notna().to_numpy()
    assert (x[:, seen[3]] == holed.to_numpy()[3, seen[3]]).all()
    np.testing.assert_array_equal(idata.observed_data["x_obs"], holed)
    np.testing.assert_array_equal(idata.constant_data["observed"], seen)
    shown = idata.posterior_predictive["x_obs"].notnull()
    np.testing.assert_array_equal(shown, idata.posterior_predictive["s"] == 1)


def test_draws_follow_the_posterior() -> None:
    idata, (_, holed) = data(), survey(0, N)
    posterior = fitted(n=N).posterior(holed)
    missing = holed["income"].isna().to_numpy()
    drawn = idata.posterior["x"].sel(column="income").values[0][:, missing]
    exact = posterior.mean()[missing, 0]
    spread = drawn.std(0)
    scores = (drawn.mean(0) - exact) / (spread / np.sqrt(100))
    # The rows of a point answer share their 300 codes, so their errors do not average out.
    assert np.abs(scores.mean()) < 1.2 and scores.std() < 2
    np.testing.assert_array_equal(idata.sample_stats["ess"], posterior.ess)
    np.testing.assert_allclose(idata.sample_stats["log_weight"], posterior.log_weights, rtol=1e-6)


def test_log_likelihoods_are_those_of_the_drawn_values() -> None:
    idata, (_, holed) = data(), survey(0, N)
    model = fitted(n=N)
    draw = idata.posterior.isel(chain=0, draw=7)
    joint = model.posterior(holed).joint
    with torch.no_grad():
        rows = joint.likelihood(joint.decoder(torch.as_tensor(draw["z"].values)))
        x = torch.as_tensor(standardise(draw["x"].values, model.columns_))
        mask = joint.mechanism(x)
    loc, scale = (np.broadcast_to(v.numpy(), x.shape) for v in (rows.loc, rows.scale))
    seen = holed.notna().to_numpy()
    density = -0.5 * ((x.numpy() - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    likelihood = idata.log_likelihood.isel(chain=0, draw=7)
    np.testing.assert_allclose(likelihood["x_obs"], (density * seen).sum(1), rtol=1e-5)
    chance = mask.probs.numpy()[:, :2]
    np.testing.assert_allclose(
        likelihood["s"], np.where(seen[:, :2], np.log(chance), np.log1p(-chance)).sum(1), rtol=1e-4, atol=1e-6
    )


def test_it_survives_a_file(tmp_path: Path) -> None:
    data().to_netcdf(str(tmp_path / "fit.nc"))
    again = az.from_netcdf(str(tmp_path / "fit.nc"))
    for group in data().groups():
        for name, variable in data()[group].data_vars.items():
            np.testing.assert_array_equal(again[group][name], variable)
            assert again[group][name].dims == variable.dims
        assert set(again[group].coords) == set(data()[group].coords)


def test_arviz_summarises_it() -> None:
    summary = az.summary(data(), var_names="x", coords={"row": ["person 0"]}, kind="stats")
    drawn = data().posterior["x"].sel(row="person 0", column="income")
    assert summary.loc["x[person 0, income]", "mean"] == pytest.approx(float(drawn.mean()), abs=1e-3)


@pytest.mark.parametrize(("group", "name"), [("posterior", "x_obs"), ("posterior", "s"), ("prior", "x_obs")])
def test_arviz_draws_its_predictive_check(group: str, name: str) -> None:
    ax = az.plot_ppc(data(), var_names=[name], coords={"column": ["income"]}, num_pp_samples=5, group=group)
    lines = ax.get_lines()
    assert len(lines) >= 6
    if name == "x_obs":
        reach = max(np.asarray(line.get_xdata(), dtype=float).max() for line in lines if len(line.get_xdata()))
        assert reach > data().observed_data["x_obs"].sel(column="income").max() * 0.9
    plt.close("all")


def test_targets_are_in_the_user_s_terms() -> None:
    complete, holed = survey(0, 60)
    settings = {"max_iter": 2, "n_draws": 3, "n_draws_posterior": 100, "hidden_units": (4,), "random_state": 0}
    labels = np.where(complete["age"] > 45, "old", "young")
    classifier = MNARClassifier(**settings).fit(holed, labels)
    idata = classifier.to_inference_data(holed, labels, n_samples=5)
    for group in ("posterior_predictive", "prior_predictive"):
        assert set(np.unique(idata[group]["y"])) <= {"old", "young"}
    assert idata.observed_data["y"].values.tolist() == labels.tolist()
    target = 1000 + 10 * complete["age"].to_numpy()
    regressor = MNARRegressor(**settings).fit(holed, target)
    drawn = regressor.to_inference_data(holed, target, n_samples=20).posterior_predictive["y"].values
    assert drawn.mean() == pytest.approx(target.mean(), abs=3 * target.std())


def test_a_number_of_samples_below_one_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        fitted(n=N).to_inference_data(survey(0, N)[1], n_samples=0)
