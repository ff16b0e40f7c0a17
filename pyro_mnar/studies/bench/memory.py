"""Imputation rate side by side, and the peak memory of each side in a process of its own."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from pyro_mnar.studies.bench.measures import Figure, package_means, peer_means
from pyro_mnar.studies.bench.sides import Table, package_step, pair, peer_model, peer_step, stepper, wine
from pyro_mnar.studies.bench.timing import alternate

N_DRAWS = 1000


def imputers(data: Table, n_rows: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Impute the first rows with briefly trained models: the package, and notmiwae-pytorch in its batches of 64."""
    joint, model = pair(data), peer_model(data)
    for step in (package_step(joint), peer_step(model)):
        run = stepper(step, data.batch, 128)
        for _ in range(50):
            run()
    joint.generator = None
    rows = data.batch.rows(slice(0, n_rows))

    def ours() -> torch.Tensor:
        return package_means(joint, rows, data.columns, N_DRAWS)

    def theirs() -> torch.Tensor:
        return peer_means(model, rows, N_DRAWS)

    return ours, theirs


def imputation(data: Table, data_home: Path | None, n_rows: int, turns: int) -> list[Figure]:
    """Rows per second at 1,000 draws, and megabytes above those of the process with its models in memory."""
    ours, theirs = imputers(data, n_rows)
    timing = alternate(ours, theirs, turns, warm_up=1)
    where = f"{N_DRAWS} draws, {n_rows} rows"
    rates = (n_rows / timing.ours, n_rows / timing.theirs)
    figures = [Figure("imputation rate / notmiwae-pytorch", where, *rates, "rows per second", 1 / timing.ratio, ">= 2")]
    peaks = []
    for side in (0, 1):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            peaks.append(pool.submit(peak_above_model, side, data_home, n_rows).result())
    ours_peak, theirs_peak = peaks
    for name, theirs_or_limit, aim in (("512 MB", 512.0, "<= 1"), ("notmiwae-pytorch", theirs_peak, "")):
        ratio = ours_peak / theirs_or_limit
        figures.append(
            Figure(f"peak memory of imputation / {name}", where, ours_peak, theirs_or_limit, "MB", ratio, aim)
        )
    return figures


def peak_above_model(side: int, data_home: Path | None, n_rows: int) -> float:
    """Peak memory of one imputation above that of a process which has imputed one row, MB."""
    torch.set_num_threads(1)
    data = wine(data_home)
    imputers(data, 1)[side]()
    run = imputers(data, n_rows)[side]
    gc.collect()
    # Linux: forget the highest value so far.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = memory("VmRSS")
    run()
    return (memory("VmHWM") - before) / 1024


def memory(name: str) -> int:
    """A value of this process from Linux's account of it, kB: VmRSS is what it holds, VmHWM the most it has held."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))
