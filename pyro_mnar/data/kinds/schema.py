"""The schema of a table: what each column is, how the model's columns come from it, and the way back."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.data.columns import (
    ColumnInfo,
    Group,
    Layout,
    Levels,
    Support,
    atoms_of,
    check_discrete,
    describe,
    transformed,
)
from pyro_mnar.data.kinds.apply import apply
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.kinds.declared import Kind, OneHot, Types, as_kind, find_column
from pyro_mnar.data.kinds.fit import cut_by_frequency, cut_counts, transform_for
from pyro_mnar.data.kinds.infer import infer
from pyro_mnar.data.raw import BESIDE, BoolArray, RawColumn
from pyro_mnar.data.rows import Rows
from pyro_mnar.data.transforms import FloatArray, Identity, Tabulated, Transform
from pyro_mnar.errors import DataWarning, InvalidInputError, InvalidTypeError


class Cells(NamedTuple):
    """A table as the model reads it.

    Attributes
    ----------
    values : ndarray
        Shape (n, p_table): numbers, codes of labels, days of dates; NaN where the model sees nothing.
    missing : ndarray
        bool, the same shape: cells that are missing in the table. A level that is new, and a name, are not.
    limits : ndarray or None
        Shape (n, p_table, 2): between which values missing cells are known to lie; None where nothing is known.
    beside : ndarray or None
        The columns that the mechanism alone reads, shape (n, q), codes of levels as one-hot columns, NaN = missing.
    """

    values: FloatArray
    missing: BoolArray
    limits: FloatArray | None = None
    beside: FloatArray | None = None


@dataclass(frozen=True)
class Schema:
    """What the columns of a table are.

    Attributes
    ----------
    columns : tuple of ColumnKind
        One per column of the table, p_table of them.
    groups : tuple of tuple of int
        Positions of columns that were declared as one one-hot variable each.
    beside : tuple of (int, ColumnKind)
        Positions of the columns that the mechanism alone reads, and what they are.
    """

    columns: tuple[ColumnKind, ...]
    groups: tuple[tuple[int, ...], ...] = ()
    beside: tuple[tuple[int, ColumnKind], ...] = ()

    @property
    def modelled(self) -> BoolArray:
        """Which columns the model has, bool, shape (p_table,)."""
        return np.array([column.modelled for column in self.columns], dtype=bool)

    @property
    def has_values(self) -> BoolArray:
        """Which columns had an observed value in training, bool, shape (p_table,)."""
        return np.array([column.kind != "empty" for column in self.columns], dtype=bool)

    def renamed(self, names: Sequence[Any]) -> "Schema":
        """The same schema under other names of the columns."""
        columns = tuple(replace(column, name=name) for column, name in zip(self.columns, names, strict=True))
        beside = tuple((j, replace(kind, name=names[j])) for j, kind in self.beside)
        return replace(self, columns=columns, beside=beside)

    def model_names(self) -> list[str]:
        """Names of the model's columns, those of a nominal column as ``column=level``."""
        found: list[str] = []
        for column in self.columns:
            if column.kind == "nominal":
                found += [f"{column.name}={label}" for label in column.labels]
            elif column.modelled:
                found.append(str(column.name))
        return found

    def owners(self) -> list[str]:
        """The table's column that each of the model's belongs to, by name."""
        return [str(column.name) for column in self.columns for _ in range(column.width)]

    def starts(self) -> dict[int, int]:
        """The first of the model's columns that each modelled column of the table has, by position."""
        widths = np.cumsum([0, *(column.width for column in self.columns)])
        return {j: int(widths[j]) for j, column in enumerate(self.columns) if column.modelled}

    def positions(self, columns: Sequence[Any], parameter: str) -> list[int]:
        """Positions among the model's columns of columns given by name, or by position in the table.

        InvalidInputError for unknown columns, and for those that the model does not have, or has as several.
        """
        if isinstance(columns, str):
            raise InvalidInputError(f"{parameter!r} holds {columns!r}; give a list of column names or positions")
        names, starts, found = [column.name for column in self.columns], self.starts(), []
        for column in columns:
            place = find_column(column, names, parameter)
            if self.columns[place].width != 1:
                kind = self.columns[place].kind
                raise InvalidInputError(f"column {names[place]!r} of {parameter!r} is of the kind {kind}; leave it out")
            found.append(starts[place])
        return sorted(found)

    def read(self, raw: Sequence[RawColumn]) -> Cells:
        """The table as numbers, with what is missing; InvalidTypeError for a column of another type than in fitting."""
        columns = [_coded(column, kind) for column, kind in zip(raw, self.columns, strict=True)]
        limits = None
        if any(column.limits is not None for column in raw):
            limits = np.full((len(columns[0]), len(columns), 2), (-np.inf, np.inf))
            for j, (column, kind) in enumerate(zip(raw, self.columns, strict=True)):
                if column.limits is not None and kind.modelled and not kind.labels:
                    limits[:, j] = column.limits
        beside = None
        if self.beside:
            beside = self.of_beside().expand(self.of_beside().read([raw[j] for j, _ in self.beside]).values)
        return Cells(np.column_stack(columns), np.column_stack([column.missing for column in raw]), limits, beside)

    def describe_beside(self, beside: FloatArray | None) -> ColumnInfo | None:
        """Means and standard deviations of the columns that the mechanism alone reads, (n, q); None without any.

        Numbers stay on their own scale, on which a probit regression would have them too.
        """
        if beside is None:
            return None
        schema = self.of_beside()
        labels = [kind.kind in ("nominal", "binary") for kind in schema.columns for _ in range(kind.width)]
        return describe(beside, schema.model_names(), list(np.flatnonzero(labels)))

    def of_beside(self) -> "Schema":
        """The columns beside the model, as a table of their own."""
        return Schema(tuple(kind for _, kind in self.beside))

    def filled(self, missing: BoolArray) -> BoolArray:
        """The missing cells that get a value: those of columns that the model has, and of empty ones."""
        return missing & (self.modelled | ~self.has_values)

    def numbers(self, table: Cells) -> FloatArray:
        """The cells that are computed with as the numbers they are, NaN elsewhere, shape (n, p_table)."""
        plain = [column.modelled and column.holds == "number" and not column.labels for column in self.columns]
        return np.where(np.array(plain, dtype=bool) & ~table.missing, table.values, np.nan)

    def rows(self, cells: Cells) -> Rows:
        """The model's columns with their limits."""
        values = self.expand(cells.values)
        if cells.limits is None:
            return Rows(values, beside=cells.beside)
        limits: FloatArray = np.full((*values.shape, 2), (-np.inf, np.inf))
        for j, start in self.starts().items():
            if self.columns[j].width == 1:
                limits[:, start] = cells.limits[:, j]
        return Rows(values, limits, cells.beside)

    def expand(self, table: FloatArray) -> FloatArray:
        """The model's columns, shape (n, p), from those of the table, (n, p_table); codes of levels become one-hot."""
        parts = []
        for j in self.starts():
            column = table[:, j : j + 1]
            if self.columns[j].kind == "nominal":
                one_hot = (column == np.arange(self.columns[j].width)).astype(np.float64)
                column = np.where(np.isnan(column), np.nan, one_hot)
            parts.append(column)
        return np.hstack(parts)

    def contract(self, values: FloatArray) -> FloatArray:
        """The table's modelled columns from the model's; of a group, the code of its likeliest level."""
        parts = []
        for j, start in self.starts().items():
            column = values[:, start : start + self.columns[j].width]
            nominal = self.columns[j].kind == "nominal"
            parts.append(column.argmax(1)[:, None].astype(np.float64) if nominal else column)
        return np.hstack(parts)

    def describe(
        self, table: FloatArray, chosen: Mapping[int, Transform] = MappingProxyType({})
    ) -> tuple[Layout, ColumnInfo]:
        """Which of the model's columns are of which kind, and how they are put on the model's scale.

        They are (n, p), NaN = missing; ``chosen`` has transforms of continuous columns that are known already, by
        position. InvalidInputError for columns of a declared one-hot group that are none.
        """
        starts, names, p = self.starts(), self.model_names(), table.shape[1]
        transforms: list[Transform] = [Identity()] * p
        supports: list[Support] = [Support()] * p
        continuous, binary, groups, levels, atoms = [], [], [], [], []
        grouped = {j for group in self.groups for j in group}
        for j, start in starts.items():
            kind, seen = self.columns[j], table[~np.isnan(table[:, start]), start]
            if kind.kind == "nominal":
                groups.append(Group(tuple(range(start, start + kind.width)), True))
            elif j in grouped:
                continue
            elif kind.kind == "binary":
                binary.append(start)
            elif kind.levels:
                cut = cut_counts if kind.kind == "count" else cut_by_frequency
                scores, cuts = cut(kind.levels, seen)
                levels.append(Levels(start, kind.levels, scores, cuts))
                transforms[start], supports[start] = Tabulated(kind.levels, scores), kind.support
            else:
                transforms[start] = chosen[start] if start in chosen else transform_for(kind, seen)
                supports[start] = kind.support
                if kind.atoms:
                    atoms.append(start)
                else:
                    continuous.append(start)
        declared = [Group(tuple(starts[j] for j in group)) for group in self.groups]
        layout = Layout(tuple(continuous), tuple(binary), (*declared, *groups), tuple(levels))
        check_discrete(table, layout, names)
        info = self._standardisation(table, layout, atoms, tuple(transforms), tuple(supports))
        coded = {starts[j]: codes for j, codes in enumerate(map(_two_numbers, self.columns)) if codes}
        info = info._replace(codes=tuple(coded.get(start, ()) for start in range(p)) if coded else ())
        return layout._replace(atoms=tuple(atoms_of(j, info) for j in atoms)), info

    def _standardisation(
        self,
        table: FloatArray,
        layout: Layout,
        atoms: Sequence[int],
        transforms: tuple[Transform, ...],
        supports: tuple[Support, ...],
    ) -> ColumnInfo:
        on_scale = transformed(table, transforms)
        rest = on_scale.copy()
        for j in atoms:
            rest[transforms[j].is_mass(table[:, j]), j] = np.nan
        fixed = [*layout.discrete, *(level.column for level in layout.levels)]
        info = describe(rest, self.model_names(), fixed)
        rate = np.isnan(table).mean(0)
        return info._replace(missing_rate=rate, transforms=transforms, supports=supports)

    def frame(self, info: ColumnInfo | None = None) -> pd.DataFrame:
        """The schema for people: column, kind, why, support, transform."""
        starts, beside = self.starts(), dict(self.beside)
        rows = []
        for j, column in enumerate(self.columns):
            if j in beside:
                column = replace(beside[j], why=f"{beside[j].why}; {column.why}")
            g = info.transforms[starts[j]] if info is not None and info.transforms and j in starts else Identity()
            rows.append((column.name, column.kind, column.why, column.support_in_words(), g.describe()))
        return pd.DataFrame(rows, columns=["column", "kind", "why", "support", "transform"])


def find_schema(raw: Sequence[RawColumn], types: Types = None) -> Schema:
    """What the columns of a table are: as declared, and else as their types and observed values say.

    ``types`` is one kind for all columns, or kinds by column (name or position); a :class:`OneHot` has a name of its
    own. InvalidInputError for unknown columns and kinds, columns that cannot be what is declared, and a table with
    nothing to model.

    Examples
    --------
    >>> x = np.array([0.0, 1.0, 1.0, 2.0, 0.0, 1.0, 5.0])
    >>> find_schema([RawColumn("n", "number", x, np.isnan(x))]).columns[0].kind
    'count'
    """
    names = [column.name for column in raw]
    given: dict[int, Kind] = {}
    groups: list[tuple[int, ...]] = []
    if types is not None and not isinstance(types, Mapping):
        kind = as_kind(types, "all")
        given = dict.fromkeys(range(len(raw)), kind)
    elif types is not None:
        groups = _groups(types, names)
        for name, value in types.items():
            if isinstance(value, OneHot):
                continue
            position = find_column(name, names, "types")
            if position in given or any(position in group for group in groups):
                raise InvalidInputError(f"'types' gives column {names[position]!r} two kinds; give it one")
            given[position] = as_kind(value, name)
    beside = tuple(
        (j, _of_beside(replace(column, serves=""), given.get(j)))
        for j, column in enumerate(raw)
        if column.serves == BESIDE
    )
    for j, _ in beside:
        given.pop(j, None)
    columns = [apply(column, given[j]) if j in given else infer(column) for j, column in enumerate(raw)]
    for group in groups:
        for j in group:
            columns[j] = _member(raw[j])
    kinds = tuple(replace(kind, holds=column.holds) for kind, column in zip(columns, raw, strict=True))
    return Schema(kinds, tuple(groups), beside)


def _of_beside(raw: RawColumn, given: Kind | None) -> ColumnKind:
    """What a column is that the mechanism alone reads."""
    kind = infer(raw) if given is None else apply(raw, given)
    if not kind.modelled:
        raise InvalidInputError(
            f"'mechanism_features' names the column {raw.name!r}, which is of the kind {kind.kind} ({kind.why}) and "
            "tells nothing of the mask; leave it out, or declare another kind in 'types'"
        )
    return replace(kind, holds=raw.holds)


def _groups(types: Mapping[Any, Any], names: Sequence[Any]) -> list[tuple[int, ...]]:
    groups: list[tuple[int, ...]] = []
    taken: set[int] = set()
    for name, kind in types.items():
        if not isinstance(kind, OneHot):
            continue
        group = tuple(find_column(column, names, "types") for column in kind.columns)
        if len(group) < 2:
            raise InvalidInputError(f"the group {name!r} of 'types' has {len(group)} columns; it needs at least two")
        twice = [j for j in group if j in taken or group.count(j) > 1]
        if twice:
            raise InvalidInputError(f"column {names[twice[0]]!r} is in one-hot groups of 'types' twice; give it one")
        taken.update(group)
        groups.append(group)
    return groups


def _member(raw: RawColumn) -> ColumnKind:
    if raw.holds not in ("number", "boolean"):
        raise InvalidInputError(f"column {raw.name!r} of a one-hot group in 'types' holds {raw.holds}s, not 0 and 1")
    if len(raw.observed) == 0:
        raise InvalidInputError(
            f"column {raw.name!r} of a one-hot group in 'types' has no observed value; leave it out"
        )
    return ColumnKind(raw.name, "one-hot", "declared", Support(0.0, 1.0, True), declared=True)


def _coded(raw: RawColumn, kind: ColumnKind) -> FloatArray:
    """A column as numbers; NaN for what the model does not see."""
    if not kind.modelled:
        numbers = raw.holds in ("number", "boolean")
        return raw.values.astype(np.float64) if numbers else np.full(len(raw.values), np.nan)
    if not kind.labels:
        if raw.holds == "label" and not raw.missing.all():
            raise InvalidTypeError(
                f"column {raw.name!r} holds text, such as {raw.observed[0]!r}, but was of the kind {kind.kind} when "
                "fitting; give it as then, or fit again"
            )
        dates = ("date", "duration")
        if (raw.holds in dates) != (kind.kind in dates) and not raw.missing.all() and kind.kind != "constant":
            raise InvalidTypeError(
                f"column {raw.name!r} holds {raw.holds}s, but was of the kind {kind.kind} when fitting; give it as "
                "then, or fit again"
            )
        return np.where(raw.missing, np.nan, raw.values.astype(np.float64))
    if not raw.missing.all() and not alike(raw, kind):
        raise InvalidTypeError(
            f"column {raw.name!r} holds {raw.holds}s, but held {kind.holds}s when fitting; give it so, or fit again"
        )
    codes = code_labels(raw, kind)
    unknown = (codes < 0) & ~raw.missing
    if unknown.any():
        row = int(np.argmax(unknown))
        if raw.holds == "number" and kind.kind == "binary":
            raise InvalidInputError(
                f"column {raw.name!r} holds {raw.values[row]:g} in row {row}; its two values are {list(kind.labels)}"
            )
        warnings.warn(
            f"column {raw.name!r} holds {raw.values[row]!r} in row {row}, a level that it did not have in training: "
            "such cells stay as they are, and the model takes them as missing",
            DataWarning,
            stacklevel=5,
        )
    return np.where(codes < 0, np.nan, codes)


def alike(raw: RawColumn, kind: ColumnKind) -> bool:
    """Whether cells are of the sort that they were in training; booleans count as numbers."""
    return raw.holds == kind.holds or {raw.holds, kind.holds} == {"number", "boolean"}


def code_labels(raw: RawColumn, kind: ColumnKind) -> FloatArray:
    """The code of each cell, -1 where it is missing or unknown; pooled labels have the last code."""
    labels = [*kind.labels, *kind.pooled]
    codes = np.minimum(np.arange(len(labels)), len(kind.labels) - 1)
    table: Mapping[Any, int] = dict(zip(labels, codes.tolist(), strict=True))
    if raw.holds == "label":
        found = [-1 if cell is None else table.get(cell, -1) for cell in raw.values]
    else:
        found = [-1 if gone else table.get(value, -1) for value, gone in zip(raw.values, raw.missing, strict=True)]
    result: npt.NDArray[np.float64] = np.array(found, dtype=np.float64)
    return result


def _two_numbers(kind: ColumnKind) -> tuple[float, ...]:
    """The two numbers that the codes 0 and 1 of a column stand for; empty for other columns."""
    numbers = kind.kind == "binary" and all(isinstance(label, int | float) for label in kind.labels)
    return tuple(float(label) for label in kind.labels) if numbers else ()
