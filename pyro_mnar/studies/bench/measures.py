"""The measurements: each gives rows of the summary."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.studies.bench.handwritten import Kind, handwritten_step
from pyro_mnar.studies.bench.sides import (
    Table,
    batches,
    made,
    package_step,
    pair,
    peer_model,
    peer_step,
    stepper,
    with_start,
)
from pyro_mnar.studies.bench.timing import alternate

#: Turns per batch size: small steps are quick and noisy.
TURNS = {16: 300, 128: 100, 512: 30}


@dataclass(frozen=True)
class Figure:
    """One line of the summary: what the package took, what the other side took, and their ratio beside the aim.

    ``ours`` and ``theirs`` are medians in ``unit``, ``ratio`` is the median over turns of ours / theirs; ``aim`` is
    what it should be, such as "<= 1.10", and empty where it is stated for information.
    """

    measure: str
    setting: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    aim: str = ""

    @property
    def met(self) -> str:
        """Whether the aim was met, "yes" or "no"; empty without an aim."""
        if not self.aim:
            return ""
        sign, limit = self.aim.split()
        return "yes" if (self.ratio <= float(limit) if sign == "<=" else self.ratio >= float(limit)) else "no"


def against_handwritten(data: Table, turns: dict[int, int]) -> list[Figure]:
    """Seconds of a training step, beside a loop written by hand."""
    figures = []
    for collapsed, term in ((True, "collapsed"), (False, "sampled")):
        for size, n in turns.items():
            for kind in ("plain", "tuned"):
                aim = "<= 1.10" if size >= 128 else "<= 1.3" if collapsed else ""
                figures.append(_handwritten(data, size, n, collapsed, term, kind, aim if kind == "plain" else ""))
    return figures


def _handwritten(data: Table, size: int, turns: int, collapsed: bool, term: str, kind: Kind, aim: str) -> Figure:
    joint = pair(data, collapsed)
    theirs = stepper(handwritten_step(joint, kind, 20, collapsed), data.batch, size)
    timing = alternate(stepper(package_step(joint), data.batch, size), theirs, turns)
    measure = f"training step / {kind} torch loop"
    return Figure(measure, f"{term} mask term, batch {size}, K = 20", *timing[:2], "seconds", timing.ratio, aim)


def against_peer(data: Table, turns: dict[int, int]) -> list[Figure]:
    """Seconds of a training step, beside notmiwae-pytorch's, which samples x_mis and has the logistic link."""
    figures = []
    for setting, collapsed, link in (
        ("collapsed, probit", True, "probit"),
        ("collapsed, logistic", True, "logistic"),
        ("sampled, logistic", False, "logistic"),
    ):
        for size, n in turns.items():
            joint = pair(data, collapsed, link)  # type: ignore[arg-type]
            ours = stepper(package_step(joint), data.batch, size)
            theirs = stepper(peer_step(peer_model(data)), data.batch, size)
            timing = alternate(ours, theirs, n)
            where = f"{setting}, batch {size}, K = 20"
            figures.append(Figure("training step / notmiwae-pytorch", where, *timing[:2], "seconds", timing.ratio))
    return figures


def time_to_error(data: Table, steps: int, seed: int = 0, block: int = 100) -> list[Figure]:
    """Seconds of training until the imputation error is that of notmiwae-pytorch after all its steps.

    The two train in turns, block by block, until the peer is done; then the package's errors, which were taken after
    each block and are not timed, are searched for the first that is as low as the peer's last. Errors are those of the
    first thousand rows. Once with the direction known to both; once unknown, where the peer starts from a slope of 1,
    which is the right direction. The package starts as its imputer does, and its seconds count that.
    """
    figures = []
    for known in (True, False):
        model = peer_model(data, seed, known)
        start = time.perf_counter()
        ours, joint = with_start(data, "high" if known else None, seed)
        seconds = [[time.perf_counter() - start], [0.0]]
        sides = ((package_step(joint, seed=seed), 0), (peer_step(model), 1))
        streams = [batches(side.batch, 128, seed) for side in (ours, data)]
        shown = first_rows(ours)
        errors: list[float] = []
        for turn in range(steps // block):
            for step, place in sides if turn % 2 else sides[::-1]:
                start = time.perf_counter()
                for _ in range(block):
                    step(next(streams[place]))
                seconds[place].append(seconds[place][-1] + time.perf_counter() - start)
            errors.append(package_error(joint, shown))
        target = peer_error(model, first_rows(data))
        reached = next((i for i, error in enumerate(errors) if error <= target), None)
        took = math.inf if reached is None else seconds[0][reached + 1]
        direction = "known" if known else "unknown"
        where = f"white wine, direction {direction}: RMSE {target:.3f}, ours {errors[-1]:.3f} after as many steps"
        theirs = seconds[1][-1]
        measure, aim = "time to the error of notmiwae-pytorch", "<= 0.25"
        figures.append(Figure(measure, where, took, theirs, "seconds", took / theirs, aim))
    return figures


def first_rows(data: Table, n_rows: int = 1000) -> Table:
    """The beginning of a table."""
    return data._replace(batch=data.batch.rows(slice(0, n_rows)), truth=data.truth[:n_rows])


def package_error(joint: Joint, data: Table, n_draws: int = 100) -> float:
    """RMSE of the missing cells, in standard deviations of the complete columns."""
    generator, joint.generator = joint.generator, None
    try:
        return error(package_means(joint, data.batch, data.columns, n_draws), data)
    finally:
        joint.generator = generator


def package_means(
    joint: Joint, rows: Batch, columns: ColumnInfo, n_draws: int, seed: int = 0, single: bool = False
) -> torch.Tensor:
    """Its imputation of some rows, without a word about the uneven weights of few draws and hardly trained models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        return torch.as_tensor(Posterior(joint, rows, columns, n_draws=n_draws, seed=seed, single=single).mean())


def peer_error(model: Any, data: Table, n_draws: int = 1000) -> float:
    """The same, of its own imputation."""
    return error(peer_means(model, data.batch, n_draws), data)


def peer_means(model: Any, rows: Batch, n_draws: int) -> torch.Tensor:
    """Its imputation of some rows, in batches of 64."""
    with torch.no_grad():
        parts = [rows.rows(slice(i, i + 64)) for i in range(0, rows.n_rows, 64)]
        return torch.cat([model.impute(part.x, part.observed.to(part.x.dtype), n_samples=n_draws) for part in parts])


def error(completed: torch.Tensor, data: Table) -> float:
    """RMSE over missing cells."""
    wrong = ((completed - data.truth) / data.unit)[~data.batch.observed]
    return float(wrong.square().mean().sqrt())


def growth(turns: int) -> list[Figure]:
    """Cost of a step at sixteen times the rows, features or draws, over sixteen times the cost: linear is 1."""
    small = {"n": 32, "p": 8, "K": 5}
    figures = []
    for name in small:
        large = {**small, name: 16 * small[name]}
        (few, many) = (_sized_step(**sizes) for sizes in (small, large))
        timing = alternate(many, few, turns)
        start, end = small[name], large[name]
        others = ", ".join(f"{key} = {value}" for key, value in small.items() if key != name)
        where = f"{name} from {start} to {end}, {others}"
        figures.append(
            Figure("cost of a step at 16 times the size / 16", where, *timing[:2], "seconds", timing.ratio / 16, "<= 1")
        )
    return figures


def _sized_step(n: int, p: int, K: int) -> Callable[[], None]:
    data = made(4 * n, p)
    return stepper(package_step(pair(data), n_draws=K), data.batch, n)
