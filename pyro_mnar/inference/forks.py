"""A process that was forked while torch had threads waits for them for ever; that is said before it happens.

A fork copies one thread. torch's pool of threads is gone in the child, which does not know: its first step on several
threads never ends (https://github.com/pytorch/pytorch/issues/17199). One thread is safe, and so are processes that
start afresh: joblib's default (loky), the start methods "spawn" and "forkserver".
"""

import os
import threading
from pathlib import Path

import torch

from pyro_mnar.errors import ForkedProcessError

_TASKS = Path("/proc/self/task")


def other_threads() -> int:
    """Threads of this process that are not Python's; 0 where the system does not say."""
    try:
        return len(os.listdir(_TASKS)) - threading.active_count()
    except OSError:
        return 0


class _Lineage:
    """Whether this process was forked from one in which libraries had started threads."""

    def __init__(self) -> None:
        self.at_import = other_threads()
        self.started = 0
        self.broken = False

    def before(self) -> None:
        # Once started they count, though the system's may be gone after the first fork.
        self.started = max(self.started, other_threads() - self.at_import)

    def in_child(self) -> None:
        self.broken = self.broken or self.started > 0
        self.at_import = other_threads()


_LINEAGE = _Lineage()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_LINEAGE.before, after_in_child=_LINEAGE.in_child)


def check_process() -> None:
    """See that this process can compute; ForkedProcessError if it is a fork that would use several threads."""
    if _LINEAGE.broken and torch.get_num_threads() > 1:
        raise ForkedProcessError(
            f"this process was forked from one in which torch had started threads, and a step on its "
            f"{torch.get_num_threads()} threads would never end; call torch.set_num_threads(1) in each worker, or "
            "start workers afresh: joblib's default backend (loky), multiprocessing.get_context('spawn'), "
            "DataLoader(multiprocessing_context='spawn')"
        )
