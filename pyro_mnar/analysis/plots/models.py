"""The fit itself: its history, its mechanism, and how it compares with others."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from sklearn.utils.validation import check_is_fitted

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.analysis.curves import missing_probability
from pyro_mnar.analysis.plots.parts import (
    DASHES,
    DATA,
    IMPUTED,
    LIMIT,
    MODEL,
    OBSERVED,
    SEVERAL,
    WRONG,
    axes,
    legend,
    named,
    shown,
    wrapped,
)
from pyro_mnar.data.arguments import finite_number, instance_only, table_with, whole_number
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator


def training_history(estimator: JointEstimator, ax: Axes | None = None) -> Axes:
    """The bound over training, nats per row; still rising at the end means that ``max_iter`` was too small.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        Lines "training" and, with rows held out, "held out", whose best pass is marked.
    """
    check_estimator(estimator)
    check_is_fitted(estimator)
    ax = axes(ax)
    history = estimator.history_
    passes = np.arange(1, history.n_iter + 1)
    ax.plot(passes, history.bound, color=DATA, label="training")
    if history.validation_bound:
        ax.plot(passes, history.validation_bound, color=IMPUTED, label="held out")
        best = int(np.argmax(history.validation_bound))
        ax.plot(passes[best], history.validation_bound[best], "o", color=IMPUTED, label="kept")
    # The first passes rise so far that nothing else could be seen.
    late = np.concatenate([history.bound[len(history.bound) // 20 :], history.validation_bound[history.n_iter // 20 :]])
    if len(late) > 1 and np.ptp(late) > 0:
        ax.set_ylim(late.min() - 0.05 * np.ptp(late), late.max() + 0.05 * np.ptp(late))
    ax.set(xlabel="passes over the data", ylabel="bound (nats per row)")
    legend(ax)
    return ax


def mechanism_curves(
    estimators: JointEstimator | Sequence[JointEstimator] | Mapping[str, JointEstimator],
    X: npt.ArrayLike,
    column: str | int,
    n_rows: int = 200,
    ax: Axes | None = None,
) -> Axes:
    """The learned P(missing | x_j) over the values that the column takes, as the model completes it.

    Parameters
    ----------
    estimators : estimator, or sequence or mapping of estimators
        Fitted; several (other seeds, bootstrap samples) show how well the curve is known. A mapping gives their names.
    X : array-like
        The table, shape (n, p), NaN = missing.
    column : str or int
        The column j.
    n_rows : int
        For a mechanism that sees the whole row: how many rows the other values are taken from.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        One line per estimator, with points for levels and labels: the mean over rows, with a band that holds 90 % of
        the rows where their other values matter. The shaded range is that of the observed values: outside it the curve
        rests on the model alone. The dotted line is the column's missing rate.

    Raises
    ------
    InvalidInputError
        The column is unknown, or a model has no mechanism for it.
    """
    n_rows = whole_number("n_rows", n_rows)
    if isinstance(estimators, JointEstimator):
        estimators = [estimators]
    instance_only("estimators", estimators, (Sequence, Mapping), "a fitted estimator, or a list or mapping of such")
    if not len(estimators):
        raise InvalidInputError("estimators is empty; give at least one fitted estimator")
    models = estimators if isinstance(estimators, Mapping) else dict(enumerate(estimators))
    labels = [key if isinstance(key, str) else "model" if key == 0 else None for key in models]
    fitted = list(models.values())
    for estimator in fitted:
        check_estimator(estimator, "one of the estimators")
    first = fitted[0]
    of = shown(first, column)
    ax = axes(ax)
    table = of.values(first.table(X))
    seen = table[~np.isnan(table)]
    posteriors = [estimator.posterior(X) for estimator in fitted]
    if of.labels is None:
        values = np.concatenate([seen, *(posterior.mean()[:, of.columns[0]] for posterior in posteriors)])
        grid = np.linspace(values.min(), values.max(), 200)
        settings, marker = grid[:, None], ""
        ax.axvspan(seen.min(), seen.max(), color=OBSERVED, alpha=0.5, linewidth=0, label="observed values")
    else:
        grid, settings, marker = np.arange(len(of.labels), dtype=float), of.levels, "o"
    for index, (estimator, posterior) in enumerate(zip(fitted, posteriors, strict=True)):
        curves = missing_probability(estimator, posterior, n_rows, of.columns, settings)
        color, dash = SEVERAL[index % len(SEVERAL)], DASHES[index % len(DASHES)]
        ax.plot(grid, curves.mean(0), color=color, linestyle=dash, marker=marker, label=labels[index])
        low, high = np.quantile(curves, [0.05, 0.95], axis=0)
        if (high - low).max() > 1e-6:
            ax.fill_between(grid, low, high, color=color, alpha=0.2, linewidth=0)
    ax.axhline(np.isnan(table).mean(), color=LIMIT, linestyle=":", label="missing rate")
    ax.set(ylim=(-0.02, 1.02))
    return named(ax, of, "P(missing)")


def mechanism_comparison(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """How far each model lies behind the best one on rows that it was not fitted to.

    Parameters
    ----------
    table : DataFrame
        From :func:`pyro_mnar.analysis.comparison.compare`.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        One point per model, difference to the best in nats per row, with two standard errors to each side.
    """
    table_with("table", table, ("verdict", "difference", "difference_se"), "comparison.compare")
    ax = axes(ax, height=1.2 + 0.5 * len(table))
    places = np.arange(len(table))[::-1]
    worse = (table["verdict"] == "worse").to_numpy()
    for chosen, color, sign in ((worse, WRONG, "D"), (~worse, MODEL, "o")):
        ax.errorbar(
            table["difference"].to_numpy()[chosen],
            places[chosen],
            xerr=2 * table["difference_se"].to_numpy()[chosen],
            fmt=sign,
            color=color,
            capsize=3,
        )
    ax.axvline(0, color=LIMIT, linestyle=":")
    ax.set_yticks(places, [wrapped(str(name)) for name in table.index])
    ax.set(ylim=(-0.5, len(table) - 0.5))
    ax.set_xlabel("difference to the best (nats per row, ± 2 standard errors)", loc="right")
    return ax


def sensitivity(table: pd.DataFrame, reference: float | None = None, ax: Axes | None = None) -> Axes:
    """How a quantity of interest moves with the assumption about the missing values.

    Parameters
    ----------
    table : DataFrame
        From :func:`~pyro_mnar.analysis.sensitivity.sweep` or
        :func:`~pyro_mnar.analysis.sensitivity.delta_adjustment`: the assumption is the index.
    reference : float or None
        A value of the quantity at which the conclusion changes.
    ax : Axes or None
        Where to draw.

    Returns
    -------
    Axes
        The estimate with its interval over the assumption.
    """
    table_with("table", table, ("low", "high", "estimate"), "sensitivity.sweep or delta_adjustment")
    reference = None if reference is None else finite_number("reference", reference)
    ax = axes(ax)
    x = table.index.to_numpy(dtype=float)
    ax.fill_between(x, table["low"], table["high"], color=IMPUTED, alpha=0.25, linewidth=0, label="interval")
    ax.plot(x, table["estimate"], "o-", color=IMPUTED, label="estimate")
    if reference is not None:
        ax.axhline(reference, color=WRONG, linestyle="--", label="reference")
    quantity = str(table.attrs.get("quantity", "quantity of interest"))
    ax.set(xlabel=wrapped(str(table.index.name), 60), ylabel=wrapped(quantity, 40))
    legend(ax)
    return ax
