"""Masks that stand for the world: about 30 % of the cells go missing, for reasons that differ from mask to mask.

Every mask sees the complete table, standardised by its complete columns where it needs a scale, and returns which cells
are lost and what is true of each column. The generator alone decides what is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError

BoolArray = NDArray[np.bool_]
Reason = Literal["none", "cliff", "soft", "both"]
Sides = Literal["high", "low", "mixed"]

#: Share of the cells of a column that goes missing at random, or of the whole table under the hard masks.
SHARE = 0.3
#: Slope and threshold, per standard deviation of the complete column, that give back the missing rates of the first
#: published report on this system and its RMSE of the mean.
SEED_CURVES: dict[str, tuple[float, float]] = {
    "banknote": (2.32, -0.36),
    "concrete": (1.05, -0.05),
    "breast": (1.84, 0.10),
    "white": (1.54, 0.14),
}


class Lost(NamedTuple):
    """Which cells are lost, bool, shape (n, p), and why, for each column.

    ``reason`` is "none" (not because of its own values), "cliff", "soft", or "both" (both tails); ``direction`` is +1
    where high values are lost because they are high, -1 where low ones are, and 0 else.
    """

    cells: BoolArray
    reason: tuple[Reason, ...]
    direction: tuple[int, ...]


Mask = Callable[[FloatArray, np.random.Generator], Lost]


class _Holes:
    """A mask in the making, column by column."""

    def __init__(self, x: FloatArray) -> None:
        self.cells: BoolArray = np.zeros(x.shape, dtype=bool)
        self._reason: list[Reason] = ["none"] * x.shape[1]
        self._direction = [0] * x.shape[1]

    def lose(self, column: int, rows: BoolArray, reason: Reason = "none", sign: float = 0.0) -> None:
        self.cells[:, column] = rows
        self._reason[column], self._direction[column] = reason, int(sign)

    def lost(self) -> Lost:
        return Lost(self.cells, tuple(self._reason), tuple(self._direction))


def mcar(x: FloatArray, rng: np.random.Generator) -> Lost:
    """Completely at random: every cell alike."""
    p = x.shape[1]
    return Lost(rng.random(x.shape) < SHARE, ("none",) * p, (0,) * p)


def mar(x: FloatArray, rng: np.random.Generator, inputs_lost: bool = False) -> Lost:
    """At random: a third of the columns is complete, and a logistic of those decides which other cells are lost.

    With ``inputs_lost`` the third then loses cells completely at random, which the literature on imputation calls MNAR.

    References
    ----------
    Muzellec, Josse, Boyer, Cuturi (2020), "Missing data imputation using optimal transport".
    """
    holes, p = _Holes(x), x.shape[1]
    order = rng.permutation(p)
    inputs, others = order[: _third(p)], order[_third(p) :]
    for j in sorted(others):
        holes.lose(j, _by_others(standardised(x)[:, inputs], SHARE, rng))
    if inputs_lost:
        holes.cells[:, inputs] = rng.random((len(x), len(inputs))) < SHARE
    return holes.lost()


def hard(x: FloatArray, rng: np.random.Generator, sides: Sides, share: float | None) -> Lost:
    """Half of the columns lose all values beyond a cut: ``share`` of them, or (None) those beyond the mean."""
    holes, p = _Holes(x), x.shape[1]
    for j in rng.permutation(p)[: max(1, p // 2)]:
        sign = _sign(sides, rng)
        u = sign * x[:, j]
        holes.lose(j, u > u.mean() if share is None else _beyond_cut(u, share), "cliff", sign)
    return holes.lost()


def soft(x: FloatArray, rng: np.random.Generator, sides: Sides, columns: Literal["all", "half"] = "all") -> Lost:
    """P(lost) = sigmoid(3 (x - 0.7)) on one side of all or half of the columns.

    On mixed sides the slope is 2, calibrated to a quarter of the cells, and a tenth is lost at random beside it.
    """
    holes, p, z = _Holes(x), x.shape[1], standardised(x)
    for j in rng.permutation(p)[: max(1, p // 2) if columns == "half" else p]:
        sign = _sign(sides, rng)
        if sides == "mixed":
            rows = by_curve(2 * sign * z[:, j], 0.25, rng) | (rng.random(len(x)) < 0.1)
        else:
            rows = rng.random(len(x)) < expit(3 * (sign * z[:, j] - 0.7))
        holes.lose(j, rows, "soft", sign)
    return holes.lost()


def both_tails(x: FloatArray, rng: np.random.Generator) -> Lost:
    """60 % of what lies outside the 20 and 80 % quantiles."""
    low, high = np.quantile(x, [0.2, 0.8], axis=0)
    p = x.shape[1]
    return Lost(((x < low) | (x > high)) & (rng.random(x.shape) < 0.6), ("both",) * p, (0,) * p)


def mixture(x: FloatArray, rng: np.random.Generator, cliff: bool) -> Lost:
    """A third of the columns is complete, a third loses values on either side, the others are lost at random."""
    holes, p, z = _Holes(x), x.shape[1], standardised(x)
    order, third = rng.permutation(p), _third(p)
    inputs = order[:third]
    for j in order[third : 2 * third]:
        sign = _sign("mixed", rng)
        rows = _beyond_cut(sign * x[:, j], 0.4) if cliff else by_curve(3 * sign * z[:, j], 0.35, rng)
        holes.lose(j, rows, "cliff" if cliff else "soft", sign)
    for j in order[2 * third :]:
        holes.lose(j, _by_others(z[:, inputs], 0.35, rng))
    return holes.lost()


def seed_table(x: FloatArray, rng: np.random.Generator, slope: float, threshold: float) -> Lost:
    """Soft self-masking of all columns at a calibrated curve; a row that lost everything gets one value back."""
    cells = rng.random(x.shape) < expit(slope * (standardised(x) - threshold))
    empty = np.flatnonzero(cells.all(1))
    cells[empty, rng.integers(x.shape[1], size=len(empty))] = False
    p = x.shape[1]
    return Lost(cells, ("soft",) * p, (1,) * p)


#: By name, in the order of the tables and the picture: at random, hard, soft, and what no one-sided curve describes.
MASKS: dict[str, Mask] = {
    "mcar": mcar,
    "mar": mar,
    "muzellec": partial(mar, inputs_lost=True),
    "hard-high": partial(hard, sides="high", share=0.6),
    "hard-low": partial(hard, sides="low", share=0.6),
    "hard-mixed": partial(hard, sides="mixed", share=0.6),
    "hard-high-30": partial(hard, sides="high", share=0.3),
    "hard-low-30": partial(hard, sides="low", share=0.3),
    "hard-high-mean": partial(hard, sides="high", share=None),
    "hard-low-mean": partial(hard, sides="low", share=None),
    "soft-high": partial(soft, sides="high"),
    "soft-high-half": partial(soft, sides="high", columns="half"),
    "soft-low": partial(soft, sides="low"),
    "soft-mixed": partial(soft, sides="mixed"),
    "both-tails": both_tails,
    "mixture-cliff": partial(mixture, cliff=True),
    "mixture-soft": partial(mixture, cliff=False),
}
SEED_MASK = "seed"


def lose(x: FloatArray, table: str, mask: str, seed: int) -> Lost:
    """The lost cells of a complete table x, shape (n, p), the same for the same arguments.

    Another table of the same shape loses other cells, and the mask "seed" has a curve for each table's name.

    Raises
    ------
    InvalidInputError
        An unknown mask, or "seed" for a table without a curve.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(1000, 4))
    >>> round(float(lose(x, "normals", "mcar", 0).cells.mean()), 1)
    0.3
    >>> lose(x, "normals", "soft-low", 0).direction
    (-1, -1, -1, -1)
    """
    rng = np.random.default_rng([seed, *table.encode(), *mask.encode()])
    if mask == SEED_MASK:
        if table not in SEED_CURVES:
            raise InvalidInputError(f"table {table!r} has no curve for the mask 'seed'; it is of {sorted(SEED_CURVES)}")
        return seed_table(x, rng, *SEED_CURVES[table])
    if mask not in MASKS:
        raise InvalidInputError(f"there is no mask {mask!r}; the names are {[*MASKS, SEED_MASK]}")
    return MASKS[mask](x, rng)


def standardised(x: FloatArray) -> FloatArray:
    """Mean 0 and standard deviation 1 by the complete columns, shape (n, p); a constant column is 0."""
    spread = x.std(0)
    result: FloatArray = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
    return result


def _third(p: int) -> int:
    return max(1, round(p / 3))


def _sign(sides: Sides, rng: np.random.Generator) -> float:
    return {"high": 1.0, "low": -1.0}.get(sides) or float(rng.choice([-1, 1]))


def by_curve(linear: FloatArray, share: float, rng: np.random.Generator) -> BoolArray:
    """Rows drawn with P = sigmoid(linear + shift), the shift such that ``share`` of them is expected."""
    shift = brentq(lambda b: expit(linear + b).mean() - share, -60, 60)
    drawn: BoolArray = rng.random(len(linear)) < expit(linear + shift)
    return drawn


def _by_others(inputs: FloatArray, share: float, rng: np.random.Generator) -> BoolArray:
    """Rows lost by a logistic in a random direction of other columns, 2 standard deviations of it."""
    linear = inputs @ rng.normal(size=inputs.shape[1])
    return by_curve(2 * linear / (linear.std() or 1.0), share, rng)


def _beyond_cut(u: FloatArray, share: float) -> BoolArray:
    """All above the cut whose share is nearest; never none, and never all, of a column with two values."""
    levels = np.unique(u)[:-1]
    if not len(levels):
        return np.zeros(len(u), dtype=bool)
    shares = 1 - np.searchsorted(np.sort(u), levels, side="right") / len(u)
    beyond: BoolArray = u > levels[np.argmin(np.abs(shares - share))]
    return beyond
