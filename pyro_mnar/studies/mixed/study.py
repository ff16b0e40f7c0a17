"""The study as a whole: run what is missing, then write tables and picture of everything that is finished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyro_mnar.studies.mixed.design import mixed_rows
from pyro_mnar.studies.mixed.report import write_tables
from pyro_mnar.studies.mixed.row import run_row
from pyro_mnar.studies.runner import run_part
from pyro_mnar.studies.study import Study


def reproduce_mixed(
    folder: Path,
    *,
    quick: bool = False,
    tables: Iterable[str] | None = None,
    masks: Iterable[str] | None = None,
    methods: Iterable[str] | None = None,
    seeds: Iterable[int] | None = None,
    data_home: Path | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Run the study, or a part of it, and write the tables of all rows that are finished in ``folder``.

    An interrupted run goes on with what is not there. ``quick`` takes few rows and quick methods, to see that
    everything works; ``tables``, ``masks``, ``methods`` and ``seeds`` choose the part
    (:func:`~pyro_mnar.studies.mixed.design.mixed_rows`); ``data_home`` is the folder with the data files (None:
    ``PYRO_MNAR_DATA``, or a download), ``workers`` the number of processes (None: one per processor). Gives the
    files that were written.
    """
    part = Study("mixed", mixed_rows(tables, masks, methods, seeds, quick), run_row)
    records = run_part(part, mixed_rows(quick=quick), folder, data_home=data_home, workers=workers)
    return write_tables(records, folder)
