"""The rows of the study: errors, what is fitted, and simulated sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Degrees of freedom of the errors of each case.
CASES = {"t3 errors": 3.0, "t5 errors": 5.0, "normal errors": np.inf}
METHODS = ("likelihood", "normal", "student-t held", "student-t")
#: Parameters of the sets; about half of the outcomes are hidden.
TRUTH = (1.0, 0.8, 0.0, float(np.arctanh(0.8)), -0.5, 0.5, 1.0)
SETS = 200
PASSES = {"likelihood": 0, "normal": 200, "student-t held": 400, "student-t": 400}
_QUICK_SETS, _QUICK_ROWS, _QUICK_PASSES = 2, 200, 5


@dataclass(frozen=True)
class SelectionRow:
    """One method on one simulated set.

    Attributes
    ----------
    case : str
        One of ``CASES``.
    method : str
        One of ``METHODS``.
    seed : int
        Of the set.
    rows : int
        Of the set.
    passes : int
        Of the fit.
    """

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
