"""Long loops in pieces: cases have numbers, a run takes some of them, and what was run adds up in the record.

``PYRO_MNAR_CASES=500:1000 PYRO_MNAR_RECORD=results/validation pytest -m slow -k forged_checkpoints`` runs the cases 500
to 999. Each run is a line in pieces.csv; summary.csv says of how many different cases that makes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tests.support.limits import Limit
from tests.support.validation import record

COLUMNS = ["check", "first", "stop", "refused", "accepted", "seconds", "megabytes"]


class Pieces:
    """The cases of one loop that this run takes, and what became of them.

    Attributes
    ----------
    refused, accepted : int
        Cases that were refused by name, and others.
    limit : Limit
        To be entered where time and memory count.
    """

    def __init__(self, check: str, threshold: str, wanted: int, few: int | None = None) -> None:
        """Take ``few`` cases from the first on (a fast test, not recorded), or those that PYRO_MNAR_CASES names."""
        self.check, self.threshold, self.wanted, self.few = check, threshold, wanted, few
        first, _, stop = os.environ.get("PYRO_MNAR_CASES", f"0:{wanted}").partition(":")
        self.numbers = range(int(first), int(stop)) if few is None else range(few)
        self.refused, self.accepted = 0, 0
        self.limit = Limit()

    def __iter__(self) -> Iterator[tuple[int, random.Random]]:
        """The number of each case, and the generator that makes it: the same in every run."""
        for number in self.numbers:
            yield number, random.Random(f"{self.check} {number}")

    def record(self, refused: str = "refused by name", accepted: str = "loaded as other models") -> None:
        """Keep what was run beside what was asked."""
        folder = os.environ.get("PYRO_MNAR_RECORD")
        assert self.refused + self.accepted == len(self.numbers)
        if not folder or self.few is not None:
            return
        path = Path(folder) / "pieces.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
        first, stop = self.numbers.start, self.numbers.stop
        again = (table["check"] == self.check) & (table["first"] < stop) & (table["stop"] > first)
        worst = (round(self.limit.seconds, 2), round(self.limit.megabytes, 1))
        line = pd.DataFrame([(self.check, first, stop, self.refused, self.accepted, *worst)], columns=COLUMNS)
        table = pd.concat([table[~again], line]) if len(table) else line
        table.sort_values(["check", "first"]).to_csv(path, index=False, lineterminator="\n")
        own = table[table["check"] == self.check]
        done = int((own["stop"] - own["first"]).sum())
        parts = [
            f"{count:,} {words}"
            for count, words in ((int(own["refused"].sum()), refused), (int(own["accepted"].sum()), accepted))
            if count
        ]
        if own["seconds"].max() > 0:
            parts.append(f"{own['seconds'].max():.2f} s and {own['megabytes'].max():.0f} MB at most")
        figure = f"{done:,}: {'; '.join(parts)}"
        record(self.check, figure, f"{self.wanted:,}, {self.threshold}", True if done >= self.wanted else None)
