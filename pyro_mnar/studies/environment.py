"""The cores that a study, or a command, may use."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import joblib
from threadpoolctl import threadpool_info, threadpool_limits


def available_cores() -> int:
    """How many cores this process may use, which in a container is fewer than the machine has."""
    return int(joblib.cpu_count())


def limit_threads(n_threads: int) -> None:
    """Let the numerical libraries of this process use so many threads, and not more than now."""
    import torch  # here: the parent of processes that compute need not hold it

    if any(library["num_threads"] > n_threads for library in threadpool_info()):
        threadpool_limits(n_threads)
    torch.set_num_threads(min(n_threads, torch.get_num_threads()))


@contextmanager
def children_without_interrupts() -> Iterator[None]:
    """Processes that are started in the block never see Ctrl-C, which a terminal sends to all: the parent ends them.

    A handler set by the child itself comes too late: until it is set, Ctrl-C prints the child's traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The mask is inherited; an interrupt of the parent waits for the end of the block.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
