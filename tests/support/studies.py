"""A small study for the tests of the runner, in a module of its own: other processes import it."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    seed: int
    does: str = "square"
    trace: str = ""


def run_task(spec: Task, data_home: Path | None) -> dict[str, Any]:
    if spec.trace:
        with Path(spec.trace).open("a") as file:
            file.write(f"{spec.seed}\n")
    if spec.does == "fail":
        raise ValueError(f"no result for {spec.seed}")
    if spec.does == "die":
        os._exit(9)
    if spec.does == "wait":
        time.sleep(600)
    if spec.does == "pause":
        time.sleep(0.05)
    if spec.does == "allocate":
        np.ones(64 * 2**17).sum()
    if spec.does == "warn":
        warnings.warn("look here", UserWarning, stacklevel=1)
    return {"square": spec.seed**2, "process": os.getpid(), "data": None if data_home is None else data_home.name}


def overlap(spec: Task, data_home: Path | None) -> dict[str, Any]:
    """Come back once two rows are under way at the same time; give up after a minute."""
    folder = Path(spec.trace)
    (folder / f"{spec.seed}").touch()
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    return {"together": len(list(folder.iterdir())) == 2}
