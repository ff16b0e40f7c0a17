"""Mechanisms whose truth is known: detection limits on real columns, and selection on simulated sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_mnar.studies.limits import report as limits_report
from pyro_mnar.studies.limits import study as limits
from pyro_mnar.studies.parts import PartedStudy
from pyro_mnar.studies.selection import report as selection_report
from pyro_mnar.studies.selection import study as selection
from pyro_mnar.studies.study import Record

Row = limits.LimitsRow | selection.SelectionRow


def mechanism_rows(quick: bool = False) -> tuple[Row, ...]:
    """Both studies.

    Examples
    --------
    >>> len(mechanism_rows())
    2425
    """
    return (*limits.limits_rows(quick), *selection.selection_rows(quick))


def run_row(spec: Row, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge a row of either study; see :class:`~pyro_mnar.studies.study.Study`."""
    if isinstance(spec, selection.SelectionRow):
        return selection.run_row(spec, data_home)
    return limits.run_row(spec, data_home)


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write the tables and the picture of each study of which there are records, and give their paths."""
    written: list[Path] = []
    for report, known in ((limits_report, limits.CASES), (selection_report, selection.CASES)):
        own = [record for record in records if record.spec["case"] in known]
        written += report.write_tables(own, folder) if own else []
    return written


MECHANISMS: PartedStudy[Row] = PartedStudy(
    "mechanisms",
    mechanism_rows,
    run_row,
    write_tables,
    {"cases": (*limits.CASES, *selection.CASES), "methods": (*limits.METHODS, *selection.METHODS)},
)
