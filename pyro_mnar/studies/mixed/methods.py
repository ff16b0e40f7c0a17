"""The methods: from a table of mixed columns with holes to numbers, probabilities of levels, and draws of numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.kinds.declared import Kind
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.studies.field.methods import DRAWS, draw_with_miceforest, observed_scale
from pyro_mnar.studies.mixed.missforest import forest_chain
from pyro_mnar.studies.mixed.tables import level_columns, number_columns

MICE_ROUNDS = 10
NEIGHBOURS = 5
#: What a linear model may give a level less than is taken for this.
LEAST = 1e-3
#: Column name to the two ends of what a column of numbers can hold, infinite where there is none.
Ends = Mapping[str, tuple[float, float]]


class Filled(NamedTuple):
    """What a method says of a table, by the names of its columns.

    Completed numbers, shape (n,); probabilities of levels in the order of the categories, shape (n, levels); draws of
    numbers, shape (m, n), or None; and seconds of one core for fitting and completing, and for the draws beyond that.
    """

    numbers: dict[str, FloatArray]
    probabilities: dict[str, FloatArray]
    draws: dict[str, FloatArray] | None
    seconds: float
    draw_seconds: float


def joint_model(holed: pd.DataFrame, seed: int, settings: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Filled:
    """A model of this package, told which numbers end where; the probabilities of levels are those of its draws."""
    start = time.process_time()
    imputer = MNARImputer(random_state=seed, types=dict(kinds) or None, **settings).fit(holed)
    completed = imputer.transform(holed)
    middle = time.process_time()
    tables = imputer.multiple_impute(holed, DRAWS)
    seconds = time.process_time() - middle
    return _from_tables(holed, tables, _numbers(completed), middle - start, seconds)


def baseline(name: str, holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    """A method of ``BASELINES``, which are no models of this package, on numbers and categories with holes.

    ``ends`` is what columns hold at least and at most: of use to ``mice``, since the others stay within what is
    observed.
    """
    start = time.process_time()
    filled = BASELINES[name](holed, seed, ends)
    return filled._replace(seconds=time.process_time() - start)


def _from_tables(
    holed: pd.DataFrame,
    tables: Sequence[pd.DataFrame],
    numbers: dict[str, FloatArray] | None,
    seconds: float,
    draw_seconds: float,
) -> Filled:
    """From completed tables that are draws: levels by how often they were drawn, numbers (if not given) by the mean."""
    draws = {name: np.stack([_number(table[name]) for table in tables]) for name in number_columns(holed)}
    probabilities = {}
    for name in level_columns(holed):
        codes = np.stack([table[name].astype(holed[name].dtype).cat.codes.to_numpy() for table in tables])
        shares = (codes[:, :, None] == np.arange(len(holed[name].cat.categories))).mean(0, dtype=np.float64)
        probabilities[name] = smoothed(shares, len(tables))
    means = {name: values.mean(0) for name, values in draws.items()}
    return Filled(means if numbers is None else numbers, probabilities, draws, seconds, draw_seconds)


def smoothed(shares: FloatArray, of: int) -> FloatArray:
    """Shares of so many draws with one more, spread over all levels: what was never drawn is not impossible.

    Examples
    --------
    >>> smoothed(np.array([[1.0, 0.0]]), 4)
    array([[0.9, 0.1]])
    """
    result: FloatArray = (of * shares + 1 / shares.shape[-1]) / (of + 1)
    return result


def _number(column: pd.Series) -> FloatArray:
    return column.to_numpy(dtype=float, na_value=np.nan)


def _numbers(table: pd.DataFrame) -> dict[str, FloatArray]:
    return {name: _number(table[name]) for name in number_columns(table)}


def _mean(holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    numbers = {name: holed[name].fillna(holed[name].mean()).to_numpy(dtype=float) for name in number_columns(holed)}
    shares = {}
    for name in level_columns(holed):
        codes = holed[name].cat.codes.to_numpy()
        counts: FloatArray = np.bincount(codes[codes >= 0], minlength=len(holed[name].cat.categories)).astype(float)
        shares[name] = np.tile(smoothed(counts / counts.sum(), int(counts.sum())), (len(holed), 1))
    return Filled(numbers, shares, None, 0.0, 0.0)


def _knn(holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    numbers, shares = _on_one_hot(holed, KNNImputer(n_neighbors=NEIGHBOURS, keep_empty_features=True))
    return Filled(numbers, {name: smoothed(value, NEIGHBOURS) for name, value in shares.items()}, None, 0.0, 0.0)


def _mice(holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    names = number_columns(holed)
    centre, spread = observed_scale(holed[names].to_numpy(dtype=float))
    low, high = ((np.array([ends[name][end] for name in names]) - centre) / spread for end in (0, 1))
    # With a column for each level, the first of them is one minus the others' first guesses, and never moves.
    n_others = sum(len(holed[name].cat.categories) - 1 for name in level_columns(holed))
    imputer = IterativeImputer(
        max_iter=MICE_ROUNDS,
        min_value=np.append(low, np.full(n_others, -np.inf)),
        max_value=np.append(high, np.full(n_others, np.inf)),
        keep_empty_features=True,
        random_state=seed,
    )
    numbers, shares = _on_one_hot(holed, imputer, first=1)
    return Filled(numbers, shares, None, 0.0, 0.0)


def _on_one_hot(
    holed: pd.DataFrame, imputer: Any, first: int = 0
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Let an imputer of numbers complete standardised numbers and a column of 0 and 1 per level, from ``first`` on."""
    names, levels = number_columns(holed), level_columns(holed)
    table = holed[names].to_numpy(dtype=float)
    centre, spread = observed_scale(table)
    parts = [(table - centre) / spread]
    for name in levels:
        codes = holed[name].cat.codes.to_numpy()
        one_hot = np.eye(len(holed[name].cat.categories))[codes][:, first:]
        parts.append(np.where((codes < 0)[:, None], np.nan, one_hot))
    completed: FloatArray = imputer.fit_transform(np.hstack(parts))
    numbers, *others = np.split(completed, np.cumsum([part.shape[1] for part in parts])[:-1], axis=1)
    shares = {}
    for name, part in zip(levels, others, strict=True):
        whole = np.hstack([1 - part.sum(1, keepdims=True), part]) if first else part
        whole = np.clip(whole, LEAST, 1.0)
        shares[name] = whole / whole.sum(1, keepdims=True)
    return dict(zip(names, (numbers * spread + centre).T, strict=True)), shares


def _missforest(holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    numbers, shares, trees = forest_chain(holed, seed)
    return Filled(numbers, {name: smoothed(value, trees) for name, value in shares.items()}, None, 0.0, 0.0)


def _miceforest(holed: pd.DataFrame, seed: int, ends: Ends) -> Filled:
    # Whole numbers with holes are numbers. Levels are drawn by their probabilities: matching them by log odds breaks
    # off where a tree is certain.
    numbers, levels = number_columns(holed), level_columns(holed)
    strategy = {**dict.fromkeys(levels, "fast"), **dict.fromkeys(numbers, "normal")}
    tables = draw_with_miceforest(holed.astype(dict.fromkeys(numbers, float)), seed, strategy)
    return _from_tables(holed, tables, None, 0.0, 0.0)


BASELINES: dict[str, Callable[[pd.DataFrame, int, Ends], Filled]] = {
    "mean": _mean,
    "knn": _knn,
    "mice": _mice,
    "missforest": _missforest,
    "miceforest": _miceforest,
}
