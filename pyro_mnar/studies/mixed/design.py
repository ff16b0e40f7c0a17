"""What is run: tables, masks, methods and their settings, as rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pyro_mnar.studies.field.methods import has_miceforest
from pyro_mnar.studies.mixed.masks import MASKS
from pyro_mnar.studies.mixed.methods import BASELINES
from pyro_mnar.studies.mixed.tables import TABLES
from pyro_mnar.studies.parts import chosen, part_of

Settings = dict[str, Any]

SEEDS = (0, 1, 2)
#: What the package's models are given; everything else is their default.
MODELS: dict[str, Settings] = {
    "ignorable": {"mechanism": "ignorable"},
    "self-masking": {"mechanism": "self-masking"},
    "auto": {"mechanism": "auto"},
}
METHODS = (*BASELINES, *MODELS)

QUICK_ROWS = 150
QUICK_TABLES, QUICK_MASKS = ("cmc", "california"), MASKS
QUICK_METHODS = ("mean", "knn", "mice", "ignorable", "auto")
_QUICK: Settings = {"max_iter": 5, "n_draws_posterior": 100}


@dataclass(frozen=True)
class MixedRow:
    """One method on one table with one mask.

    Attributes
    ----------
    table, mask, method : str
        Names of ``TABLES``, ``MASKS`` and ``METHODS``.
    seed : int
        Of the mask and the method.
    settings : dict
        Parameters of ``MNARImputer`` where they are not its defaults; empty for baselines.
    rows : int or None
        Only so many rows of the table, for the quick form.
    """

    table: str
    mask: str
    method: str
    seed: int
    settings: Settings = field(default_factory=dict)
    rows: int | None = None


def mixed_rows(
    tables: Iterable[str] | None = None,
    masks: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    quick: bool = False,
) -> tuple[MixedRow, ...]:
    """The rows of the study, or a part of them, one seed of everything before the next.

    Parameters
    ----------
    tables, masks, methods : iterable of str, or None
        Names to keep; None keeps all (of methods, those that are installed).
    seeds : iterable of int, or None
        None keeps all three.
    quick : bool
        Few rows of two tables and quick methods, hardly trained: whether everything works.

    Raises
    ------
    InvalidInputError
        An unknown name, or a selection without rows.
    """
    kept = {
        "table": chosen("tables", tables, (*TABLES,)),
        "mask": chosen("masks", masks, MASKS),
        "method": chosen("methods", methods, METHODS),
    }
    if methods is None and not has_miceforest():
        kept["method"] = kept["method"] - {"miceforest"}
    return part_of(_quick_rows() if quick else _all_rows(), kept, seeds)


def _all_rows() -> list[MixedRow]:
    return [
        MixedRow(table, mask, method, seed, MODELS.get(method, {}))
        for seed in SEEDS
        for method in METHODS
        for table in TABLES
        for mask in MASKS
    ]


def _quick_rows() -> list[MixedRow]:
    return [
        MixedRow(table, mask, method, 0, MODELS[method] | _QUICK if method in MODELS else {}, QUICK_ROWS)
        for method in QUICK_METHODS
        for table in QUICK_TABLES
        for mask in QUICK_MASKS
    ]
