"""A part of a study that is too long for one run: the rows of some tables, masks, methods and seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from pyro_mnar.errors import InvalidInputError

Row = TypeVar("Row")


def chosen(what: str, names: Iterable[str] | None, known: Sequence[str]) -> set[str]:
    """The names to keep, all of them known.

    Examples
    --------
    >>> sorted(chosen("masks", ["mar"], ("mcar", "mar"))), sorted(chosen("masks", None, ("mcar", "mar")))
    (['mar'], ['mar', 'mcar'])
    """
    kept = set(known if names is None else names)
    unknown = sorted(kept - set(known))
    if unknown:
        raise InvalidInputError(f"{what} holds {unknown[0]!r}; the names are {', '.join(known)}")
    return kept


def part_of(every: Iterable[Row], kept: Mapping[str, set[str]], seeds: Iterable[int] | None) -> tuple[Row, ...]:
    """The rows of a study whose fields are among the names to keep.

    Parameters
    ----------
    every : iterable of rows
        With a field ``seed``, and those that ``kept`` names.
    kept : mapping
        Field to its values.
    seeds : iterable of int, or None
        None keeps all.

    Raises
    ------
    InvalidInputError
        No row is left.
    """
    fields: dict[str, set[str] | set[int]] = {**kept, **({} if seeds is None else {"seed": set(seeds)})}
    rows = tuple(row for row in every if all(getattr(row, name) in values for name, values in fields.items()))
    if not rows:
        raise InvalidInputError("no row of the study is of these tables, masks, methods and seeds at once")
    return rows
