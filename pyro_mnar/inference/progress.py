"""A progress bar for long fits: passes, bound, time left."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def training_bar(show: bool) -> Iterator[Callable[[int, int, float, float | None], None] | None]:
    """A reporter for :func:`pyro_mnar.inference.training.fit`, or None when there is nothing to show."""
    if not show:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=False) as bar:
        task = bar.add_task("fit", total=None)

        def report(done: int, total: int, bound: float, held_out: float | None) -> None:
            text = f"bound {bound:.3f} nats/row" + ("" if held_out is None else f", held out {held_out:.3f}")
            bar.update(task, completed=done, total=total, description=text)

        yield report
