"""A quantity of interest: what it is, and what it would be under other assumptions about the missing values."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pyro_mnar.analysis.assess.budget import Effort
from pyro_mnar.analysis.assess.lines import at_zero
from pyro_mnar.analysis.assess.steps import Steps
from pyro_mnar.analysis.held_slope import with_slope
from pyro_mnar.analysis.sensitivity import Quantity, delta_adjustment, pooled_over, sweep, tipping_point
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.estimators.start.plan import passes
from pyro_mnar.model.mechanisms import Censored, Given, Nested, by_name

#: Kinds whose values can be shifted and have a mean.
_NUMBERS = ("continuous", "bounded", "semicontinuous", "count", "discrete", "ordinal", "binary")
#: Shifts of the imputed values, observed standard deviations.
_SHIFTS = np.linspace(-1.0, 1.0, 9)
#: Slopes beyond which a column whose direction is not known is not pushed.
_MOST_TO_BOTH_SIDES = 2.0
#: Steps of a fit under another assumption where the budget counts passes.
_REFIT_STEPS = 300
#: Probability of the quantity's intervals.
_LEVEL = 0.95


class Conclusion(NamedTuple):
    """A quantity and what it rests on.

    Attributes
    ----------
    name : str
        The quantity, such as "mean of income".
    column : str
        The column whose assumption is varied; empty where no column can be.
    estimate, low, high : float
        Pooled over the completed tables, with its 95 % interval.
    observed_only : float
        The same from the observed values alone.
    sweep : DataFrame
        From :func:`~pyro_mnar.analysis.sensitivity.sweep`; empty where no column can be varied.
    delta : DataFrame
        From :func:`~pyro_mnar.analysis.sensitivity.delta_adjustment`.
    reference : float
        The value at which the conclusion changes.
    tipping : float
        The shift of the imputed values at which the interval starts, or stops, to hold it; NaN where none of them does.
    """

    name: str
    column: str
    estimate: float
    low: float
    high: float
    observed_only: float
    sweep: pd.DataFrame
    delta: pd.DataFrame
    reference: float
    tipping: float


class Named(NamedTuple):
    """A quantity with its name, and the column that it is about, if it is about one."""

    name: str
    of: Quantity
    column: str | None
    can_be_kept: bool = True


def named_quantity(
    quantity: str | Callable[[pd.DataFrame], Any] | None, X: pd.DataFrame, found: pd.DataFrame, numbers: Sequence[str]
) -> Named | None:
    """The quantity that a user means; None where none was named and no column of numbers has holes.

    It is a column (its mean), "column=level" (the share of a level), a function of a completed table, or None for the
    mean of the column that most needs it: the first of ``found``, from
    :func:`~pyro_mnar.analysis.assess.evidence.evidence`, among ``numbers``, the columns that have a mean.
    InvalidInputError for a column that is not there, or has no mean.
    """
    if callable(quantity):
        return Named(
            str(getattr(quantity, "__name__", "quantity")).replace("<lambda>", "quantity"), quantity, None, False
        )
    if quantity is None:
        holed = [name for name in found["column"] if name in numbers]
        if not holed:
            return None
        quantity = holed[0]
    assert isinstance(quantity, str)
    if quantity in numbers:
        name = quantity
        return Named(f"mean of {name}", lambda table: _mean(table[name].astype(float)), name)
    column, _, level = quantity.rpartition("=")
    if column in X.columns and level in set(X[column].dropna().astype(str)):
        return Named(
            f"share of {quantity}", lambda table: _mean((table[column].astype(str) == level).astype(float)), column
        )
    if quantity in X.columns:
        raise InvalidInputError(f"quantity is {quantity!r}, a column without a mean; give {quantity}=LEVEL for a share")
    raise InvalidInputError(f"quantity is {quantity!r}, which is no column; the columns are {list(X.columns)}")


def _mean(values: "pd.Series[float]") -> tuple[float, float]:
    """Mean and squared standard error; a column that does not vary still has a variance, since none is not allowed."""
    return float(values.mean()), max(float(values.var()) / len(values), 1e-300)


def numbers_of(imputer: MNARImputer) -> list[str]:
    """The columns that have a mean."""
    kinds = imputer._schema.columns
    return [str(kind.name) for kind in kinds if kind.kind in _NUMBERS and kind.holds in ("number", "boolean")]


def varied_column(vary: str | None, quantity: Named, found: pd.DataFrame, numbers: Sequence[str]) -> str | None:
    """The column whose assumption is varied: the one given, the quantity's own, or the likeliest to hide itself.

    Of ``numbers``, which leave out columns whose limits say why their cells are missing: InvalidInputError for another.
    """
    candidates = [name for name in found["column"] if name in numbers]
    if vary is not None:
        if vary not in candidates:
            raise InvalidInputError(
                f"vary is {vary!r}; the columns of numbers that have holes, and no limits that explain them, are "
                f"{candidates}"
            )
        return vary
    if quantity.column in candidates:
        return quantity.column
    return candidates[0] if candidates else None


def conclude(
    quantity: Named,
    column: str | None,
    X: pd.DataFrame,
    seen: pd.DataFrame,
    tables: list[pd.DataFrame],
    found: pd.DataFrame,
    effort: Effort,
    imputer: MNARImputer,
    reference: float | None,
    seed: int,
    steps: Steps,
    report: Callable[[float], None],
) -> Conclusion:
    """Pool the quantity, and vary what it rests on; ``seen`` is the table as :func:`with_numbers` gives it."""
    spread = float(seen[column].astype(float).std()) if column is not None else 0.0
    deltas = [round_to(step * spread, spread / 20) for step in _SHIFTS] if spread > 0 else [0.0]
    if column is None:
        pooled = pooled_over(tables, quantity.of, _LEVEL, seed)
        shifted = pd.DataFrame([pooled], index=pd.Index([0.0], name="delta"))
    else:
        shifted = delta_adjustment(tables, seen, quantity.of, column, deltas, level=_LEVEL, random_state=seed)
    alone = quantity.of(seen if column is None else seen[seen[column].notna()])
    observed_only = float(alone if np.ndim(alone) == 0 else alone[0])
    mark = observed_only if reference is None else float(reference)
    up, down = shifted[shifted.index >= 0], shifted[shifted.index <= 0].iloc[::-1]
    points = [point for point in (tipping_point(up, mark), tipping_point(down, mark)) if not np.isnan(point)]
    tipping = min(points, key=abs) if points else float("nan")
    lines = []
    mechanism = None if column is None else swept_mechanism(imputer.mechanism, column)
    if column is not None and mechanism is not None:
        slopes = signed_slopes(str(found.set_index("column").loc[column, "direction"]), effort.slopes)
        # What a function of the user's does is not known from one call to the next.
        kept = steps if quantity.can_be_kept else Steps(None, "")
        refit = effort.refit
        if "max_iter" in refit:
            # Passes for a table of a thousand rows or so, and no more steps for a larger one.
            enough = passes(_REFIT_STEPS, len(X), None)
            refit = {**refit, "max_iter": min(refit["max_iter"], enough)}
        model = MNARImputer(
            mechanism,
            types=imputer.types,
            random_state=seed,
            verbose=imputer.verbose,
            **refit,
        )
        # Names may be what no file's can be.
        key = hashlib.sha256(f"{column} of {quantity.name}".encode()).hexdigest()[:12]
        for place, slope in enumerate(slopes):
            report(place / len(slopes))
            # One at a time, so that each is kept once it is done; all have the same seeds, so that they differ in
            # nothing else.
            line = partial(
                sweep, model, X, quantity.of, column, [slope], n_imputations=effort.refits, random_state=seed
            )
            lines.append(kept.frame(f"slope-{slope:g}-{key}", line))
    swept = pd.concat(lines) if lines else pd.DataFrame()
    return Conclusion(
        quantity.name,
        column or "",
        at_zero(shifted),
        at_zero(shifted, "low"),
        at_zero(shifted, "high"),
        observed_only,
        swept,
        shifted,
        mark,
        tipping,
    )


def with_numbers(imputer: MNARImputer, X: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table, shape (n, p), with limits such as "<0.5" as missing cells, and the columns that have limits."""
    read = imputer._read(X, reset=False)
    if read.limits is None:
        return X, []
    limited = [bool(np.isfinite(read.limits[:, j]).any()) for j in range(X.shape[1])]
    values = {str(name): read.values[:, j] for j, name in enumerate(X.columns) if limited[j]}
    return X.assign(**values), list(values)


def swept_mechanism(mechanism: Given, column: str) -> "Given | None":
    """The mechanism with which a column's slope is varied: what was told of the columns; None where it has no slope.

    Examples
    --------
    >>> swept_mechanism("ignorable", "income"), swept_mechanism({("income", "rent"): "latent"}, "income")
    ('auto', None)
    """
    told = isinstance(mechanism, Mapping) or isinstance(by_name(mechanism), Nested | Censored)
    kept: Given = mechanism if told else "auto"
    try:
        with_slope(kept, {column: 0.0})
    except InvalidInputError:
        return None
    return kept


def signed_slopes(direction: str, slopes: Sequence[float]) -> list[float]:
    """The slopes to try, on the side on which values are missing, or on both where that is not known.

    Examples
    --------
    >>> signed_slopes("low", (0.0, 2.0)), signed_slopes("", (0.0, 2.0, 4.0))
    ([-2.0, 0.0], [-2.0, 0.0, 2.0])
    """
    if direction == "high":
        return [float(slope) for slope in slopes]
    if direction == "low":
        return sorted(-float(slope) + 0.0 for slope in slopes)
    some = [float(slope) for slope in slopes if slope <= _MOST_TO_BOTH_SIDES]
    return sorted({*(-slope + 0.0 for slope in some), *some})


def round_to(value: float, step: float) -> float:
    """The value to a power of ten below the step.

    Examples
    --------
    >>> round_to(1234.567, 60.0)
    1230.0
    """
    unit = 10.0 ** np.floor(np.log10(step))
    return float(np.round(value / unit) * unit)
