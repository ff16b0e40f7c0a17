"""From the columns of a user's table to those of the model: categorical columns become one-hot groups, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pyro_mnar.data.columns import FloatArray, Group, Layout, check_discrete, find_layout
from pyro_mnar.data.tables import BoolArray
from pyro_mnar.errors import InvalidInputError

#: Categories of the categorical columns, by position in the table.
Labels = Mapping[int, Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Kinds:
    """How the modelled columns come from those of the table.

    Attributes
    ----------
    names
        names of the table's columns, shape (p_table,).
    has_values
        bool, shape (p_table,): the columns that the model has.
    labels
        categories of the pandas categorical columns, by position in the table; in the table itself they are codes.
    """

    names: npt.NDArray[np.object_]
    has_values: BoolArray
    labels: Labels

    def model_names(self) -> list[str]:
        """Names of the model's columns, those of a categorical column as ``column=category``."""
        found = []
        for j in np.flatnonzero(self.has_values):
            name = str(self.names[j])
            found += [f"{name}={label}" for label in self.labels[int(j)]] if int(j) in self.labels else [name]
        return found

    def expand(self, table: FloatArray) -> FloatArray:
        """The model's columns, shape (n, p), from those of the table, (n, p_table); codes become one-hot."""
        if not self.labels:
            return table if self.has_values.all() else table[:, self.has_values]
        parts = []
        for j in np.flatnonzero(self.has_values):
            column = table[:, j : j + 1]
            if int(j) in self.labels:
                one_hot = (column == np.arange(len(self.labels[int(j)]))).astype(np.float64)
                column = np.where(np.isnan(column), np.nan, one_hot)
            parts.append(column)
        return np.hstack(parts)

    def contract(self, values: FloatArray) -> FloatArray:
        """The table's modelled columns from the model's; of a group, the code of its likeliest category."""
        if not self.labels:
            return values
        parts, start = [], 0
        for j in np.flatnonzero(self.has_values):
            width = len(self.labels[int(j)]) if int(j) in self.labels else 1
            column = values[:, start : start + width]
            parts.append(column if int(j) not in self.labels else column.argmax(1)[:, None].astype(np.float64))
            start += width
        return np.hstack(parts)

    def layout(
        self,
        table: FloatArray,
        categorical: Sequence[Sequence[str | int]] | None,
        binary: Literal["auto"] | Sequence[str | int],
    ) -> Layout:
        """Which of the model's columns are of which kind, from the parameters and the observed values.

        Parameters
        ----------
        table : ndarray
            The model's columns, shape (n, p), NaN = missing.
        categorical, binary
            The estimator's parameters.

        Raises
        ------
        InvalidInputError
            Unknown columns, columns of two kinds, and values that the kind does not have.
        """
        names = self.model_names()
        groups = [self.positions(group, "categorical") for group in (categorical or ())]
        members = [column for group in groups for column in group]
        twice = {column for column in members if members.count(column) > 1}
        if twice:
            raise InvalidInputError(
                f"column {names[min(twice)]!r} is in 'categorical' twice; each column has one group"
            )
        short = [group for group in groups if len(group) < 2]
        if short:
            raise InvalidInputError(f"a group of 'categorical' has {len(short[0])} columns; it needs at least two")
        flags = None if isinstance(binary, str) else self.positions(binary, "binary")
        if flags is not None and set(flags) & set(members):
            name = names[min(set(flags) & set(members))]
            raise InvalidInputError(f"column {name!r} is in 'binary' and in 'categorical'; give it one kind")
        cells = self._one_cell_groups()
        found = find_layout(table, [*groups, *cells], flags)
        layout = found._replace(groups=(*found.groups[: len(groups)], *(Group(tuple(cell), True) for cell in cells)))
        check_discrete(table, layout, names)
        return layout

    def _one_cell_groups(self) -> list[list[int]]:
        starts = self._starts()
        return [
            list(range(starts[j], starts[j] + len(labels)))
            for j, labels in sorted(self.labels.items())
            if self.has_values[j]
        ]

    def _starts(self) -> dict[int, int]:
        """The first of the model's columns that each modelled column of the table has."""
        starts, start = {}, 0
        for j in np.flatnonzero(self.has_values):
            starts[int(j)] = start
            start += len(self.labels[int(j)]) if int(j) in self.labels else 1
        return starts

    def positions(self, columns: Sequence[object], parameter: str) -> list[int]:
        """Positions among the model's columns of columns given by name, or by position in the table."""
        names: list[object] = list(self.names)
        if isinstance(columns, str):
            raise InvalidInputError(f"{parameter!r} holds {columns!r}; give lists of column names or positions")
        starts = self._starts()
        positions = []
        for column in columns:
            places: Sequence[object] = names if isinstance(column, str) else range(len(names))
            if column not in places:
                raise InvalidInputError(f"{parameter!r} names the unknown column {column!r}; the columns are {names}")
            position = places.index(column)
            if position in self.labels:
                raise InvalidInputError(
                    f"column {names[position]!r} of {parameter!r} has pandas' categorical type; leave it out there"
                )
            if position not in starts:
                raise InvalidInputError(
                    f"column {names[position]!r} of {parameter!r} has no observed value; drop it from both"
                )
            positions.append(starts[position])
        return positions
