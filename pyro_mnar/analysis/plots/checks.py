"""Can the model be believed: its masks and observed values against the data's, and the health of its weights."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from pyro_mnar.analysis.checks import summarise
from pyro_mnar.analysis.plots.parts import MODEL, OBSERVED, WRONG, axes, bins, position
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.replicates import Codes, simulate
from pyro_mnar.inference.posterior.answers import MIN_ESS
from pyro_mnar.inference.weights import pareto_k_limit


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
        Bars: 90 % of the simulated tables. Points: the data, red where the check of
        :func:`pyro_mnar.analysis.checks.check` is flagged.
    """
    ax = axes(ax)
    lines = summarise(simulate(estimator, X, n_tables, codes, random_state), random_state=random_state)
    lines = lines[lines["check"].isin(["missing rate", "jointly missing"])]
    places = np.arange(len(lines))[::-1]
    ax.hlines(places, lines["low"], lines["high"], color=MODEL, linewidth=6, alpha=0.5, label="model, 90 %")
    flagged = lines["flagged"].to_numpy(dtype=bool)
    for chosen, color, label in ((~flagged, OBSERVED, "data"), (flagged, WRONG, "data, flagged")):
        if chosen.any():
            ax.plot(lines["observed"].to_numpy()[chosen], places[chosen], "o", color=color, label=label)
    names = [a if not b else f"{a} and {b}" for a, b in zip(lines["column"], lines["other"], strict=True)]
    ax.set_yticks(places, names)
    ax.set(xlabel="share of rows where missing")
    ax.legend()
    return ax


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
        Histogram of the data; the band holds 90 % of the simulated tables' histograms, bin by bin.
    """
    ax = axes(ax)
    simulated = simulate(estimator, X, n_tables, codes, random_state)
    j = position(column, simulated.names)
    data = simulated.table[:, j]
    data = data[~np.isnan(data)]
    x, seen = simulated.values[..., j], simulated.observed[..., j]
    low, high = np.quantile(x[seen], [0.001, 0.999])
    edges = bins(np.concatenate([data, x[0][seen[0]].clip(min(low, data.min()), max(high, data.max()))]))
    drawn = np.array([np.histogram(row[mask], edges, density=True)[0] for row, mask in zip(x, seen, strict=True)])
    ax.hist(data, edges, density=True, color=OBSERVED, alpha=0.5, label="data, observed")
    band = np.quantile(drawn, [0.05, 0.95], axis=0)
    ax.stairs(band[1], edges, baseline=band[0], fill=True, color=MODEL, alpha=0.4, label="model after selection, 90 %")
    ax.stairs(np.median(drawn, 0), edges, color=MODEL)
    ax.set(xlabel=simulated.names[j], ylabel="density")
    ax.legend()
    return ax


def weight_health(
    estimator: JointEstimator, X: npt.ArrayLike, n_draws: int | None = None, ax: Axes | None = None
) -> Axes:
    """Effective sample size and Pareto k-hat of each row's importance weights, with the limits of trust.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
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
    ax = axes(ax)
    posterior = estimator.posterior(X, n_draws)
    k = np.clip(np.nan_to_num(posterior.pareto_k, nan=np.nan, posinf=2.0, neginf=-1.0), -1.0, 2.0)
    good = posterior.reliable
    for chosen, color, label in ((good, OBSERVED, "reliable"), (~good, WRONG, "unreliable")):
        ax.plot(posterior.ess[chosen], k[chosen], ".", color=color, label=f"{label} ({chosen.sum():,} rows)", alpha=0.6)
    ax.axhline(pareto_k_limit(int(posterior.n_draws.min())), color=MODEL, linestyle=":")
    ax.axvline(MIN_ESS, color=MODEL, linestyle=":")
    ax.set(xlabel="effective draws", ylabel="Pareto k-hat", xscale="log")
    ax.legend()
    return ax
