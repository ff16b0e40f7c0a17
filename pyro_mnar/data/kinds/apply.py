"""The kind that a user declares, held against the column: what it cannot be is an error that names the value."""

from typing import Any

import numpy as np

from pyro_mnar.data.columns import Support
from pyro_mnar.data.kinds import declared
from pyro_mnar.data.kinds.column import ColumnKind, KindName
from pyro_mnar.data.kinds.infer import (
    LARGEST_COUNT,
    LAST_LEVEL,
    MOST_VALUES,
    count_levels,
    has_whole_numbers,
    infer,
    is_whole,
    labels_of,
    with_pooled,
)
from pyro_mnar.data.raw import RawColumn
from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.errors import InvalidInputError

_WHY = "declared"
#: Most levels of a column that is cut.
_MOST_LEVELS = 200


def apply(raw: RawColumn, kind: declared.Kind) -> ColumnKind:
    """A column as it was declared; InvalidInputError where it cannot be that.

    Examples
    --------
    >>> x = np.array([1.0, 2.5])
    >>> apply(RawColumn("share", "number", x, np.isnan(x)), declared.Bounded(0, 100)).support
    Support(lowest=0.0, highest=100.0, whole=False)
    """
    if isinstance(kind, declared.Identifier):
        return ColumnKind(raw.name, "identifier", "declared; passed through", declared=True)
    if len(raw.observed) == 0:
        return infer(raw)
    if raw.limits is not None and isinstance(kind, declared.Nominal | declared.Binary | declared.Date):
        raise _impossible(raw, kind, "the mechanism declares it as censored, and limits need numbers with an order")
    match kind:
        case declared.Nominal():
            return _nominal(raw)
        case declared.Binary():
            return _binary(raw)
        case declared.Ordinal():
            return _ordinal(raw, kind.levels)
        case declared.Date():
            if raw.holds not in ("date", "duration"):
                raise _impossible(raw, kind, f"it holds {raw.holds}s; parse them with pandas.to_datetime")
            return infer(raw)
        case declared.OneHot():
            raise InvalidInputError(
                f"'types' gives the one column {raw.name!r} the kind {kind!r}; give the group a name of its own: "
                "types={'name of the group': OneHot([...])}"
            )
    return _number(raw, kind)


def _number(raw: RawColumn, kind: declared.Kind) -> ColumnKind:
    if raw.holds in ("date", "duration") and isinstance(kind, declared.Continuous):
        return infer(raw)
    if raw.holds == "label":
        raise _impossible(raw, kind, f"it holds text, such as {raw.observed[0]!r} in row {_row(raw, 0)}")
    values = raw.observed.astype(np.float64)
    distinct = np.unique(values)
    if len(distinct) == 1 and isinstance(kind, declared.Continuous | declared.Semicontinuous | declared.Discrete):
        return infer(raw)
    match kind:
        case declared.Bounded():
            outside = (values < kind.low) | (values > kind.high)
            _refuse(raw, kind, outside, f"outside of {kind.low:g} to {kind.high:g}")
            at_end = {end: float((values == end).sum()) for end in (float(kind.low), float(kind.high))}
            atoms = tuple(end for end, number in at_end.items() if number >= max(5.0, 0.01 * len(values)))
            atoms = atoms if len(distinct) - len(atoms) >= 5 else ()
            support = Support(float(kind.low), float(kind.high), has_whole_numbers(raw))
            return ColumnKind(raw.name, "bounded", _WHY, support, atoms=atoms, declared=True)
        case declared.Semicontinuous():
            rest = distinct[~np.isin(distinct, kind.places)]
            if len(rest) < 2:
                raise _impossible(raw, kind, f"fewer than two different values lie beside {list(kind.places)}")
            lowest = kind.places[0] if kind.places[0] <= rest[0] else 0.0 if rest[0] >= 0 else -np.inf
            highest = kind.places[-1] if kind.places[-1] >= rest[-1] else np.inf
            support = Support(lowest, highest, has_whole_numbers(raw))
            # How likely a value is that no cell has, nothing shows: it ends the column at most.
            atoms = tuple(place for place in kind.places if place in distinct)
            name: KindName = "semicontinuous" if atoms else "continuous"
            return ColumnKind(raw.name, name, _WHY, support, atoms=atoms, declared=True)
        case declared.Count():
            _refuse(raw, kind, (values < 0) | (values != np.rint(values)), "which is no whole number from 0 on")
            _refuse(raw, kind, values > kind.high, f"more than {kind.high:g}")
            narrow = (distinct[-1] <= LARGEST_COUNT or kind.high <= LAST_LEVEL) and len(values) >= MOST_VALUES
            levels = count_levels(float(distinct[0]), float(distinct[-1]), kind.high) if narrow else ()
            support = Support(0.0, float(kind.high), True)
            return ColumnKind(raw.name, "count", _WHY, support, levels=levels, declared=True)
        case declared.Discrete():
            if len(distinct) > _MOST_LEVELS:
                raise _impossible(raw, kind, f"it has {len(distinct)} different values, more than {_MOST_LEVELS}")
            return _levels_of_numbers(raw, "discrete", distinct)
    return ColumnKind(raw.name, "continuous", _WHY, declared=True)


def _nominal(raw: RawColumn) -> ColumnKind:
    if raw.holds in ("date", "duration"):
        raise _impossible(raw, declared.Nominal(), f"it holds {raw.holds}s")
    labels = labels_of(raw)
    if len(labels) < 3:
        return infer(raw) if len(labels) == 1 else _binary(raw)
    return with_pooled(raw, labels, f"declared; {len(labels)} levels", declared=True)


def _binary(raw: RawColumn) -> ColumnKind:
    found = infer(raw)
    if found.kind in ("binary", "constant"):
        return found
    labels = labels_of(raw)
    if len(labels) != 2 or raw.holds in ("date", "duration"):
        raise _impossible(raw, declared.Binary(), f"it has {len(labels)} different values: {_some(labels)}")
    coded = () if labels == [0, 1] else tuple(labels)
    return ColumnKind(raw.name, "binary", _WHY, Support(0.0, 1.0, True), coded, declared=True)


def _ordinal(raw: RawColumn, levels: Any) -> ColumnKind:
    kind = declared.Ordinal(levels)
    if raw.holds in ("date", "duration"):
        raise _impossible(raw, kind, f"it holds {raw.holds}s")
    if levels is None and raw.holds == "label" and raw.categories is None:
        raise _impossible(raw, kind, "text has no order of its own; give it: Ordinal(levels=[...], from low to high)")
    known = labels_of(raw) if levels is None else list(levels)
    known = list(raw.categories) if levels is None and raw.categories is not None else known
    if len(known) < 2 or len(set(known)) < len(known) or len(known) > _MOST_LEVELS:
        raise _impossible(raw, kind, f"its levels are {_some(known)}; give 2 to {_MOST_LEVELS} different ones")
    numbers = raw.holds != "label" and all(isinstance(level, int | float) for level in known)
    if raw.holds != "label" and not numbers:
        raise _impossible(raw, kind, "it holds numbers, and the levels are none")
    unknown = [label for label in labels_of(raw) if label not in set(known)]
    if unknown:
        raise _impossible(raw, kind, f"it holds {unknown[0]!r}, which is not among the levels {_some(known)}")
    if numbers and known == sorted(known):
        return _levels_of_numbers(raw, "ordinal", np.array(known, dtype=np.float64))
    codes = tuple(float(code) for code in range(len(known)))
    support = Support(0.0, codes[-1], True)
    return ColumnKind(raw.name, "ordinal", _WHY, support, tuple(known), levels=codes, declared=True)


def _levels_of_numbers(raw: RawColumn, kind: Any, values: FloatArray) -> ColumnKind:
    support = Support(float(values[0]), float(values[-1]), is_whole(values))
    return ColumnKind(raw.name, kind, _WHY, support, levels=tuple(values.tolist()), declared=True)


def _row(raw: RawColumn, number: int) -> int:
    """The row of the n-th observed cell."""
    return int(np.flatnonzero(~raw.missing)[number])


def _refuse(raw: RawColumn, kind: declared.Kind, wrong: Any, rule: str) -> None:
    if wrong.any():
        place = int(np.argmax(wrong))
        raise _impossible(raw, kind, f"it holds {raw.observed[place]:g} in row {_row(raw, place)}, {rule}")


def _impossible(raw: RawColumn, kind: declared.Kind, why: str) -> InvalidInputError:
    return InvalidInputError(f"'types' declares column {raw.name!r} as {kind!r}, but {why}")


def _some(labels: list[Any], most: int = 8) -> str:
    return str(labels) if len(labels) <= most else str(labels[:most])[:-1] + ", ...]"
