r"""How much the conclusions rest on the assumption about the missing values.

The data cannot tell how strongly a value's being missing depends on the value. :func:`sweep` fixes the slope of a
column's mechanism at values from 0 (missing at random) to strong, fits the rest again, and follows a quantity of
interest. :func:`delta_adjustment` shifts the imputed values themselves (a pattern-mixture model), and
:func:`tipping_point` finds the shift at which the conclusion changes.

References
----------
Molenberghs et al. 2008, JRSS B 70; Little 1993 (pattern-mixture models); Cro, Morris, Kenward & Carpenter 2020,
Statistics in Medicine 39 (delta adjustment); Yan, Lee & Li 2009 (tipping points).
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone

from pyro_mnar.analysis.asked import columns_of
from pyro_mnar.analysis.held_slope import with_slope
from pyro_mnar.analysis.pooling import pool
from pyro_mnar.data.arguments import (
    callable_only,
    finite_number,
    instance_only,
    list_only,
    numbers,
    seed_of,
    table_with,
    whole_number,
    within_0_and_1,
)
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.model.mechanisms import Given, Nested

__all__ = ["delta_adjustment", "sweep", "tipping_point"]

#: From a completed table to a number, or to a number and its squared standard error.
Quantity = Callable[[pd.DataFrame], Any]

_BOOTSTRAP = 100
#: Rows over which bounds are averaged.
MOST_ROWS_OF_BOUND = 2000


def sweep(
    estimator: MNARImputer,
    X: npt.ArrayLike | pd.DataFrame,
    quantity: Quantity,
    column: str | Sequence[str],
    slopes: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 4.0),
    *,
    n_imputations: int = 10,
    level: float = 0.95,
    random_state: int = 0,
) -> pd.DataFrame:
    r"""Follow a quantity of interest while the slope of a self-masking mechanism is held at different values.

    For each slope, and each of m bootstrap samples of the rows, the model is fitted again with that slope fixed
    (thresholds, and the slopes of the other columns, are learned), and imputes the table once. The m answers are pooled
    by Rubin's rules, so that the intervals hold sampling error, the uncertainty of the missing values and that of the
    parameters. That is m fits per slope: keep ``max_iter`` small.

    Parameters
    ----------
    estimator : MNARImputer
        Its settings are used; it need not be fitted, and is not changed. A
        :class:`~pyro_mnar.model.mechanisms.SelfMasking` mechanism keeps its direction and link for the other columns,
        "auto" (:class:`~pyro_mnar.model.mechanisms.Nested`) the directions that it was told and the evidence that it
        finds, a mapping of mechanisms those of the other columns; any other mechanism is replaced by SelfMasking().
    X : DataFrame or array-like
        The table, shape (n, p), NaN = missing.
    quantity : callable
        From a completed DataFrame (columns x0, x1, ... for an array) to a number, or to (number, squared standard
        error). For a number alone, its variance comes from 100 bootstrap samples of the rows of the completed table.
    column : str or sequence of str
        The column or columns whose slope is fixed: numbers, ordered levels, or two values. For labels without an order
        see ``category`` of :func:`delta_adjustment`.
    slopes : sequence of float
        Logits per standard deviation of the observed values, on the scale on which the column is modelled (``schema_``;
        between two values, per step from the first to the second); 0 is missing at random, positive where high values
        go missing, negative where low ones do.
    n_imputations : int
        m, at least 2.
    level : float
        Probability of the intervals.
    random_state : int
        Seed.

    Returns
    -------
    DataFrame
        Index "slope of <column> (logits per sd)"; columns estimate, standard_error, low, high (of the interval),
        fraction_missing (of the information) and bound, the mean log p(x_obs, s) of the m fits on the whole table, or
        on 2,000 rows drawn from a larger one, nats per row: a slope whose bound lies far below the others contradicts
        the data under this model; slopes with equal bounds cannot be told apart by the data.

    Raises
    ------
    InvalidInputError
        An unknown column, one of labels without an order, or fewer than two imputations.
    """
    instance_only("estimator", estimator, MNARImputer, "an MNARImputer, fitted or not")
    callable_only("quantity", quantity, "a function of a completed table")
    level, random_state = within_0_and_1("level", level), seed_of("random_state", random_state)
    frame = _frame(X)
    fixed = columns_of(column, frame)
    kinds = estimator._found_schema(estimator._raw(frame)).columns
    for name in fixed:
        kind = next(kind for kind in kinds if kind.name == name).kind
        if kind in ("nominal", "identifier", "empty", "one-hot"):
            raise InvalidInputError(
                f"column {name!r} is of the kind {kind}, which has no order and so no slope; shift the odds of a level "
                "instead: delta_adjustment(..., category=...)"
            )
    n_imputations = whole_number("n_imputations", n_imputations, 2)
    slopes = _numbers_of("slopes", slopes)
    lines = []
    for index, slope in enumerate(slopes):
        mechanism = with_slope(estimator.mechanism, {name: float(slope) for name in fixed})
        completed, bound = _refitted(estimator, frame, mechanism, n_imputations, _seed(random_state, index))
        lines.append({**pooled_over(completed, quantity, level, random_state), "bound": bound})
    name = f"slope of {', '.join(fixed)} (logits per sd)"
    return pd.DataFrame(lines, index=pd.Index([float(s) for s in slopes], name=name))


def delta_adjustment(
    completed: Sequence[pd.DataFrame],
    X: pd.DataFrame,
    quantity: Quantity,
    column: str | Mapping[str, float],
    deltas: Sequence[float],
    *,
    category: Any = None,
    level: float = 0.95,
    random_state: int = 0,
) -> pd.DataFrame:
    """Add delta to the imputed values of a column, or to the log odds of one of its levels, and follow a quantity.

    A pattern-mixture model: those who did not answer are delta higher than the imputation model says, or likelier to be
    of one level: their odds of it are exp(delta) times those that the imputations give (the share of the level among a
    cell's imputations; twenty of them or more). Imputed cells change as delta grows from 0, and none changes back.

    Parameters
    ----------
    completed : sequence of DataFrame
        Multiple imputations of ``X``, at least 2, from ``multiple_impute`` or any other method.
    X : DataFrame
        The table with its holes, shape (n, p).
    quantity : callable
        As for :func:`sweep`.
    column : str, or mapping from column to float
        The column that is shifted; a mapping shifts several, each by its factor times delta.
    deltas : sequence of float
        Shifts in the column's own units (times the factors); with ``category``, of log odds (nats).
    category : object or None
        A level of the column, as its cells hold it: labels, ordered levels, booleans, counts.
    level : float
        Probability of the intervals.
    random_state : int
        Seed of the bootstrap of the quantity, and of the cells that change their level.

    Returns
    -------
    DataFrame
        Index "delta"; columns estimate, standard_error, low, high and fraction_missing.

    Raises
    ------
    InvalidInputError
        An unknown column or category, a column of labels without a category, fewer than two completed tables, or tables
        of another shape than ``X``.

    Examples
    --------
    >>> X = pd.DataFrame({"a": [1.0, 2.0, np.nan, 4.0]})
    >>> table = delta_adjustment([X.fillna(2.0), X.fillna(3.0)], X, lambda t: (t["a"].mean(), 0.1), "a", [0.0, 4.0])
    >>> table["estimate"].tolist()
    [2.375, 3.375]
    """
    instance_only("X", X, pd.DataFrame, "a DataFrame, the table with its holes")
    callable_only("quantity", quantity, "a function of a completed table")
    level, random_state = within_0_and_1("level", level), seed_of("random_state", random_state)
    if not isinstance(column, Mapping):
        instance_only("column", column, str, "the name of a column, or a mapping from names to factors")
    factors = dict(column) if isinstance(column, Mapping) else {column: 1.0}
    columns_of(list(factors), X)
    for name, factor in factors.items():
        finite_number(f"the factor of {name!r}", factor)
    deltas = _numbers_of("deltas", deltas)
    instance_only("completed", completed, Sequence, "a list of completed tables")
    for table in completed:
        instance_only("one of the completed tables", table, pd.DataFrame, "a DataFrame")
        if table.shape != X.shape:
            raise InvalidInputError(f"a completed table has shape {table.shape}, the table with holes {X.shape}")
    if len(completed) < 2:
        raise InvalidInputError(f"{len(completed)} completed table(s) given; pooling needs at least 2")
    if category is not None and not isinstance(column, str):
        raise InvalidInputError(f"'category' is a level of one column; give 'column' as its name, not {column!r}")
    if category is not None:
        instance_only("category", category, Hashable, "a level of the column")
        shift = _odds_shift(completed, X, str(column), category, random_state)
        name = f"delta of the log odds of {column}={category}"
    else:
        shift, name = _value_shift(completed, X, factors), f"delta of {', '.join(factors)}"
    lines = [pooled_over(shift(float(delta)), quantity, level, random_state) for delta in deltas]
    return pd.DataFrame(lines, index=pd.Index([float(d) for d in deltas], name=name))


def _value_shift(
    completed: Sequence[pd.DataFrame], X: pd.DataFrame, factors: Mapping[str, float]
) -> Callable[[float], list[pd.DataFrame]]:
    """From a delta to the tables with it added in missing cells."""
    for name in factors:
        dtype = completed[0][name].dtype
        if not pd.api.types.is_numeric_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
            raise InvalidInputError(
                f"column {name!r} holds {dtype}, to which no number can be added; give the level whose odds are to "
                "change: category=..."
            )

    def shifted(delta: float) -> list[pd.DataFrame]:
        return [
            table.assign(
                **{
                    name: table[name].to_numpy(dtype=float) + X[name].isna().to_numpy() * (factor * delta)
                    for name, factor in factors.items()
                }
            )
            for table in completed
        ]

    return shifted


def _odds_shift(
    completed: Sequence[pd.DataFrame], X: pd.DataFrame, column: str, category: Any, seed: int
) -> Callable[[float], list[pd.DataFrame]]:
    """From a delta to the tables in which the log odds of a level are shifted by it in missing cells.

    With p the share of the level among the m imputations of a cell, and p' that with the odds times exp(delta): of the
    imputations that are another level, a share (p' - p) / (1 - p) takes this one; or of those of this level, a share
    (p - p') / p takes another one that was imputed for the cell.
    """
    missing = X[column].isna().to_numpy()
    cells = np.stack([table[column].to_numpy(dtype=object)[missing] for table in completed])
    known = {*X[column].dropna(), *cells.ravel()}
    if category not in known:
        raise InvalidInputError(
            f"{category!r} is no level of column {column!r}; its levels are {sorted(known, key=str)}"
        )
    generator = np.random.default_rng(seed)
    chance, order = generator.random(cells.shape), generator.random(cells.shape)
    hit = cells == category
    share = hit.mean(0)
    level = np.empty((), dtype=object)
    level[()] = category
    # For each cell one of its imputations that is another level, at random: where all are this one, it stays.
    other = np.take_along_axis(cells, np.where(hit, -1.0, order).argmax(0)[None], 0)

    def shifted(delta: float) -> list[pd.DataFrame]:
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            moved = share / (share + (1 - share) * np.exp(-delta))
            moved = np.where((share == 0) | (share == 1), share, moved)
            gains, losses = np.nan_to_num((moved - share) / (1 - share)), np.nan_to_num((share - moved) / share)
        new = np.where(~hit & (chance < gains), level, cells)
        new = np.where(hit & (chance < losses), other, new)
        tables = []
        for table, values in zip(completed, new, strict=True):
            series = table[column].copy()
            series[missing] = values
            tables.append(table.assign(**{column: series}))
        return tables

    return shifted


def tipping_point(table: pd.DataFrame, reference: float = 0.0) -> float:
    """The assumption nearest to the first line's at which the interval starts, or stops, to hold ``reference``.

    Parameters
    ----------
    table : DataFrame
        From :func:`delta_adjustment` or :func:`sweep`, with the assumption in the order of its departure from the
        first.
    reference : float
        The value that decides, in units of the quantity: the conclusion is "above", "below" or "undecided".

    Returns
    -------
    float
        By linear interpolation between the lines of the table, in units of its index; NaN where the conclusion is the
        same throughout.

    Examples
    --------
    >>> table = pd.DataFrame({"low": [1.0, 0.5, -0.5], "high": [2.0, 1.5, 0.5]}, index=[0.0, 1.0, 2.0])
    >>> tipping_point(table)
    1.5
    """
    table_with("table", table, ("low", "high"), "delta_adjustment or sweep")
    reference = finite_number("reference", reference)
    place = table.index.to_numpy(dtype=float)
    low, high = table["low"].to_numpy() - reference, table["high"].to_numpy() - reference
    for i in range(1, len(table)):
        crossings = [
            place[i - 1] + (place[i] - place[i - 1]) * end[i - 1] / (end[i - 1] - end[i])
            for end in (low, high)
            if (end[i - 1] > 0) != (end[i] > 0)
        ]
        if crossings:
            return float(min(crossings, key=lambda crossing: abs(crossing - place[i - 1])))
    return float("nan")


def _numbers_of(name: str, values: Any) -> list[float]:
    entries = list_only(name, values, "a list of numbers")
    if not entries:
        raise InvalidInputError(f"{name} is empty; give at least one number")
    return [finite_number(name, value) for value in entries]


def _frame(X: npt.ArrayLike | pd.DataFrame) -> pd.DataFrame:
    if isinstance(X, pd.DataFrame):
        return X
    table = numbers("X", X)
    if table.ndim != 2:
        raise InvalidInputError(f"X has shape {table.shape}; it must be a table of shape (n, p)")
    return pd.DataFrame(table, columns=[f"x{j}" for j in range(table.shape[1])])


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0] % (2**31 - 1))


def _refitted(
    estimator: MNARImputer, frame: pd.DataFrame, mechanism: Given, m: int, seed: int
) -> tuple[list[pd.DataFrame], float]:
    """One imputed table from each of m fits to bootstrap samples, and the mean bound of those fits."""
    model = clone(estimator).set_params(mechanism=mechanism)
    if not isinstance(mechanism, Nested):
        # Slopes are per standard deviation of the observed values; another start has another unit for each slope.
        model.set_params(training__start="neutral")
    generator = np.random.default_rng(seed)
    completed, bounds = [], []
    # The same for all slopes, whose bounds are compared.
    some = some_rows(frame, MOST_ROWS_OF_BOUND, 0)
    for index in range(m):
        rows = generator.integers(len(frame), size=len(frame))
        model = clone(model).set_params(random_state=_seed(seed, index)).take_kinds_from(frame)
        completed += model.fit(frame.iloc[rows]).multiple_impute(frame, 1)
        bounds.append(model.score(some))
    return completed, float(np.mean(bounds))


def some_rows(X: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """A table, or so many rows of a longer one, drawn at random and in their order."""
    if len(X) <= most:
        return X
    return X.iloc[np.sort(np.random.default_rng(seed).choice(len(X), most, replace=False))]


def pooled_over(completed: Sequence[pd.DataFrame], quantity: Quantity, level: float, seed: int) -> dict[str, float]:
    """A quantity of completed tables by Rubin's rules, as a line of :func:`sweep` and :func:`delta_adjustment`."""
    estimates, variances = [], []
    for table in completed:
        answer = numbers("what quantity gave", quantity(table))
        if answer.shape not in ((), (2,)):
            raise InvalidInputError(
                f"quantity gave {answer.size} numbers; it must give one, or (number, squared standard error)"
            )
        alone = answer.ndim == 0
        estimates.append(float(answer if alone else answer[0]))
        variances.append(_bootstrap_variance(table, quantity, seed) if alone else float(answer[1]))
    pooled = pool(estimates, variances, level=level)
    shown = ("estimate", "standard_error", "low", "high", "fraction_missing")
    return {name: float(getattr(pooled, name)) for name in shown}


def _bootstrap_variance(table: pd.DataFrame, quantity: Quantity, seed: int) -> float:
    generator = np.random.default_rng(seed)
    draws: FloatArray = np.array(
        [quantity(table.iloc[generator.integers(len(table), size=len(table))]) for _ in range(_BOOTSTRAP)], dtype=float
    )
    return float(draws.var(ddof=1))
