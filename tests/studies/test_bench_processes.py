"""The measurement of training in two processes and in one."""

from __future__ import annotations

from typing import Any

import pytest

from pyro_mnar.studies.bench import processes


def test_the_figure_is_the_median_of_ratios(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([150.0, 100.0, 100.0, 180.0, 160.0, 100.0])
    sides: list[int] = []

    def rows_per_second(table: Any, batch_size: int, passes: int, devices: int) -> float:
        sides.append(devices)
        return next(speeds)

    monkeypatch.setattr(processes, "rows_per_second", rows_per_second)
    monkeypatch.setattr(processes, "rows_per_second_apart", lambda n_rows, batch_size, passes: 190.0)
    line = processes.measure(256, 128, 1, 3)
    assert sides == [2, 1, 1, 2, 2, 1]
    assert line["ratio"] == 1.6 and line["met"] == "yes" and line["table"] == "256 x 20"
    assert line["ratio_of_two_apart"] == 1.9


def test_rows_are_counted_in_training_alone() -> None:
    table = next(processes.chunks(256))[1]
    assert processes.rows_per_second(table, 64, 2, 1) > 0
    assert processes.rows_per_second_apart(256, 64, 1) > 0
