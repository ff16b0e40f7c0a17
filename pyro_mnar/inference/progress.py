"""Long work says how far it has come: what it does in plain words, a bar, and the time left.

One display at a time: what runs inside other work shows itself below it, and is silent where that is. Work that would
take more than a minute says so when its first seconds have shown how fast it is: beside the bar, and to the logger
``pyro_mnar`` (level INFO) for programs that show none.
"""

import functools
import logging
import math
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

#: Seconds of work above which a line says beforehand how many they will be.
LONG = 60.0

#: What work says of itself: how much of how much is done, and in words what it does now.
Report = Callable[[float, float, str], None]


_log = logging.getLogger("pyro_mnar")


class _Task:
    """One piece of work: its bar, once it has one, and when it was first heard of."""

    def __init__(self) -> None:
        self.bar: int | None = None
        self._heard: tuple[float, float] | None = None

    def seconds(self, done: float, total: float) -> float | None:
        """How long all of it takes at the pace so far, None until that has been seen for a moment."""
        now = time.monotonic()
        began, first = self._heard = self._heard or (now, done)
        if now - began < PATIENCE or done <= first:
            return None
        return (now - began) * (total - first) / (done - first)


class _Display:
    """The bars of one call, which appear once it has taken ``patience`` seconds; never where that is None."""

    def __init__(self, patience: float | None) -> None:
        self._until = time.monotonic() + (patience or 0.0)
        self._bars: Progress | None = None
        self._hidden = patience is None
        self._told = LONG / 2

    def show(self, task: _Task, done: float, total: float, words: str) -> None:
        """Bring a bar to where its work is, and say how long it will take if that is long.

        It is said again only where it is twice as long: of what stands around work that was told of.
        """
        seconds = task.seconds(done, total)
        shown = not self._hidden and (self._bars is not None or (time.monotonic() >= self._until and self._start()))
        if seconds is not None and seconds > 2 * self._told:
            self._told = seconds
            line = f"this takes {duration(seconds)} ({words}); Ctrl-C stops it"
            _log.info(line)
            if shown and self._bars is not None:
                self._bars.console.print(line)
        if not shown or self._bars is None:
            return
        if task.bar is None:
            task.bar = int(self._bars.add_task(words, total=total))
        self._bars.update(task.bar, completed=done, total=total, description=words)  # type: ignore[arg-type]

    def end(self, task: _Task) -> None:
        """Take a bar away."""
        if self._bars is not None and task.bar is not None:
            self._bars.remove_task(task.bar)  # type: ignore[arg-type]

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
            self._bars, self._hidden = None, True
        return not self._hidden


class _Here(threading.local):
    """What this thread shows now: the display of the work that goes on, if any does."""

    display: _Display | None = None


_here = _Here()


@contextmanager
def progress(show: bool | None = None) -> Iterator[Report]:
    """A reporter of the work in the block.

    Parameters
    ----------
    show : bool or None
        None shows a bar on standard error after two seconds, in a terminal or a notebook and nowhere else; True shows
        it at once, and everywhere; False not at all. Beside it stands one line that says how long the work takes, if
        that is more than a minute; it goes to the logger "pyro_mnar" in any case.

    Yields
    ------
    callable
        Takes what is done, of how much, and what is being done, in words.

    Examples
    --------
    >>> with progress() as report:
    ...     report(1, 10, "counting rows")
    """
    if _here.display is not None:
        outer, task = _here.display, _Task()
        try:
            yield functools.partial(outer.show, task)
        finally:
            outer.end(task)
        return
    wanted = can_be_shown() if show is None else show
    display = _Display((0.0 if show else PATIENCE) if wanted else None)
    _here.display = display
    try:
        yield functools.partial(display.show, _Task())
    finally:
        _here.display = None
        display.close()


def duration(seconds: float) -> str:
    """About so long, in words.

    Examples
    --------
    >>> duration(95), duration(2760), duration(20_000), duration(400_000)
    ('about 2 minutes', 'about 46 minutes', 'about 5.6 hours', 'about 4.6 days')
    """
    if seconds < 90:
        return f"about {seconds:.0f} seconds"
    if seconds < 5_400:
        return f"about {seconds / 60:.0f} minutes"
    hours = seconds / 3_600
    return f"about {hours:.1f} hours" if hours < 48 else f"about {hours / 24:.1f} days"


def can_be_shown() -> bool:
    """Whether someone looks: standard error is a terminal, or the code runs in a notebook."""
    console = _console()
    return console.is_jupyter or console.is_terminal


def _console() -> Console:
    return Console(file=sys.stderr, markup=False, highlight=False)


def training_report(report: Report, with_bound: bool) -> Callable[[float, int, float | None, float | None], None]:
    """A reporter for :func:`pyro_mnar.inference.training.fit`: passes over the data, and the bound for who wants it."""

    def told(done: float, total: int, bound: float | None, held_out: float | None) -> None:
        words = f"training the model, pass {max(1, math.ceil(done)):,} of {total:,}"
        if with_bound and bound is not None:
            words += f", bound {bound:.3f} nats/row" + ("" if held_out is None else f", held out {held_out:.3f}")
        report(done, total, words)

    return told
