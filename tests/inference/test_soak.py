"""Many fits in one process: memory stays flat, and threads and files are released."""

from __future__ import annotations

import gc
import os
import warnings
from pathlib import Path

import pytest

from pyro_mnar import load, save
from pyro_mnar.errors import MNARWarning
from tests.support.estimators import MAKERS, table
from tests.support.folders import TARGET
from tests.support.validation import record

#: Megabytes that the process may grow by after a tenth of the fits.
MOST_GROWTH = 20.0


def held() -> tuple[float, int, int]:
    """Megabytes, threads and open files of this process."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
    return memory, len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def soak(count: int, folder: Path) -> tuple[float, float, float]:
    """Fit, ask, save and load so many times; what is held more at the end than after a tenth of it."""
    X, makers = table(), list(MAKERS.values())
    before = (0.0, 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MNARWarning)
        for k in range(count):
            if k == count // 10:
                before = held()
            estimator = makers[k % 3](max_iter=2, random_state=k, checkpoint_dir=folder / "run").fit(X, TARGET)
            estimator.transform(X)
            save(estimator, folder / "model", overwrite=True)
            load(folder / "model").transform(X)
    memory, threads, files = (after - at_first for after, at_first in zip(held(), before, strict=True))
    assert memory < MOST_GROWTH and threads <= 0 and files <= 0, (memory, threads, files)
    assert len(list(folder.iterdir())) == 2
    return memory, threads, files


def test_30_fits(tmp_path: Path) -> None:
    soak(30, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_1000_fits(tmp_path: Path) -> None:
    """How many is set by PYRO_MNAR_FITS."""
    count = int(os.environ.get("PYRO_MNAR_FITS", "1000"))
    memory, threads, files = soak(count, tmp_path)
    figure = f"{count:,} fits: {memory:+.1f} MB, {threads:+.0f} threads, {files:+.0f} open files after the first tenth"
    threshold = f"1,000 fits, less than {MOST_GROWTH:.0f} MB, no thread, no file"
    record("fit, ask, save and load in one process", figure, threshold, True if count >= 1000 else None)
