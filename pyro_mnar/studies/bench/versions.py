"""``python -m pyro_mnar.studies.bench.versions``: the seconds of the default, beside those of another checkout.

The other checkout is a ``git worktree`` of the version to compare with. Each fit runs in a process of its own, by
turns, with one thread, and counts the processor's seconds from the first fit to the completed table: what else the
machine does falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.studies.bench.timing import write_measured

#: Rows, columns, and the share of the other version's seconds that was asked for.
SHAPES = ((1000, 10, 0.2), (500, 30, 0.2), (200, 300, 0.25))
#: What a process runs, of whichever version is first on its path.
_SIDE = """
import json, sys, time, warnings
import numpy as np
import torch
from pyro_mnar import MNARImputer
warnings.simplefilter("ignore")
torch.set_num_threads(1)
with np.load(sys.argv[1]) as tables:
    complete, holed = tables["complete"], tables["holed"]
start = time.process_time()
imputer = MNARImputer(random_state=0).fit(holed)
fitted = time.process_time()
completed = imputer.transform(holed)
done = time.process_time()
lost = np.isnan(holed)
wrong = ((completed - complete) / complete.std(0))[lost]
print(json.dumps({"fit": fitted - start, "transform": done - fitted, "rmse": float(np.sqrt((wrong**2).mean()))}))
"""


class Seconds(NamedTuple):
    """Of one run: seconds of the processor, and the error on the missing cells in standard deviations."""

    fit: float
    transform: float
    rmse: float

    @property
    def total(self) -> float:
        """Fit and transform."""
        return self.fit + self.transform


def factor_table(n_rows: int, n_columns: int, seed: int = 5) -> tuple[FloatArray, FloatArray]:
    """A table of a few common factors, complete and with its high values softly lost, shape (n, p) each."""
    rng = np.random.default_rng(seed)
    n_factors = max(2, round(2 * n_columns**0.4) - 1)
    complete = rng.normal(size=(n_rows, n_factors)) @ rng.normal(size=(n_factors, n_columns))
    complete += 0.7 * rng.normal(size=complete.shape)
    z = (complete - complete.mean(0)) / complete.std(0)
    lost = rng.random(z.shape) < expit(1.5 * (z - 0.8))
    lost[lost.all(1), 0] = False
    return complete, np.where(lost, np.nan, complete)


def run(checkout: Path, tables: Path) -> Seconds:
    """The default of one version on one table."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    # Python looks for the package in the current folder first, which may hold another version.
    done = subprocess.run(
        [sys.executable, "-c", _SIDE, str(tables)],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return Seconds(**json.loads(done.stdout.splitlines()[-1]))


def compare(
    ours: Path, theirs: Path, shapes: Sequence[tuple[int, int, float]] = SHAPES, turns: int = 5
) -> pd.DataFrame:
    """One line per shape of a table: medians of both versions, and the median over turns of ours / theirs."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for n_rows, n_columns, aim in shapes:
            tables = Path(folder) / "tables.npz"
            complete, holed = factor_table(n_rows, n_columns)
            np.savez(tables, complete=complete, holed=holed)
            sides: tuple[list[Seconds], list[Seconds]] = ([], [])
            for turn in range(turns):
                for place in (0, 1) if turn % 2 else (1, 0):
                    sides[place].append(run((ours, theirs)[place], tables))
            ratio = statistics.median(a.total / b.total for a, b in zip(*sides, strict=True))
            line = {"table": f"{n_rows} x {n_columns}", "turns": turns}
            for name, found in zip(("ours", "theirs"), sides, strict=True):
                for part in Seconds._fields:
                    line[f"{name}_{part}"] = statistics.median(getattr(one, part) for one in found)
            lines.append({**line, "ratio": ratio, "aim": f"<= {aim}", "met": "yes" if ratio <= aim else "no"})
    return pd.DataFrame(lines)


def main() -> None:
    """Measure, show, and write ``versions.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", type=Path, required=True, help="checkout of the version to compare with")
    parser.add_argument("--name", required=True, help="what that version is called")
    parser.add_argument("--out", type=Path, default=Path("results/speed"), help="folder of versions.csv")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--tables", type=int, default=len(SHAPES), help="only the first so many")
    options = parser.parse_args()
    ours = Path(__file__).parents[3]
    frame = compare(ours, options.other.resolve(), SHAPES[: options.tables], options.turns)
    print(write_measured(frame.assign(theirs=options.name), options.out / "versions.csv").to_string())


if __name__ == "__main__":
    main()
