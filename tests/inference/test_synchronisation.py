"""A training step waits for a device once: when it asks whether loss and gradients are finite."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_mnar.inference.training import Run
from pyro_mnar.model.batch import Batch
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
    step, steps, found = Run.one_step, 0, Counter[str]()

    def counted(run: Run, batch: Batch) -> None:
        nonlocal steps
        steps += 1
        with Waits() as waits:
            step(run, batch)
        if steps == 3:
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


def test_where_cells_have_slopes_of_their_own_it_also_asks_which_are_missing(waits: Counter[str]) -> None:
    """Only missing cells are integrated over, and observed ones looked up: how many there are must be known."""
    small_imputer(mechanism="self-masking", batch_size=32).fit(X)
    assert waits == {"_local_scalar_dense": 1, "nonzero": 2}
