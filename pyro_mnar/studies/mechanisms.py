"""Mechanisms whose truth is known: detection limits on real columns, and selection on simulated sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyro_mnar.studies.limits import design as limits_design
from pyro_mnar.studies.limits import report as limits_report
from pyro_mnar.studies.limits import row as limits_row
from pyro_mnar.studies.limits.design import LimitsRow, limits_rows
from pyro_mnar.studies.parts import chosen, part_of
from pyro_mnar.studies.runner import run_part
from pyro_mnar.studies.selection import design as selection_design
from pyro_mnar.studies.selection import report as selection_report
from pyro_mnar.studies.selection import row as selection_row
from pyro_mnar.studies.selection.design import SelectionRow, selection_rows
from pyro_mnar.studies.study import Study

Row = LimitsRow | SelectionRow


def mechanism_rows(
    cases: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    quick: bool = False,
) -> tuple[Row, ...]:
    """Both studies, or a part of them.

    Examples
    --------
    >>> len(mechanism_rows()), len(mechanism_rows(["t3 errors"], ["normal", "ros"], range(10)))
    (2425, 10)
    """
    every: tuple[Row, ...] = (*limits_rows(quick), *selection_rows(quick))
    kept = {
        "case": chosen("cases", cases, (*limits_design.CASES, *selection_design.CASES)),
        "method": chosen("methods", methods, (*limits_design.METHODS, *selection_design.METHODS)),
    }
    return part_of(every, kept, seeds)


def run_row(spec: Row, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge a row of either study; see :class:`~pyro_mnar.studies.study.Study`."""
    if isinstance(spec, SelectionRow):
        return selection_row.run_row(spec, data_home)
    return limits_row.run_row(spec, data_home)


def reproduce_mechanisms(
    folder: Path,
    *,
    quick: bool = False,
    cases: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    data_home: Path | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Run the studies, or a part of them, and write the tables of all rows that are finished in the folder.

    Parameters
    ----------
    folder : Path
        Where ``rows.jsonl``, tables and pictures go; an interrupted run goes on with what is not there.
    quick : bool
        Few rows, sets and passes, to see that everything works.
    cases, methods, seeds : iterable or None
        The part to run, see :func:`mechanism_rows`.
    data_home : Path or None
        Folder with the original data files, for detection limits alone; None means ``PYRO_MNAR_DATA``, or a
        download.
    workers : int or None
        Processes; None is one per processor.

    Returns
    -------
    list of Path
        The files written.
    """
    part = Study("mechanisms", mechanism_rows(cases, methods, seeds, quick), run_row)
    records = run_part(part, mechanism_rows(quick=quick), folder, data_home=data_home, workers=workers)
    written: list[Path] = []
    for report, known in ((limits_report, limits_design.CASES), (selection_report, selection_design.CASES)):
        own = [record for record in records if record.spec["case"] in known]
        written += report.write_tables(own, folder) if own else []
    return written
