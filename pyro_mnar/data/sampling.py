"""A random sample of a table on the disk, and what one pass over all of it tells: levels, ends, numbered rows."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.sources import Source, needed, to_frame
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a block while sampling.
BLOCK = 8192
#: Different values of a column that are all kept; of one with more, the least and the greatest are.
MOST_VALUES = 500


class Sample(NamedTuple):
    """Rows of a table on the disk.

    Attributes
    ----------
    rows : DataFrame
        Drawn at random without replacement, in their order; all of them where the table has no more.
    known : DataFrame
        The same rows, and some again with values in them that the table has elsewhere: levels that the sample lacks,
        and the least and greatest values. What columns are is found from it.
    n_rows : int
        Of the whole table.
    numbered : tuple of str
        Columns that only count the rows of the whole table.
    rare : tuple of str
        Columns that have values, but none in the sample.
    """

    rows: pd.DataFrame
    known: pd.DataFrame
    n_rows: int
    numbered: tuple[str, ...]
    rare: tuple[str, ...]


def draw_sample(source: Source, columns: list[str], size: int, seed: int) -> Sample:
    """A uniform sample of ``size`` rows without replacement in one pass, of these columns of the table.

    Every row gets a random number, and those with the smallest stay: which these are depends on the seed and the number
    of rows alone. InvalidInputError for a table without rows or columns.
    """
    if not columns:
        raise InvalidInputError(f"{source.name} has no column to model")
    pa = needed("pyarrow")
    generator = np.random.default_rng([seed, size])
    keys, places, kept = np.empty(0), np.empty(0, np.int64), None
    seen = {name: _Seen() for name in columns}
    n_rows = 0
    for block in source.blocks(BLOCK):
        block = block.select(columns)
        for name in columns:
            seen[name].add(block.column(name), n_rows)
        new = generator.random(block.num_rows)
        limit = keys.max() if len(keys) >= size else np.inf
        chosen = np.flatnonzero(new < limit)
        keys, places = np.append(keys, new[chosen]), np.append(places, n_rows + chosen)
        part = block.take(pa.array(chosen))
        kept = part if kept is None else pa.concat_tables([kept, part])
        n_rows += block.num_rows
        if len(keys) > 2 * size:
            keys, places, kept = _smallest(keys, places, kept, size)
    if kept is None:
        raise InvalidInputError(f"{source.name} has no rows")
    keys, places, kept = _smallest(keys, places, kept, size)
    rows = kept.unify_dictionaries().combine_chunks()
    numbered = tuple(name for name in columns if n_rows > size and seen[name].numbers_rows(rows.column(name), n_rows))
    unseen = {name: seen[name].beyond(rows.column(name)) for name in columns}
    rare = tuple(name for name in columns if _has_none(rows.column(name)) and unseen[name])
    frame = to_frame(rows)
    return Sample(frame, to_frame(_with_values(rows, unseen)), n_rows, numbered, rare)


@dataclass
class _Seen:
    """What a pass over a column has told so far."""

    values: set[Any] | None = field(default_factory=set)
    ends: list[Any] = field(default_factory=list)
    missing: int = 0
    #: How far a column of whole numbers is from its row's number, while that is the same everywhere.
    offset: int | None = None
    in_order: bool = True

    def add(self, column: "pa.ChunkedArray", first_row: int) -> None:
        pa, pc = needed("pyarrow"), needed("pyarrow.compute")
        self.missing += column.null_count
        type_ = column.type
        if pa.types.is_dictionary(type_):
            column, type_ = column.cast(type_.value_type), type_.value_type
        column = column.drop_null()
        if pa.types.is_floating(type_):
            column = column.filter(pc.invert(pc.is_nan(column)))
        if not len(column):
            return
        if self.values is not None:
            try:
                self.values.update(pc.unique(column).to_pylist())
            except (pa.ArrowNotImplementedError, TypeError):
                self.values = None
            if self.values is not None and len(self.values) > MOST_VALUES:
                self.values = None
        if not (pa.types.is_nested(type_) or pa.types.is_binary(type_)):
            try:
                least = pc.min_max(column).as_py()
            except pa.ArrowNotImplementedError:
                return
            ends = [*self.ends, least["min"], least["max"]]
            self.ends = [min(ends), max(ends)]
        if self.in_order and pa.types.is_integer(type_) and not self.missing:
            steps = column.to_numpy().astype(np.int64) - np.arange(first_row, first_row + len(column))
            self.offset = int(steps[0]) if self.offset is None else self.offset
            self.in_order = bool((steps == self.offset).all())
        else:
            self.in_order = False

    def numbers_rows(self, sample: "pa.ChunkedArray", n_rows: int) -> bool:
        """Whether whole numbers only count the rows: in order, or each number of a range once."""
        if not needed("pyarrow").types.is_integer(sample.type) or self.missing or not self.ends:
            return False
        as_many = self.ends[1] - self.ends[0] + 1 == n_rows
        return self.in_order or (as_many and len(sample.unique()) == len(sample))

    def beyond(self, sample: "pa.ChunkedArray") -> list[Any]:
        """Values that a sample lacks: all of them where they are few, else those at the ends."""
        pa = needed("pyarrow")
        plain = sample.cast(sample.type.value_type) if pa.types.is_dictionary(sample.type) else sample
        if self.values is None:
            candidates, have = self.ends, set[Any]()
        else:
            candidates, have = sorted(self.values, key=repr), set(plain.unique().to_pylist())
        return [value for value in dict.fromkeys(candidates) if value not in have]


def _smallest(
    keys: npt.NDArray[np.float64], places: npt.NDArray[np.int64], rows: "pa.Table", size: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], "pa.Table"]:
    """The rows with the smallest keys, in their order in the table."""
    if len(keys) <= size:
        return keys, places, rows
    chosen = np.sort(np.argpartition(keys, size)[:size])
    return keys[chosen], places[chosen], rows.take(needed("pyarrow").array(chosen)).combine_chunks()


def _has_none(column: "pa.ChunkedArray") -> bool:
    """Whether no cell holds a value."""
    pa, pc = needed("pyarrow"), needed("pyarrow.compute")
    count = column.null_count
    if pa.types.is_floating(column.type):
        count += pc.sum(pc.is_nan(column)).as_py() or 0
    return bool(count == len(column))


def _with_values(rows: "pa.Table", values: dict[str, list[Any]]) -> "pa.Table":
    """The rows, and the first of them again with these values in their cells."""
    pa = needed("pyarrow")
    more = max(map(len, values.values()), default=0)
    if not more:
        return rows
    again = rows.slice(0, more)
    for place, field_ in enumerate(rows.schema):
        type_ = field_.type
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        cells = values[field_.name][: len(again)]
        rest = again.column(place).slice(len(cells)).cast(plain).combine_chunks()
        column = pa.concat_arrays([pa.array(cells, plain), *([rest] if isinstance(rest, pa.Array) else rest.chunks)])
        again = again.set_column(place, field_, column.dictionary_encode().cast(type_) if plain != type_ else column)
    return pa.concat_tables([rows, again]).unify_dictionaries().combine_chunks()
