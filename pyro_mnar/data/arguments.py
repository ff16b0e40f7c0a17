"""What public methods are given, checked as constructors check theirs: before anything is done with it."""

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError

#: Draws of a row, tables, levels: no more of anything can be asked for.
MOST = 10**9
#: Share of the machine's memory that one thing may take.
SHARE_OF_MEMORY = 0.5


def whole_number(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A whole number within bounds; InvalidInputError gives the name, the value and the bounds of any other."""
    if not isinstance(value, (bool, np.bool_)) and isinstance(value, Integral) and least <= int(value) <= most:
        return int(value)
    raise InvalidInputError(f"{name} is {shown(value)}; it must be a whole number of at least {least}, at most {most}")


def finite_number(name: str, value: Any) -> float:
    """A finite real number; InvalidInputError gives the name and the value of any other."""
    if not isinstance(value, (bool, np.bool_)) and isinstance(value, Real) and math.isfinite(value):
        return float(value)
    raise InvalidInputError(f"{name} is {shown(value)}; it must be a finite number")


def within_0_and_1(name: str, value: Any) -> float:
    """A number between 0 and 1, neither of the two; InvalidInputError gives the name and the value of any other."""
    if isinstance(value, Real) and 0 < float(value) < 1:
        return float(value)
    raise InvalidInputError(f"{name} is {shown(value)}; it must lie between 0 and 1")


def probabilities(name: str, values: Any) -> list[float]:
    """One probability or several.

    Raises
    ------
    InvalidInputError
        Something else, or none.

    Examples
    --------
    >>> probabilities("q", 0.5), probabilities("q", [0, 1])
    ([0.5], [0.0, 1.0])
    """
    try:
        levels = np.asarray(values)
    except ValueError:
        levels = np.empty(0, dtype=object)
    numbers = levels.dtype.kind in "iuf" and levels.ndim <= 1 and levels.size > 0
    if not numbers or not bool(((levels >= 0) & (levels <= 1)).all()):
        raise InvalidInputError(f"{name} is {shown(values)}; it must be a number between 0 and 1, or a list of such")
    return [float(level) for level in np.atleast_1d(levels)]


def chosen_rows(rows: Any, n_rows: int) -> npt.NDArray[np.bool_]:
    """Which rows are meant by indices, or by bool of shape (n,): bool, shape (n,).

    Raises
    ------
    InvalidInputError
        Neither, or indices beyond the table.

    Examples
    --------
    >>> chosen_rows([0, 2], 3).tolist()
    [True, False, True]
    """
    try:
        given = np.asarray(rows)
    except ValueError:
        given = np.empty((0, 0), dtype=object)
    if given.dtype == bool and given.shape == (n_rows,):
        return given
    indices = given.astype(int) if given.size == 0 and given.ndim == 1 else given
    inside = (
        indices.dtype.kind in "iu" and indices.ndim == 1 and bool(((indices >= -n_rows) & (indices < n_rows)).all())
    )
    if not inside:
        raise InvalidInputError(
            f"rows is {shown(rows)}; it must be row numbers from 0 to {n_rows - 1}, or one True or False per row"
        )
    mask = np.zeros(n_rows, dtype=bool)
    mask[indices] = True
    return mask


def fits_in_memory(n_bytes: float, what: str, way_out: str) -> None:
    """See that something can be held, before any of it is made.

    Parameters
    ----------
    n_bytes : float
        About how much it takes.
    what, way_out : str
        What it is, and how to need less.

    Raises
    ------
    InvalidInputError
        It takes more than half of the machine's memory.
    """
    memory = memory_of_machine()
    if n_bytes > SHARE_OF_MEMORY * memory:
        raise InvalidInputError(
            f"{what} would take about {n_bytes / 1e9:,.1f} GB, more than half of the memory here "
            f"({memory / 1e9:,.1f} GB); {way_out}"
        )


def memory_of_machine() -> float:
    """Bytes that this process may have: those of the machine, or of its group where the system sets a limit."""
    try:
        memory = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf
    for place in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limit = Path(place).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
        memory = min(memory, float(limit)) if limit.isdigit() else memory
    return memory
