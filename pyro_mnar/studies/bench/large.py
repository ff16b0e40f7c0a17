"""``python -m pyro_mnar.studies.bench.large``: a Parquet file of many rows, fitted and completed, seconds and memory.

Twenty columns of four common factors: the first loses its high values softly (its direction is told), four lose one
cell in ten at random, and the others are complete. The file is made chunk by chunk; fit and completion run in a process
of their own with one thread. Its memory and the processor's seconds, and those of every process that it starts, are
looked at four times a second: what else the machine does lengthens the seconds, and those of the processor say what a
quiet machine would take. With ``--device cuda`` the model is trained and asked on a GPU, and the record is another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.sources import needed
from pyro_mnar.studies.records import versions

N_COLUMNS, N_FACTORS, NOISE = 20, 4, 0.7
#: Rows that are made at a time, and those of the first ones on which the error is measured.
CHUNK, JUDGED = 50_000, 20_000
#: Asked for: minutes and megabytes.
MINUTES, MEGABYTES = 15.0, 2000.0
_SIDE = """
import json, sys, time, warnings
from pyro_mnar import MNARImputer
from pyro_mnar.mechanisms import Nested
from pyro_mnar.studies.environment import limit_threads
warnings.simplefilter("ignore")
given, out, n_draws, n_jobs, device = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
limit_threads(1)
start, used = time.perf_counter(), time.process_time()
imputer = MNARImputer(
    Nested(direction={"x0": "high"}), n_draws_posterior=n_draws, random_state=0, device=device
).fit(given)
fitted, used = time.perf_counter(), time.process_time() - used
imputer.transform(given, out=out, n_jobs=n_jobs)
print(json.dumps({"fit": fitted - start, "transform": time.perf_counter() - fitted, "used": used}))
"""


def chunks(n_rows: int, seed: int = 0) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The complete table and the one with holes, some rows at a time, shape (n, 20) each."""
    rng = np.random.default_rng(seed)
    loadings = rng.normal(size=(N_FACTORS, N_COLUMNS))
    loadings /= np.sqrt((loadings**2).sum(0) + NOISE**2)
    spread = np.sqrt(1 - (loadings**2).sum(0))
    for start in range(0, n_rows, CHUNK):
        n = min(CHUNK, n_rows - start)
        complete = rng.normal(size=(n, N_FACTORS)) @ loadings + spread * rng.normal(size=(n, N_COLUMNS))
        lost = np.zeros(complete.shape, dtype=bool)
        lost[:, 0] = rng.random(n) < expit(6 * (complete[:, 0] - 0.8))
        lost[:, 1:5] = rng.random((n, 4)) < 0.1
        yield complete, np.where(lost, np.nan, complete)


def make_file(path: Path, n_rows: int) -> tuple[FloatArray, FloatArray]:
    """Write the table with holes; the first rows of both tables."""
    pa, pq = needed("pyarrow"), needed("pyarrow.parquet")
    names, first, writer = [f"x{j}" for j in range(N_COLUMNS)], None, None
    for complete, holed in chunks(n_rows):
        first = (complete[:JUDGED], holed[:JUDGED]) if first is None else first
        table = pa.table({name: pa.array(holed[:, j], from_pandas=True) for j, name in enumerate(names)})
        writer = pq.ParquetWriter(path, table.schema) if writer is None else writer
        writer.write_table(table)
    assert first is not None and writer is not None
    writer.close()
    return first


def run(path: Path, out: Path, n_draws: int, n_jobs: int, device: str = "cpu") -> dict[str, float]:
    """Seconds of fit and completion, of the processors too, and the most memory of a process, and of a GPU, MB."""
    command = [sys.executable, "-c", _SIDE, str(path), str(out), str(n_draws), str(n_jobs), device]
    peaks, processors, before, held = dict[int, float](), dict[int, float](), gpu_memory(device), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for pid in family(process.pid):
                peaks[pid] = max(peaks.get(pid, 0.0), peak_memory(pid))
                processors[pid] = max(processors.get(pid, 0.0), processor_seconds(pid))
            held = max(held, gpu_memory(device) - before)
            time.sleep(0.25)
        assert process.stdout is not None
        told = process.stdout.read()
    if process.returncode:
        raise SystemExit(process.returncode)
    found: dict[str, float] = json.loads(told)
    return {**found, "processor": sum(processors.values()), "peak": max(peaks.values()), "gpu": held}


def gpu_memory(device: str) -> float:
    """What is in use of a GPU's memory, by whomever, MB; 0 on a processor."""
    if device == "cpu":
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 1e6


def family(pid: int) -> list[int]:
    """A process and all that it, and they, have started."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def peak_memory(pid: int) -> float:
    """The most memory that a process has held, MB; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)


def processor_seconds(pid: int) -> float:
    """What a process has taken of the processors; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100.0


def measure(n_rows: int, n_draws: int, n_jobs: int, device: str = "cpu") -> dict[str, object]:
    """One line of the record, which of a GPU tells its name, the memory in use there, and nothing that was asked."""
    pq = needed("pyarrow.parquet")
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "given.parquet", Path(folder) / "out.parquet"
        complete, holed = make_file(given, n_rows)
        found = run(given, out, n_draws, n_jobs, device)
        done = pq.ParquetFile(out)
        assert done.metadata.num_rows == n_rows
        imputed = next(done.iter_batches(JUDGED)).to_pandas().to_numpy()
    lost = np.isnan(holed)[: len(imputed)]
    wrong = (imputed - complete[: len(imputed)])[lost]
    seconds = found["fit"] + found["transform"]
    # What is asked is asked of a million rows, on cores that do nothing else: fitting takes one of them.
    more = 1e6 / n_rows
    million = found["fit"] + found["transform"] * more
    quiet = found["used"] + (found["processor"] - found["used"]) * more / n_jobs
    met = quiet <= 60 * MINUTES and found["peak"] <= MEGABYTES
    record = {
        "table": f"{n_rows} x {N_COLUMNS}",
        "n_draws": n_draws,
        "processes": n_jobs,
        "fit_seconds": found["fit"],
        "transform_seconds": found["transform"],
        "processor_seconds": found["processor"],
        "seconds": seconds,
        "peak_megabytes": found["peak"],
        "rmse": float(np.sqrt((wrong**2).mean())),
    }
    if device != "cpu":
        return {**record, "gpu_megabytes": found["gpu"], "device": torch.cuda.get_device_name()}
    return {
        **record,
        "minutes_of_1000000_rows": million / 60,
        "processor_minutes": quiet / 60,
        "which_is": "measured" if n_rows == 10**6 else f"reckoned from {n_rows:,} rows",
        "aim": f"<= {MINUTES:g} minutes, <= {MEGABYTES:g} MB",
        "met": "yes" if met else "no",
    }


def main() -> None:
    """Measure, show, and add a line to ``large.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=1000, help="draws per row")
    parser.add_argument("--jobs", type=int, default=2, help="processes that complete blocks of rows")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder of large.csv, or gpu_large.csv")
    options = parser.parse_args()
    line = measure(options.rows, options.draws, options.jobs, options.device)
    line |= {name.replace("-", "_"): value for name, value in versions().items()}
    frame, path = pd.DataFrame([line]), options.out / ("large.csv" if options.device == "cpu" else "gpu_large.csv")
    if path.exists():
        before = pd.read_csv(path)
        keys = [name for name in ("table", "n_draws", "processes", "device") if name in frame]
        same = (before[keys] == frame[keys].iloc[0]).all(axis=1)
        frame = pd.concat([before[~same], frame])
    options.out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, float_format="%.4g")
    print(frame.to_string())


if __name__ == "__main__":
    main()
