"""What public methods are given, checked as constructors check theirs: before anything is done with it."""

import math
import os
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.foreign import reading, shown
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


def seed_of(name: str, value: Any, or_none: bool = False) -> Any:
    """A seed, which is a whole number from 0 on, or None where that is allowed; InvalidInputError names any other."""
    return None if value is None and or_none else whole_number(name, value, 0, 2**63 - 1)


def truth_value(name: str, value: Any) -> bool:
    """True or False; InvalidInputError gives the name and the value of anything else."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise InvalidInputError(f"{name} is {shown(value)}; it must be True or False")


def one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    """See that a text is one of several; InvalidInputError gives the name, the value and the choices."""
    if not isinstance(value, str) or value not in choices:
        first = ", ".join(map(repr, choices[:-1]))
        raise InvalidInputError(f"{name} is {shown(value)}; it must be {first} or {choices[-1]!r}")


def list_only(name: str, value: Any, what: str) -> list[Any]:
    """The entries of a list, tuple, index or one-dimensional array; InvalidInputError says ``what`` it must be."""
    several = isinstance(value, Sequence | pd.Index) or (isinstance(value, np.ndarray) and value.ndim == 1)
    if isinstance(value, str | bytes) or not several:
        raise InvalidInputError(f"{name} is {shown(value)}; it must be {what}")
    return [entry.item() if isinstance(entry, np.generic) else entry for entry in value]


def callable_only(name: str, value: Any, what: str) -> None:
    """See that something can be called; InvalidInputError says what it must be: ``what``, "a function of ..."."""
    if not callable(value):
        raise InvalidInputError(f"{name} is {shown(value)}; it must be {what}")


def instance_only(name: str, value: Any, kind: type | tuple[type, ...], what: str) -> None:
    """See that something is of a class; InvalidInputError says what it must be: ``what``."""
    if not isinstance(value, kind):
        raise InvalidInputError(f"{name} is {shown(value)}, a {type(value).__name__}; it must be {what}")


def path_only(name: str, value: Any) -> None:
    """See that something can name a file: text, or a path; InvalidInputError names anything else."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in str(os.fspath(value)):
        raise InvalidInputError(f"{name} is {shown(value)}; it must be the path of a file or a folder")


def numbers(name: str, values: Any) -> npt.NDArray[np.float64]:
    """An array of real numbers, of any shape, NaN where there is none; InvalidInputError names anything else."""
    with reading(name):
        given = np.asarray(values)
        # Text would be read as numbers.
        if given.dtype.kind in "fiub" or (given.dtype.kind == "O" and not _holds_text(given)):
            return given.astype(np.float64)
    raise InvalidInputError(f"{name} is {shown(values)}; it must be an array of numbers")


def column_of(name: str, values: Any, n_rows: int) -> npt.NDArray[Any]:
    """One value per row, of any type; InvalidInputError names anything else."""
    with reading(name):
        given = np.asarray(values)
    if given.shape != (n_rows,):
        raise InvalidInputError(f"{name} has shape {given.shape}; it must be ({n_rows},), one value per row")
    return given


def _holds_text(given: npt.NDArray[Any]) -> bool:
    return any(isinstance(cell, str | bytes) for cell in given.ravel())


def table_with(name: str, value: Any, columns: Sequence[str], source: str) -> None:
    """See that something is a table with these columns, from ``source``; InvalidInputError says what is amiss."""
    instance_only(name, value, pd.DataFrame, f"the table that {source} gives")
    lacking = [column for column in columns if column not in value.columns]
    if lacking:
        raise InvalidInputError(f"{name} has no column {lacking[0]!r}; it must be the table that {source} gives")


def probabilities(name: str, values: Any) -> list[float]:
    """One probability or several, as a list; InvalidInputError names anything else."""
    try:
        levels = np.asarray(values)
    except ValueError:
        levels = np.empty(0, dtype=object)
    numbers = levels.dtype.kind in "iuf" and levels.ndim <= 1 and levels.size > 0
    if not numbers or not bool(((levels >= 0) & (levels <= 1)).all()):
        raise InvalidInputError(f"{name} is {shown(values)}; it must be a number between 0 and 1, or a list of such")
    return [float(level) for level in np.atleast_1d(levels)]


def chosen_rows(rows: Any, n_rows: int) -> npt.NDArray[np.bool_]:
    """Which rows are meant by indices, or by bool: bool, shape (n,); InvalidInputError names anything else."""
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
    """See that about so many bytes can be held, before any are: ``what`` they are for, and the ``way_out``.

    InvalidInputError where it is more than half of the machine's memory.
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
