"""Guards that hold for every test, and what several test files share."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pyro
import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
# A shell starts what runs in its background with Ctrl-C ignored, and so are all processes that this one starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _global_settings() -> dict[str, object]:
    store = pyro.get_param_store()
    return {
        "torch default dtype": torch.get_default_dtype(),
        "torch thread count": torch.get_num_threads(),
        "torch gradient mode": torch.is_grad_enabled(),
        "torch deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "Pyro parameter store": {name: value.detach().clone() for name, value in store.items()},
        "numpy error handling": np.geterr(),
    }


def _differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    def same(a: object, b: object) -> bool:
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return a.shape == b.shape and torch.equal(a, b)
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        return a == b

    return [f"{name}: {before[name]} became {after[name]}" for name in before if not same(before[name], after[name])]


def _generator_states() -> dict[str, object]:
    kind, keys, position, *rest = np.random.get_state()  # noqa: NPY002 - the global generator is what is guarded
    return {
        "torch": torch.get_rng_state(),
        "numpy": (kind, np.asarray(keys).tolist(), position, rest),
        "python": random.getstate(),
    }


@pytest.fixture(autouse=True)
def guarded_globals() -> Iterator[None]:
    """Fail a test that leaves a global setting changed, and start each from the same generator states.

    The states are fixed so that a test's result does not depend on which tests ran before it in the
    same process; code that must not touch the generators at all is checked with `untouched_generators`.
    """
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    before = _global_settings()
    yield
    after = _global_settings()
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(torch_state)
    changed = _differences(before, after)
    if changed:
        # Put the settings back, so that only the test that changed them fails.
        torch.set_default_dtype(before["torch default dtype"])  # type: ignore[arg-type]
        torch.set_num_threads(before["torch thread count"])  # type: ignore[arg-type]
        torch.set_grad_enabled(before["torch gradient mode"])  # type: ignore[arg-type]
        torch.use_deterministic_algorithms(before["torch deterministic algorithms"])  # type: ignore[arg-type]
        np.seterr(**before["numpy error handling"])  # type: ignore[call-overload]
        pyro.clear_param_store()
        pytest.fail("the test changed global settings: " + "; ".join(changed))


@pytest.fixture
def untouched_generators() -> Callable[[], AbstractContextManager[None]]:
    """Give a context manager that fails when its body moves a global random generator."""

    @contextmanager
    def guard() -> Iterator[None]:
        before = _generator_states()
        yield
        changed = _differences(before, _generator_states())
        assert not changed, f"global generators moved: {[c.split(':')[0] for c in changed]}"

    return guard


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Find the folder with the original data files, or skip."""
    named = os.environ.get("PYRO_MNAR_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no folder with the original data files (set PYRO_MNAR_DATA to one)")
    return folder
