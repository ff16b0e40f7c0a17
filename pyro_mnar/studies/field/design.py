"""What is run: tables, masks, methods and their settings, as rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pyro_mnar.studies.field.masks import MASKS, SEED_CURVES, SEED_MASK
from pyro_mnar.studies.field.methods import BASELINES, has_miceforest
from pyro_mnar.studies.field.tables import NAMES
from pyro_mnar.studies.parts import chosen, part_of

Settings = dict[str, Any]
Name = TypeVar("Name", str, int)

SEEDS = (0, 1, 2)
#: The seed table is small and is compared with published figures.
SEED_TABLE_SEEDS = (0, 1, 2, 3, 4)
#: What the package's models are given; everything else is their default.
MODELS: dict[str, Settings] = {
    "ignorable": {"mechanism": "ignorable"},
    "self-masking": {"mechanism": "self-masking"},
    "auto": {"mechanism": "auto"},
    "auto-told": {"mechanism": "auto"},
    # The UCI study's stand-in for the published method, on columns standardised by what a user has: observed values.
    "not-miwae": {
        "mechanism": "self-masking",
        "decoder": "mlp",
        "start": "neutral",
        "log_columns": None,
        "n_draws": 5,
        "gradient": "standard",
        "steps": 2_000,
    },
}
#: Published for the seed table alone.
SEED_MODELS: dict[str, Settings] = {"linear": {"mechanism": "linear"}, "nonlinear": {"mechanism": "nonlinear"}}
METHODS = (*BASELINES, *MODELS)
#: r is the RMSE divided by the best of these.
REFERENCES = ("mean", "mice", "forest", "miceforest", "ignorable")
#: Masks that have no direction to tell.
WITHOUT_DIRECTION = ("mcar", "mar", "muzellec", "both-tails")

QUICK_ROWS = 100
QUICK_TABLES, QUICK_MASKS = ("banknote", "health"), ("mcar", "hard-high", "soft-low")
QUICK_METHODS = ("mean", "knn", "mice", "ignorable", "self-masking", "auto")
_QUICK: Settings = {"max_iter": 5, "n_draws_posterior": 100}


@dataclass(frozen=True)
class FieldRow:
    """One method on one table with one mask.

    Attributes
    ----------
    table, mask, method : str
        Names of ``NAMES``, of ``MASKS`` (or "seed"), and of ``METHODS`` (or ``SEED_MODELS``).
    seed : int
        Of the mask and the method.
    settings : dict
        Parameters of ``MNARImputer`` and its training where they are not the defaults; empty for baselines.
    rows : int or None
        Only so many rows of the table, for the quick form.
    """

    table: str
    mask: str
    method: str
    seed: int
    settings: Settings = field(default_factory=dict)
    rows: int | None = None


def field_rows(
    tables: Iterable[str] | None = None,
    masks: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    quick: bool = False,
) -> tuple[FieldRow, ...]:
    """The rows of the study, or a part of them: one seed of everything before the next, the seed table first.

    Parameters
    ----------
    tables, masks, methods : iterable of str, or None
        Names to keep; None keeps all (of methods, those that are installed).
    seeds : iterable of int, or None
        None keeps three, and five of the seed table.
    quick : bool
        Few rows of two tables, three masks and quick methods, hardly trained: whether everything works.

    Raises
    ------
    InvalidInputError
        An unknown name, or a selection without rows.
    """
    kept = {
        "table": chosen("tables", tables, (*NAMES,)),
        "mask": chosen("masks", masks, (*MASKS, SEED_MASK)),
        "method": chosen("methods", methods, (*METHODS, *SEED_MODELS)),
    }
    if methods is None and not has_miceforest():
        kept["method"] = kept["method"] - {"miceforest"}
    return part_of(_quick_rows() if quick else _all_rows(), kept, seeds)


def _all_rows() -> list[FieldRow]:
    rows = []
    for seed in SEED_TABLE_SEEDS:
        rows += [
            FieldRow(table, SEED_MASK, method, seed, settings)
            for method, settings in {**_settings(METHODS), **SEED_MODELS}.items()
            for table in SEED_CURVES
        ]
        if seed in SEEDS:
            rows += [row for method in METHODS for row in _rows_of(method, seed)]
    return rows


def _rows_of(method: str, seed: int) -> list[FieldRow]:
    settings = _settings((method,))[method]
    return [
        FieldRow(table, mask, method, seed, settings)
        for table in NAMES
        for mask in MASKS
        if method != "auto-told" or mask not in WITHOUT_DIRECTION
    ]


def _quick_rows() -> list[FieldRow]:
    return [
        FieldRow(table, mask, method, 0, settings | _QUICK if settings else {}, QUICK_ROWS)
        for method, settings in _settings(QUICK_METHODS).items()
        for table in QUICK_TABLES
        for mask in QUICK_MASKS
        if method != "auto-told" or mask not in WITHOUT_DIRECTION
    ]


def _settings(methods: Sequence[str]) -> dict[str, Settings]:
    return {method: MODELS.get(method, {}) for method in methods}
