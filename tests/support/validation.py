"""Figures of the heavy checks, kept in a table beside what was asked of them."""

from __future__ import annotations

import csv
import fcntl
import os
from pathlib import Path

import pandas as pd

FIELDS = ("check", "figure", "threshold", "passed")


def record(check: str, figure: str, threshold: str, passed: bool | None) -> None:
    """Put one line into summary.csv of the folder that PYRO_MNAR_RECORD names; do nothing without it.

    ``passed`` is None for a figure without a threshold.
    """
    folder = os.environ.get("PYRO_MNAR_RECORD")
    if not folder:
        return
    path = Path(folder) / "summary.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lines = {}
        if path.exists():
            with open(path, newline="", encoding="utf-8") as file:
                lines = {line["check"]: line for line in csv.DictReader(file)}
        lines[check] = {
            "check": check,
            "figure": figure,
            "threshold": threshold,
            "passed": "" if passed is None else str(bool(passed)),
        }
        partial = path.with_suffix(".partial")
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines[name] for name in sorted(lines))
        os.replace(partial, path)
    path.with_suffix(".lock").unlink(missing_ok=True)


def record_table(name: str, table: pd.DataFrame) -> None:
    """Keep the rows behind a figure as ``name``.csv in the folder that PYRO_MNAR_RECORD names, if it names one."""
    folder = os.environ.get("PYRO_MNAR_RECORD")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        table.round(4).to_csv(Path(folder) / f"{name}.csv", index=False, lineterminator="\n")
