"""The rows of the study (tables, masks, methods and their settings), and how one is run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_mnar.studies.field.masks import MASKS, SEED_CURVES, SEED_MASK, lose
from pyro_mnar.studies.field.methods import BASELINES, Directions, baseline, joint_model
from pyro_mnar.studies.field.scores import covers_where_told, draw_scores, point_scores
from pyro_mnar.studies.field.tables import NAMES, complete_table
from pyro_mnar.studies.parts import TableRow, quick_rows

Settings = dict[str, Any]

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


def field_rows(quick: bool = False) -> tuple[TableRow, ...]:
    """The rows of the study, one seed of everything before the next, the seed table first.

    ``quick``: few rows of two tables, three masks and quick methods, hardly trained: whether everything works.
    """
    if quick:
        return quick_rows(QUICK_METHODS, QUICK_TABLES, QUICK_MASKS, MODELS, QUICK_ROWS)
    settings = {method: MODELS.get(method, {}) for method in METHODS}
    rows = []
    for seed in SEED_TABLE_SEEDS:
        rows += [
            TableRow(table, SEED_MASK, method, seed, own)
            for method, own in {**settings, **SEED_MODELS}.items()
            for table in SEED_CURVES
        ]
        rows += [
            TableRow(table, mask, method, seed, own)
            for method, own in settings.items()
            for table in NAMES
            for mask in MASKS
            if seed in SEEDS and (method != "auto-told" or mask not in WITHOUT_DIRECTION)
        ]
    return tuple(rows)


def run_row(spec: TableRow, data_home: Path | None) -> Mapping[str, Any]:
    """Make the holes, fill them, and compare; see :class:`~pyro_mnar.studies.study.Study`."""
    table = complete_table(spec.table, data_home, spec.rows, inputs_only=spec.mask == SEED_MASK)
    complete = table.to_numpy()
    lost = lose(complete, spec.table, spec.mask, spec.seed)
    holed = table.mask(lost.cells)
    if spec.method in BASELINES:
        imputed = baseline(spec.method, holed, spec.seed)
    else:
        named = zip(table, lost.direction, strict=True)
        sides: Directions = {str(name): "high" if side > 0 else "low" for name, side in named if side}
        imputed = joint_model(holed, spec.seed, spec.settings, sides if spec.method == "auto-told" else None)
    scores = point_scores(complete, imputed.point, ~lost.cells)
    return {
        **scores,
        **draw_scores(complete, imputed.draws, ~lost.cells, scores["mae"]),
        **covers_where_told(complete, imputed.draws, ~lost.cells),
        "missing": float(lost.cells.mean()),
        "seconds": imputed.seconds,
        "draw_seconds": imputed.draw_seconds,
    }
