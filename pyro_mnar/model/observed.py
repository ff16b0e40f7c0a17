"""What a mask may depend on beside the cell itself: columns that were observed, in the model or beside it."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.batch import Batch

#: Names of columns: those on which every column's mask depends, or by the column whose mask it is.
Parents: TypeAlias = "Sequence[str] | Mapping[str, Sequence[str]] | None"


class WhatIsObserved(nn.Module):
    r"""A linear function of observed cells for each column, which a curve takes as part of its intercept.

    .. math:: d_j(i) = \sum_{k \in \text{parents of } j} b_{jk} s_{ik} x_{ik} + e_{jk} (1 - s_{ik})

    Where a parent's cell itself is missing it counts as its mean (labels: as none of them), with a number e_jk of its
    own: what is not observed has no part in d. All numbers start at 0.

    Parameters
    ----------
    depends_on, mechanism_features : Parents
        Columns by name; both are looked for in the model and beside it.
    columns : ColumnInfo
        Of the table; p columns of the model and q beside it.

    Raises
    ------
    InvalidInputError
        An unknown column, a column that is its own parent, or something else than names.

    Examples
    --------
    >>> import numpy as np
    >>> columns = ColumnInfo(("age", "income"), np.zeros(2), np.ones(2), np.array([0.0, 0.3]))
    >>> WhatIsObserved({"income": ["age"]}, None, columns).parents
    {1: [0]}
    """

    allowed: Tensor
    first: Tensor

    def __init__(self, depends_on: Parents, mechanism_features: Parents, columns: ColumnInfo) -> None:
        super().__init__()
        names, beside = columns.names, () if columns.beside is None else columns.beside.names
        p, q = len(names), len(beside)
        allowed = torch.zeros(p, 2 * (p + q), dtype=torch.bool)
        for parameter, given in (("depends_on", depends_on), ("mechanism_features", mechanism_features)):
            for children, parents in _pairs(parameter, given, names):
                for name in parents:
                    inside, outside = _places(name, names), _places(name, beside)
                    if not inside and not outside:
                        raise InvalidInputError(
                            f"{parameter!r} names the column {name!r}, which the model does not have; its columns are "
                            f"{list(names)}, and {list(beside) or 'none'} beside it (mechanism_features)"
                        )
                    places = [*inside, *(p + k for k in outside)]
                    places += [p + q + k for k in places]
                    for j in children:
                        # A list says it of all columns, and none depends on itself.
                        if j not in inside:
                            allowed[j, places] = True
                        elif isinstance(given, Mapping):
                            raise InvalidInputError(
                                f"{parameter!r} says that {name!r} depends on itself; its own value is in the "
                                "mechanism already"
                            )
        self.n_columns = p
        self.register_buffer("allowed", allowed, persistent=False)
        # The levels of one nominal column go missing together, by the numbers of the first.
        self.register_buffer("first", torch.tensor([first_of_group(j, names) for j in range(p)]), persistent=False)
        self.weight = nn.Parameter(torch.zeros(p, 2 * (p + q)))

    @property
    def weights(self) -> Tensor:
        """The numbers b and e, shape (p, 2 (p + q)): of values in and beside the model, then of their being missing."""
        return torch.where(self.allowed, self.weight, torch.zeros_like(self.weight))[self.first]

    @property
    def parents(self) -> dict[int, list[int]]:
        """Positions of the model's columns on which the mask of each depends."""
        inside = self.allowed[:, : self.n_columns]
        return {j: inside[j].nonzero()[:, 0].tolist() for j in inside.any(1).nonzero()[:, 0].tolist()}

    def forward(self, rows: Batch) -> Tensor:
        """The part of the intercept of each cell of the rows, shape (..., p).

        InvalidInputError where the rows lack what is beside the model.
        """
        seen = rows.observed.to(rows.x.dtype)
        values, missing = [rows.x * seen], [1 - seen]
        if self.weight.shape[1] > 2 * self.n_columns:
            if rows.beside is None:
                raise InvalidInputError(
                    "the mechanism depends on columns beside the model (mechanism_features), which these rows lack"
                )
            values_beside, missing_beside = rows.beside.chunk(2, -1)
            values.append(values_beside)
            missing.append(missing_beside)
        return torch.cat([*values, *missing], -1) @ self.weights.T


def names_of(parameter: str, given: Parents) -> list[str]:
    """All columns that are named as parents; InvalidInputError for something else than names.

    Examples
    --------
    >>> names_of("depends_on", {"income": ["age", "sex"], "weight": ["sex"]})
    ['age', 'sex']
    """
    parts = list(given.values()) if isinstance(given, Mapping) else [() if given is None else given]
    for part in parts:
        if isinstance(part, str) or not isinstance(part, Sequence) or not all(isinstance(name, str) for name in part):
            raise InvalidInputError(
                f"{parameter} is {shown(given)}; give a list of names of columns, or a mapping to such lists"
            )
    return list(dict.fromkeys(name for part in parts for name in part))


def columns_of(name: str, names: Sequence[str]) -> list[int]:
    """Positions of the model's columns that stand for a column of the table: one, or one for each level.

    Examples
    --------
    >>> columns_of("soil", ("age", "soil=clay", "soil=sand"))
    [1, 2]
    """
    found = _places(name, names)
    if not found:
        raise InvalidInputError(
            f"'mechanism' names the column {name!r}, which the model does not have; its columns are {list(names)}"
        )
    return found


def _pairs(parameter: str, given: Parents, names: Sequence[str]) -> list[tuple[list[int], list[str]]]:
    """Columns of the model, and the names of what their masks depend on."""
    names_of(parameter, given)
    if given is None:
        return []
    if not isinstance(given, Mapping):
        return [(list(range(len(names))), list(given))]
    return [(columns_of(str(child), names), list(parents)) for child, parents in given.items()]


def _places(name: str, names: Sequence[str]) -> list[int]:
    found = [j for j, column in enumerate(names) if column == name]
    return found or [j for j, column in enumerate(names) if column.startswith(f"{name}=")]


def first_of_group(j: int, names: Sequence[str]) -> int:
    """The first of the model's columns that stand for the same column of the table.

    Examples
    --------
    >>> [first_of_group(j, ["age", "soil=clay", "soil=sand"]) for j in range(3)]
    [0, 1, 1]
    """
    start, sign, _ = names[j].rpartition("=")
    return next(k for k, name in enumerate(names) if k == j or (sign and name.rpartition("=")[:2] == (start, sign)))
