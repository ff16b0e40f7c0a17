"""``python -m pyro_mnar.studies.bench``: measure, show, and write ``results/speed/summary.csv``."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch

from pyro_mnar.studies.bench.imputers import at_equal_error, time_to_imputers
from pyro_mnar.studies.bench.measures import TURNS, Figure, against_handwritten, against_peer, growth, time_to_error
from pyro_mnar.studies.bench.memory import imputation
from pyro_mnar.studies.bench.sides import wine
from pyro_mnar.studies.bench.timing import write_measured


def main() -> None:
    """Run every measurement with one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder of summary.csv")
    parser.add_argument("--data-home", type=Path, default=None, help="folder with the original data files")
    parser.add_argument("--quick", action="store_true", help="few turns: to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = wine(options.data_home)
    turns = dict.fromkeys(TURNS, 3) if options.quick else TURNS
    figures: list[Figure] = []
    for part in (
        lambda: against_handwritten(data, turns),
        lambda: against_peer(data, turns),
        lambda: growth(3 if options.quick else 100),
        lambda: imputation(data, options.data_home, 64 if options.quick else 256, 1 if options.quick else 7),
        lambda: at_equal_error(data, *((100, 64, 4, 1) if options.quick else (2000, 256, 20, 5))),
        lambda: time_to_imputers(options.data_home, *((1, 200) if options.quick else (5, None))),
        lambda: time_to_error(data, 100 if options.quick else 4000),
    ):
        rows = part()
        figures += rows
        for row in rows:
            print(f"{row.measure}: {row.setting}: {row.ratio:.3f} {row.aim} {row.met}", flush=True)
    lines = [{**vars(figure), "met": figure.met} for figure in figures]
    write_measured(pd.DataFrame(lines), options.out / "summary.csv")


if __name__ == "__main__":
    main()
