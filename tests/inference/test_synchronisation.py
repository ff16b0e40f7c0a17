"""A training step waits for a device once: when it asks whether loss and gradients are finite."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import Run
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.likelihoods import base
from pyro_mnar.model.mechanisms import SelfMasking
from tests.estimators.test_mixed_tables import holed, people
from tests.support.estimators import small_classifier, small_imputer, small_regressor, table

#: What brings a number, or a number of cells, from the device to the processor.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal"}


class Waits(TorchDispatchMode):
    """Counts operations for whose result the processor has to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, arguments = func.__name__.split(".")[0], list(args)
        places = arguments[1] if name in ("index", "index_put", "index_put_") else []
        if any(place is not None and place.dtype == torch.bool for place in places):
            name = "nonzero"
        if name in WAITS:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What the third step of a fit waits for."""
    step, found = Run.one_step, Counter[str]()

    def counted(run: Run, batch: Batch) -> None:
        with Waits() as waits:
            step(run, batch)
        if (run.history.n_iter, run.step) == (0, 2):
            found.update(waits.found)

    monkeypatch.setattr(Run, "one_step", counted)
    return found


X, TARGET = table(200), np.arange(200.0)


@pytest.mark.parametrize("mechanism", ["auto", "ignorable", "latent", "linear", "nonlinear"])
def test_a_step_asks_once_whether_all_is_finite(mechanism: str, waits: Counter[str]) -> None:
    small_imputer(mechanism=mechanism, batch_size=32).fit(X)
    assert waits == {"_local_scalar_dense": 1}


@pytest.mark.parametrize("mechanism", ["ignorable", "linear"])
@pytest.mark.parametrize("make", [small_classifier, small_regressor])
def test_so_too_with_a_target(mechanism: str, make: Any, waits: Counter[str]) -> None:
    make(mechanism=mechanism, batch_size=32).fit(X, TARGET % 2)
    assert waits == {"_local_scalar_dense": 1}


def everywhere(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What a GPU takes for the cells of a mask."""
    return torch.arange(mask.numel()), mask.reshape(-1)


MIXED = holed(people(300))


def test_a_gpu_does_not_ask_which_cells_are_missing(waits: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor, which has nobody to wait for, does, and integrates over no others."""
    small_imputer(mechanism="self-masking", batch_size=32).fit(X)
    assert waits["nonzero"] == 2
    waits.clear()
    monkeypatch.setattr(base, "places", everywhere)
    small_imputer(mechanism="self-masking", batch_size=32).fit(X)
    assert waits == {"_local_scalar_dense": 1}


@pytest.mark.parametrize("link", ["logistic", "probit"])
@pytest.mark.parametrize("frame", [X, MIXED], ids=["numbers", "every kind"])
def test_the_mask_term_of_all_places_is_that_of_the_missing_ones(
    frame: Any, link: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    imputer = small_imputer(mechanism=SelfMasking(link=link)).fit(frame)
    joint, batch, found = imputer.joint_.double(), imputer.batch(frame), []
    batch = batch.to("cpu", torch.float64)
    for own in (base.places, everywhere):
        monkeypatch.setattr(base, "places", own)
        joint.generator = torch.Generator().manual_seed(0)
        joint.zero_grad()
        bounds = ImportanceBound(5).row_bounds(joint.model, joint.guide, batch)
        bounds.sum().backward()
        found.append((bounds.detach(), [weight.grad for weight in joint.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-10)
