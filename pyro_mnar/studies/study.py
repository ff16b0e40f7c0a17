"""What a study is: a list of row specifications, and the function that turns one of them into results."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pyro_mnar.errors import InvalidInputError

Spec = TypeVar("Spec")


@dataclass(frozen=True)
class Study(Generic[Spec]):
    """Rows to run, and how one is run.

    Attributes
    ----------
    name : str
        Short name, that of the folder in results/.
    rows : tuple of frozen dataclasses
        One specification per row, every setting in it, the seed among them; fields hold what JSON can. Two rows must
        differ. Put the slowest first: the processes then finish together.
    run_row : callable
        From a specification and the folder of the original data files (None: download them) to a dict of results that
        JSON can hold. A function of a module, since other processes import it.

    Raises
    ------
    InvalidInputError
        Two rows are equal, or a row is not a dataclass of JSON values.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Roll:
    ...     sides: int
    ...     seed: int
    >>> def run_row(spec, data_home):
    ...     return {"rolled": spec.seed % spec.sides}
    >>> len(Study("dice", tuple(Roll(6, seed) for seed in range(3)), run_row).rows)
    3
    """

    name: str
    rows: tuple[Spec, ...]
    run_row: Callable[[Spec, Path | None], Mapping[str, Any]]

    def __post_init__(self) -> None:
        """Check the rows before anything runs."""
        seen = set()
        for spec in self.rows:
            key = row_key(spec)
            if key in seen:
                raise InvalidInputError(f"study {self.name!r} has the row {key} twice; every row must differ")
            seen.add(key)


@dataclass(frozen=True)
class Record:
    """One finished row: its settings, what ``run_row`` gave, and what that took.

    ``seconds`` are of the wall clock; ``peak_memory_mb`` is the largest resident memory of the process while the row
    ran, in MiB, libraries included; ``warnings`` are distinct; ``versions`` are those of this package, Python and the
    libraries.
    """

    spec: dict[str, Any]
    result: dict[str, Any]
    seconds: float
    peak_memory_mb: float
    warnings: list[str]
    versions: dict[str, str]


def row_settings(spec: object) -> dict[str, Any]:
    """The fields of a row specification as JSON holds them; InvalidInputError if it is no dataclass of such values."""
    if not is_dataclass(spec) or isinstance(spec, type):
        raise InvalidInputError(f"a row is specified by a frozen dataclass, not by {spec!r}")
    try:
        settings: dict[str, Any] = json.loads(json.dumps(asdict(spec), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"row {spec!r} holds a value that JSON cannot: {error}") from error
    return settings


def row_key(spec: object) -> str:
    """What identifies a row among finished ones: its settings as canonical JSON.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Row:
    ...     seed: int
    >>> row_key(Row(3))
    '{"seed": 3}'
    """
    return settings_key(row_settings(spec))


def settings_key(settings: Mapping[str, Any]) -> str:
    """:func:`row_key` of settings that were read from a file."""
    return json.dumps(settings, sort_keys=True)


def label(spec: object) -> str:
    """A row in words, for progress and error messages: the fields that are not None."""
    assert is_dataclass(spec) and not isinstance(spec, type)
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    return " ".join(f"{name}={value}" for name, value in values.items() if value is not None)
