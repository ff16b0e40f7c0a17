"""Run a study's rows in parallel processes; keep each finished row at once, so that an interrupted run goes on."""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from pyro_mnar.errors import InvalidInputError, StudyError
from pyro_mnar.studies.environment import available_cores, children_without_interrupts
from pyro_mnar.studies.records import append_record, drop_unfinished_line, read_records, versions
from pyro_mnar.studies.study import Record, Spec, Study, label, row_key, row_settings, settings_key

ROWS_FILE = "rows.jsonl"
Result = TypeVar("Result")


def run_study(
    study: Study[Spec],
    folder: Path,
    *,
    data_home: Path | None = None,
    workers: int | None = None,
    console: Console | None = None,
) -> list[Record]:
    """Run what is not finished yet, and give the records of all rows, in the study's order.

    Each row runs in a process of its own kind: started afresh, with one thread, up to ``workers`` at a time. A finished
    row is appended to ``folder/rows.jsonl`` before anything else happens; a run that was interrupted or killed goes on
    with the rows that are not there. Rows of the file that are not the study's are left alone.

    Parameters
    ----------
    study : Study
        What to run.
    folder : Path
        Where ``rows.jsonl`` is kept; made if needed.
    data_home : Path or None
        Folder with the original data files, given to ``run_row``; it is no setting and is not recorded.
    workers : int or None
        Processes; None is one per processor.
    console : Console or None
        Where progress is shown; None shows it on standard error.

    Returns
    -------
    list of Record

    Raises
    ------
    InvalidInputError
        ``workers`` is not positive.
    StudyError
        Rows failed or a process died; the other rows were run and kept, and the next call runs the missing ones.
    """
    workers = available_cores() if workers is None else workers
    if workers < 1:
        raise InvalidInputError(f"workers is {workers}; it must be at least 1")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ROWS_FILE
    drop_unfinished_line(path)
    finished = {settings_key(record.spec): record for record in read_records(path)}
    todo = [spec for spec in study.rows if row_key(spec) not in finished]
    failures: list[str] = []
    if todo:
        console = Console(stderr=True, markup=False) if console is None else console
        with _progress(study.name, len(study.rows), len(study.rows) - len(todo), console) as report:
            tasks = [(study.run_row, spec, data_home) for spec in todo]
            for (_, spec, _), future in in_processes(_timed_row, tasks, min(workers, len(todo))):
                try:
                    record = future.result()
                except BrokenProcessPool as error:
                    raise StudyError(
                        f"a process of study {study.name!r} died (out of memory, or killed); finished rows are kept, "
                        "and running again, perhaps with fewer workers, goes on from there"
                    ) from error
                except Exception as error:
                    failures.append(f"{label(spec)}: {type(error).__name__}: {error}")
                    report(f"{label(spec)}: failed, {type(error).__name__}: {error}")
                else:
                    append_record(path, record)
                    finished[row_key(spec)] = record
                    report(f"{label(spec)}: {record.seconds:.1f} s")
    if failures:
        raise StudyError(
            f"{len(failures)} of {len(study.rows)} rows of study {study.name!r} failed; the others are kept in {path}, "
            "and running again tries only the missing ones:\n" + "\n".join(failures)
        )
    return [finished[row_key(spec)] for spec in study.rows]


def in_processes(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[tuple[tuple[Any, ...], Future[Result]]]:
    """Call a function with each tuple of arguments, in fresh processes of one thread; yield both as each call ends."""
    # A forked process would inherit the locks of torch's threads.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare_process)
    try:
        with children_without_interrupts():
            pending = {pool.submit(function, *task): task for task in tasks}
        for future in as_completed(pending):
            yield pending[future], future
    finally:
        # Not waiting for what is under way: an interrupted run ends within seconds.
        processes = list((pool._processes or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _prepare_process() -> None:
    # For libraries that the row is yet to load, and for those that came with the main module.
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    threadpool_limits(1)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """Do not go on with a row whose result nobody waits for, after the parent was killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _timed_row(run_row: Callable[[Any, Path | None], Any], spec: Any, data_home: Path | None) -> Record:
    _reset_peak_memory()
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = dict(run_row(spec, data_home))
    seconds = time.perf_counter() - start
    messages = sorted({f"{w.category.__name__}: {w.message}" for w in caught})
    return Record(row_settings(spec), result, round(seconds, 3), round(_peak_memory_mb(), 1), messages, versions())


def _reset_peak_memory() -> None:
    """Start a new high-water mark, which Linux allows; elsewhere the mark is the process's, rows before included."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_memory_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return next(float(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


@contextmanager
def _progress(name: str, total: int, done: int, console: Console) -> Iterator[Callable[[str], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    if done:
        console.print(f"{name}: {done} of {total} rows are finished already")
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=total, completed=done)

        def report(message: str) -> None:
            bar.console.print(message, markup=False, highlight=False)
            bar.advance(task)

        yield report
