"""The methods: from a table with holes to a completed one, and to draws where the method has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import StudyError
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.estimators.start.plan import passes
from pyro_mnar.model.mechanisms import Direction, Nested
from pyro_mnar.studies.parts import has_miceforest

#: Completed tables of a joint model; of MICE and miceforest, what they can afford.
DRAWS, MICE_DRAWS, MICEFOREST_DRAWS = 100, 5, 5
FOREST_TREES, FOREST_ROUNDS = 50, 5
MICE_ROUNDS = 50
#: Rounds of a chain that is there for one draw.
DRAW_ROUNDS = 10

Directions = Mapping[str, Direction]


class Imputed(NamedTuple):
    """What a method says of a table, in original units.

    The completed table, shape (n, p); completed tables that are draws, shape (m, n, p), or None; and seconds of one
    core for fitting and completing, and for the draws beyond that.
    """

    point: FloatArray
    draws: FloatArray | None
    seconds: float
    draw_seconds: float


def draw_with_miceforest(
    frame: pd.DataFrame, seed: int, strategy: Mapping[Any, str] | None = None
) -> list[pd.DataFrame]:
    """Completed tables by miceforest, on one thread, from numbers, and categories that are levels, with holes.

    ``strategy`` is how it matches each column, by name; None leaves it to the package. Raises StudyError if it is not
    installed.
    """
    if not has_miceforest():
        raise StudyError("the method 'miceforest' needs its package: pip install 'pyro-mnar[bench]'")
    import miceforest

    # Names of columns may hold what LightGBM does not take.
    names = {name: f"x{j}" for j, name in enumerate(frame)}
    options = {} if strategy is None else {"mean_match_strategy": {names[name]: how for name, how in strategy.items()}}
    kernel = miceforest.ImputationKernel(
        frame.rename(columns=names), num_datasets=MICEFOREST_DRAWS, random_state=seed, **options
    )
    kernel.mice(5, num_threads=1)
    back = {new: name for name, new in names.items()}
    return [kernel.complete_data(i).rename(columns=back) for i in range(MICEFOREST_DRAWS)]


def observed_scale(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each column's observed values (1 where they have none), shape (p,) each."""
    spread = np.nanstd(table, axis=0)
    return np.nanmean(table, axis=0), np.where(spread > 0, spread, 1.0)


def baseline(name: str, holed: pd.DataFrame, seed: int) -> Imputed:
    """A method of ``BASELINES``, which are no models of this package, on float columns with NaN, shape (n, p).

    Distances and penalties need columns of one scale: all are standardised by their observed values.
    """
    table = holed.to_numpy()
    centre, spread = observed_scale(table)
    start = time.process_time()
    point, draw = BASELINES[name]((table - centre) / spread, seed)
    middle = time.process_time()
    draws = draw() * spread + centre if draw is not None else None
    return Imputed(point * spread + centre, draws, middle - start, time.process_time() - middle)


def joint_model(
    holed: pd.DataFrame, seed: int, settings: Mapping[str, Any], directions: Directions | None = None
) -> Imputed:
    """A model of this package on float columns with NaN, shape (n, p).

    ``steps`` among its settings stands for as many passes; ``directions`` are told to the mechanism "auto".
    """
    parameters = dict(settings)
    steps = parameters.pop("steps", None)
    imputer = MNARImputer(random_state=seed, **with_training(parameters))
    if directions is not None:
        imputer.set_params(mechanism=Nested(direction=dict(directions)))
    if steps is not None:
        imputer.set_params(max_iter=passes(steps, len(holed), imputer.training_used.batch_size))
    start = time.process_time()
    point = imputer.fit(holed).transform(holed).to_numpy(dtype=float)
    middle = time.process_time()
    draws = np.stack([table.to_numpy(dtype=float) for table in imputer.multiple_impute(holed, DRAWS)])
    return Imputed(point, draws, middle - start, time.process_time() - middle)


Draw = Callable[[], FloatArray]
Baseline = Callable[[FloatArray, int], tuple[FloatArray, Draw | None]]


def _mean(table: FloatArray, seed: int) -> tuple[FloatArray, None]:
    return SimpleImputer().fit_transform(table), None


def _knn(table: FloatArray, seed: int) -> tuple[FloatArray, None]:
    return KNNImputer().fit_transform(table), None


def _mice(table: FloatArray, seed: int) -> tuple[FloatArray, Draw]:
    def draws() -> FloatArray:
        chains = [
            IterativeImputer(max_iter=DRAW_ROUNDS, sample_posterior=True, random_state=MICE_DRAWS * seed + i)
            for i in range(MICE_DRAWS)
        ]
        return np.stack([chain.fit_transform(table) for chain in chains])

    return IterativeImputer(max_iter=MICE_ROUNDS, random_state=seed).fit_transform(table), draws


def _forest(table: FloatArray, seed: int) -> tuple[FloatArray, None]:
    trees = ExtraTreesRegressor(n_estimators=FOREST_TREES, random_state=seed)
    chain = IterativeImputer(trees, max_iter=FOREST_ROUNDS, random_state=seed)
    return chain.fit_transform(table), None


def _miceforest(table: FloatArray, seed: int) -> tuple[FloatArray, Draw]:
    """Its completed tables are draws; their mean is its best guess under squared error."""
    frame = pd.DataFrame(table)
    draws = np.stack([drawn.to_numpy(dtype=float) for drawn in draw_with_miceforest(frame, seed)])
    return draws.mean(0), lambda: draws


BASELINES: dict[str, Baseline] = {
    "mean": _mean,
    "knn": _knn,
    "mice": _mice,
    "forest": _forest,
    "miceforest": _miceforest,
}
