r"""Posterior predictive checks of the two things that can be checked: the mask, and the values that were observed.

Tables are simulated from the fitted model, x and then s, and compared with the one at hand. The values are compared
AFTER selection: under a mechanism that hides high values, the model's own x_obs is short of high values too.

References
----------
Gelman, Meng & Stern 1996 (posterior predictive assessment); Gelman et al. 2005, Biometrics 61 (with missing and latent
data); Westfall & Young 1993 (the adjustment for looking at many discrepancies).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.data.arguments import instance_only, numbers, seed_of, within_0_and_1
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.replicates import Codes, LabelColumn, Replicates, simulate

__all__ = ["check", "jointly_missing", "shift_where_missing", "summarise"]

#: Places at which the distribution of the observed values is compared.
_GRID = 200
#: The label of a column of numbers, which has one figure.
_NUMBER = ("",)


def check(
    estimator: JointEstimator,
    X: npt.ArrayLike,
    *,
    known: npt.ArrayLike | None = None,
    n_tables: int = 500,
    codes: Codes = "prior",
    level: float = 0.01,
    random_state: int = 0,
) -> pd.DataFrame:
    """Compare the table at hand with tables from the fitted model, one line per discrepancy.

    Columns of which limits are known (``Censored``) have no lines: what limits other rows would have is not modelled.

    Of the mask: "missing rate" of each column; "jointly missing", the share of rows that miss both of two columns;
    "missing against", how much higher another column is (mean, original units) where this one is missing than where it
    is observed; and with ``known``, "missing against itself". Of the observed values, after selection: "mean",
    "standard deviation", "skewness" and "distance", the largest distance between distribution functions (Kolmogorov's).

    A column of labels has one line where a number has one, with shares of labels in the place of means: "level" is the
    label that is farthest off, its figures are shown, and the p-value is that of the farthest of all labels. Of its
    observed values "share" is all there is.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
    known : array-like or None
        True values, shape (n, p), where they are known after all (a follow-up, a simulation), NaN elsewhere. An array
        has the columns of the model (``columns_.names``), a DataFrame those of the table, labels too.
    n_tables, codes, random_state
        See :func:`simulate`.
    level : float
        A line is flagged when its adjusted p-value is below it.

    Returns
    -------
    DataFrame
        check, column, other, level (of ``other`` if there is one, else of ``column``; empty for numbers); observed (the
        discrepancy of the table), predicted, low, high (mean and 90 % interval over the simulated tables), p_value
        (two-sided; for the distance one-sided), p_adjusted (for having looked at all lines: the share of simulated
        tables with a discrepancy anywhere as far out as this one) and flagged.

    Raises
    ------
    InvalidInputError
        As :func:`simulate`; or ``known`` has another shape than ``X``.
    NotFittedError
        Before ``fit``.

    Examples
    --------
    >>> from pyro_mnar import MNARImputer
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> imputer = MNARImputer(decoder="linear", latent_dim=1, max_iter=5, random_state=0).fit(X)
    >>> check(imputer, X, n_tables=50)["check"].tolist()[:3]
    ['missing rate', 'missing against', 'mean']
    """
    check_estimator(estimator)
    level = within_0_and_1("level", level)
    simulated = simulate(estimator, X, n_tables, codes, random_state)
    if known is not None and hasattr(known, "columns"):
        known = estimator.table(known)
    return summarise(simulated, known, level, random_state)


def summarise(
    simulated: Replicates, truth: npt.ArrayLike | None = None, level: float = 0.01, random_state: int = 0
) -> pd.DataFrame:
    """The table of :func:`check` for tables that were simulated already; ``truth`` is its array ``known``."""
    instance_only("simulated", simulated, Replicates, "what estimators.replicates.simulate gives")
    level, random_state = within_0_and_1("level", level), seed_of("random_state", random_state)
    lines = _mask_lines(simulated) + _value_lines(simulated)
    if truth is not None:
        known = numbers("known", truth)
        if known.shape != simulated.table.shape:
            raise InvalidInputError(
                f"known has shape {known.shape}, the table {simulated.table.shape}; give one value per cell"
            )
        lines += _truth_lines(simulated, known, random_state)
    columns = ["check", "column", "other", "level", "observed", "predicted", "low", "high"]
    columns += ["p_value", "p_adjusted", "flagged"]
    kept = [(line, found) for line in lines if (found := np.isfinite(line.at_hand)).any()]
    if not kept:
        return pd.DataFrame(columns=columns)
    # All figures below each other: one of a number, one for each label of a column of labels.
    at_hand = np.concatenate([line.at_hand[found] for line, found in kept])
    drawn = np.concatenate([line.drawn[found] for line, found in kept])
    of = np.repeat(np.arange(len(kept)), [found.sum() for _, found in kept])
    levels = np.concatenate([np.array(line.levels, dtype=object)[found] for line, found in kept])
    # A simulated table without the cells that a discrepancy needs says nothing about it.
    drawn[~np.isfinite(drawn)] = np.nan
    some = np.isfinite(drawn).any(1)
    mean, sd = np.zeros((2, len(at_hand)))
    mean[some], sd[some] = np.nanmean(drawn[some], 1), np.nanstd(drawn[some], 1)
    mean[~some] = np.nan
    low, high = mean.copy(), mean.copy()
    low[some], high[some] = np.nanquantile(drawn[some], [0.05, 0.95], axis=1)
    above = _share(drawn >= at_hand[:, None])
    below = _share(drawn <= at_hand[:, None])
    one_sided = np.array([line.check == "distance" for line, _ in kept])[of]
    p_value = np.where(one_sided, above, np.minimum(1.0, 2 * np.minimum(above, below)))
    far, drawn_far = (_distance(v, mean[:, None], sd[:, None], one_sided[:, None]) for v in (at_hand[:, None], drawn))
    adjusted = _share(drawn_far.max(0)[None, :] >= far)
    worst = []
    for place in range(len(kept)):
        own = np.flatnonzero(of == place)
        worst.append(own[far[own, 0].argmax()])
        if len(own) > 1:
            p_value[worst[-1]] = _share(drawn_far[own].max(0)[None, :] >= far[own].max())[0]
    return pd.DataFrame(
        {
            "check": [line.check for line, _ in kept],
            "column": [line.column for line, _ in kept],
            "other": [line.other for line, _ in kept],
            "level": levels[worst],
            "observed": at_hand[worst],
            "predicted": mean[worst],
            "low": low[worst],
            "high": high[worst],
            "p_value": p_value[worst],
            "p_adjusted": adjusted[worst],
            "flagged": adjusted[worst] < level,
        },
        columns=columns,
    )


class _Line(NamedTuple):
    """A discrepancy, or one of each label of a column: of the table, shape (L,), and of the simulated ones, (L, R)."""

    check: str
    column: str
    other: str
    at_hand: FloatArray
    drawn: FloatArray
    levels: tuple[str, ...] = _NUMBER


def _parts(simulated: Replicates) -> list[LabelColumn]:
    """The columns that are not censored, columns of labels as one, in the model's order."""
    inside = {j for column in simulated.labels for j in column.columns}
    numbers = [
        LabelColumn(name, (j,), _NUMBER)
        for j, name in enumerate(simulated.names)
        if j not in inside and j not in simulated.censored
    ]
    return sorted([*simulated.labels, *numbers], key=lambda part: part.columns[0])


def _share(hits: BoolArray) -> FloatArray:
    """(1 + hits) / (1 + tables): the table at hand counts as one of them, so that no p-value is 0."""
    return (1 + hits.sum(1)) / (1 + hits.shape[1])


def _distance(value: FloatArray, mean: FloatArray, sd: FloatArray, one_sided: BoolArray) -> FloatArray:
    """How many standard deviations of the simulated tables away."""
    away = value - mean
    away = np.where(one_sided, away, np.abs(away))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = np.where(sd > 0, away / sd, np.where(away > 1e-12, np.inf, 0.0))
    return np.where(np.isfinite(away), scaled, 0.0)


def _mask_lines(simulated: Replicates) -> list[_Line]:
    seen, parts = ~np.isnan(simulated.table), _parts(simulated)
    # The cells of a column of labels are missing together.
    holed = [part for part in parts if not seen[:, part.columns[0]].all()]
    rate = (~simulated.observed).mean(1)
    lines = []
    for part in holed:
        j = part.columns[0]
        lines.append(_Line("missing rate", part.name, "", (~seen[:, [j]]).mean(0), rate[:, [j]].T))
    both, together = jointly_missing(seen[None])[0], jointly_missing(simulated.observed)
    for a, part in enumerate(holed):
        for other in holed[a + 1 :]:
            j, k = part.columns[0], other.columns[0]
            lines.append(_Line("jointly missing", part.name, other.name, both[[j], k], together[:, j, [k]].T))
    shift = shift_where_missing(simulated.table[None], seen[None])[0]
    shifts = shift_where_missing(simulated.values, simulated.observed)
    for part in holed:
        j = part.columns[0]
        for other in parts:
            if other != part:
                own, levels = other.columns, other.levels
                by = shift[j, own], shifts[:, j, own].T
                lines.append(_Line("missing against", part.name, other.name, *by, levels))
    return lines


def jointly_missing(observed: BoolArray) -> FloatArray:
    """Share of rows that miss both of two columns, shape (R, p, p), for masks (R, n, p)."""
    _check_masks(observed)
    hidden = (~observed).astype(float)
    return np.matmul(hidden.transpose(0, 2, 1), hidden) / observed.shape[1]


def shift_where_missing(values: FloatArray, observed: BoolArray) -> FloatArray:
    """Mean of column k where j is missing minus its mean where j is observed; rows (R, n, p) to (R, p, p) [j, k].

    Only observed cells of column k count; NaN where there are none.
    """
    _check_masks(observed)
    values = numbers("values", values)
    if values.shape != observed.shape:
        raise InvalidInputError(f"values have shape {values.shape}, observed {observed.shape}; give one for each cell")
    seen = observed.astype(float)
    x = np.where(observed, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_missing = _mean_where(1 - seen, x, seen)
        mean_seen = _mean_where(seen, x, seen)
    return mean_missing - mean_seen


def _check_masks(observed: BoolArray) -> None:
    instance_only("observed", observed, np.ndarray, "a bool array of shape (R, n, p)")
    if observed.dtype != np.bool_ or observed.ndim != 3:
        raise InvalidInputError(f"observed has shape {observed.shape} of {observed.dtype}; it must be bool, (R, n, p)")


def _mean_where(rows: FloatArray, x: FloatArray, seen: FloatArray) -> FloatArray:
    chosen = rows.transpose(0, 2, 1)
    return np.asarray(np.matmul(chosen, x) / np.matmul(chosen, seen))


def _value_lines(simulated: Replicates) -> list[_Line]:
    lines = []
    for part in _parts(simulated):
        name, j = part.name, part.columns[0]
        column = simulated.table[:, j][None]
        seen = ~np.isnan(column)
        if seen.sum() < 2:
            continue
        drawn, drawn_seen = simulated.values[..., j], simulated.observed[..., j]
        if part.levels != _NUMBER:
            with np.errstate(invalid="ignore"):
                shares = (simulated.values[..., part.columns] * drawn_seen[..., None]).sum(1)
                shares = shares / drawn_seen.sum(1)[:, None]
            now_shares = simulated.table[seen[0]][:, part.columns].mean(0)
            lines.append(_Line("share", name, "", now_shares, shares.T, part.levels))
            continue
        now, then = _moments(column, seen), _moments(drawn, drawn_seen)
        for check, a, b in zip(("mean", "standard deviation", "skewness"), now, then, strict=True):
            lines.append(_Line(check, name, "", a, b[None]))
        grid = np.unique(np.quantile(drawn[drawn_seen], np.linspace(0, 1, _GRID))) if drawn_seen.any() else np.zeros(0)
        if len(grid) > 1:
            reference = _distribution(drawn.reshape(1, -1), drawn_seen.reshape(1, -1), grid)
            away = np.abs(_distribution(column, seen, grid) - reference).max(1)
            away_drawn = np.abs(_distribution(drawn, drawn_seen, grid) - reference).max(1)
            lines.append(_Line("distance", name, "", away, away_drawn[None]))
    return lines


def _moments(values: FloatArray, seen: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, standard deviation and skewness of the observed cells of each table, shape (R,)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        count = seen.sum(1)
        mean = np.where(seen, values, 0.0).sum(1) / count
        away = np.where(seen, values - mean[:, None], 0.0)
        sd = np.sqrt((away**2).sum(1) / count)
        skewness = (away**3).sum(1) / count / sd**3
    return mean, sd, skewness


def _distribution(values: FloatArray, seen: BoolArray, grid: FloatArray) -> FloatArray:
    """Empirical distribution functions of the observed cells at the grid, shape (R, points)."""
    places = np.searchsorted(grid, np.where(seen, values, np.inf))
    offsets = np.arange(len(values))[:, None] * (len(grid) + 1)
    counts = np.bincount((places + offsets)[seen], minlength=len(values) * (len(grid) + 1))
    counts = counts.reshape(len(values), -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts.cumsum(1)[:, :-1] / counts.sum(1, keepdims=True))


def _truth_lines(simulated: Replicates, truth: FloatArray, random_state: int) -> list[_Line]:
    """The difference between missing and observed cells of a column, where the missing ones are known after all."""
    generator = np.random.default_rng(random_state)
    lines = []
    for part in _parts(simulated):
        own, j = part.columns, part.columns[0]
        hidden = np.isnan(simulated.table[:, j])
        found = hidden & ~np.isnan(truth[:, j])
        if not found.any() or hidden.all():
            continue
        at_hand = truth[found][:, own].mean(0) - simulated.table[~hidden][:, own].mean(0)
        x, seen = simulated.values[..., own], simulated.observed[..., j]
        # As large a share of the missing cells is known in the simulated tables.
        kept = ~seen & (generator.random(seen.shape) < found.sum() / hidden.sum())
        with np.errstate(invalid="ignore", divide="ignore"):
            missing = np.einsum("rnl,rn->lr", x, kept) / kept.sum(1)
            drawn = missing - np.einsum("rnl,rn->lr", x, seen) / seen.sum(1)
        lines.append(_Line("missing against itself", part.name, "", at_hand, drawn, part.levels))
    return lines
