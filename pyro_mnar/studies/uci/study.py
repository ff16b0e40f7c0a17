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
    """Run the study and write its tables; an interrupted run goes on where it was.

    Parameters
    ----------
    folder : Path
        Where ``rows.jsonl``, tables and figure go.
    quick : bool
        Few rows, steps and methods, to see that everything works.
    seeds : int
        How many of the five.
    parity : bool
        Run the authors' settings too: 100,000 steps for each of two data sets.
    data_home : Path or None
        Folder with the original data files; None downloads them.
    workers : int or None
        Processes; None is one per processor.

    Returns
    -------
    list of Path
        The files written.
    """
    rows = quick_rows() if quick else study_rows(seeds) + (parity_rows() if parity else ())
    # The longest first: at the end they would leave the other processes idle.
    rows = tuple(sorted(rows, key=lambda row: row.part != "parity"))
    records = run_study(Study("uci", rows, run_row), folder, data_home=data_home, workers=workers)
    return write_tables(records, folder)
