"""Run one row: make the holes, fill them, and compare with what was there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyro_mnar.studies.mixed.design import MixedRow
from pyro_mnar.studies.mixed.masks import lose
from pyro_mnar.studies.mixed.methods import BASELINES, baseline, joint_model
from pyro_mnar.studies.mixed.scores import scores
from pyro_mnar.studies.mixed.tables import TABLES, complete_table, ends, number_columns


def run_row(spec: MixedRow, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge; see :class:`~pyro_mnar.studies.study.Study`."""
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
