"""The study as a whole: run what is missing, then write tables and figure."""

from __future__ import annotations

from pathlib import Path

from pyro_mnar.studies.runner import run_study
from pyro_mnar.studies.study import Study
from pyro_mnar.studies.uci.design import parity_rows, quick_rows, study_rows
from pyro_mnar.studies.uci.row import run_row
from pyro_mnar.studies.uci.tables import write_tables


def reproduce_uci(
    folder: Path,
    *,
    quick: bool = False,
    seeds: int = 5,
    parity: bool = False,
    data_home: Path | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Run the study and write its tables; an interrupted run goes on where it was. Gives the files that were written.

    ``quick`` takes few rows, steps and methods, to see that everything works; ``seeds`` how many of the five;
    ``parity`` runs the authors' settings too, 100,000 steps for each of two data sets. ``data_home`` is the folder with
    the original files (None downloads them), ``workers`` the number of processes (None: one per processor).
    """
    rows = quick_rows() if quick else study_rows(seeds) + (parity_rows() if parity else ())
    # The longest first: at the end they would leave the other processes idle.
    rows = tuple(sorted(rows, key=lambda row: row.part != "parity"))
    records = run_study(Study("uci", rows, run_row), folder, data_home=data_home, workers=workers)
    return write_tables(records, folder)
