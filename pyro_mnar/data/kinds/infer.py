"""What a column is, from its type and its observed values: one rule after the other, each with its reason in words."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.columns import Support
from pyro_mnar.data.foreign import sorted_if_possible
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.limits import example_of_limits
from pyro_mnar.data.notation import has_leading_zeros, unread_number
from pyro_mnar.data.raw import RawColumn
from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.errors import InvalidTypeError

#: Largest observed count of a column that is modelled value by value, and the last of these values.
LARGEST_COUNT, LAST_LEVEL = 40, 63
#: Most values of a column that counts as discrete, and the observed cells from which that is said.
MOST_VALUES, ENOUGH = 20, 100
#: Highest level of what is taken for a scale, the observed cells from which that is said, and how often, relative to
#: the others, the highest level must be observed where the lowest is 0: counts thin out.
HIGHEST_LEVEL, ENOUGH_LEVELS, OFTEN = 31, 50, 0.5
#: Highest level of a scale from 1 on, of which the highest level may be rare.
HIGHEST_RATING = 20
#: Share of the observed cells that makes a pile, how many times those at a neighbour, and other values beside it.
PILE_SHARE, PILE_RATIO, BESIDE_PILE = 0.05, 4.0, 15
#: The same for smaller piles that stand out more.
SMALL_SHARE, SMALL_RATIO, LEAST_SMALL = 0.02, 10.0, 20
#: Levels of a nominal column that are told apart, and the share of the observed cells under which one is rare.
MOST_LEVELS, RARE_SHARE, FEW_LEVELS = 50, 0.005, 10
#: Observed cells from which text, or counted rows, are called an identifier.
LEAST_NAMES, LEAST_ROWS = 10, 30
_ENDS = (1.0, 100.0)


def infer(raw: RawColumn) -> ColumnKind:
    """The kind of a column; InvalidTypeError for numbers that are given as text.

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 2.0, 1.0, 2.0] * 5)
    >>> infer(RawColumn("code", "number", x, np.isnan(x))).kind
    'binary'
    """
    if raw.serves:
        return ColumnKind(raw.name, "identifier", f"{raw.serves}; passed through")
    seen = raw.observed
    if len(seen) == 0:
        return ColumnKind(raw.name, "empty", "no observed value")
    if raw.limits is not None:
        return _of_censored(raw, infer(replace(raw, limits=None)))
    if raw.holds == "label":
        return _of_labels(raw)
    values, counts = np.unique(seen.astype(np.float64), return_counts=True)
    if len(values) == 1:
        value = float(values[0])
        return ColumnKind(raw.name, "constant", "one value", Support(value, value))
    if raw.holds == "boolean":
        return ColumnKind(raw.name, "binary", "booleans", Support(0.0, 1.0, True))
    if raw.holds in ("date", "duration"):
        span = float(values[-1] - values[0])
        support = Support(float(values[0]) - span, float(values[-1]) + span, is_whole(values))
        return ColumnKind(raw.name, raw.holds, f"{raw.holds}s", support)
    return _of_numbers(raw, values, counts)


def _of_censored(raw: RawColumn, found: ColumnKind) -> ColumnKind:
    """What a column with limits is: amounts or counts, of which values may lie where none was observed."""
    assert raw.limits is not None
    count = int(np.isfinite(raw.limits).any(1).sum())
    why = f"; of {count} cells only limits are known" if count else ""
    if count and found.kind not in ("continuous", "bounded", "semicontinuous", "count"):
        values = raw.observed.astype(np.float64)
        low = 0.0 if values.min() >= 0 else -np.inf
        found = ColumnKind(raw.name, "continuous", "numbers", Support(low, whole=is_whole(values)))
    limits, levels = raw.limits[np.isfinite(raw.limits).any(1)], np.array(found.levels)
    if len(levels) and not all(((levels >= low) & (levels <= high)).any() for low, high in limits):
        found = replace(found, levels=())
    if found.support.whole and not _hold_whole_numbers(limits):
        kind = "continuous" if found.kind == "count" else found.kind
        found = replace(found, kind=kind, levels=(), support=found.support._replace(whole=False))
    lowest, highest = found.support.lowest, found.support.highest
    beyond = bool((limits[:, 1] <= lowest).any()), bool((limits[:, 0] >= highest).any())
    if any(beyond) and found.kind == "bounded":
        found = replace(found, kind="continuous", atoms=())
    support = found.support._replace(lowest=-np.inf if beyond[0] else lowest, highest=np.inf if beyond[1] else highest)
    return replace(found, why=found.why + why, support=support)


def has_whole_numbers(raw: RawColumn) -> bool:
    """Whether a column of numbers, in whatever type it is stored, has whole ones alone, also within its limits."""
    limits = np.empty((0, 2)) if raw.limits is None else raw.limits[np.isfinite(raw.limits).any(1)]
    return is_whole(raw.observed.astype(np.float64)) and _hold_whole_numbers(limits)


def _hold_whole_numbers(limits: FloatArray) -> bool:
    return not bool((np.ceil(limits[:, 0]) > np.floor(limits[:, 1])).any())


def is_whole(values: FloatArray) -> bool:
    """Whether all are whole numbers."""
    return bool((values == np.rint(values)).all())


def number_label(value: float) -> Any:
    """A number as a label: an int if it is whole."""
    return int(value) if value == np.rint(value) else float(value)


def labels_of(raw: RawColumn) -> list[Any]:
    """Distinct observed labels: in the order of the categories, else in their own, or in that of first appearance."""
    if raw.holds != "label":
        return [number_label(value) for value in np.unique(raw.observed.astype(np.float64))]
    labels = sorted_if_possible(list(pd.unique(pd.Series(raw.observed, dtype=object))))
    return labels if raw.categories is None else [label for label in raw.categories if label in set(labels)]


def with_pooled(raw: RawColumn, labels: list[Any], why: str, declared: bool = False) -> ColumnKind:
    """A nominal column; rare labels share the last code, which comes back as the most frequent of them."""
    counts = pd.Series(raw.observed, dtype=object).value_counts()
    number = {label: int(counts.get(label, 0)) for label in labels}
    by_number = sorted(labels, key=lambda label: -number[label])
    rare = [label for label in by_number if number[label] < RARE_SHARE * len(raw.observed)]
    rare = rare if len(labels) > FEW_LEVELS and len(rare) > 1 else []
    rare = [*by_number[MOST_LEVELS - 1 : len(labels) - len(rare)], *rare] if len(labels) > MOST_LEVELS else rare
    if len(rare) < 2:
        return ColumnKind(raw.name, "nominal", why, labels=tuple(labels), declared=declared)
    kept = [label for label in labels if label not in set(rare)]
    why += f"; {len(rare)} rare levels pooled: one that is imputed is {rare[0]!r}, their most frequent"
    return ColumnKind(raw.name, "nominal", why, labels=(*kept, rare[0]), pooled=tuple(rare[1:]), declared=declared)


def _of_labels(raw: RawColumn) -> ColumnKind:
    seen, labels = raw.observed, labels_of(raw)
    if raw.ordered and raw.categories is not None and len(raw.categories) > 2:
        codes = tuple(float(code) for code in range(len(raw.categories)))
        return ColumnKind(
            raw.name, "ordinal", "ordered categories", Support(0.0, codes[-1], True), raw.categories, levels=codes
        )
    if len(labels) == 1:
        return ColumnKind(raw.name, "constant", "one value", Support(0.0, 0.0, True), tuple(labels))
    if raw.categories is None:
        _reject_numbers(raw, len(labels))
    if len(labels) == 2:
        return ColumnKind(raw.name, "binary", "two labels", Support(0.0, 1.0, True), tuple(labels))
    if raw.categories is None and len(labels) == len(seen) >= LEAST_NAMES:
        return ColumnKind(raw.name, "identifier", "text, each once; passed through, and what is missing stays missing")
    if len(labels) > MOST_LEVELS and len(labels) > len(seen) / 2:
        why = f"text with {len(labels)} different values in {len(seen)} cells; passed through, not imputed"
        return ColumnKind(raw.name, "identifier", why)
    why = "categories" if raw.categories is not None else f"text with {len(labels)} levels"
    limits = example_of_limits(labels)
    why += f"; for limits such as {limits!r} to be read as intervals, give {_how_to_censor(raw.name)}" if limits else ""
    return with_pooled(raw, labels, why)


def _how_to_censor(name: object) -> str:
    return f"mechanism={{{name!r}: Censored()}}"


def _reject_numbers(raw: RawColumn, n_labels: int) -> None:
    """Refuse numbers that are given as text: what else is among them must not become a level, nor a missing cell."""
    if n_labels <= MOST_VALUES:
        return
    cells = pd.Series(raw.observed, dtype=object).astype(str)
    if has_leading_zeros(cells):
        return
    unread = unread_number(cells.tolist())
    if unread is not None:
        raise InvalidTypeError(
            f"column {raw.name!r} holds numbers written as {unread!r}; convert it first (pandas.read_csv has decimal= "
            f"and thousands=), or say that it is text: types={{{raw.name!r}: 'nominal'}}"
        )
    numbers = np.isfinite(pd.to_numeric(cells, errors="coerce").to_numpy())
    limits = example_of_limits(list(raw.observed)) if numbers.any() else None
    if limits is not None:
        raise InvalidTypeError(
            f"column {raw.name!r} holds numbers and limits as text, such as {limits!r}; {_how_to_censor(raw.name)} "
            f"reads these as intervals, or say that it is text: types={{{raw.name!r}: 'nominal'}}"
        )
    if numbers.mean() < 0.8:
        return
    rows = np.flatnonzero(~raw.missing)
    row = int(rows[np.argmin(numbers)]) if not numbers.all() else int(rows[0])
    what = "numbers as text" if numbers.all() else "numbers as text, and something else beside them"
    raise InvalidTypeError(
        f"column {raw.name!r} holds {what}: {raw.values[row]!r} in row {row}; convert it with pandas.to_numeric "
        "(errors='coerce' makes the rest missing cells), or say that it is text: "
        f"types={{{raw.name!r}: 'nominal'}} or 'identifier'"
    )


def _of_numbers(raw: RawColumn, values: FloatArray, counts: npt.NDArray[np.int64]) -> ColumnKind:
    name, n_seen, n_values = raw.name, int(counts.sum()), len(values)
    low, high, whole = float(values[0]), float(values[-1]), is_whole(values)
    if n_values == 2 and (set(values) == {0.0, 1.0} or (n_seen >= 10 and counts.min() >= 2)):
        labels = () if set(values) == {0.0, 1.0} else (number_label(low), number_label(high))
        return ColumnKind(name, "binary", "two values", Support(0.0, 1.0, True), labels)
    if whole and counts_rows(raw):
        return ColumnKind(name, "identifier", "whole numbers that count the rows; passed through")
    if whole and _is_scale(values, counts):
        why = f"whole numbers from {low:g} to {high:g}, each of them observed"
        return ColumnKind(name, "ordinal", why, Support(low, high, True), levels=tuple(values.tolist()))
    if whole and low >= 0 and high <= LARGEST_COUNT:
        levels = count_levels(low, high) if n_seen >= MOST_VALUES else ()
        return ColumnKind(name, "count", "whole numbers from 0 on", Support(0.0, whole=True), levels=levels)
    if n_values <= MOST_VALUES and n_seen >= ENOUGH:
        why = f"{n_values} different values in {n_seen} cells"
        return ColumnKind(name, "discrete", why, Support(low, high, whole), levels=tuple(values.tolist()))
    return _of_amounts(raw, values, counts, whole)


def _of_amounts(raw: RawColumn, values: FloatArray, counts: npt.NDArray[np.int64], whole: bool) -> ColumnKind:
    """Numbers with many values: with piles, between bounds, or neither."""
    name, low, high = raw.name, float(values[0]), float(values[-1])
    atoms = tuple(float(values[place]) for place in find_piles(values, counts))
    lowest = low if low in atoms else 0.0 if low >= 0 else -np.inf
    highest = high if high in atoms else np.inf
    shares = ", ".join(f"{100 * counts[values == atom][0] / counts.sum():.0f} % are {atom:g}" for atom in atoms)
    end = natural_end(values, counts)
    if end is not None and all(atom in (0.0, end) for atom in atoms):
        why = f"values from 0 up to {end:g}" + (f"; {shares}" if atoms else "")
        return ColumnKind(name, "bounded", why, Support(0.0, end, whole), atoms=atoms)
    if atoms:
        return ColumnKind(name, "semicontinuous", shares, Support(lowest, highest, whole), atoms=atoms)
    if whole and low >= 0:
        return ColumnKind(name, "count", "whole numbers from 0 on, many of them", Support(0.0, whole=True))
    why = "numbers" + (", none negative" if low >= 0 else "") + (", all whole" if whole else "")
    return ColumnKind(name, "continuous", why, Support(lowest, highest, whole))


def _is_scale(values: FloatArray, counts: npt.NDArray[np.int64]) -> bool:
    """Whether whole numbers from 0 or 1 on, without a gap, are levels with a highest one, and no counts."""
    low, high, n = values[0], values[-1], len(values)
    if counts.sum() < ENOUGH_LEVELS or n < 3 or high - low + 1 != n or high > HIGHEST_LEVEL:
        return False
    often = bool(counts[-1] >= OFTEN * counts.sum() / n)
    return (low == 1 and (high <= HIGHEST_RATING or often)) or (low == 0 and often)


def count_levels(low: float, high: float, end: float = np.inf) -> tuple[float, ...]:
    """Counts that a column can have: somewhat beyond the observed ones, or up to a known end that is near.

    Examples
    --------
    >>> count_levels(0.0, 2.0)
    (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    >>> count_levels(0.0, 2.0, end=3)
    (0.0, 1.0, 2.0, 3.0)
    """
    first = max(0, int(2 * low - high) - 5)
    last = int(end) if end <= LAST_LEVEL else min(int(2 * high) + 5, LAST_LEVEL)
    return tuple(float(k) for k in range(first, last + 1))


def counts_rows(raw: RawColumn) -> bool:
    """Whether whole numbers only count the rows of a DataFrame: in order, or each number of a range once."""
    n, seen = len(raw.values), raw.observed
    if raw.from_array or len(seen) < LEAST_ROWS:
        return False
    steps = seen - np.flatnonzero(~raw.missing)
    if (steps == steps[0]).all() and (raw.integer or steps[0] in (0.0, 1.0)):
        return True
    return raw.integer and len(seen) == n and bool(np.array_equal(np.sort(seen), seen.min() + np.arange(n)))


def find_piles(values: FloatArray, counts: npt.NDArray[np.int64]) -> list[int]:
    """Places among distinct values at which far more lie than beside them: at an end, or at 0.

    Examples
    --------
    >>> values = np.arange(40.0)
    >>> find_piles(values, np.where(values == 0, 30, 1))
    [0]
    """
    total, last = counts.sum(), len(values) - 1
    if last < BESIDE_PILE:
        return []
    found = []
    for place in sorted({0, last, *np.flatnonzero(values == 0).tolist()}):
        beside = np.concatenate([counts[max(0, place - 5) : place], counts[place + 1 : place + 6]])
        large = counts[place] >= max(5, PILE_SHARE * total, PILE_RATIO * beside.max())
        if large or counts[place] >= max(LEAST_SMALL, SMALL_SHARE * total, SMALL_RATIO * beside.max()):
            found.append(int(place))
    return found


def natural_end(values: FloatArray, counts: npt.NDArray[np.int64]) -> float | None:
    """1 or 100 where values from 0 on go right up to it, and not beyond; None where they do not.

    Values that end just before a bound, with many of them near it, are cut by the bound and not by chance.
    """
    low, high = float(values[0]), float(values[-1])
    for end in _ENDS:
        near = counts[values >= 0.9 * end].sum()
        if low >= 0 and 0.97 * end <= high <= end and low <= 0.5 * end and near >= max(3, 0.01 * counts.sum()):
            return end
    return None
