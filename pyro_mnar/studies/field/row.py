"""Run one row: make the holes, fill them, and compare with what was there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_mnar.studies.field.design import FieldRow
from pyro_mnar.studies.field.masks import SEED_MASK, lose
from pyro_mnar.studies.field.methods import BASELINES, Directions, baseline, joint_model
from pyro_mnar.studies.field.scores import covers_where_told, draw_scores, point_scores
from pyro_mnar.studies.field.tables import complete_table


def run_row(spec: FieldRow, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge; see :class:`~pyro_mnar.studies.study.Study`."""
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
