"""Transforms, levels and point masses of the model's columns, from their kinds and their observed values."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.transforms import FloatArray, Identity, Log, Logit, Transform, WithAtoms, YeoJohnson

#: Standard deviations beyond the observed ends to which transformed values may reach on the way back.
REACH = 5.0
#: Nats per observed cell that a bent scale must gain, and those that it must gain in all.
GAIN_PER_CELL, LEAST_GAIN = 0.01, 5.0
#: Observed cells from which a bent scale is tried, and powers within which it is sought.
ENOUGH, POWERS = 20, (-3.0, 5.0)
#: Standard deviations between the rest and the place of an atom beyond it.
ATOM_GAP = 1.0


def transform_for(kind: ColumnKind, seen: FloatArray) -> Transform:
    """The transform of a column that is not cut into levels, from its observed values (n,).

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(size=200))
    >>> transform_for(ColumnKind("x", "continuous", ""), x).describe()
    'log'
    """
    if kind.kind in ("binary", "nominal", "one-hot", "constant", "date", "duration"):
        return Identity()
    rest = seen[~np.isin(seen, kind.atoms)]
    if kind.kind == "bounded" and np.isfinite(kind.support.lowest) and np.isfinite(kind.support.highest):
        base: Transform = _logit(rest, kind)
    elif kind.kind == "count":
        base = best_scale(rest, with_log=False)
    else:
        base = best_scale(rest)
    return with_atoms(base, kind.atoms, rest) if kind.atoms else base


def best_scale(seen: FloatArray, with_log: bool = True) -> Transform:
    """The identity, the logarithm or a power transform: the one under which a normal explains the values (n,) best.

    ``with_log`` tries the logarithm too, if all values are positive.

    References
    ----------
    Box & Cox 1964 (comparing scales by the likelihood with its Jacobian); Yeo & Johnson 2000.
    """
    if len(seen) < ENOUGH or not seen.std() > 1e-9 * np.abs(seen).max():
        return Identity()
    plain = _explained(seen, Identity())
    best: tuple[float, Transform] = (plain + max(LEAST_GAIN, GAIN_PER_CELL * len(seen)), Identity())
    candidates: list[Transform] = [fit_yeo_johnson(seen)]
    if with_log and seen.min() > 0:
        logs = np.log(seen)
        reach = REACH * float(logs.std())
        candidates.append(Log(float(logs.min()) - reach, min(float(logs.max()) + reach, 340.0)))
    for g in candidates:
        gain = _explained(seen, g)
        # Of two bent scales the simpler one is kept unless the other is clearly better.
        if gain > best[0] - (LEAST_GAIN if isinstance(g, Log) else 0.0):
            best = (gain, g)
    return best[1]


@np.errstate(over="ignore", invalid="ignore")
def fit_yeo_johnson(seen: FloatArray, powers: tuple[float, float] = POWERS) -> YeoJohnson:
    """Yeo and Johnson's transform of values about their median, with the likeliest power."""
    middle = float(np.median(seen))
    low, high = np.quantile(seen, [0.25, 0.75])
    unit = float(high - low) / 1.35 or float(seen.std())
    found = minimize_scalar(lambda power: -_explained(seen, YeoJohnson(power, middle, unit)), powers, bounds=powers)
    g = YeoJohnson(float(found.x), middle, unit)
    y = g.forward(seen)
    reach = REACH * float(y.std())
    # The range of g ends at -1 / power below power 0, and at 1 / (2 - power) above power 2; near its end a small step
    # is a thousand times what was ever observed, so that the way back also stays within the observed range once more.
    ends = np.array([2 * seen.min() - seen.max(), 2 * seen.max() - seen.min()])
    lowest, highest = (float(end) for end in g.forward(ends))
    return YeoJohnson(g.power, middle, unit, max(float(y.min()) - reach, lowest), min(float(y.max()) + reach, highest))


def with_atoms(rest: Transform, atoms: Sequence[float], seen: FloatArray) -> WithAtoms:
    """A transform of the rest, with places for the atoms: beyond it at an end, and where it has them within."""
    y = rest.forward(seen)
    gap = ATOM_GAP * (float(y.std()) or 1.0)
    low_end, high_end = float(seen.min()), float(seen.max())
    below = [atom for atom in atoms if atom < low_end]
    above = [atom for atom in atoms if atom > high_end]
    low = [(atom, float(y.min()) - gap * (len(below) - i)) for i, atom in enumerate(below)]
    high = [(atom, float(y.max()) + gap * (i + 1)) for i, atom in enumerate(above)]
    return WithAtoms(
        rest,
        (*low, (low_end, float(y.min()))) if low else (),
        ((high_end, float(y.max())), *high) if high else (),
        tuple(atom for atom in atoms if low_end <= atom <= high_end),
    )


def cut_by_frequency(values: Sequence[float], seen: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores and cuts of ordinal levels: a standard normal u that is cut has the observed frequencies.

    A score is E[u | level].

    Examples
    --------
    >>> scores, cuts = cut_by_frequency([1.0, 2.0], np.array([1.0, 2.0]))
    >>> np.round(scores, 3).tolist(), cuts
    ([-0.798, 0.798], (0.0,))
    """
    return cut_by_shares(np.array([(seen == level).sum() for level in values], dtype=float) + 0.5)


def cut_by_shares(weights: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores and cuts of ordinal levels that have these shares of a standard normal, shape (C,), of any sum."""
    ends = np.concatenate([[0.0], np.cumsum(weights) / weights.sum()])
    cuts = ndtri(ends[1:-1])
    density = np.concatenate([[0.0], np.exp(-0.5 * cuts**2) / np.sqrt(2 * np.pi), [0.0]])
    scores = (density[:-1] - density[1:]) / np.diff(ends)
    return tuple(scores.tolist()), tuple(cuts.tolist())


def cut_counts(values: Sequence[float], seen: FloatArray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Scores and cuts of counts: a power of them, standardised by the observed ones, cut halfway between counts."""
    powers = (0.0, 1.0)
    found = minimize_scalar(lambda power: -_explained(seen, YeoJohnson(power)), powers, bounds=powers)
    g = YeoJohnson(float(found.x))
    y = g.forward(seen)
    center, scale = float(y.mean()), float(y.std()) or 1.0
    levels = np.asarray(values)
    scores, cuts = ((g.forward(x) - center) / scale for x in (levels, levels[:-1] + 0.5))
    return tuple(scores.tolist()), tuple(cuts.tolist())


def _logit(rest: FloatArray, kind: ColumnKind) -> Transform:
    """The logit between the bounds, which lie a little further out where a few values are exactly at one."""
    low, high = kind.support.lowest, kind.support.highest
    inside = rest[(rest > low) & (rest < high)]
    if len(inside) < 2:
        return Identity()
    margins = []
    for at_end, gap in ((rest <= low, inside.min() - low), (rest >= high, high - inside.max())):
        margins.append(0.5 * min(float(gap), (high - low) / len(rest)) if at_end.any() else 0.0)
    return Logit(low - margins[0], high + margins[1])


# A power of 1e140 may be no number: such a scale explains nothing.
@np.errstate(over="ignore", invalid="ignore")
def _explained(seen: FloatArray, g: Transform) -> float:
    """Log likelihood of the values if a normal explains them on the scale of g, nats, up to a constant."""
    y = g.forward(seen)
    spread = float(y.std())
    if not np.isfinite(spread) or spread <= 0:
        return -np.inf
    return -len(seen) * float(np.log(spread)) + float(g.log_derivative(seen).sum())
