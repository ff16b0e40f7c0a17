"""Run one row: simulate a set, fit, and take the interval that the observed information gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pyro_mnar.studies.selection.design import CASES, TRUTH, SelectionRow
from pyro_mnar.studies.selection.fits import fitted, parameters_of
from pyro_mnar.studies.selection.textbook import NAMES, maximum_likelihood, simulate, standard_errors

#: So that no set of the tests is one of the study.
_FIRST_SEED = 10_000


def run_row(spec: SelectionRow, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge; see :class:`~pyro_mnar.studies.study.Study`."""
    nu = CASES[spec.case]
    X = simulate(spec.rows, _FIRST_SEED + spec.seed, np.array([*TRUTH, *([np.log(nu)] if np.isfinite(nu) else [])]))
    freedom = np.inf
    if spec.method == "likelihood":
        found = maximum_likelihood(X, None if np.isfinite(nu) else np.inf)
    elif spec.method == "normal":
        found = parameters_of(fitted(X, "normal", max_iter=spec.passes))
    else:
        held = nu if spec.method == "student-t held" else None
        found = parameters_of(fitted(X, "student-t", held, max_iter=spec.passes))
        freedom = nu if held else freedom
    errors = standard_errors(found, X, freedom)
    return {
        "hidden": float(np.isnan(X[:, 1]).mean()),
        "estimates": {name: float(value) for name, value in zip(NAMES, found, strict=False)},
        "errors": {
            name: float(value) if np.isfinite(value) else None for name, value in zip(NAMES, errors, strict=False)
        },
    }
