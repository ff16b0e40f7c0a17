"""Saved models at the command line: which command takes which, and a table as the model's columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

    from pyro_mnar.cli.tables import TextTable
    from pyro_mnar.estimators.base import JointEstimator


def loaded(model: Path) -> "JointEstimator":
    """A saved model, with the cores of this machine at its service.

    Raises
    ------
    InvalidInputError
        It was fitted to a table without column names.
    """
    from pyro_mnar.persistence import load
    from pyro_mnar.studies.environment import available_cores, limit_threads

    limit_threads(available_cores())
    estimator = load(model)
    if not hasattr(estimator, "feature_names_in_"):
        raise InvalidInputError(f"{model} was fitted to a table without column names; use it from Python")
    return estimator


def rows_for(estimator: "JointEstimator", data: Path, table: "TextTable") -> "tuple[TextTable, pd.DataFrame]":
    """The table as the model reads its cells (with limits, where the model has them), and the model's columns of it.

    Raises
    ------
    InvalidInputError
        A column of the model is not there, or a cell cannot be read.
    """
    from pyro_mnar.model.mechanisms import by_name
    from pyro_mnar.model.per_column import declared_limits

    names = list(estimator.feature_names_in_)
    missing = [name for name in names if name not in table.names]
    if missing:
        raise InvalidInputError(f"{data} has no column {missing[0]!r}; the model has the columns {names}")
    text = [column.name for column in estimator._schema.columns if column.holds == "label"]
    limits = declared_limits(by_name(estimator.mechanism))
    table = table.with_limits(list(limits) if isinstance(limits, Mapping) else ())
    return table, table.frame([name for name in table.names if name not in names], text)[names]
