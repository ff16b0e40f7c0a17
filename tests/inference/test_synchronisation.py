"""A training step waits for a device once: when it asks whether loss and gradients are finite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_mnar.data.columns import Layout
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import Run
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.likelihoods import MixedLikelihood, base, levels, limits
from pyro_mnar.model.mechanisms import Censored, SelfMasking
from tests.support.estimators import small_classifier, small_imputer, small_regressor, table
from tests.support.people import holed, people

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
LIMITS = {"income": Censored(lower=15_000.0), "satisfaction": Censored(upper=3.0), "default": "auto"}


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Take all cells wherever a processor would ask which ones; or ask again."""

    def take(all_cells: bool) -> None:
        for module in (base, levels, limits):
            monkeypatch.setattr(module, "places", everywhere if all_cells else PLACES)

    return take


PLACES = base.places


def test_a_gpu_does_not_ask_which_cells_are_missing(waits: Counter[str], as_on_a_gpu: Callable[[bool], None]) -> None:
    """A processor, which has nobody to wait for, does, and integrates over no others."""
    small_imputer(mechanism="self-masking", batch_size=32).fit(X)
    assert waits["nonzero"] == 2
    waits.clear()
    as_on_a_gpu(True)
    small_imputer(mechanism="self-masking", batch_size=32).fit(X)
    assert waits == {"_local_scalar_dense": 1}


@pytest.mark.parametrize("mechanism", ["auto", "ignorable", "latent", "self-masking", LIMITS], ids=str)
def test_nor_in_tables_of_every_kind(mechanism: Any, waits: Counter[str], as_on_a_gpu: Callable[[bool], None]) -> None:
    as_on_a_gpu(True)
    small_imputer(mechanism=mechanism, batch_size=32).fit(MIXED)
    assert waits == {"_local_scalar_dense": 1}


@pytest.mark.parametrize(
    ("frame", "mechanism"),
    [
        (X, SelfMasking(link="logistic")),
        (X, SelfMasking(link="probit")),
        (MIXED, SelfMasking(link="logistic")),
        (MIXED, SelfMasking(link="probit")),
        (MIXED, LIMITS),
    ],
    ids=["numbers, logistic", "numbers, probit", "every kind, logistic", "every kind, probit", "limits"],
)
def test_the_bound_of_all_places_is_that_of_the_missing_ones(
    frame: Any, mechanism: Any, as_on_a_gpu: Callable[[bool], None]
) -> None:
    imputer = small_imputer(mechanism=mechanism).fit(frame)
    joint, batch, found = imputer.joint_.double(), imputer.batch(frame), []
    batch = batch.to("cpu", torch.float64)
    for all_cells in (False, True):
        as_on_a_gpu(all_cells)
        joint.generator = torch.Generator().manual_seed(0)
        joint.zero_grad()
        bounds = ImportanceBound(5).row_bounds(joint.model, joint.guide, batch)
        bounds.sum().backward()
        found.append((bounds.detach(), [weight.grad for weight in joint.parameters()]))
    torch.testing.assert_close(found[1], found[0], rtol=1e-10, atol=1e-10)


def test_what_no_interval_can_bound_is_told_by_the_bound(as_on_a_gpu: Callable[[bool], None]) -> None:
    """A processor refuses a limit in a column of labels; a GPU, which is not asked, gives NaN."""
    rows = MixedLikelihood(2, Layout(continuous=(0,), binary=(1,)))(torch.zeros(3, 2, 2))
    ends = torch.tensor([[[-1.0, 1.0], [0.0, torch.inf]], [[-1.0, 1.0], [-torch.inf, torch.inf]]])
    censored = ends.isfinite().any(-1)
    with pytest.raises(UnsupportedModelError, match="gives an interval no probability"):
        limits.log_within(rows, ends, censored)
    as_on_a_gpu(True)
    assert limits.log_within(rows, ends, censored).isnan().all()
    censored[:, 1] = False
    assert limits.log_within(rows, ends, censored).isfinite().all()
