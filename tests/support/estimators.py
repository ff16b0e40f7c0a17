"""The estimators that every test of the contract goes through, small enough to fit in milliseconds."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from pyro_mnar import MNARClassifier, MNARImageImputer, MNARImputer, MNARRegressor
from pyro_mnar.data.kinds.schema import Cells
from pyro_mnar.estimators.settings import with_training

SMALL: dict[str, Any] = {"max_iter": 2, "n_draws": 3, "n_draws_posterior": 20, "hidden_units": (4,), "random_state": 0}


def small_imputer(**parameters: Any) -> MNARImputer:
    """A small imputer; settings of training are given like the other parameters."""
    return MNARImputer(**with_training({**SMALL, **parameters}))


def small_images(**parameters: Any) -> MNARImageImputer:
    """Whose pixels may be as large as the numbers that scikit-learn's checks make."""
    own = {"latent_dim": 2, "pixel_range": (-1000.0, 1000.0)}
    return MNARImageImputer(**with_training({**SMALL, **own, **parameters}))


#: Enough training to pass scikit-learn's own easy problems.
LEARNS: dict[str, Any] = {**SMALL, "max_iter": 12, "batch_size": 32, "learning_rate": 3e-2, "head": "linear"}


def small_classifier(**parameters: Any) -> MNARClassifier:
    return MNARClassifier(**with_training({**LEARNS, **parameters}))


def small_regressor(**parameters: Any) -> MNARRegressor:
    return MNARRegressor(**with_training({**LEARNS, **parameters}))


#: One entry per estimator class; the tests of the contract, of bad input, of files and of faults run over it.
MAKERS = {"imputer": small_imputer, "classifier": small_classifier, "regressor": small_regressor}


def holes(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """About 30 % of the cells, chosen by value and column alone, so that order and subsets of rows do not matter."""
    with np.errstate(over="ignore", invalid="ignore"):
        noise = np.sin(values * 12.9898 + 78.233 * np.arange(1, values.shape[1] + 1)) * 43758.5453
    return (noise - np.floor(noise)) < 0.3


@functools.cache
def holed_class(cls: type) -> type:
    """A subclass that loses 30 % of the cells of every table that it is given, for checks that make their own X."""

    class Holed(cls):  # type: ignore[misc]
        def _read(self, X: Any, reset: bool) -> Any:
            values, missing, *_ = super()._read(X, reset)
            lost = holes(values)
            if reset:
                lost &= ~(lost | np.isnan(values)).all(0)
            return Cells(np.where(lost, np.nan, values), lost | missing)

    Holed.__name__ = Holed.__qualname__ = f"Holed{cls.__name__}"
    globals()[Holed.__name__] = Holed  # where pickle looks it up
    return Holed


def table(n: int = 40, p: int = 4, seed: int = 0, missing: float = 0.3) -> npt.NDArray[np.float64]:
    """Correlated normal columns with holes; every row and column keeps a value."""
    generator = np.random.default_rng(seed)
    X = generator.normal(size=(n, 1)) + generator.normal(size=(n, p))
    X[generator.random(X.shape) < missing] = np.nan
    X[np.arange(n), np.arange(n) % p] = generator.normal(size=n)
    return X
