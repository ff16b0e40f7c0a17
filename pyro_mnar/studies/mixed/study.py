"""The rows of the study (tables, masks, methods and their settings), and how one is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_mnar.studies.mixed.masks import MASKS, lose
from pyro_mnar.studies.mixed.methods import BASELINES, baseline, joint_model
from pyro_mnar.studies.mixed.scores import scores
from pyro_mnar.studies.mixed.tables import TABLES, complete_table, ends, number_columns
from pyro_mnar.studies.parts import TableRow, quick_rows

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
QUICK_TABLES = ("cmc", "california")
QUICK_METHODS = ("mean", "knn", "mice", "ignorable", "auto")


def mixed_rows(quick: bool = False) -> tuple[TableRow, ...]:
    """The rows of the study, one seed of everything before the next.

    ``quick``: few rows of two tables and quick methods, hardly trained: whether everything works.
    """
    if quick:
        return quick_rows(QUICK_METHODS, QUICK_TABLES, MASKS, MODELS, QUICK_ROWS)
    return tuple(
        TableRow(table, mask, method, seed, MODELS.get(method, {}))
        for seed in SEEDS
        for method in METHODS
        for table in TABLES
        for mask in MASKS
    )


def run_row(spec: TableRow, data_home: Path | None) -> Mapping[str, Any]:
    """Make the holes, fill them, and compare; see :class:`~pyro_mnar.studies.study.Study`."""
    complete = complete_table(spec.table, data_home, spec.rows)
    lost = lose(complete, spec.table, spec.mask, spec.seed)
    holed = complete.mask(lost)
    if spec.method in BASELINES:
        known = {column: ends(spec.table, complete, column) for column in number_columns(complete)}
        filled = baseline(spec.method, holed, spec.seed, known)
    else:
        filled = joint_model(holed, spec.seed, spec.settings, TABLES[spec.table].kinds)
    return {
        **scores(spec.table, complete, lost, filled),
        "missing": float(lost.mean()),
        "seconds": filled.seconds,
        "draw_seconds": filled.draw_seconds,
    }
