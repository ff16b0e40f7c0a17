"""What is not ours: other libraries and the errors that they raise over a user's data, names that meet, labels."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pyro_mnar.errors import InvalidInputError, InvalidTypeError, MNARError, one_line


def shown(value: object) -> str:
    """How an error shows a cell: short, on one line, whatever the cell's own ``repr`` does."""
    try:
        return one_line(repr(value), 80)
    except Exception:
        return f"a {type(value).__name__}"


@contextmanager
def reading(what: str, lines: bool = False) -> Iterator[None]:
    r"""Within the block an error of another library becomes one of the package's, on one line.

    A ValueError becomes an InvalidInputError, others an InvalidTypeError, which say ``what`` was read if the other
    library has no word of that; ``lines`` leaves the lines as they are, where scikit-learn's contract asks for them.

    Examples
    --------
    >>> with reading("X"):
    ...     raise RuntimeError("no numbers\nhere")
    Traceback (most recent call last):
    ...
    pyro_mnar.errors.InvalidTypeError: X could not be read (RuntimeError: no numbers here); give numbers: an array, ...
    """
    try:
        yield
    except (MNARError, MemoryError):
        raise
    except TypeError as error:
        raise InvalidTypeError(str(error) if lines else one_line(error)) from error
    except ValueError as error:
        raise InvalidInputError(str(error) if lines else one_line(error)) from error
    # An object of the user's own may raise anything while it is turned into an array.
    except Exception as error:
        raise InvalidTypeError(
            f"{what} could not be read ({type(error).__name__}: {one_line(error)}); give numbers: an array, a "
            "DataFrame, or lists"
        ) from error


def check_distinct(names: Sequence[Any], of: str) -> None:
    """See that no two columns have one name; InvalidInputError says which two do, and ``of`` what they are columns."""
    found: set[Any] = set()
    for name in names:
        if name in found:
            raise InvalidInputError(f"two columns {of} have the name {name!r}; rename one of the table's columns")
        found.add(name)


def imported(module: str, purpose: str, extra: str) -> Any:
    """A module that is not always there; InvalidInputError says what it is for, and which extra brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidInputError(f"{purpose}, which is not installed: pip install 'pyro-mnar[{extra}]'") from error


def sorted_if_possible(labels: list[Any]) -> list[Any]:
    """The labels in their order, or as they are if they have none."""
    try:
        return sorted(labels)
    except TypeError:
        return labels
