"""The guards on global state can fail: each is shown a test that breaks its rule."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import torch

pytest_plugins = ["pytester"]

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


BROKEN_RULES = {
    "torch.set_default_dtype(torch.float64)": "torch default dtype",
    "torch.set_num_threads(torch.get_num_threads() + 1)": "torch thread count",
    "torch.set_grad_enabled(False)": "torch gradient mode",
    "pyro.param('left_over', torch.zeros(2))": "Pyro parameter store",
    "np.seterr(all='ignore')": "numpy error handling",
}


def test_a_changed_setting_fails_its_test_only(pytester: pytest.Pytester) -> None:
    # A process of its own, because torch cannot be imported twice in one.
    pytester.makeconftest(CONFTEST.read_text())
    tests = [f"def test_bad_{i}():\n    {body}\ndef test_good_{i}():\n    pass" for i, body in enumerate(BROKEN_RULES)]
    pytester.makepyfile("\n".join(["import numpy as np, pyro, torch", *tests]))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2 * len(BROKEN_RULES), errors=len(BROKEN_RULES))
    result.stdout.fnmatch_lines_random([f"*changed global settings: {named}*" for named in BROKEN_RULES.values()])


@pytest.mark.parametrize("draw", [random.random, lambda: np.random.rand(), lambda: torch.rand(1)])  # noqa: NPY002
def test_a_moved_generator_is_seen(
    untouched_generators: Callable[[], AbstractContextManager[None]], draw: Callable[[], object]
) -> None:
    with pytest.raises(AssertionError, match="generators moved"), untouched_generators():
        draw()


def test_private_generators_are_free(untouched_generators: Callable[[], AbstractContextManager[None]]) -> None:
    with untouched_generators():
        np.random.default_rng(0).normal()
        torch.rand(1, generator=torch.Generator().manual_seed(0))
