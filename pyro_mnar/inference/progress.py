"""Long work says how far it has come: what it does in plain words, a bar, and the time left.

One display at a time: what runs inside other work shows itself below it, and is silent where that is.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.errors import LiveError
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

#: Seconds that work may take in silence.
PATIENCE = 2.0

#: What work says of itself: how much of how much is done, and in words what it does now.
Report = Callable[[float, float, str], None]


class _Display:
    """The bars of one call, which appear once the call has taken longer than a moment."""

    def __init__(self, patience: float) -> None:
        self._until = time.monotonic() + patience
        self._bars: Progress | None = None
        self._failed = False

    def show(self, task: list[int], done: float, total: float, words: str) -> None:
        """Bring a bar to where its work is; ``task`` holds its number, once it has one."""
        if self._failed or (self._bars is None and time.monotonic() < self._until):
            return
        if self._bars is None and not self._start():
            return
        assert self._bars is not None
        if not task:
            task.append(int(self._bars.add_task(words, total=total)))
        self._bars.update(task[0], completed=done, total=total, description=words)  # type: ignore[arg-type]

    def end(self, task: list[int]) -> None:
        """Take a bar away."""
        if self._bars is not None and task:
            self._bars.remove_task(task[0])  # type: ignore[arg-type]

    def close(self) -> None:
        """Take all of them away."""
        if self._bars is not None:
            self._bars.stop()

    def _start(self) -> bool:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        console = _console()
        # A file keeps the last state; a terminal is left as it was.
        self._bars = Progress(*columns, console=console, transient=console.is_terminal)
        try:
            self._bars.start()
        except LiveError:
            # Another thread, or the caller, has a display already.
            self._bars, self._failed = None, True
        return not self._failed


class _Here(threading.local):
    """What this thread shows now: whether work is going on, and the display that it has, if any."""

    inside = False
    display: _Display | None = None


_here = _Here()


@contextmanager
def progress(show: bool | None = None) -> Iterator[Report]:
    """A reporter of the work in the block.

    Parameters
    ----------
    show : bool or None
        None shows a bar on standard error after two seconds, in a terminal or a notebook and nowhere else; True shows
        it at once, and everywhere; False not at all.

    Yields
    ------
    callable
        Takes what is done, of how much, and what is being done, in words.

    Examples
    --------
    >>> with progress() as report:
    ...     report(1, 10, "counting rows")
    """
    if _here.inside:
        outer, task = _here.display, list[int]()
        try:
            yield _reporter(outer, task)
        finally:
            if outer is not None:
                outer.end(task)
        return
    wanted = can_be_shown() if show is None else show
    display = _Display(0.0 if show else PATIENCE) if wanted else None
    _here.inside, _here.display = True, display
    try:
        yield _reporter(display, [])
    finally:
        _here.inside, _here.display = False, None
        if display is not None:
            display.close()


def can_be_shown() -> bool:
    """Whether someone looks: standard error is a terminal, or the code runs in a notebook."""
    console = _console()
    return console.is_jupyter or console.is_terminal


def _console() -> Console:
    return Console(file=sys.stderr, markup=False, highlight=False)


def _reporter(display: _Display | None, task: list[int]) -> Report:
    def report(done: float, total: float, words: str) -> None:
        if display is not None:
            display.show(task, done, total, words)

    return report


def training_report(report: Report, with_bound: bool) -> Callable[[int, int, float, float | None], None]:
    """A reporter for :func:`pyro_mnar.inference.training.fit`: passes over the data, and the bound for who wants it."""

    def told(done: int, total: int, bound: float, held_out: float | None) -> None:
        words = f"training the model, pass {done:,} of {total:,}"
        if with_bound:
            words += f", bound {bound:.3f} nats/row" + ("" if held_out is None else f", held out {held_out:.3f}")
        report(done, total, words)

    return told
