"""Beside other imputers: rows per second at one Monte Carlo error, and seconds to their own error at random."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.exceptions import ConvergenceWarning

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.model.joint import Joint
from pyro_mnar.studies.bench.measures import Figure, first_rows, package_means, peer_means
from pyro_mnar.studies.bench.sides import Table, package_step, peer_model, peer_step, stepper, with_start
from pyro_mnar.studies.bench.timing import alternate
from pyro_mnar.studies.field.masks import lose
from pyro_mnar.studies.field.methods import Imputed, baseline, has_miceforest
from pyro_mnar.studies.field.scores import point_scores
from pyro_mnar.studies.sources.uci import load

#: Draws of the other side, and those among which ours are looked for.
PEER_DRAWS, OUR_DRAWS = 1000, (50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1500, 2000)
#: Passes over the table among which the fewest that reach another imputer's error are looked for.
PASSES = (1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 25, 35, 50)
#: Draws per row of these fits: values at random need few, and below 100 nothing is judged.
DRAWS_AT_RANDOM = 90
#: What is asked: seconds, in those of each.
ASKED = {"mice": "<= 3", "forest": "<= 1", "miceforest": ""}

Answer = Callable[[int], torch.Tensor]


def at_equal_error(data: Table, steps: int, n_rows: int, repeats: int, turns: int) -> list[Figure]:
    """Rows imputed per second, with so many draws that answers differ from one seed to the next as the peer's do.

    Both models are trained for so many steps, told that high values go missing. The Monte Carlo error is the root mean
    square over missing cells of the standard deviation over seeds, in standard deviations of the complete columns;
    the package's draws are in single precision, as those of ``transform`` are.
    """
    ours, joint, model = _trained(data, steps)
    rows, given = first_rows(ours, n_rows), first_rows(data, n_rows)

    def package(n_draws: int) -> Answer:
        return lambda seed: package_means(joint, rows.batch, rows.columns, n_draws, seed, single=True)

    def peer(seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return peer_means(model, given.batch, PEER_DRAWS)

    target = monte_carlo_error(peer, given, repeats)
    for n_draws in OUR_DRAWS:
        reached = monte_carlo_error(package(n_draws), rows, repeats)
        if reached <= target:
            break
    timing = alternate(partial(package(n_draws), 0), partial(peer, 0), turns, warm_up=1)
    where = f"{n_rows} rows; error {reached:.4f} with {n_draws} draws, theirs {target:.4f} with {PEER_DRAWS}"
    rates = (n_rows / timing.ours, n_rows / timing.theirs)
    measure = "imputation rate at equal Monte Carlo error / notmiwae-pytorch"
    return [Figure(measure, where, *rates, "rows per second", 1 / timing.ratio, ">= 2")]


def monte_carlo_error(answer: Answer, data: Table, repeats: int) -> float:
    """By how much answers differ from one seed to the next, in standard deviations of the complete columns."""
    answers = torch.stack([answer(seed) for seed in range(repeats)])
    spread = (answers.var(0) / data.unit**2)[~data.batch.observed]
    return float(spread.mean().sqrt())


def time_to_imputers(data_home: Path | None, turns: int, n_rows: int | None = None) -> list[Figure]:
    """Seconds of a fit and completion that err as little as MICE, a forest and miceforest, white wine lost at random.

    The ignorable model is fitted with more and more passes, and asked with 90 draws a row, until its RMSE is that of
    the other imputer; then this fit and the other imputer are timed by turns.
    """
    complete = load("wine_white", data_home).data.iloc[:n_rows]
    lost = lose(complete.to_numpy(), "white", "mar", 0).cells
    holed = complete.mask(lost)

    def rmse(imputed: FloatArray) -> float:
        return float(point_scores(complete.to_numpy(), imputed, ~lost)["rmse"] or math.nan)

    methods = [name for name in ASKED if name != "miceforest" or has_miceforest()]
    targets = {name: rmse(_other(name, holed).point) for name in methods}
    errors = dict[int, float]()
    for passes in PASSES:
        errors[passes] = rmse(_with_passes(holed, passes))
        if errors[passes] <= min(targets.values()):
            break
    figures = []
    for name, target in targets.items():
        passes = next((n for n, error in errors.items() if error <= target), 0)
        where = f"white wine, MAR, {len(holed)} rows: RMSE {target:.3f}"
        if passes:
            where += f", ours {errors[passes]:.3f} after {passes} passes with {DRAWS_AT_RANDOM} draws"
        else:
            where += f", ours {min(errors.values()):.3f} after {max(errors)} passes"
        # It takes minutes, and nothing is asked of its ratio.
        seconds = _by_turns(holed, name, passes, 1 if name == "miceforest" else turns)
        ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True)) if passes else math.inf
        ours, theirs = (statistics.median(side) for side in seconds)
        figures.append(Figure(f"time to the error of {name}", where, ours, theirs, "seconds", ratio, ASKED[name]))
    return figures


def _by_turns(holed: pd.DataFrame, name: str, passes: int, turns: int) -> tuple[list[float], list[float]]:
    """The processor's seconds of our fit of so many passes (none where it is 0), and of the other without its draws."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        start = time.process_time()
        if passes:
            _with_passes(holed, passes)
        seconds[0].append(time.process_time() - start if passes else math.inf)
        seconds[1].append(_other(name, holed).seconds)
    return seconds


def _other(name: str, holed: pd.DataFrame) -> Imputed:
    with warnings.catch_warnings():
        # Chained equations end after a number of rounds, whether or not they have come to rest.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return baseline(name, holed, 0)


def _with_passes(holed: pd.DataFrame, passes: int) -> FloatArray:
    completed = MNARImputer(
        "ignorable", max_iter=passes, n_draws_posterior=DRAWS_AT_RANDOM, random_state=0
    ).fit_transform(holed)
    return np.asarray(completed, dtype=float)


def _trained(data: Table, steps: int) -> tuple[Table, Joint, Any]:
    """Both models after so many steps of 128 rows, and the table on the package's scale."""
    model = peer_model(data, known=True)
    ours, joint = with_start(data, "high")
    for step, table in ((package_step(joint), ours), (peer_step(model), data)):
        run = stepper(step, table.batch, 128)
        for _ in range(steps):
            run()
    joint.generator = None
    return ours, joint, model
