"""The cores that a study, or a command, may use."""

import joblib
import torch
from threadpoolctl import threadpool_info, threadpool_limits


def available_cores() -> int:
    """How many cores this process may use, which in a container is fewer than the machine has."""
    return int(joblib.cpu_count())


def use_available_cores(share: int = 1) -> None:
    """Let the numerical libraries of this process use 1/``share`` of the cores, at least one, and not more than now."""
    n_threads = max(1, available_cores() // share)
    if any(library["num_threads"] > n_threads for library in threadpool_info()):
        threadpool_limits(n_threads)
    torch.set_num_threads(min(n_threads, torch.get_num_threads()))
