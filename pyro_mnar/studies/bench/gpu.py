"""``python -m pyro_mnar.studies.bench.gpu``: training and completion on a GPU, and on the processor beside it.

The table is that of the bench of large files. Training is timed pass by pass, without the first, on one GPU, on one
thread and on all threads; a completed row costs the processor so much that fewer rows are completed there. Products of
matrices are tried in lower precision too: what that saves, and what it does to the bound.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.self_masking import Nested
from pyro_mnar.persistence import load, save
from pyro_mnar.studies.bench.compiled import step_times
from pyro_mnar.studies.bench.large import chunks
from pyro_mnar.studies.bench.timing import write_measured

Precision = Literal["float32", "tf32", "bfloat16"]
#: Rows of a batch, steps of a pass, and passes that are timed.
TRAINING = {128: (50, 5), 256: (50, 5), 4096: (10, 5), 65_536: (3, 3)}
#: Rows that are completed on a GPU, on one thread and on all threads.
COMPLETED = {"gpu": 100_000, "one": 2_000, "all": 4_000}


def measure(sizes: dict[int, tuple[int, int]], completed: dict[str, int], device: str) -> pd.DataFrame:
    """The record: one line per figure, with the device that gave it."""
    threads = torch.get_num_threads()
    table = rows_of_table(max(size * steps for size, (steps, _) in sizes.items()))
    model = fitted(table[: completed["gpu"]], device)
    data = model.batch(table)
    lines: list[dict[str, Any]] = []
    sides = [("gpu", device, threads), ("one", "cpu", 1), ("all", "cpu", threads)]
    for side, where, count in sides:
        torch.set_num_threads(count)
        who = name_of(where, count)
        for size, (steps, passes) in sizes.items():
            rate = training_rate(model, data, where, size, steps, passes)
            lines.append(line(f"training, batch {size}", who, rate, "rows per second"))
        rate = completion_rate(model, table[: completed[side]], where)
        lines.append(line(f"completion, {model.n_draws_posterior} draws", who, rate, "rows per second"))
    torch.set_num_threads(threads)
    if device == "cuda":
        lines += in_lower_precision(model, data, sizes, device)
        lines += compiled(model, data, [min(sizes), max(sizes)], device)
    return pd.DataFrame(lines)


def rows_of_table(n_rows: int) -> FloatArray:
    """The bench's table with holes, shape (n, 20)."""
    return np.concatenate([holed for _, holed in chunks(n_rows)])


def told() -> Nested:
    """The default mechanism, told what the bench's table loses."""
    return Nested(direction={"x0": "high"})


def fitted(
    table: FloatArray, device: str, mechanism: Callable[[], Any] = told, precision: Precision = "float32"
) -> MNARImputer:
    """A default fit whose products are made in this precision."""
    with warnings.catch_warnings(), products_in(precision):
        warnings.simplefilter("ignore")
        return MNARImputer(mechanism(), random_state=0, device=device).fit(table)


def line(measure: str, who: str, value: float, unit: str) -> dict[str, Any]:
    """A line of the record."""
    return {"measure": measure, "device": who, "value": value, "unit": unit}


def name_of(device: str, threads: int) -> str:
    """The card, or how many threads."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{threads} thread{'s' * (threads > 1)} of the processor beside it"


def training_rate(
    model: MNARImputer, data: Batch, device: str, size: int, steps: int, passes: int, precision: Precision = "float32"
) -> float:
    """Rows per second of training from the fitted model on, the median pass."""
    joint, part = copy.deepcopy(model.joint_).to(device), data.rows(slice(0, size * steps)).to(device, torch.float32)
    settings = replace(model._fit_settings(part.n_rows, 0.0), max_iter=passes + 1, batch_size=size, learning_rate=1e-4)
    with products_in(precision):
        seconds = fit(joint, part, settings).seconds
    return part.n_rows / statistics.median(np.diff(seconds))


def completion_rate(model: MNARImputer, table: FloatArray, device: str) -> float:
    """Rows per second of ``transform``."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(model, Path(folder) / "model")
        there = load(Path(folder) / "model", device=device)
        assert isinstance(there, MNARImputer)
        there.transform(table[:200])
        start = time.perf_counter()
        there.transform(table)
        return len(table) / (time.perf_counter() - start)


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """Linear layers whose products are made in this precision, and added up and given on in single."""
    whole, tf32 = torch.nn.functional.linear, torch.backends.cuda.matmul.allow_tf32

    def halved(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        half = None if bias is None else bias.bfloat16()
        return whole(input.bfloat16(), weight.bfloat16(), half).to(input.dtype)

    if precision == "tf32":
        torch.backends.cuda.matmul.allow_tf32 = True
    elif precision == "bfloat16":
        torch.nn.functional.linear = halved
    try:
        yield
    finally:
        torch.nn.functional.linear, torch.backends.cuda.matmul.allow_tf32 = whole, tf32


def in_lower_precision(
    model: MNARImputer, data: Batch, sizes: dict[int, tuple[int, int]], device: str
) -> list[dict[str, Any]]:
    """Rates in lower precision, and nats per row by which bounds differ: of one model, and of one trained that way."""
    who, lines = name_of(device, 1), []
    few = load_breast_cancer().data[:, :10].copy()
    few[np.random.default_rng(0).random(few.shape) < 0.3] = np.nan
    tables: dict[str, tuple[FloatArray, Callable[[], Any]]] = {
        "20 columns": (model_table(data, model), told),
        "breast cancer, 10 columns": (few, lambda: "self-masking"),
    }
    trained = {name: fitted(table, device, mechanism) for name, (table, mechanism) in tables.items()}
    lower: tuple[Precision, ...] = ("tf32", "bfloat16")
    for precision in lower:
        for size, (steps, passes) in sizes.items():
            rate = training_rate(model, data, device, size, steps, passes, precision)
            lines.append(line(f"training, batch {size}, products in {precision}", who, rate, "rows per second"))
        for name, (table, mechanism) in tables.items():
            plain = trained[name]
            gap = bound_of(plain, table, precision) - bound_of(plain, table, "float32")
            lines.append(line(f"bound of one model in {precision} - in float32, {name}", who, gap, "nats per row"))
            other = fitted(table, device, mechanism, precision)
            gap = bound_of(other, table, "float32") - bound_of(plain, table, "float32")
            lines.append(line(f"bound of a fit in {precision} - in float32, {name}", who, gap, "nats per row"))
    return lines


def compiled(model: MNARImputer, data: Batch, sizes: list[int], device: str) -> list[dict[str, Any]]:
    """A step's loss and gradient, as it is and compiled, and what it takes to compile it: for the first size, anew."""
    who, lines = name_of(device, 1), []
    for size in sizes:
        rows = data.rows(slice(0, size)).to(device, torch.float32)
        times = step_times(model.joint_, rows)
        for what, seconds in times.items():
            lines.append(line(f"loss and gradient, batch {size}, {what}", who, seconds, "seconds"))
    return lines


def model_table(data: Batch, model: MNARImputer, n_rows: int = 5_000) -> FloatArray:
    """The first rows of the table, standardised, NaN = missing."""
    x = data.x[:n_rows].cpu().double().numpy()
    return np.where(data.observed[:n_rows].cpu().numpy(), x, np.nan)


@torch.no_grad()
def bound_of(model: MNARImputer, table: FloatArray, precision: Precision, n_draws: int = 200) -> float:
    """The bound of a fitted model with this many draws and the same noise each time, nats per row."""
    weight = next(model.joint_.parameters())
    batch, joint = model.batch(table).to(weight.device, weight.dtype), model.joint_
    joint.generator = torch.Generator(weight.device).manual_seed(0)
    try:
        with products_in(precision):
            return float(ImportanceBound(n_draws).row_bounds(joint.model, joint.guide, batch).double().mean())
    finally:
        joint.forget()


def main() -> None:
    """Measure, show, and write ``gpu.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="what stands in the GPU's place, to try this without one")
    parser.add_argument("--share", type=float, default=1.0, help="of the rows that are completed and trained on")
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder of gpu.csv")
    options = parser.parse_args()
    sizes = {max(1, int(size * options.share)): parts for size, parts in TRAINING.items()}
    completed = {side: max(200, int(n * options.share)) for side, n in COMPLETED.items()}
    frame = measure(sizes, completed, options.device)
    print(write_measured(frame, options.out / "gpu.csv").to_string())


if __name__ == "__main__":
    main()
