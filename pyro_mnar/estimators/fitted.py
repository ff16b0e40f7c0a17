"""What every fitted estimator has, for the code that asks it: the pair, its columns, the table and the posterior."""

from abc import ABC, abstractmethod
from typing import Any

import numpy.typing as npt

from pyro_mnar.data.columns import ColumnInfo, FloatArray
from pyro_mnar.data.kinds.schema import Schema
from pyro_mnar.estimators.start.nested import Finding
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint


class Fitted(ABC):
    """What code that asks a fitted estimator may use of it."""

    #: The fitted Pyro model/guide pair.
    joint_: Joint
    #: The columns that the model has, and the way back to original units.
    columns_: ColumnInfo
    # What each column shows of hiding its own values; only the nested mechanism asks.
    findings_: tuple[Finding, ...] = ()
    _seed: int
    #: What the columns of the table are.
    _schema: Schema

    @abstractmethod
    def table(self, X: npt.ArrayLike) -> FloatArray:
        """The columns of ``X`` that the model has, as checked numbers: shape (n, p), NaN = missing, original units."""

    @abstractmethod
    def batch(self, X: npt.ArrayLike) -> Batch:
        """The rows of ``X``, shape (n, p), as the pair takes them."""

    @abstractmethod
    def posterior(self, X: npt.ArrayLike, n_draws: int | None = None, refine: bool = True) -> Posterior:
        """The posterior of the missing cells of ``X``, shape (n, p), NaN = missing."""

    def _target_as_given(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of y on the model's scale as the user knows them: labels, or original units."""
        return values
