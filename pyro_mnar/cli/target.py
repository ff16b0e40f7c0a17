"""The column that ``--target`` names: labels or numbers, in the rows that have it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.cli.options import Task, check_columns
from pyro_mnar.cli.tables import TextTable
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.data.kinds.declared import Kind
    from pyro_mnar.estimators import MNARClassifier, MNARRegressor
    from pyro_mnar.model.mechanisms import Mechanism


@dataclass(frozen=True)
class Target:
    """What is to be predicted: labels as texts, or numbers, of the rows that have one, and how many rows do not."""

    name: str
    task: Task
    values: npt.NDArray[np.generic]
    rows: list[int]
    n_without: int

    def words(self) -> str:
        """What it was taken for."""
        labels = np.unique(self.values) if self.task is Task.CLASSIFICATION else None
        what = "a number" if labels is None else f"one of {len(labels)} labels"
        left = f"; {self.n_without} rows without it are left out" if self.n_without else ""
        return f"Target {self.name!r}, {what} (--task {self.task}){left}"


def read_target(table: TextTable, name: str, task: Task | None) -> Target:
    """The target's values.

    Raises
    ------
    InvalidInputError
        An unknown column, one that is missing in every row, that holds days, or names of which each stands in one row;
        text where numbers are asked for.
    """
    check_columns("--target", [name], table.names)
    j = table.names.index(name)
    rows = np.flatnonzero(~table.missing[:, j]).tolist()
    if not rows:
        raise InvalidInputError(f"the target {name!r} is missing in every row; name another column")
    having = table.at(rows)
    others = [other for other in table.names if other != name]
    column = having.frame(others, [name] if task is Task.CLASSIFICATION else [])[name]
    texts = np.array([row[j].strip() for row in having.cells])
    if pd.api.types.is_datetime64_any_dtype(column):
        raise InvalidInputError(f"the target {name!r} holds days; give it as a number, days since a date say")
    is_text = not pd.api.types.is_numeric_dtype(column)
    n_values = len(np.unique(texts))
    if task is None:
        task = Task.CLASSIFICATION if is_text or n_values <= 2 else Task.REGRESSION
    if task is Task.REGRESSION and is_text:
        raise InvalidInputError(
            f"the target {name!r} holds text, such as {str(texts[0])!r}; give --task classification"
        )
    if task is Task.CLASSIFICATION and n_values == len(rows) > 2:
        raise InvalidInputError(
            f"the target {name!r} holds {n_values} labels, each in one row; there is nothing to learn from"
        )
    values = texts if task is Task.CLASSIFICATION else column.to_numpy()
    return Target(name, task, values, rows, len(table.cells) - len(rows))


def new_predictor(
    task: Task,
    mechanism: "str | Mechanism | dict[str, str | Mechanism]",
    types: "dict[str, Kind]",
    random_state: int,
    max_iter: int | None = None,
) -> "MNARClassifier | MNARRegressor":
    """An estimator of the target with what the options say, None for its defaults."""
    from pyro_mnar.estimators import MNARClassifier, MNARRegressor

    made = MNARClassifier if task is Task.CLASSIFICATION else MNARRegressor
    estimator = made(mechanism, types=types or None, random_state=random_state)
    return estimator if max_iter is None else estimator.set_params(max_iter=max_iter)
