"""MissForest: each column from the others by a random forest, from the one with the fewest holes on, in rounds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.studies.mixed.tables import level_columns, number_columns

TREES, ROUNDS = 50, 5


def forest_chain(holed: pd.DataFrame, seed: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray], int]:
    """Complete numbers and categories with holes; the published stopping rule, within a largest number of rounds.

    Levels are codes where they predict, which trees split as well as anything. Gives completed numbers by column, shape
    (n,), shares of the trees' votes by column of levels, shape (n, levels), and the number of trees.

    References
    ----------
    Stekhoven & Buehlmann 2012, "MissForest".
    """
    levels = level_columns(holed)
    columns = [str(name) for name in holed]
    missing = {name: holed[name].isna().to_numpy() for name in columns}
    values = {name: _first_guess(holed[name], name in levels) for name in columns}
    shares = {name: np.eye(len(holed[name].cat.categories))[values[name].astype(int)] for name in levels}
    order = sorted((name for name in columns if missing[name].any()), key=lambda name: int(missing[name].sum()))
    before = (np.inf, np.inf)
    for round_ in range(ROUNDS):
        last, last_shares = dict(values), dict(shares)
        for name in order:
            rows = missing[name]
            others = np.column_stack([values[other] for other in columns if other != name])
            if name in levels:
                forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed + round_)
                forest.fit(others[~rows], values[name][~rows].astype(int))
                found = np.zeros((rows.sum(), shares[name].shape[1]))
                found[:, forest.classes_] = forest.predict_proba(others[rows])
                shares[name] = shares[name].copy()
                shares[name][rows] = found
                predicted = found.argmax(1).astype(float)
            else:
                trees = RandomForestRegressor(TREES, max_features=1 / 3, min_samples_leaf=2, random_state=seed + round_)
                predicted = trees.fit(others[~rows], values[name][~rows]).predict(others[rows])
            values[name] = values[name].copy()
            values[name][rows] = predicted
        change = _change(last, values, missing, levels)
        # It stops when both kinds of columns have moved more than in the round before, and takes that round's values.
        if all(now >= then for now, then in zip(change, before, strict=True)):
            values, shares = last, last_shares
            break
        before = change
    return {name: values[name] for name in number_columns(holed)}, shares, TREES


def _first_guess(column: pd.Series, is_level: bool) -> FloatArray:
    if is_level:
        codes = column.cat.codes.to_numpy(dtype=float)
        return np.where(codes < 0, float(column.cat.codes[column.notna()].mode()[0]), codes)
    return column.fillna(column.mean()).to_numpy(dtype=float)


def _change(
    last: dict[str, FloatArray], now: dict[str, FloatArray], missing: dict[str, np.ndarray], levels: list[str]
) -> tuple[float, float]:
    """How far the numbers moved, relative to their size, and the share of levels that changed; 0 if there are none."""
    moved, size, changed, cells = 0.0, 0.0, 0, 0
    for name, rows in missing.items():
        if name in levels:
            changed, cells = changed + int((last[name] != now[name])[rows].sum()), cells + int(rows.sum())
        else:
            unit = float(now[name].std()) or 1.0
            moved += float((((now[name] - last[name])[rows] / unit) ** 2).sum())
            size += float(((now[name][rows] / unit) ** 2).sum())
    return moved / (size or 1.0), changed / (cells or 1)
