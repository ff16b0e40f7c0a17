"""Public methods check what they are given; work that cannot fit is refused at once, and long work says so."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pyro_mnar import MNARImputer
from pyro_mnar.analysis.pooling import pool
from pyro_mnar.analysis.sensitivity import sweep
from pyro_mnar.data import arguments
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.arviz import to_inference_data
from pyro_mnar.estimators.replicates import simulate
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.estimators import MAKERS, small_imputer, table
from tests.support.folders import FRAME
from tests.support.limits import Limit


@pytest.fixture(scope="module")
def fitted() -> MNARImputer:
    return small_imputer().fit(table())


CALLS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "draws of none": (lambda f: f.posterior(table(), n_draws=0), "n_draws is 0; it must be a whole number"),
    "draws of a half": (lambda f: f.posterior(table(), n_draws=1.5), "n_draws is 1.5"),
    "draws of a text": (lambda f: f.posterior(table(), n_draws="3"), "n_draws is '3'"),
    "draws of a truth": (lambda f: f.posterior(table(), n_draws=True), "n_draws is True"),
    "draws of nothing": (lambda f: f.posterior(table(), n_draws=np.nan), "n_draws is nan"),
    "2**70 draws": (lambda f: f.posterior(table(), n_draws=2**70), "n_draws is 1180591620717411303424; .* at most"),
    "1e12 draws": (lambda f: f.posterior(table(), n_draws=10**12), "at most 1000000000"),
    "draws beyond the memory": (lambda f: f.posterior(table(), n_draws=10**9), "1,000,000,000 draws of one row would"),
    "fewer than no more": (lambda f: f.posterior(table()).more_draws(-1), "n_draws is -1"),
    "more beyond the memory": (lambda f: f.posterior(table()).more_draws(10**9), "draws of one row would take about"),
    "more for rows beyond": (
        lambda f: f.posterior(table()).more_draws(50, [40]),
        "rows is .40.; it must be",
    ),
    "more for a mask of another length": (lambda f: f.posterior(table()).more_draws(50, [True]), "one True or False"),
    "more for half a row": (lambda f: f.posterior(table()).more_draws(50, [0.5]), "rows is .0.5."),
    "refined rows beyond": (lambda f: f.posterior(table()).refine([-41]), "it must be row numbers from 0 to 39"),
    "samples of a half": (lambda f: f.posterior(table()).sample(1.5), "m is 1.5; it must be a whole number"),
    "samples of none": (lambda f: f.posterior(table()).sample(0), "m is 0"),
    "samples beyond the memory": (
        lambda f: f.posterior(table()).sample(10**9),
        "completed tables of 40 x 4 ",
    ),
    "a seed that is a text": (lambda f: f.posterior(table()).sample(1, seed="a"), "seed is 'a'"),
    "a seed below 0": (lambda f: f.posterior(table()).sample(1, seed=-1), "seed is -1"),
    "quantile of a text": (
        lambda f: f.posterior(table()).quantile("x"),
        "q is 'x'; it must be a number",
    ),
    "quantile beyond 1": (lambda f: f.posterior(table()).quantile([0.5, 1.5]), "q is .0.5, 1.5."),
    "quantile of nothing": (lambda f: f.posterior(table()).quantile([]), r"q is \[\]"),
    "quantile that is none": (lambda f: f.posterior(table()).quantile(np.nan), "q is nan"),
    "quantiles of lists": (lambda f: f.posterior(table()).quantile([[0.1], [0.2, 0.3]]), "between 0 and 1, or a list"),
    "tables of a half": (lambda f: f.multiple_impute(table(), 1.5), "m is 1.5"),
    "tables of none": (lambda f: f.multiple_impute(table(), 0), "m is 0"),
    "tables beyond the memory": (lambda f: f.multiple_impute(table(), 10**9), "completed tables"),
    "refit that is unknown": (lambda f: f.multiple_impute(table(), 2, refit="jackknife"), "refit is 'jackknife'"),
    "one imputation": (lambda f: sweep(f, FRAME, len, "a", n_imputations=1), "n_imputations is 1; .* at least 2"),
    "a slope that is a text": (lambda f: sweep(f, FRAME, len, "a", slopes=["3"]), "slopes is '3'; it must be a finite"),
    "samples that are none": (lambda f: to_inference_data(f, table(), n_samples=1.5), "n_samples is 1.5"),
    "replicates that are none": (lambda f: simulate(f, table(), 2.5), "n_tables is 2.5"),
    "a level that is a text": (lambda f: pool([1.0, 2.0], [1.0, 1.0], level="x"), "level is 'x'"),
    "estimates that are texts": (lambda f: pool(["a", "b"], [1.0, 1.0]), "could not convert"),
    "freedom that is a text": (lambda f: pool([1.0, 2.0], [1.0, 1.0], dof_complete="x"), "dof_complete is 'x'"),
    "imputations of a half": (lambda f: sweep(f, FRAME, len, "a", n_imputations=2.5), "n_imputations is 2.5"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_wrong_argument_is_named_at_once(call: tuple[Callable[[Any], Any], str], fitted: MNARImputer) -> None:
    act, message = call
    with Limit(), pytest.raises(InvalidInputError, match=message):
        act(fitted)


def test_right_arguments_of_other_types(fitted: MNARImputer) -> None:
    posterior = fitted.posterior(table(), n_draws=np.int64(30))
    assert posterior.sample(np.int32(2)).shape == (2, 40, 4)
    assert posterior.quantile(np.array([0.25, 0.75])).shape == (2, 40, 4)
    assert posterior.quantile(1).shape == (40, 4)
    assert posterior.more_draws(40, np.array([], dtype=int)).n_draws.max() == 30
    assert posterior.more_draws(40, [-1]).n_draws.tolist() == [30] * 39 + [40]
    assert posterior.more_draws(50, np.arange(40) < 1).n_draws[0] == 50


@pytest.mark.parametrize("direction", [5, 1.5, True, ["high", 5, None, None], {"x0": 5}, ["high", ["low"], None, None]])
def test_directions(direction: Any) -> None:
    with pytest.raises(InvalidInputError, match="direction"):
        small_imputer(mechanism=SelfMasking(direction=direction)).fit(table())


@pytest.mark.parametrize("slope", ["3", [1.0], {"x0": "3"}, {"x0": None, "x1": 1j}, True, np.inf])
def test_slopes(slope: Any) -> None:
    with pytest.raises(InvalidInputError, match="slope"):
        small_imputer(mechanism=SelfMasking(slope=slope)).fit(table())


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_draws": 2**70}, "a step of training with n_draws=1180591620717411303424"),
        ({"n_inner": 10**12}, "a step of training with .*n_inner=1000000000000"),
        ({"latent_dim": 10**9}, "a model of .* weights would take about .* GB"),
        ({"hidden_units": (10**6, 10**6)}, "a model of .* weights would take about .* GB"),
    ],
)
def test_what_cannot_fit_says_so_at_once(make: Any, parameters: Any, message: str) -> None:
    X = table() if make is not MAKERS.get("images") else np.random.default_rng(0).uniform(size=(40, 8, 8))
    with Limit(), pytest.raises(InvalidInputError, match=message):
        make(**parameters).fit(X, np.arange(40) % 2)


def test_very_many_columns_say_so_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "memory_of_machine", lambda: 16e9)
    X = np.random.default_rng(0).normal(size=(10, 20_000))
    X[::2, ::3] = np.nan
    start = time.process_time()
    with pytest.raises(InvalidInputError, match=r"a model of 20,000 columns with about .* give a smaller latent_dim"):
        MNARImputer(random_state=0).fit(X)
    assert time.process_time() - start < 5.0


def test_the_machine_has_memory() -> None:
    assert 2**28 < arguments.memory_of_machine() < 2**50


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_checkpoint_folder_that_is_a_file(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidInputError, match="which is not a folder; give a folder"):
        small_imputer(checkpoint_dir=tmp_path / place, max_iter=10**9).fit(table())


def test_memory_of_a_row_is_bounded_in_its_draws(fitted: MNARImputer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "memory_of_machine", lambda: 1e6)
    fitted.posterior(table(), n_draws=1000)
    with pytest.raises(InvalidInputError, match=r"4,000 draws of one row would take about 0.0 GB, more than half"):
        fitted.posterior(table(), n_draws=4000)


def test_no_tensor_is_made_for_what_is_refused(fitted: MNARImputer) -> None:
    from pyro_mnar.persistence.files import limited_work

    with limited_work({"x": ((10,), torch.float32)}), pytest.raises(InvalidInputError):
        fitted.posterior(table()).sample(10**8)
