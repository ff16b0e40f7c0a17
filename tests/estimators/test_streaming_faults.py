"""A table on the disk is completed though the process is killed again and again, and in memory that has a bound."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import save
from tests.support.estimators import small_imputer
from tests.support.validation import record

pytest.importorskip("pyarrow")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}

# Complete a file in blocks of 25 rows with a saved model, strategy "sample" among them.
COMPLETE = """
    import sys
    import torch
    torch.set_num_threads(1)
    from pyro_mnar import load
    from pyro_mnar.estimators import streaming
    streaming.MOST = streaming.FEWEST = 25
    model, given, out, strategy, n_jobs = sys.argv[1:]
    imputer = load(model).set_params(strategy=strategy, n_draws_posterior=300)
    print("completing", flush=True)
    imputer.transform(given, out=out, n_jobs=int(n_jobs))
"""


def script(body: str, *arguments: object) -> list[str]:
    return [sys.executable, "-W", "ignore", "-c", textwrap.dedent(body), *map(str, arguments)]


def finished(folder: Path) -> int:
    return len(list(folder.glob("*.part"))) if folder.exists() else 0


def due(delay: float | None, seconds: float, parts: int) -> bool:
    """Whether it is time for a kill: after so many seconds, or where None once there is another part."""
    return parts > 0 if delay is None else seconds > delay


def killed(command: list[str], out: Path, delays: Sequence[float | None]) -> tuple[int, int]:
    """How often the command was killed before it ended, and how many parts were kept over a kill.

    Processes that it has started live on for a while, and may finish a part beside the next try; they go at the end.
    """
    kept = kills = 0
    groups = []
    for delay in delays:
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True)
        groups.append(process.pid)
        assert process.stdout is not None and process.stdout.readline() == "completing\n"
        # Not until its output ends: the processes that it has started hold that open.
        process.stdout.close()
        parts = out.with_name(out.name + ".parts")
        before, start = finished(parts), time.monotonic()
        while process.poll() is None and not due(delay, time.monotonic() - start, finished(parts) - before):
            time.sleep(0.002)
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        kills, kept = kills + 1, max(kept, finished(parts))
        assert not out.exists()
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    return kills, kept


def prepared(folder: Path, n: int) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n, 4)), columns=list("abcd"))
    frame["label"] = rng.choice(["x", "y", "z"], n)
    frame = frame.mask(rng.random(frame.shape) < 0.2)
    frame.to_parquet(folder / "in.parquet", row_group_size=31)
    save(small_imputer().fit(frame), folder / "model")


@pytest.mark.parametrize(("strategy", "n_jobs"), [("mean", 1), ("sample", 1)])
def test_a_file_is_the_same_after_kills(strategy: str, n_jobs: int, tmp_path: Path) -> None:
    prepared(tmp_path, 300)
    given = (tmp_path / "model", tmp_path / "in.parquet")
    whole, out = tmp_path / "whole.parquet", tmp_path / "out.parquet"
    subprocess.run(script(COMPLETE, *given, whole, strategy, n_jobs), env=ENVIRONMENT, check=True)
    command = script(COMPLETE, *given, out, strategy, n_jobs)
    kills, kept = killed(command, out, [None, None])
    assert kills == 2 and kept >= 2
    subprocess.run(command, env=ENVIRONMENT, check=True)
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "model", "out.parquet", "whole.parquet"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_50_kills_while_a_file_is_completed(tmp_path: Path) -> None:
    prepared(tmp_path, 2000)
    given = (tmp_path / "model", tmp_path / "in.parquet")
    whole, kills, rounds = tmp_path / "whole.parquet", 0, 0
    subprocess.run(script(COMPLETE, *given, whole, "sample", 1), env=ENVIRONMENT, check=True)
    rng = random.Random(0)
    while kills < 50:
        out = tmp_path / f"out{rounds}.parquet"
        command = script(COMPLETE, *given, out, "sample", 1 + rounds % 2)
        kills += killed(command, out, [rng.uniform(0.1, 2.0) for _ in range(min(12, 50 - kills))])[0]
        subprocess.run(command, env=ENVIRONMENT, check=True) if not out.exists() else None
        assert out.read_bytes() == whole.read_bytes()
        rounds += 1
    record("kills while a file is completed", f"{kills} kills, every file as without them", "50, bit for bit", True)


# Fit to a Parquet file of one row group, complete it, and tell the memory that there was at the most, in MB.
MEMORY = """
    import json, sys
    import torch
    torch.set_num_threads(1)
    from pyro_mnar import MNARImputer

    def peak():
        # Not ru_maxrss: a new program keeps that of the one which started it.
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")) / 1024

    given, out = sys.argv[1:]
    imputer = MNARImputer("ignorable", hidden_units=(8,), latent_dim=2, n_draws_posterior=20, random_state=0).fit(given)
    fitted = peak()
    imputer.transform(given, out=out)
    print(json.dumps([fitted, peak()]))
"""


def peak(folder: Path, n_rows: int) -> Any:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 10)), columns=[f"x{j}" for j in range(10)])
    frame.loc[rng.random(n_rows) < 0.01, "x0"] = np.nan
    frame.to_parquet(folder / "in.parquet", row_group_size=n_rows)
    command = script(MEMORY, folder / "in.parquet", folder / "out.parquet")
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=True)
    (folder / "out.parquet").unlink()
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    small, large = peak(tmp_path, 1_000_000), peak(tmp_path, 3_000_000)
    # The cells alone are 80 MB and 240 MB.
    figure = f"{small[1]:.0f} MB at 1,000,000 x 10, {large[1]:.0f} MB at 3,000,000 x 10 in one row group"
    record("peak memory of fit and transform on the disk", figure, "within 60 MB", bool(large[1] < small[1] + 60))
    assert large[1] < small[1] + 60, figure
