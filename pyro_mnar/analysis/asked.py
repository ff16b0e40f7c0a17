"""What the functions of this room are given, checked before anything is done with it."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pyro_mnar.data.arguments import instance_only
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator


def check_estimator(estimator: Any, name: str = "estimator") -> None:
    """See that it is one of the package's estimators: InvalidInputError; whether it is fitted it says itself."""
    what = "a fitted MNARImputer, MNARClassifier, MNARRegressor or MNARImageImputer"
    instance_only(name, estimator, JointEstimator, what)


def columns_of(column: Any, frame: pd.DataFrame) -> list[Any]:
    """The columns that are named, one or several; InvalidInputError for none, or one that the table does not have."""
    several = isinstance(column, Sequence) and not isinstance(column, str | bytes)
    names = list(column) if several else [column]
    known = list(frame.columns)
    if not names:
        raise InvalidInputError(f"column is {shown(column)}; give the name of a column, or several")
    for name in names:
        if not any(name is other or (isinstance(name, type(other)) and name == other) for other in known):
            raise InvalidInputError(f"{shown(name)} is not a column; the columns are {known}")
    return names
