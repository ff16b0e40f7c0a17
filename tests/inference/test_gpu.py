"""Fits and answers on a GPU: those of the processor, but for rounding and other random numbers."""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyro_mnar
from pyro_mnar import load, save
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import Run
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.mechanisms import Censored, SelfMasking
from tests.support.estimators import small_classifier, small_images, small_imputer, small_regressor, table
from tests.support.pairs import small_batch, small_joint
from tests.support.people import holed, people

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
X = table(200)


@pytest.mark.parametrize("mechanism", ["auto", "ignorable", "latent", "linear", "nonlinear", "self-masking"])
def test_an_imputer(mechanism: str) -> None:
    there = small_imputer(mechanism=mechanism, device="cuda", n_draws_posterior=200, max_iter=5).fit(X)
    assert {weight.device.type for weight in there.joint_.state_dict().values()} == {"cuda"}
    completed, posterior = there.transform(X), there.posterior(X)
    assert np.isfinite(completed).all() and np.array_equal(completed[~np.isnan(X)], X[~np.isnan(X)])
    assert np.isfinite(posterior.quantile([0.1, 0.9])).all() and np.isfinite(posterior.log_evidence).all()
    assert np.isfinite(posterior.sample(3)).all()


def test_one_model_gives_the_same_answers_on_both(tmp_path: Path) -> None:
    """Noise of answers is made on the processor: only rounding differs."""
    there = small_imputer(mechanism="self-masking", device="cuda", n_draws_posterior=500, max_iter=10).fit(X)
    save(there, tmp_path / "model")
    here = load(tmp_path / "model")
    assert {weight.device.type for weight in here.joint_.state_dict().values()} == {"cpu"}
    again = load(tmp_path / "model", device="cuda")
    for estimator in (here, again):
        np.testing.assert_allclose(estimator.transform(X), there.transform(X), rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(estimator.score_samples(X), there.score_samples(X), rtol=1e-3, atol=1e-3)


def test_the_bound_is_that_of_the_processor() -> None:
    joint, batch = small_joint(SelfMasking()), small_batch(50)
    bound = ImportanceBound(20_000)
    with torch.no_grad():
        joint.generator = torch.Generator().manual_seed(0)
        here = bound.row_bounds(joint.model, joint.guide, batch)
        joint.to("cuda").generator = torch.Generator("cuda").manual_seed(0)
        there = bound.row_bounds(joint.model, joint.guide, batch.to("cuda", torch.float64))
    np.testing.assert_allclose(there.cpu().mean(), here.mean(), atol=0.02)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Where in the package the third step of a fit waits for the GPU, by CUDA's own account."""
    step, found = Run.one_step, Counter[str]()

    def note(message: Any, *_: Any, **__: Any) -> None:
        if "called a synchronizing CUDA operation" in str(message):
            ours = [frame for frame in traceback.extract_stack() if PACKAGE in Path(frame.filename).parents]
            found[f"{Path(ours[-1].filename).name} {ours[-1].name}"] += 1

    def counted(run: Run, batch: Batch) -> None:
        if (run.history.n_iter, run.step) != (0, 2):
            return step(run, batch)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = note
            torch.cuda.set_sync_debug_mode("warn")
            try:
                return step(run, batch)
            finally:
                torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Run, "one_step", counted)
    return found


PACKAGE = Path(pyro_mnar.__file__).parent
ONCE = {"training.py all_finite": 1}
MECHANISMS: list[Any] = ["auto", "ignorable", "latent", "linear", "nonlinear", "self-masking"]
LINKS: list[Any] = [SelfMasking(link="logistic"), SelfMasking(shape="two-sided")]
LIMITS = {"income": Censored(lower=15_000.0), "satisfaction": Censored(upper=3.0), "default": "auto"}


@pytest.mark.parametrize("mechanism", [*MECHANISMS, *LINKS], ids=str)
def test_a_step_waits_once_for_the_gpu(mechanism: Any, waits: Counter[str]) -> None:
    small_imputer(mechanism=mechanism, device="cuda", batch_size=32).fit(X)
    assert waits == ONCE


@pytest.mark.parametrize("mechanism", [*MECHANISMS, LIMITS, {"income": "self-masking", "default": "latent"}], ids=str)
def test_so_in_tables_of_every_kind(mechanism: Any, waits: Counter[str]) -> None:
    small_imputer(mechanism=mechanism, device="cuda", batch_size=32).fit(holed(people(300)))
    assert waits == ONCE


@pytest.mark.parametrize("mechanism", ["ignorable", "linear"])
def test_so_with_a_target(mechanism: str, waits: Counter[str]) -> None:
    small_regressor(mechanism=mechanism, device="cuda", batch_size=32).fit(X, np.arange(200.0))
    assert waits == ONCE


def test_drawn_cells_that_are_tilted_are_looked_up(waits: Counter[str]) -> None:
    """With a target they are drawn given their mask: which columns, and which cells, is asked each time."""
    small_regressor(mechanism="self-masking", device="cuda", batch_size=32).fit(X, np.arange(200.0))
    assert waits == {**ONCE, "gaussian.py missing_given_mask": 1, "gaussian.py rsample": 1}


@pytest.mark.parametrize("mechanism", ["auto", "linear", "self-masking"])
def test_targets(mechanism: str) -> None:
    labels = np.arange(200) % 2
    classifier = small_classifier(mechanism=mechanism, device="cuda", n_inner=2).fit(X, labels)
    np.testing.assert_allclose(classifier.predict_proba(X).sum(1), 1, rtol=1e-5)
    regressor = small_regressor(mechanism=mechanism, device="cuda").fit(X, np.arange(200.0))
    assert np.isfinite(regressor.predict(X)).all() and np.isfinite(regressor.predict_interval(X)).all()


@pytest.mark.parametrize("strategy", ["mean", "sample"])
def test_every_kind_of_column(strategy: Any) -> None:
    mixed = holed(people(300))
    imputer = small_imputer(mechanism="self-masking", device="cuda", strategy=strategy).fit(mixed)
    assert not imputer.transform(mixed).isna().any().any()


def test_images() -> None:
    stack = np.where(np.random.default_rng(0).random((20, 4, 4)) < 0.3, np.nan, 0.5)
    assert np.isfinite(small_images(device="cuda").fit(stack).transform(stack)).all()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one GPU is here")
def test_two_gpus_train_as_one() -> None:
    pytest.importorskip("lightning_fabric")
    one, two = (small_imputer(device="cuda", devices=n, batch_size=32, max_iter=5).fit(X) for n in (1, 2))
    assert two.history_.bound == pytest.approx(one.history_.bound, rel=1e-5)
