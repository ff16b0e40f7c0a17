"""``python -m pyro_mnar.studies.bench.processes``: rows per second of training in two processes and in one.

The table is that of the bench of large files; each process has one thread, and every batch the same rows on both sides.
Seconds run from the end of the first pass to that of the last, so that starting processes is left out. The sides take
turns; the figure is the median of the ratios. Beside it stands what the machine has to give: the same of two processes
that train at the same time, each its own model, and share nothing but the processor's caches and memory.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd
import torch

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.model.self_masking import Nested
from pyro_mnar.studies.bench.large import chunks
from pyro_mnar.studies.bench.timing import write_measured

N_ROWS, TURNS = 2**15, 5
#: Passes that are timed, by rows of a batch.
PASSES = {128: 2, 4096: 8, 32768: 8}
#: Asked for: rows per second of two processes / of one.
RATIO = 1.6


def rows_per_second(table: FloatArray, batch_size: int, passes: int, devices: int) -> float:
    """Rows that go through training in a second, in so many processes of one thread."""
    settings = TrainingSettings(batch_size=batch_size, devices=devices)
    imputer = MNARImputer(Nested(direction={"x0": "high"}), max_iter=passes + 1, training=settings, random_state=0)
    seconds = imputer.fit(table).history_.seconds
    return passes * len(table) / (seconds[-1] - seconds[0])


def rows_per_second_apart(n_rows: int, batch_size: int, passes: int) -> float:
    """Rows that go through training in a second in two processes that train at the same time, each for itself."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        tables = [next(chunks(n_rows))[1]] * 2
        # Both are asked for little first: what starting takes is then behind them.
        list(pool.map(rows_per_second, tables, [batch_size] * 2, [1] * 2, [1] * 2))
        return sum(pool.map(rows_per_second, tables, [batch_size] * 2, [passes] * 2, [1] * 2))


def measure(n_rows: int, batch_size: int, passes: int, turns: int) -> dict[str, object]:
    """One line of the record."""
    table = next(chunks(n_rows))[1]
    found: dict[int, list[float]] = {1: [], 2: []}
    apart = []
    for turn in range(turns):
        for devices in (1, 2) if turn % 2 else (2, 1):
            found[devices].append(rows_per_second(table, batch_size, passes, devices))
        apart.append(rows_per_second_apart(n_rows, batch_size, passes))
    ratio, most = (
        statistics.median(two / one for one, two in zip(found[1], side, strict=True)) for side in (found[2], apart)
    )
    return {
        "table": f"{n_rows} x {table.shape[1]}",
        "batch_size": batch_size,
        "rows_per_second_of_one": statistics.median(found[1]),
        "rows_per_second_of_two": statistics.median(found[2]),
        "ratio": ratio,
        "ratio_of_two_apart": most,
        "turns": turns,
        "aim": f">= {RATIO:g}",
        "met": "yes" if ratio >= RATIO else "no",
    }


def main() -> None:
    """Measure, show, and write ``processes.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder of processes.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [measure(N_ROWS, batch_size, passes, options.turns) for batch_size, passes in PASSES.items()]
    print(write_measured(pd.DataFrame(lines), options.out / "processes.csv").to_string())


if __name__ == "__main__":
    main()
