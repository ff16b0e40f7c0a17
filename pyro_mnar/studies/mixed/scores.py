"""Scores on the missing cells: errors of numbers, hits of levels, and values that cannot be."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.studies.field.masks import BoolArray
from pyro_mnar.studies.field.scores import crps
from pyro_mnar.studies.mixed.methods import Filled
from pyro_mnar.studies.mixed.tables import impossible, level_columns, number_columns

Scores = dict[str, float | None]


def scores(name: str, complete: pd.DataFrame, lost: BoolArray, filled: Filled) -> Scores:
    """Compare what was filled in with what was there; means over the missing cells, ``lost``.

    ``nrmse``, ``mae``, ``crps`` (standard deviations of the complete column; the CRPS of a point is its error) and
    ``impossible``, ``impossible_draws`` (shares) are of numbers; ``accuracy`` and ``log_loss`` (nats) of levels. They
    are None where nothing of the kind is missing, or there are no draws.
    """
    missing = {str(column): lost[:, j] for j, column in enumerate(complete) if lost[:, j].any()}
    numbers = [column for column in number_columns(complete) if column in missing]
    levels = [column for column in level_columns(complete) if column in missing]
    return {**_of_numbers(name, complete, missing, numbers, filled), **_of_levels(complete, missing, levels, filled)}


def _of_numbers(
    name: str, complete: pd.DataFrame, missing: dict[str, BoolArray], columns: list[str], filled: Filled
) -> Scores:
    names = ("nrmse", "mae", "crps", "impossible", "impossible_draws")
    if not columns:
        return dict.fromkeys(names)
    errors, ranked, bad, bad_draws = [], [], [], []
    for column in columns:
        rows = missing[column]
        truth = complete[column].to_numpy(dtype=float)
        unit = float(truth.std()) or 1.0
        values = filled.numbers[column][rows]
        errors.append((values - truth[rows]) / unit)
        bad.append(impossible(name, complete, column, values))
        if filled.draws is not None:
            draws = filled.draws[column][:, rows]
            ranked.append(crps(truth[rows] / unit, draws / unit))
            bad_draws.append(impossible(name, complete, column, draws).mean(0))
    error: FloatArray = np.concatenate(errors)
    mae = float(np.abs(error).mean())
    with_draws = filled.draws is not None
    sizes = [int(missing[column].sum()) for column in columns]
    return {
        "nrmse": float(np.sqrt((error**2).mean())),
        "mae": mae,
        "crps": float(np.average(ranked, weights=sizes)) if with_draws else mae,
        "impossible": float(np.concatenate(bad).mean()),
        "impossible_draws": float(np.concatenate(bad_draws).mean()) if with_draws else None,
    }


def _of_levels(complete: pd.DataFrame, missing: dict[str, BoolArray], columns: list[str], filled: Filled) -> Scores:
    if not columns:
        return {"accuracy": None, "log_loss": None}
    hits, losses = [], []
    for column in columns:
        rows = missing[column]
        truth = complete[column].cat.codes.to_numpy()[rows]
        shares = filled.probabilities[column][rows]
        hits.append(shares.argmax(1) == truth)
        losses.append(-np.log(shares[np.arange(len(truth)), truth]))
    return {"accuracy": float(np.concatenate(hits).mean()), "log_loss": float(np.concatenate(losses).mean())}
