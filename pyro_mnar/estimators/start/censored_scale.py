r"""The scale of a column of which some cells are known by their limits alone.

The observed values by themselves lack an end. What a normal on the scale of g says of all cells together,

    sum_observed [log N(g(x); m, s^2) + log g'(x)] + sum_censored log [Phi((g(u) - m) / s) - Phi((g(l) - m) / s)],

tells the scales apart, and m and s are those of the whole column (Tobit; for g = log the log-normal of censored data).
A scale is asked how values go on beyond the limits, of which those at the other end know least and would decide most:
of the tenth that lies furthest from the limits only that counts, as if it were censored too.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_ndtr

from pyro_mnar.data.columns import ColumnInfo, Layout, LostTail
from pyro_mnar.data.kinds.fit import ENOUGH, GAIN_PER_CELL, LEAST_GAIN, POWERS, REACH, fit_yeo_johnson
from pyro_mnar.data.rows import Rows, possible_limits
from pyro_mnar.data.transforms import FloatArray, Identity, Log, Logit, Transform, YeoJohnson
from pyro_mnar.estimators.start.nested import REACH_SPREAD

_HALF_LOG_TAU = 0.5 * float(np.log(2 * np.pi))
#: Cells from which a scale is found, drawn at random where there are more.
_MOST_CELLS = 2000
#: Share of the cells, those furthest from the limits, that count as censored too; of few values a quarter at most.
_FAR = 0.1


class CensoredScale(NamedTuple):
    """A normal on a transformed scale.

    Attributes
    ----------
    transform : Transform
        g.
    center, scale : float
        Mean and standard deviation of g(x), all cells.
    explained : float
        Log likelihood, nats.
    """

    transform: Transform
    center: float
    scale: float
    explained: float


def with_censored_scales(rows: Rows, layout: Layout, columns: ColumnInfo) -> ColumnInfo:
    """The columns, those with limits on the scale that explains observed and censored cells together best.

    Parameters
    ----------
    rows : Rows
        The table, original units.
    layout : Layout
        Kinds; columns of levels and with point masses keep their scale.
    columns : ColumnInfo
        Scales by what was observed.
    """
    censored = rows.censored
    center, scale, transforms = columns.center.copy(), columns.scale.copy(), list(columns.transforms)
    tails = list(columns.tails)
    for j in layout.continuous:
        if rows.limits is None or not censored[:, j].any() or not transforms:
            continue
        values = rows.values[:, j]
        seen, limits = values[~np.isnan(values)], possible_limits(rows.limits[censored[:, j], j], columns, j)
        above, below = np.isfinite(rows.limits[censored[:, j], j]).any(0)
        sides = [sign for sign, known in ((-1, below), (1, above)) if known]
        found = censored_scale(seen, limits, transforms[j], -sides[0] if len(sides) == 1 else 0)
        center[j], scale[j], transforms[j] = found.center, found.scale, found.transform
        tails += [LostTail(j, None, sign, REACH_SPREAD) for sign in sides]
    rates = tuple(censored.mean(0).tolist())
    described = columns._replace(center=center, scale=scale, transforms=tuple(transforms))
    return described._replace(tails=tuple(tails), within_limits=rates)


def censored_scale(seen: FloatArray, limits: FloatArray, found: Transform | None = None, far: int = 0) -> CensoredScale:
    """The identity, the logarithm or a power transform under which a normal explains all cells best.

    Parameters
    ----------
    seen : ndarray
        Observed values, shape (n,).
    limits : ndarray
        Of the censored cells, shape (m, 2).
    found : Transform or None
        What the observed values alone say; a logit between known bounds is kept.
    far : int
        +1 where all limits are at the lower end, so that the largest values lie furthest from them, -1 where all are at
        the upper one, else 0.

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(1.0, 0.8, size=1000))
    >>> low = x < 2
    >>> scale = censored_scale(x[~low], np.tile([0.0, 2.0], (low.sum(), 1)))
    >>> scale.transform.describe(), round(scale.center, 1), round(scale.scale, 1)
    ('log', 1.0, 0.8)
    """
    rng = np.random.default_rng(0)
    share = min(1.0, _MOST_CELLS / (len(seen) + len(limits)))
    y, ends = (part[rng.random(len(part)) < share] if share < 1 else part for part in (seen, limits))
    if far and len(y):
        y, ends = _without_far(y, ends, far)
    if isinstance(found, Logit):
        return tobit(y, ends, found)
    plain = tobit(y, ends, Identity())
    if len(y) < ENOUGH or not y.std() > 1e-9 * np.abs(y).max():
        return plain
    least = plain.explained + max(LEAST_GAIN, GAIN_PER_CELL * (len(y) + len(ends)))
    best = plain
    observed_power = fit_yeo_johnson(y)

    def power(value: float) -> CensoredScale:
        return tobit(y, ends, YeoJohnson(value, observed_power.middle, observed_power.unit))

    bent = minimize_scalar(lambda value: -power(value).explained, bounds=POWERS, options={"xatol": 0.02})
    candidates = [power(float(bent.x))]
    if min(y.min(), ends[:, 1].min()) > 0:
        candidates.append(tobit(y, ends, Log()))
    for candidate in candidates:
        simpler = LEAST_GAIN if isinstance(candidate.transform, Log) else 0.0
        if candidate.explained > least - simpler:
            best, least = candidate, candidate.explained
    return best._replace(transform=_reaching(best, seen))


def _without_far(y: FloatArray, ends: FloatArray, far: int) -> tuple[FloatArray, FloatArray]:
    """Values and limits, the values at the far end as limits: at the quantile beyond which they lie."""
    n_far = min(int(_FAR * (len(y) + len(ends))), len(y) // 4)
    cut = far * float(np.sort(far * y)[-1 - n_far])
    beyond = far * (y - cut) > 0
    last = np.tile(np.sort([cut, far * np.inf]), (int(beyond.sum()), 1))
    return y[~beyond], np.concatenate([ends, last])


def tobit(seen: FloatArray, limits: FloatArray, g: Transform) -> CensoredScale:
    """Mean and standard deviation of a normal on the scale of g, by maximum likelihood; arguments as above.

    References
    ----------
    Tobin 1958.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        y, ends = g.forward(seen), g.forward(limits)
        ends = np.where(np.isinf(limits), limits, ends)
        jacobian = float(g.log_derivative(seen).sum())
    spread = float(y.std()) or 1.0
    if not (np.isfinite(y).all() and np.isfinite(spread) and np.isfinite(jacobian)):
        return CensoredScale(g, 0.0, 1.0, -np.inf)
    middle = float(y.mean())
    y, ends = (y - middle) / spread, (ends - middle) / spread

    def loss(parameters: FloatArray) -> float:
        m, s = parameters[0], np.exp(parameters[1])
        inside = _log_interval((ends[:, 0] - m) / s, (ends[:, 1] - m) / s)
        density = -0.5 * ((y - m) / s) ** 2 - parameters[1] - _HALF_LOG_TAU
        return -float(density.sum() + inside.sum())

    # On the scale of the observed values; what was censored widens it, by far less than e^3.
    fit = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-20.0, 20.0), (-5.0, 3.0)])
    m, s = float(fit.x[0]), float(np.exp(fit.x[1]))
    explained = -float(fit.fun) - len(y) * float(np.log(spread)) + jacobian
    return CensoredScale(g, middle + spread * m, spread * s, explained if np.isfinite(explained) else -np.inf)


def _log_interval(low: FloatArray, high: FloatArray) -> FloatArray:
    """Log of Phi(high) - Phi(low), computed in the lower tail."""
    turned = low + high > 0
    a, b = np.where(turned, -high, low), np.where(turned, -low, high)
    below, above = log_ndtr(a), log_ndtr(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(np.isneginf(below), 1.0, -np.expm1(below - above))
        return np.asarray(above + np.log(np.maximum(gap, 1e-300)))


def _reaching(found: CensoredScale, seen: FloatArray) -> Transform:
    """The transform with the reach on the way back that the whole column has, and what was observed of it."""
    g, reach = found.transform, REACH * found.scale
    observed = g.forward(np.array([seen.min(), seen.max()])) if isinstance(g, Log | YeoJohnson) else np.zeros(2)
    lowest, highest = min(found.center - reach, observed[0]), max(found.center + reach, observed[1])
    if isinstance(g, Log):
        return Log(lowest, min(highest, 340.0))
    if not isinstance(g, YeoJohnson):
        return g
    top = 0.999 * (-1 / g.power) if g.power < 0 else np.inf
    bottom = -0.999 / (g.power - 2) if g.power > 2 else -np.inf
    return YeoJohnson(g.power, g.middle, g.unit, max(lowest, bottom), min(highest, top))
