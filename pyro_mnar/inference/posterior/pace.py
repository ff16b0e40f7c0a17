"""Long work says so: how long it will take, from its first part, and a bar from then on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

#: Seconds from which on work is called long.
LONG = 60.0


class Pace:
    """How far some work on rows has come; once it is known to be long, a line and a bar on standard error say so.

    Parameters
    ----------
    n_rows : int
        Rows to do.
    n_draws : int
        Draws of each, for the line.
    """

    def __init__(self, n_rows: int, n_draws: int) -> None:
        self.n_rows, self.n_draws = n_rows, n_draws
        self.done = 0
        self._start = time.monotonic()
        self._bar: Progress | None = None

    def step(self, n_rows: int) -> None:
        """So many more rows are done."""
        self.done += n_rows
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done)
            return
        seconds = (time.monotonic() - self._start) / self.done * self.n_rows
        if seconds > LONG and self.done < self.n_rows:
            self._announce(seconds)

    def close(self) -> None:
        """End the bar."""
        if self._bar is not None:
            self._bar.stop()

    def _announce(self, seconds: float) -> None:
        console = Console(file=sys.stderr, markup=False, highlight=False)
        console.print(
            f"{self.n_rows:,} rows at {self.n_draws:,} draws take about {seconds / 60:,.0f} minutes here; fewer draws "
            "(n_draws_posterior) take less",
            soft_wrap=True,
        )
        columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("rows", total=self.n_rows, completed=self.done)
        self._bar.start()


@contextmanager
def pace(n_rows: int, n_draws: int) -> Iterator[Pace]:
    """A :class:`Pace` whose bar ends with the block."""
    found = Pace(n_rows, n_draws)
    try:
        yield found
    finally:
        found.close()
