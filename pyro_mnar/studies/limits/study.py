"""The study as a whole: run what is missing, then write table and picture of everything that is finished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyro_mnar.studies.limits.design import limits_rows
from pyro_mnar.studies.limits.report import write_tables
from pyro_mnar.studies.limits.row import run_row
from pyro_mnar.studies.runner import run_part
from pyro_mnar.studies.study import Study


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
    """Run the study, or a part of it, and write the tables of all rows that are finished in the folder.

    Parameters
    ----------
    folder : Path
        Where ``rows.jsonl``, table and picture go; an interrupted run goes on with what is not there.
    quick : bool
        Two columns of few rows at one limit, to see that everything works.
    cases, methods, seeds : iterable or None
        The part to run, see :func:`~pyro_mnar.studies.limits.design.limits_rows`.
    data_home : Path or None
        Folder with the original data files; None means ``PYRO_MNAR_DATA``, or a download.
    workers : int or None
        Processes; None is one per processor.

    Returns
    -------
    list of Path
        The files written.
    """
    part = Study("mechanisms", limits_rows(cases, methods, seeds, quick), run_row)
    records = run_part(part, limits_rows(quick=quick), folder, data_home=data_home, workers=workers)
    return write_tables(records, folder)
