"""The measurement of a file larger than memory: its table, and what it says of a run."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pyro_mnar.studies.bench import large

pytest.importorskip("pyarrow")


def test_its_table_is_made_in_chunks_and_loses_high_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "CHUNK", 500)
    made = list(large.chunks(1200))
    assert [len(complete) for complete, _ in made] == [500, 500, 200]
    complete, holed = (np.vstack(part) for part in zip(*made, strict=True))
    lost = np.isnan(holed)
    assert np.array_equal(complete[~lost], holed[~lost])
    assert np.allclose(complete.std(0), 1, atol=0.1) and not lost[:, 5:].any()
    assert complete[lost[:, 0], 0].mean() > 1 and abs(lost[:, 1:5].mean() - 0.1) < 0.02


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory is read from Linux's account of processes")
def test_a_run_says_seconds_memory_and_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    line = large.measure(600, 20, 1)
    assert line["table"] == "600 x 20" and line["which_is"] == "reckoned from 600 rows"
    assert isinstance(line["rmse"], float) and 0 < line["rmse"] < 1.5
    assert isinstance(line["peak_megabytes"], float) and 100 < line["peak_megabytes"] < 2000
    assert isinstance(line["processor_seconds"], float) and line["processor_seconds"] > 1
    assert large.family(os.getpid())[0] == os.getpid()
