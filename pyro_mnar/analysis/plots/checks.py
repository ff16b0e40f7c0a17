"""Can the model be believed: its masks and observed values against the data's, and the health of its weights."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.analysis.checks import summarise
from pyro_mnar.analysis.plots.parts import (
    DATA,
    LIMIT,
    MODEL,
    OBSERVED,
    WRONG,
    axes,
    bins,
    counts_of,
    legend,
    named,
    shown,
    wrapped,
)
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.replicates import Codes, simulate
from pyro_mnar.inference.posterior.reliability import MIN_ESS
from pyro_mnar.inference.weights import MIN_DRAWS, pareto_k_limit


def ppc_mask(
    estimator: JointEstimator,
    X: npt.ArrayLike,
    *,
    n_tables: int = 500,
    codes: Codes = "prior",
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Missing rates, of columns and of pairs of columns, beside those of tables simulated from the model.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
    n_tables, codes, random_state
        See :func:`pyro_mnar.analysis.checks.simulate`.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        Bars: 90 % of the simulated tables. Points: the data, diamonds where the check of
        :func:`pyro_mnar.analysis.checks.check` is flagged.
    """
    check_estimator(estimator)
    if ax is not None:
        axes(ax)
    lines = summarise(simulate(estimator, X, n_tables, codes, random_state), random_state=random_state)
    lines = lines[lines["check"].isin(["missing rate", "jointly missing"])]
    lines = _one_per_cell(estimator, lines)
    names = [wrapped(a if not b else f"{a} and {b}", 36) for a, b in zip(lines["column"], lines["other"], strict=True)]
    # Names of two lines have room for two.
    heights = np.array([name.count("\n") + 1 for name in names], dtype=float)
    ax = axes(ax, height=min(1.5 + 0.22 * heights.sum(), 16.0))
    places = heights.sum() - np.cumsum(heights) + (heights - 1) / 2
    ax.hlines(places, lines["low"], lines["high"], color=MODEL, linewidth=6, alpha=0.5, label="model, 90 %")
    flagged = lines["flagged"].to_numpy(dtype=bool)
    for chosen, color, sign, label in ((~flagged, DATA, "o", "data"), (flagged, WRONG, "D", "data, flagged")):
        if chosen.any():
            ax.plot(lines["observed"].to_numpy()[chosen], places[chosen], sign, color=color, label=label)
    ax.set(ylim=(-0.7, heights.sum() - 0.3))
    # Names may leave the Axes narrower than the label: it grows to the left, where there is room.
    ax.set_xlabel("share of rows where missing", loc="right")
    legend(ax)
    ax.set_yticks(places, names)
    return ax


def _one_per_cell(estimator: JointEstimator, lines: pd.DataFrame) -> pd.DataFrame:
    """The lines without those of columns that always go missing with one that is there."""
    names, groups = estimator._schema.owners(), estimator.joint_.one_cell_groups
    again = {names[column] for first, *others in groups for column in others} - {names[first] for first, *_ in groups}
    return lines[~lines["column"].isin(again) & ~lines["other"].isin(again)]


def ppc_observed(
    estimator: JointEstimator,
    X: npt.ArrayLike,
    column: str | int,
    *,
    n_tables: int = 200,
    codes: Codes = "prior",
    random_state: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Distribution of a column's observed values beside that of tables simulated from the model, after selection.

    Parameters
    ----------
    estimator, X, n_tables, codes, random_state
        As for :func:`ppc_mask`.
    column : str or int
        The column.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        Histogram of the data; the band holds 90 % of the simulated tables' histograms, bin by bin. For levels and
        labels bars, with the share of each in 90 % of the simulated tables.
    """
    of = shown(estimator, column)
    simulated = simulate(estimator, X, n_tables, codes, random_state)
    ax = axes(ax)
    data = of.values(simulated.table)
    data = data[~np.isnan(data)]
    if of.columns[0] in simulated.censored:
        raise InvalidInputError(
            f"column {of.name!r} is censored: what limits other rows would have is not in the model, so its "
            "observed values cannot be simulated; show another column"
        )
    x, observed = of.values(simulated.values), simulated.observed[..., of.columns[0]]
    if of.labels is not None:
        n_levels = len(of.labels)
        ax.bar(range(n_levels), counts_of(data, n_levels) / len(data), 0.8, color=OBSERVED, label="data, observed")
        counts = np.array([counts_of(row[mask], n_levels) for row, mask in zip(x, observed, strict=True)])
        low, middle, high = np.quantile(counts / counts.sum(1, keepdims=True).clip(1), [0.05, 0.5, 0.95], axis=0)
        places, ends = np.arange(n_levels), [middle - low, high - middle]
        label = "model after selection, 90 %"
        ax.errorbar(places, middle, ends, fmt="_", color=MODEL, capsize=4, label=label)
        return named(ax, of, "share")
    low, high = np.quantile(x[observed], [0.001, 0.999])
    edges = bins(np.concatenate([data, x[0][observed[0]].clip(min(low, data.min()), max(high, data.max()))]))
    drawn = np.array([np.histogram(row[mask], edges, density=True)[0] for row, mask in zip(x, observed, strict=True)])
    ax.hist(data, edges, density=True, color=OBSERVED, label="data, observed")
    band = np.quantile(drawn, [0.05, 0.95], axis=0)
    ax.stairs(band[1], edges, baseline=band[0], fill=True, color=MODEL, alpha=0.4, label="model after selection, 90 %")
    ax.stairs(np.median(drawn, 0), edges, color=MODEL)
    return named(ax, of, "density")


def weight_health(
    estimator: JointEstimator, X: npt.ArrayLike, n_draws: int | None = None, ax: Axes | None = None
) -> Axes:
    """Effective sample size and Pareto k-hat of each row's importance weights, with the limits of trust.

    Parameters
    ----------
    estimator, X
        As for :func:`ppc_mask`.
    n_draws : int or None
        Draws per row, at least 100; None takes ``n_draws_posterior``.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        One point per row; reliable rows lie to the lower right of the dotted lines. Equal weights (k-hat of minus
        infinity: nothing to fear) are drawn at -1.
    """
    check_estimator(estimator)
    posterior = estimator.posterior(X, n_draws)
    if posterior.n_draws.min() < MIN_DRAWS:
        raise InvalidInputError(f"n_draws is {n_draws}; it must be at least {MIN_DRAWS}, to judge weights by")
    ax = axes(ax)
    k = np.clip(np.nan_to_num(posterior.pareto_k, nan=np.nan, posinf=2.0, neginf=-1.0), -1.0, 2.0)
    good = posterior.reliable
    for chosen, color, sign, label in ((good, MODEL, ".", "reliable"), (~good, WRONG, "D", "unreliable")):
        label = f"{label} ({chosen.sum():,} rows)"
        ax.plot(posterior.ess[chosen], k[chosen], sign, color=color, markersize=5, label=label, alpha=0.6)
    ax.axhline(pareto_k_limit(int(posterior.n_draws.min())), color=LIMIT, linestyle=":")
    ax.axvline(MIN_ESS, color=LIMIT, linestyle=":")
    ax.set(xlabel="effective draws", ylabel="Pareto k-hat", xscale="log")
    legend(ax)
    return ax
