from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from pyro_mnar import MNARClassifier, MNARRegressor
from pyro_mnar.analysis.comparison import elpd
from pyro_mnar.data.columns import log_density_factor, standardise
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.arviz_library import arviz, is_modular
from pyro_mnar.estimators.settings import with_training
from tests.support.surveys import NAMES, fitted, imputer, survey

az = arviz()
# ArviZ is behind its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
older = pytest.mark.skipif(is_modular(az), reason="ArviZ 1.x has another function for this")
modular = pytest.mark.skipif(not is_modular(az), reason="only in ArviZ 1.x")

N = 200
ROOT = Path(__file__).resolve().parents[2]


@cache
def data() -> Any:
    _, holed = survey(0, N)
    return fitted(n=N).to_inference_data(holed.set_axis([f"person {i}" for i in range(N)]), n_samples=100)


def groups(idata: Any) -> set[str]:
    return {name.strip("/") for name in idata.groups} - {""} if is_modular(az) else set(idata.groups())


def joined(variable: Any) -> np.ndarray:
    """The draws of all chains together, (draw, ...)."""
    values = variable.values
    return values.reshape(-1, *values.shape[2:])


def test_groups_have_named_dimensions_and_original_units() -> None:
    idata, (_, holed) = data(), survey(0, N)
    assert groups(idata) == {
        "posterior",
        "posterior_predictive",
        "log_likelihood",
        "log_likelihood_parts",
        "sample_stats",
        "prior",
        "prior_predictive",
        "observed_data",
        "constant_data",
    }
    assert idata.posterior["x"].dims == ("chain", "draw", "row", "column")
    assert idata.posterior["z"].dims == ("chain", "draw", "row", "latent")
    assert idata.posterior["column"].values.tolist() == NAMES
    assert dict(idata.posterior["x"].sizes) == {"chain": 4, "draw": 25, "row": N, "column": 4}
    x = joined(idata.posterior["x"].sel(row="person 3"))
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
    drawn = joined(idata.posterior["x"].sel(column="income"))[:, missing]
    exact = posterior.mean()[missing, 0]
    spread = drawn.std(0)
    scores = (drawn.mean(0) - exact) / (spread / np.sqrt(100))
    # The rows of a point answer share their 300 codes, so their errors do not average out.
    assert np.abs(scores.mean()) < 1.2 and scores.std() < 2
    np.testing.assert_array_equal(idata.sample_stats["ess"], posterior.ess)
    np.testing.assert_allclose(idata.sample_stats["log_weight"], posterior.log_weights, rtol=1e-6)


def test_the_likelihood_of_a_row_is_its_evidence_up_to_the_error_of_the_weights() -> None:
    idata, (_, holed) = data(), survey(0, N)
    model = fitted(n=N)
    posterior = model.posterior(holed)
    assert list(idata.log_likelihood.data_vars) == ["x_obs_and_s"]
    draws = joined(idata.log_likelihood["x_obs_and_s"])
    exact = posterior.log_evidence + log_density_factor(holed.to_numpy(), model.columns_)
    # The variance of a mean of weights, relative to its square, is 1/ESS - 1/K.
    spread = np.sqrt(1 / posterior.ess - 1 / posterior.n_draws)
    np.testing.assert_allclose(draws.mean(0), exact)
    np.testing.assert_allclose(draws.std(0), spread, rtol=0.02)
    loo = az.loo(idata, pointwise=True)
    assert float((loo.elpd_i if is_modular(az) else loo.loo_i).sum()) == pytest.approx(exact.sum(), abs=0.5)
    assert not loo.warning


@older
def test_waic_is_the_evidence_too() -> None:
    exact = joined(data().log_likelihood["x_obs_and_s"]).mean(0).sum()
    assert az.waic(data()).elpd_waic == pytest.approx(exact, abs=0.5)


def test_arviz_compares_models_as_this_package_does() -> None:
    _, fresh = survey(1, N)
    models = {"self-masking": fitted(), "ignorable": fitted("ignorable")}
    whole = {"round_to": "none"} if is_modular(az) else {}
    theirs = az.compare(
        {name: model.to_inference_data(fresh, n_samples=100) for name, model in models.items()}, **whole
    )
    ours = elpd(models, fresh)
    assert list(theirs.index) == ["self-masking", "ignorable"] == list(az.compare(ours).index)
    column = "elpd" if is_modular(az) else "elpd_loo"
    # In other units, so only the difference is the same.
    gap = theirs[column].iloc[0] - theirs[column].iloc[1]
    exact = getattr(ours["self-masking"], column) - getattr(ours["ignorable"], column)
    assert gap == pytest.approx(exact, abs=1.5)
    assert exact > 5


def test_parts_of_the_likelihood_are_those_of_the_drawn_values() -> None:
    idata, (_, holed) = data(), survey(0, N)
    model = fitted(n=N)
    draw = {name: idata[name].isel(chain=2, draw=7) for name in ("posterior", "log_likelihood_parts")}
    joint = model.posterior(holed).joint
    with torch.no_grad():
        rows = joint.likelihood(joint.decoder(torch.as_tensor(draw["posterior"]["z"].values)))
        x = torch.as_tensor(standardise(draw["posterior"]["x"].values, model.columns_))
        mask = joint.mechanism(x)
    loc, scale = (np.broadcast_to(v.numpy(), x.shape) for v in (rows.loc, rows.scale))
    seen = holed.notna().to_numpy()
    density = -0.5 * ((x.numpy() - loc) / scale) ** 2 - np.log(scale * model.columns_.scale) - 0.5 * np.log(2 * np.pi)
    parts = draw["log_likelihood_parts"]
    np.testing.assert_allclose(parts["x_obs"], (density * seen).sum(1), rtol=1e-5)
    chance = mask.probs.numpy()[:, :2]
    np.testing.assert_allclose(
        parts["s"], np.where(seen[:, :2], np.log(chance), np.log1p(-chance)).sum(1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(("n_samples", "chains"), [(8, 4), (10, 2), (7, 1)])
def test_draws_are_dealt_to_chains_of_equal_length(n_samples: int, chains: int) -> None:
    idata = fitted(n=N).to_inference_data(survey(0, N)[1][:5], n_samples=n_samples)
    for group in ("posterior", "posterior_predictive", "prior", "log_likelihood", "log_likelihood_parts"):
        assert (idata[group].sizes["chain"], idata[group].sizes["draw"]) == (chains, n_samples // chains)


def test_a_mechanism_of_the_whole_row_is_served_too() -> None:
    _, holed = survey(0, 60)
    idata = imputer("linear", max_iter=3).fit(holed).to_inference_data(holed, n_samples=8)
    missing = holed.isna().to_numpy()
    x = joined(idata.posterior["x"])
    assert (x.std(0)[missing] > 0).all() and (np.ptp(x, 0)[~missing] == 0).all()
    assert np.isfinite(idata.log_likelihood_parts["s"]).all()


def test_it_survives_a_file(tmp_path: Path) -> None:
    data().to_netcdf(str(tmp_path / "fit.nc"))
    again = az.from_netcdf(str(tmp_path / "fit.nc"))
    for group in groups(data()):
        for name, variable in data()[group].data_vars.items():
            np.testing.assert_array_equal(again[group][name], variable)
            assert again[group][name].dims == variable.dims
        assert set(again[group].coords) == set(data()[group].coords)
    again.close()


def test_arviz_summarises_it_with_finite_diagnostics() -> None:
    hidden = int(np.flatnonzero(survey(0, N)[1]["income"].isna())[0])
    chosen = {"row": [f"person {hidden}"], "column": ["income"]}
    summary = az.summary(data(), var_names="x", coords=chosen).astype(float).iloc[0]
    drawn = data().posterior["x"].sel(row=f"person {hidden}", column="income")
    assert summary["mean"] == pytest.approx(float(drawn.mean()), rel=0.01)
    assert summary["r_hat"] < 1.1 and 30 < summary["ess_bulk"] < 300


@older
@pytest.mark.parametrize(("group", "name"), [("posterior", "x_obs"), ("posterior", "s"), ("prior", "x_obs")])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_arviz_draws_its_predictive_check(group: str, name: str) -> None:
    ax = az.plot_ppc(data(), var_names=[name], coords={"column": ["income"]}, num_pp_samples=5, group=group)
    lines = ax.get_lines()
    assert len(lines) >= 6
    if name == "x_obs":
        reach = max(np.asarray(line.get_xdata(), dtype=float).max() for line in lines if len(line.get_xdata()))
        assert reach > data().observed_data["x_obs"].sel(column="income").max() * 0.9
    plt.close("all")


@modular
@pytest.mark.parametrize("group", ["posterior_predictive", "prior_predictive"])
def test_arviz_draws_its_predictive_check_from_1_0_on(group: str) -> None:
    drawn = az.plot_ppc_dist(data(), var_names=["x_obs"], coords={"column": ["income"]}, group=group, num_samples=5)
    assert len(drawn.viz["figure"].item().axes) == 1
    plt.close("all")


FRESH = """
import numpy as np
from pyro_mnar import MNARImputer
from pyro_mnar.comparison import elpd

X = np.random.default_rng(0).normal(size=(60, 2))
X[X[:, 0] > 0.5, 0] = np.nan
imputer = MNARImputer(decoder="linear", latent_dim=1, max_iter=3, n_draws_posterior=100, random_state=0).fit(X)
imputer.to_inference_data(X, n_samples=8)
elpd({"model": imputer}, X)
"""


def test_no_warning_reaches_the_user_of_a_machine_that_nobody_has_used(tmp_path: Path) -> None:
    """ArviZ 0.23 warns once a day, and keeps the day in the cache folder: here that is empty."""
    places = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "TMPDIR")}
    for folder in places.values():
        Path(folder).mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **places}
    run = subprocess.run([sys.executable, "-c", FRESH], env=environment, capture_output=True, text=True, check=True)
    assert "Warning" not in run.stderr


def test_targets_are_in_the_user_s_terms() -> None:
    complete, holed = survey(0, 60)
    settings = {"max_iter": 2, "n_draws": 3, "n_draws_posterior": 100, "hidden_units": (4,), "random_state": 0}
    labels = np.where(complete["age"] > 45, "old", "young")
    classifier = MNARClassifier(**with_training(settings)).fit(holed, labels)
    idata = classifier.to_inference_data(holed, labels, n_samples=5)
    for group in ("posterior_predictive", "prior_predictive"):
        assert set(np.unique(idata[group]["y"])) <= {"old", "young"}
    assert idata.observed_data["y"].values.tolist() == labels.tolist()
    target = 1000 + 10 * complete["age"].to_numpy()
    regressor = MNARRegressor(**with_training(settings)).fit(holed, target)
    drawn = regressor.to_inference_data(holed, target, n_samples=20).posterior_predictive["y"].values
    assert drawn.mean() == pytest.approx(target.mean(), abs=3 * target.std())


def test_a_number_of_samples_below_one_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="n_samples is 0"):
        fitted(n=N).to_inference_data(survey(0, N)[1], n_samples=0)
