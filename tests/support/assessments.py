"""Assessments that take a moment: few rows, few draws, fits of two passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from pyro_mnar.analysis.assess import budget
from pyro_mnar.analysis.assess.budget import Effort
from pyro_mnar.estimators import base
from pyro_mnar.inference.posterior import Posterior

REFIT = {"decoder": "linear", "max_iter": 2, "n_draws_posterior": 20}
SMALL = Effort(100, 10, 3, (0.0, 2.0), 2, REFIT, False)


@contextmanager
def short_fits(effort: Effort = SMALL) -> Iterator[list[int]]:
    """Fits of two passes within the block, which are counted, and a budget "quick" that buys ``effort``."""
    whole, count = base.fit, []

    def short(joint: Any, data: Any, settings: Any, *rest: Any) -> Any:
        count.append(settings.seed)
        return whole(joint, data, replace(settings, max_iter=2), *rest)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(base, "fit", short)
        # What is hardly trained has uneven weights in every row.
        patched.setattr(Posterior, "refine", lambda self, rows=None, settings=None: self)
        patched.setitem(budget.EFFORTS, "quick", effort)
        yield count
