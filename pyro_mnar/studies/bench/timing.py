"""Two sides in turns, the median of their ratios, and the file of what was measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pyro_mnar.studies.records import versions, write_files


class Timing(NamedTuple):
    """Median seconds of one call of each side, and the median over turns of ours / theirs."""

    ours: float
    theirs: float
    ratio: float


def alternate(ours: Callable[[], object], theirs: Callable[[], object], turns: int, warm_up: int = 50) -> Timing:
    """Call the two sides by turns, each first as often as second."""
    for side in (ours, theirs):
        for _ in range(warm_up):
            side()
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for place in (0, 1) if turn % 2 else (1, 0):
            start = time.perf_counter()
            (ours, theirs)[place]()
            seconds[place].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    return Timing(statistics.median(seconds[0]), statistics.median(seconds[1]), statistics.median(ratios))


def write_measured(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write what was measured, with the versions that it was measured with, and give what was written."""
    frame = frame.assign(**{name.replace("-", "_"): version for name, version in versions().items()})
    write_files(path.parent, {path.name: frame})
    return frame
