"""The rows of the study (columns of public tables, quantiles, methods and seeds), and how one is run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.studies.field.tables import complete_table
from pyro_mnar.studies.limits.methods import Filled, fill

METHODS = ("half", "root2", "ros", "lognormal", "censored")
#: Quantile at which the limit of the one laboratory lies; that of the other lies at half of it.
QUANTILES = (0.2, 0.4, 0.6)
SEEDS = (0, 1, 2)


class Case(NamedTuple):
    """A column of a table that gets limits, and one that is regressed on it."""

    table: str
    column: str
    outcome: str


#: By the study's name.
CASES: dict[str, Case] = {
    "cement": Case("concrete", "cement", "strength"),
    "chlorides": Case("red", "chlorides", "alcohol"),
    "sulphates": Case("red", "sulphates", "alcohol"),
    "residual sugar": Case("red", "residual_sugar", "density"),
    "airfoil": Case("airfoil", "displacement_thickness_m", "sound_pressure_db"),
}


@dataclass(frozen=True)
class LimitsRow:
    """One method on one column with limits.

    ``quantile`` is that of the first laboratory's limit, ``seed`` that of the laboratories and of the method, ``rows``
    how many of the table are used.
    """

    case: str
    quantile: float
    method: str
    seed: int
    rows: int = 1000


def limits_rows(quick: bool = False) -> tuple[LimitsRow, ...]:
    """The study, the slowest method first.

    Examples
    --------
    >>> len(limits_rows()), len(limits_rows(quick=True))
    (225, 10)
    """
    return tuple(
        LimitsRow(case, quantile, method, seed, 200 if quick else 1000)
        for method in reversed(METHODS)
        for seed in (SEEDS[:1] if quick else SEEDS)
        for quantile in (QUANTILES[1:2] if quick else QUANTILES)
        for case in (list(CASES)[1:3] if quick else CASES)
    )


def run_row(spec: LimitsRow, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge; see :class:`~pyro_mnar.studies.study.Study`."""
    case = CASES[spec.case]
    table = complete_table(case.table, data_home, spec.rows)
    truth, outcome = table[case.column].to_numpy(), table[case.outcome].to_numpy()
    limit = laboratories(truth, spec.quantile, spec.seed)
    hidden = truth < limit
    begun = time.perf_counter()
    filled = fill(
        spec.method, table.mask(np.outer(hidden, table.columns == case.column)), case.column, limit, spec.seed
    )
    seconds = time.perf_counter() - begun
    return {**scores(truth, hidden, filled, outcome), "censored": float(hidden.mean()), "seconds": seconds}


def laboratories(truth: FloatArray, quantile: float, seed: int) -> FloatArray:
    """Limits of two laboratories that each measure half of the rows: at a quantile, and at half of it.

    Examples
    --------
    >>> np.unique(laboratories(np.arange(101.0), 0.4, 0)).tolist()
    [20.0, 40.0]
    """
    first = np.random.default_rng(seed).random(len(truth)) < 0.5
    return np.where(first, np.quantile(truth, quantile), np.quantile(truth, quantile / 2))


def scores(truth: FloatArray, hidden: np.ndarray, filled: Filled, outcome: FloatArray) -> dict[str, float | None]:
    """Errors on the censored cells in standard deviations of the column, and those of what is computed from them.

    Returns
    -------
    dict
        rmse; crps and cover (of 90 % intervals) by draws, the absolute error and None without; bias_mean in standard
        deviations; bias_slope, of the outcome on the column, as a share of the true slope.
    """
    unit, wanted = float(truth.std()), truth[hidden]
    draws = filled.point[None] if filled.draws is None else filled.draws
    completed = np.repeat(truth[None], len(draws), axis=0)
    completed[:, hidden] = draws
    spread = np.sort(draws, axis=0)
    weights = 2 * np.arange(1, len(draws) + 1) - len(draws) - 1
    half_gap = (weights[:, None] * spread).sum(0) / len(draws) ** 2
    crps = float((np.abs(draws - wanted).mean(0) - half_gap).mean()) / unit
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    cover = None if filled.draws is None else float(((wanted >= low) & (wanted <= high)).mean())
    slope = float(np.polyfit(truth, outcome, 1)[0])
    slopes = [float(np.polyfit(x, outcome, 1)[0]) for x in completed[:20]]
    return {
        "rmse": float(np.sqrt(np.mean((filled.point - wanted) ** 2))) / unit,
        "crps": crps,
        "cover": cover,
        "bias_mean": float(completed.mean() - truth.mean()) / unit,
        "bias_slope": float(np.mean(slopes) - slope) / abs(slope),
    }
