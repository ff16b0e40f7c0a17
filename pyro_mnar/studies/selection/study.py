"""The rows of the study (errors, what is fitted, simulated sets), and how one is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyro_mnar.studies.selection.fits import fitted, parameters_of
from pyro_mnar.studies.selection.textbook import NAMES, maximum_likelihood, simulate, standard_errors

#: Degrees of freedom of the errors of each case.
CASES = {"t3 errors": 3.0, "t5 errors": 5.0, "normal errors": np.inf}
METHODS = ("likelihood", "normal", "student-t held", "student-t")
#: Parameters of the sets; about half of the outcomes are hidden.
TRUTH = (1.0, 0.8, 0.0, float(np.arctanh(0.8)), -0.5, 0.5, 1.0)
SETS = 200
PASSES = {"likelihood": 0, "normal": 200, "student-t held": 400, "student-t": 400}
_QUICK_SETS, _QUICK_ROWS, _QUICK_PASSES = 2, 200, 5
#: So that no set of the tests is one of the study.
_FIRST_SEED = 10_000


@dataclass(frozen=True)
class SelectionRow:
    """One method on one simulated set, of which ``seed`` and ``rows`` are; ``passes`` are those of the fit."""

    case: str
    method: str
    seed: int
    rows: int = 1000
    passes: int = 0


def selection_rows(quick: bool = False) -> tuple[SelectionRow, ...]:
    """The study; sets one after the other, so that a part of it has all methods on the same sets.

    Examples
    --------
    >>> len(selection_rows()), len(selection_rows(quick=True))
    (2200, 8)
    """
    return tuple(
        SelectionRow(
            case, method, seed, _QUICK_ROWS if quick else 1000, min(PASSES[method], _QUICK_PASSES if quick else 10**6)
        )
        for case in (list(CASES)[:1] if quick else CASES)
        for seed in range(_QUICK_SETS if quick else SETS)
        for method in METHODS
        if np.isfinite(CASES[case]) or method != "student-t held"
    )


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
