"""Make missing values on purpose: completely at random, at random, and because of the values themselves.

Notation: `x` is the complete table (n rows, p features), `s_ij` is 1 where `x_ij` stays observed. A cell that is
missing already stays missing, and never counts towards a mean, a quantile or a rate.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from pyro_mnar.datasets.amputation.tables import (
    Columns,
    Direction,
    Floats,
    PerColumn,
    RandomState,
    Table,
    check_direction,
    check_rate,
    check_slope,
    check_threshold,
    column_names,
    flagged,
    missing_cells,
    numeric_values,
    other_columns,
    remove_cells,
    select_columns,
    spread,
)
from pyro_mnar.errors import InvalidInputError


def mcar(
    X: Table,
    rate: PerColumn[float],
    *,
    columns: Columns = None,
    random_state: RandomState = None,
) -> Table:
    """Remove cells completely at random: ``P(s_ij = 0) = r_j``.

    Parameters
    ----------
    X : array or DataFrame, shape (n, p)
        The table; it is not changed. The columns that lose values may hold text in a DataFrame.
    rate : float, mapping from column to float, or one float per selected column
        Probability, in [0, 1), that an observed cell is removed.
    columns : sequence of names or positions, one name, "first-half", or None
        Columns that lose values; None means all, "first-half" the first ``p // 2``. In a DataFrame a number that is
        not a column's name is a position.
    random_state : int, numpy Generator or None
        Source of the randomness; None draws a fresh one.

    Returns
    -------
    array or DataFrame, shape (n, p)
        A copy of `X` with NaN in the removed cells; integer and boolean columns that lose values become float.

    Raises
    ------
    InvalidInputError
        If the table, a rate or a column is not as stated.

    References
    ----------
    Rubin (1976), "Inference and missing data", Biometrika 63.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(20.0).reshape(10, 2)
    >>> np.isnan(mcar(x, 0.3, columns=[1], random_state=0)).sum(axis=0)
    array([0, 3])
    """
    chosen = select_columns(X, columns)
    rates = spread(rate, column_names(X), chosen, "rate", check_rate)
    present = ~missing_cells(X)[:, chosen]
    probability = np.where(present, np.asarray(rates), 0.0)
    return remove_cells(X, chosen, probability, random_state)


def mar(
    X: Table,
    rate: PerColumn[float],
    *,
    columns: Columns = "first-half",
    depends_on: Columns = None,
    slope: float = 2.0,
    direction: PerColumn[Direction] = "high",
    random_state: RandomState = None,
) -> Table:
    """Remove cells at random given columns that stay complete.

    ``P(s_ij = 0 | x) = sigmoid(+-w (u_i - b_j))``

    where `u` is the sum of the standardised `depends_on` columns, itself standardised, and `b_j` is solved for so that
    the probabilities average to the wanted rate over the observed cells of column j.

    Parameters
    ----------
    X : array or DataFrame, shape (n, p)
        The table; it is not changed.
    rate : float, mapping from column to float, or one float per selected column
        Expected share, in [0, 1), of the observed cells that are removed.
    columns : sequence of names or positions, one name, "first-half", or None
        Columns that lose values; None means all that are not in `depends_on`.
    depends_on : sequence of names or positions, one name, or None
        Complete numeric columns that decide what is lost; None means all that are not in `columns`.
    slope : float
        Steepness `w` > 0, in logits per standard deviation of `u`.
    direction : "high" or "low", mapping from column to these, or one per selected column
        Whether rows with high or with low `u` lose their values.
    random_state : int, numpy Generator or None
        Source of the randomness; None draws a fresh one.

    Returns
    -------
    array or DataFrame, shape (n, p)
        A copy of `X` with NaN in the removed cells; integer and boolean columns that lose values become float.

    Raises
    ------
    InvalidInputError
        If the table or a setting is not as stated, or a `depends_on` column has holes or also loses values.

    References
    ----------
    Rubin (1976), "Inference and missing data", Biometrika 63.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> holed = mar(x, 0.4, columns=[0], depends_on=[1], random_state=0)
    >>> gone = np.isnan(holed[:, 0])
    >>> bool(x[gone, 1].mean() > x[~gone, 1].mean() + 0.5)
    True
    """
    if columns is None and depends_on is None:
        raise InvalidInputError("columns and depends_on are both None: name at least one of them")
    names = column_names(X)
    if depends_on is None:
        chosen = select_columns(X, columns)
        causes = other_columns(names, chosen, "depends_on")
    else:
        causes = select_columns(X, depends_on, "depends_on")
        chosen = other_columns(names, causes, "columns") if columns is None else select_columns(X, columns)
    both = [names[j] for j in causes if j in chosen]
    if both:
        raise InvalidInputError(f"depends_on columns {both} also lose values; leave them out of one of the two")
    rates = spread(rate, names, chosen, "rate", check_rate)
    signs = spread(direction, names, chosen, "direction", check_direction)
    steepness = check_slope(slope)

    drivers = numeric_values(X, causes)
    holes = flagged(names, causes, np.isnan(drivers))
    if holes:
        raise InvalidInputError(f"depends_on columns {holes} have missing values; MAR needs causes that are observed")
    score = _standardise(_standardise(drivers).sum(axis=1))
    present = ~missing_cells(X)[:, chosen]
    probability = np.zeros(present.shape)
    for k, (wanted, sign) in enumerate(zip(rates, signs, strict=True)):
        known = present[:, k]
        probability[known, k] = _calibrated_logistic(score[known], sign * steepness, wanted)
    return remove_cells(X, chosen, probability, random_state)


def self_mask(
    X: Table,
    *,
    threshold: PerColumn[float | str] | None = None,
    rate: PerColumn[float] | None = None,
    slope: PerColumn[float] | None = None,
    direction: PerColumn[Direction] = "high",
    columns: Columns = None,
    random_state: RandomState = None,
) -> Table:
    """Remove cells because of their own values: missing not at random by self-masking.

    Without a slope a cell is lost when it lies beyond a cut: ``x_ij > b_j`` for the direction "high", ``x_ij < b_j``
    for "low". With one,

    ``P(s_ij = 0 | x) = sigmoid(+-w_j (x_ij - b_j) / sd_j)``

    The protocol of Ipsen et al. is ``self_mask(x, columns="first-half")``: the first half of the features lose every
    value above its mean.

    Parameters
    ----------
    X : array or DataFrame, shape (n, p)
        The table; it is not changed. The columns that lose values must be numeric and finite.
    threshold : "mean", "median", "q0.8" (a quantile), a float, a mapping from column to these, or one per column
        The cut `b`, a number being in the column's own units. The default is "mean".
    rate : float, mapping from column to float, or one float per selected column
        Wanted share, in [0, 1), of the observed cells; the threshold is solved for. Give this or `threshold`, not both.
        With a slope, the expected share equals the rate; without one, the share is as near to it as the values allow.
    slope : float, mapping from column to float, one float per selected column, or None
        Steepness `w` > 0, in logits per standard deviation of the column; None for a sharp cut.
    direction : "high" or "low", mapping from column to these, or one per selected column
        Whether high or low values are lost.
    columns : sequence of names or positions, one name, "first-half", or None
        Columns that lose values; None means all, "first-half" the first ``p // 2``. In a DataFrame a number that is
        not a column's name is a position.
    random_state : int, numpy Generator or None
        Source of the randomness; a sharp cut uses none.

    Returns
    -------
    array or DataFrame, shape (n, p)
        A copy of `X` with NaN in the removed cells; integer and boolean columns that lose values become float.

    Raises
    ------
    InvalidInputError
        If the table or a setting is not as stated, or no sharp cut comes within 0.05 of the wanted rate.

    References
    ----------
    Ipsen, Mattei, Frellsen (2021), "not-MIWAE: Deep generative modelling with missing not at random data", section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [6.0, 40.0]])
    >>> self_mask(x, columns="first-half")
    array([[ 1., 10.],
           [ 2., 20.],
           [ 3., 30.],
           [nan, 40.]])
    >>> self_mask(x, rate=0.5, direction=["high", "low"])
    array([[ 1., nan],
           [ 2., nan],
           [nan, 30.],
           [nan, 40.]])
    """
    if threshold is not None and rate is not None:
        raise InvalidInputError(
            f"threshold={threshold!r} and rate={rate!r} are both given; the rate solves for the cut"
        )
    names, chosen = column_names(X), select_columns(X, columns)
    signs = spread(direction, names, chosen, "direction", check_direction)
    slopes = [None] * len(chosen) if slope is None else spread(slope, names, chosen, "slope", check_slope)
    rates = [None] * len(chosen) if rate is None else spread(rate, names, chosen, "rate", check_rate)
    cuts = spread("mean" if threshold is None else threshold, names, chosen, "threshold", check_threshold)
    values = numeric_values(X, chosen)
    probability = np.zeros(values.shape)
    for k, (w, wanted, cut, sign) in enumerate(zip(slopes, rates, cuts, signs, strict=True)):
        known = ~np.isnan(values[:, k])
        x = values[known, k]
        if not x.size:
            continue
        if w is None:
            # The sign turns "low" into "high" on the mirrored values.
            b = _threshold(x, cut) if wanted is None else sign * _sharp_cut(sign * x, wanted, names[chosen[k]])
            probability[known, k] = sign * x > sign * b
        elif wanted is None:
            centred = x - _threshold(x, cut)
            probability[known, k] = expit(sign * w * centred / (x.std() or 1.0))
        else:
            probability[known, k] = _calibrated_logistic(_standardise(x), sign * w, wanted)
    return remove_cells(X, chosen, probability, random_state)


def _threshold(x: Floats, cut: float | str) -> float:
    if isinstance(cut, float):
        return cut
    if cut == "mean":
        return float(x.mean())
    return float(np.median(x) if cut == "median" else np.quantile(x, float(cut[1:])))


def _sharp_cut(x: Floats, rate: float, name: str | int) -> float:
    """Find the value with the share of `x` above it that is nearest to the rate."""
    values, counts = np.unique(x, return_counts=True)
    cuts = np.concatenate([[-np.inf], values])
    above = np.concatenate([[x.size], x.size - np.cumsum(counts)]) / x.size
    best = int(np.argmin(np.abs(above - rate)))
    if abs(above[best] - rate) > max(0.05, 0.5 / x.size):
        raise InvalidInputError(
            f"column {name!r} has so many equal values that no cut removes {rate:.3g} of it (nearest "
            f"{above[best]:.3g}); give another rate, or a slope"
        )
    return float(cuts[best])


def _calibrated_logistic(u: Floats, slope: float, rate: float) -> Floats:
    """Give sigmoid(slope * u + c) with c such that the mean is the rate."""
    if rate == 0 or not u.size:
        return np.zeros(u.shape)
    logit = slope * u
    # At either end all probabilities lie on one side of the rate, so the root is between.
    centre = np.log(rate) - np.log1p(-rate)
    low, high = centre - logit.max() - 1, centre - logit.min() + 1
    shift = brentq(lambda c: expit(logit + c).mean() - rate, low, high, xtol=1e-12)
    return np.asarray(expit(logit + shift))


def _standardise(x: Floats) -> Floats:
    # A constant column carries no order, so it is left at zero rather than divided by zero.
    sd = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1.0))
