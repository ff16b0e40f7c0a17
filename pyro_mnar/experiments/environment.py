"""Where a study runs: cores, and the versions that its results are recorded with."""

import platform
from importlib.metadata import version

import joblib
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from pyro_mnar import __version__

#: The libraries whose versions move numbers.
LIBRARIES = ("numpy", "pandas", "pyro-ppl", "scikit-learn", "scipy", "torch")


def available_cores() -> int:
    """How many cores this process may use, which in a container is fewer than the machine has."""
    return int(joblib.cpu_count())


def use_available_cores(share: int = 1) -> None:
    """Let the numerical libraries of this process use 1/``share`` of the cores, at least one, and not more than now."""
    n_threads = max(1, available_cores() // share)
    if any(library["num_threads"] > n_threads for library in threadpool_info()):
        threadpool_limits(n_threads)
    torch.set_num_threads(min(n_threads, torch.get_num_threads()))


def versions() -> dict[str, str]:
    """Versions of Python, of this package, and of the libraries whose versions move numbers."""
    found = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "pyro-mnar": __version__, **found}
