"""The rows of the study: columns of public tables, quantiles at which their limits lie, methods and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

METHODS = ("half", "root2", "ros", "lognormal", "censored")
#: Quantile at which the limit of the one laboratory lies; that of the other lies at half of it.
QUANTILES = (0.2, 0.4, 0.6)
SEEDS = (0, 1, 2)


class Case(NamedTuple):
    """A column that gets limits, and one that is regressed on it.

    Attributes
    ----------
    table, column, outcome : str
        By name.
    """

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

    Attributes
    ----------
    case : str
        One of ``CASES``.
    quantile : float
        Of the first laboratory's limit.
    method : str
        One of ``METHODS``.
    seed : int
        Of the laboratories, and of the method.
    rows : int
        Rows of the table that are used.
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
