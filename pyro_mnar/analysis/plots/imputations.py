"""What was filled in, and where."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.analysis.plots.parts import (
    CHARACTER,
    DATA,
    IMPUTED,
    OBSERVED,
    TRUE,
    Shown,
    axes,
    bins,
    counts_of,
    inches,
    legend,
    name_levels,
    named,
    position,
    shown,
    wrapped,
)
from pyro_mnar.data.arguments import numbers, whole_number, within_0_and_1
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.foreign import reading
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator


def imputed_distribution(
    estimator: JointEstimator,
    X: npt.ArrayLike,
    column: str | int,
    *,
    truth: npt.ArrayLike | None = None,
    n_imputations: int = 20,
    ax: Axes | None = None,
) -> Axes:
    """Distribution of a column's observed values, of its imputed ones, and of the true values of the missing cells.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
    column : str or int
        The column.
    truth : array-like or None
        The complete table, as ``X``, with NaN where it is not known.
    n_imputations : int
        Imputed tables (draws, not means: means are too narrow) that are put together.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        Histograms scaled to the number of rows, so that observed and imputed areas add up to the column; bars for
        levels and labels.

    Raises
    ------
    InvalidInputError
        An unknown column, one without a missing cell, or a truth of another shape.
    """
    n_imputations = whole_number("n_imputations", n_imputations)
    of, values, hidden = _holes(estimator, X, column)
    ax = axes(ax)
    samples = {"observed": values[~hidden]}
    true = _truth(estimator, truth, X)
    if true is not None:
        samples["true, missing cells"] = _known(of.values(true)[hidden])
    samples["imputed"] = of.values(estimator.posterior(X).sample(n_imputations)[:, hidden]).ravel()
    if of.labels is None:
        edges = bins(*samples.values())
        heights = {name: np.histogram(sample, edges)[0].astype(float) for name, sample in samples.items()}
    else:
        edges = []
        heights = {name: counts_of(sample, len(of.labels)) for name, sample in samples.items()}
    heights["imputed"] /= n_imputations
    for name, height in heights.items():
        look = _LOOKS[name]
        if of.labels is None:
            ax.stairs(height, edges, label=name, **look)
        else:
            bar = {"edgecolor" if key == "color" and not look["fill"] else key: value for key, value in look.items()}
            ax.bar(range(len(height)), height, 0.8, label=name, **bar)
    return named(ax, of, "rows")


_LOOKS: dict[str, dict[str, Any]] = {
    "observed": {"fill": True, "color": OBSERVED},
    "true, missing cells": {"fill": True, "color": TRUE, "alpha": 0.8},
    "imputed": {"fill": False, "color": IMPUTED, "linewidth": 1.8},
}


def imputation_intervals(
    estimator: JointEstimator,
    X: npt.ArrayLike,
    column: str | int,
    *,
    truth: npt.ArrayLike | None = None,
    level: float = 0.9,
    max_cells: int = 60,
    ax: Axes | None = None,
) -> Axes:
    """Each missing cell of a column with its median and interval, in the order of the medians.

    Parameters
    ----------
    estimator, X, column, truth
        As for :func:`imputed_distribution`.
    level : float
        Probability of the intervals.
    max_cells : int
        Cells to show; of more, evenly spaced ones.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        Bars and points; with the truth its values, and in the title the share of ALL missing cells whose interval holds
        it.
    """
    level, max_cells = within_0_and_1("level", level), whole_number("max_cells", max_cells)
    of, _, hidden = _holes(estimator, X, column)
    ax = axes(ax)
    if not of.ordered:
        raise InvalidInputError(
            f"column {of.name!r} holds labels without an order, which have no interval; see imputed_distribution"
        )
    quantiles = estimator.posterior(X).quantile([(1 - level) / 2, 0.5, (1 + level) / 2])
    low, middle, high = of.values(quantiles[:, hidden])
    order = np.argsort(middle)
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(max_cells, len(order))).astype(int))]
    places = np.arange(len(shown))
    ax.vlines(places, low[shown], high[shown], color=IMPUTED, alpha=0.6, label=f"{100 * level:.0f} % interval")
    ax.plot(places, middle[shown], "_", color=IMPUTED, label="median")
    true = _truth(estimator, truth, X)
    if true is not None:
        values = of.values(true)[hidden]
        _known(values)
        ax.plot(places, values[shown], "o", markersize=4, color=TRUE, markeredgecolor=DATA, label="true")
        inside = ((low <= values) & (values <= high))[~np.isnan(values)]
        ax.set_title(f"{100 * inside.mean():.0f} % of the true values inside")
    ax.set(xlabel="missing cells, by median", ylabel=wrapped(of.name, 40), xticks=[])
    legend(ax)
    if of.labels is not None:
        name_levels(ax, of.labels, "y")
    return ax


def missing_pattern(X: npt.ArrayLike, max_patterns: int = 20, ax: Axes | None = None) -> Axes:
    """Which columns are missing together: one line per pattern, the most frequent first.

    Parameters
    ----------
    X : DataFrame or array-like
        The table, shape (n, p), NaN = missing.
    max_patterns : int
        Patterns to show.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        An image, grey where observed and blue where missing; the number of rows on the left, the missing rate of each
        column below.
    """
    max_patterns = whole_number("max_patterns", max_patterns)
    frame = X if isinstance(X, pd.DataFrame) else _as_frame(X)
    if not frame.size:
        raise InvalidInputError(f"X has shape {frame.shape}; there is nothing to show")
    hidden, names = frame.isna().to_numpy(), [str(name) for name in frame.columns]
    patterns, counts = np.unique(hidden, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:max_patterns]
    # Room for names that may have to stand upright.
    size = float(np.clip(0.35 * len(names), 7, 16)), 1.2 + 0.25 * len(order) + CHARACTER * min(max(map(len, names)), 38)
    ax = axes(ax, *size)
    ax.imshow(patterns[order], aspect="auto", cmap=ListedColormap([OBSERVED, IMPUTED]), vmin=0, vmax=1)
    ax.set_yticks(range(len(order)), [f"{count:,}" for count in counts[order]])
    ax.set(ylabel="rows with this pattern", xlabel="missing (blue)")
    _name_columns(ax, [f"{100 * rate:.0f} %" for rate in hidden.mean(0)], names)
    # Lines between the cells, without ticks of their own.
    ax.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(len(order) + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=1.5)
    ax.tick_params(which="both", length=0)
    return ax


def _as_frame(X: npt.ArrayLike) -> pd.DataFrame:
    with reading("X"):
        cells = np.asarray(X)
    if cells.ndim != 2:
        raise InvalidInputError(f"X has shape {cells.shape}; it must be a table of shape (n, p)")
    return pd.DataFrame(cells).add_prefix("x")


def _name_columns(ax: Axes, rates: list[str], names: list[str]) -> None:
    """Names below the columns, upright where they have no room side by side."""
    room = inches(ax)[0] / len(names)
    characters, longest = int(room / CHARACTER) - 1, max(map(len, names))
    if characters >= min(12, longest) and characters >= max(map(len, rates)):
        beside = [f"{wrapped(name, characters)}\n{rate}" for name, rate in zip(names, rates, strict=True)]
        ax.set_xticks(range(len(names)), beside)
        return
    # No more of them than there is room for.
    step = int(np.ceil(2 * CHARACTER / room))
    short = [name if len(name) <= 32 else f"{name[:31]}…" for name in names]
    upright = [f"{name}  {rate}" for name, rate in zip(short, rates, strict=True)]
    ax.set_xticks(range(0, len(names), step), upright[::step], rotation=90)


def latent(
    estimator: JointEstimator, X: npt.ArrayLike, column: str | int | None = None, ax: Axes | None = None
) -> Axes:
    """The rows in the plane of the two leading directions of their mean latent codes E[z | x_obs, s].

    Parameters
    ----------
    estimator, X
        As for :func:`imputed_distribution`.
    column : str, int or None
        Colour by the completed values of this column, crosses where it was missing; None colours by the number of
        missing cells.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        A scatter of all rows, with a colour bar.
    """
    check_estimator(estimator)
    j = None if column is None else position(column, estimator.columns_.names)
    posterior = estimator.posterior(X)
    ax = axes(ax)
    codes = np.zeros((posterior.n_rows, estimator.joint_.latent_dim))
    for draws in posterior.draws():
        weights = torch.softmax(draws.log_weights, 0).unsqueeze(-1)
        codes[draws.rows.cpu().numpy()] = (weights * draws.z).sum(0).cpu().numpy()
    centred = codes - codes.mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    plane = centred @ directions[:2].T
    share = spread**2 / max(float((spread**2).sum()), np.finfo(float).tiny)
    if plane.shape[1] == 1:
        plane = np.column_stack([plane[:, 0], np.zeros(len(plane))])
        share = np.append(share, 0.0)
    table = estimator.table(X)
    if j is None:
        colour, hidden, label = np.isnan(table).sum(1).astype(float), np.zeros(len(table), dtype=bool), "missing cells"
    else:
        colour, hidden, label = posterior.mean()[:, j], np.isnan(table[:, j]), estimator.columns_.names[j]
    for chosen, size, marker in ((~hidden, 14, "o"), (hidden, 24, "x")):
        points = ax.scatter(
            plane[chosen, 0],
            plane[chosen, 1],
            c=colour[chosen],
            s=size,
            marker=marker,
            vmin=colour.min(),
            vmax=colour.max(),
            label="missing" if marker == "x" else "observed",
        )
    if hidden.any():
        legend(ax)
    plt.colorbar(points, ax=ax, label=wrapped(label, 40))
    ax.set(
        xlabel=f"first direction of z ({100 * share[0]:.0f} %)",
        ylabel=f"second direction of z ({100 * share[1]:.0f} %)",
    )
    return ax


def _holes(
    estimator: JointEstimator, X: npt.ArrayLike, column: str | int
) -> tuple[Shown, FloatArray, npt.NDArray[np.bool_]]:
    """The column, its values (places of levels), and which of its cells are missing."""
    of = shown(estimator, column)
    values = of.values(estimator.table(X))
    hidden = np.isnan(values)
    if not hidden.any():
        raise InvalidInputError(f"column {of.name!r} has no missing cell to show")
    return of, values, hidden


def _known(values: FloatArray) -> FloatArray:
    """The true values that are known."""
    found = values[~np.isnan(values)]
    if not len(found):
        raise InvalidInputError("truth is NaN in every missing cell of the column; leave it out")
    return found


def _truth(estimator: JointEstimator, truth: npt.ArrayLike | None, X: npt.ArrayLike) -> FloatArray | None:
    """The true values of the model's columns, original units, shape (n, p)."""
    if truth is None:
        return None
    with reading("truth"):
        shape = np.shape(truth)
    if shape != np.shape(X):
        raise InvalidInputError(f"truth has shape {shape}, the table {np.shape(X)}; give one value per cell")
    return estimator.table(truth) if isinstance(truth, pd.DataFrame) else numbers("truth", truth)
