"""A simulated table of which one column hides its own high values, with the exact answers to what it hides."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import log_ndtr, ndtr, owens_t

from pyro_mnar.data.arguments import finite_number, probabilities, seed_of, truth_value, whole_number, within_0_and_1
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError

_HALVINGS = 80


class Interval(NamedTuple):
    """Between which values each cell lies, shape (n,) each."""

    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class SelfMasked:
    r"""A table of which the column ``y`` hides its own values, and what is known of them exactly.

    Given the other columns, on the scale of the model, y ~ N(m, v), and P(s = 0 | y) = Phi(w (y - b)). What is hidden
    then has the density N(y; m, v) Phi(w (y - b)) / Phi(h), h = w (m - b) / sqrt(1 + w^2 v); what is seen, the same
    with the signs of w and h turned round.

    **Two truths for one table.** If the hidden values had the distribution of the seen ones given the other columns,
    they would be missing at random, and table and mask would have the very same distribution: no data can tell the two
    apart, only what is assumed of y's shape can. The answers take ``at_random=True`` for that other truth.

    Attributes
    ----------
    table, complete : DataFrame
        With holes in ``y``, and without.
    hidden : ndarray
        bool, shape (n,): the rows without ``y``.
    center : ndarray
        m, shape (n,).
    variance, slope, threshold : float
        v, w and b.
    skewed : bool
        ``y`` is the exponential of what these speak of.

    References
    ----------
    Molenberghs, Beunckens, Sotto & Kenward 2008, JRSS B 70 (the counterpart at random of every model); Miao, Ding &
    Geng 2016, JASA 111 (why the normal is identified, and the t is not).
    """

    table: pd.DataFrame
    complete: pd.DataFrame
    hidden: npt.NDArray[np.bool_]
    center: FloatArray
    variance: float
    slope: float
    threshold: float
    skewed: bool

    def mean(self, at_random: bool = False) -> FloatArray:
        """E[y | the other columns, s = 0] of each row, shape (n,), units of the table."""
        w, h = self._of(truth_value("at_random", at_random))
        pull = w * self.variance / np.sqrt(1 + self.slope**2 * self.variance)
        if not self.skewed:
            return self.center + pull * np.exp(-0.5 * h**2 - log_ndtr(h)) / np.sqrt(2 * np.pi)
        return np.asarray(np.exp(self.center + self.variance / 2 + log_ndtr(h + pull) - log_ndtr(h)))

    def quantile(self, q: float, at_random: bool = False) -> FloatArray:
        """The quantile of each row's y given the other columns and s = 0, shape (n,), units of the table.

        Raises
        ------
        InvalidInputError
            ``q`` is no probability.
        """
        level, *others = probabilities("q", q)
        if others:
            raise InvalidInputError(f"q is {q}; it must be one number")
        at_random = truth_value("at_random", at_random)
        low, high = (self.center + sign * 40 * np.sqrt(self.variance) for sign in (-1, 1))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = self._distribution(middle, at_random) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.exp(low) if self.skewed else low

    def interval(self, level: float = 0.9, at_random: bool = False) -> Interval:
        """The central interval that holds each row's y with the probability ``level``, units of the table."""
        tail = (1 - within_0_and_1("level", level)) / 2
        return Interval(self.quantile(tail, at_random), self.quantile(1 - tail, at_random))

    def chance(self) -> FloatArray:
        """P(s = 0 | the other columns) of each row, shape (n,): the same under both truths."""
        return np.asarray(ndtr(self._of(False)[1]))

    def _of(self, at_random: bool) -> tuple[float, FloatArray]:
        """Slope and h of the density, with their signs."""
        h = self.slope * (self.center - self.threshold) / np.sqrt(1 + self.slope**2 * self.variance)
        return (-self.slope, -h) if at_random else (self.slope, h)

    def _distribution(self, value: FloatArray, at_random: bool) -> FloatArray:
        """P(y <= value | the other columns, s = 0) on the scale of the model."""
        w, h = self._of(at_random)
        sd = np.sqrt(self.variance)
        correlation = -w * sd / np.sqrt(1 + w**2 * self.variance)
        return np.clip(bivariate_normal((value - self.center) / sd, h, correlation) / ndtr(h), 0.0, 1.0)


def make_self_masked(
    n_rows: int = 500,
    *,
    slope: float = 2.0,
    threshold: float = 0.3,
    correlation: float = 0.7,
    skewed: bool = False,
    mixed: bool = False,
    random_state: int = 0,
) -> SelfMasked:
    """Simulate a table with one self-masked column, of which the exact answers are known.

    Parameters
    ----------
    n_rows : int
        n.
    slope : float
        w, probits per unit of y, which has mean 0 and standard deviation 1 on the scale of the model: positive where
        high values hide, 0 where the value does not matter.
    threshold : float
        b, the value at which half are hidden.
    correlation : float
        Multiple correlation of y with the other columns, between 0 and 1: how much these tell of what is hidden.
    skewed : bool
        Give the exponential of y, a log-normal.
    mixed : bool
        Make ``b`` a label, "north" or "south", in the place of a number.
    random_state : int
        Seed.

    Returns
    -------
    SelfMasked
        Columns a, b and y.

    Raises
    ------
    InvalidInputError
        Fewer than one row, numbers that are not finite, a correlation outside of [0, 1), or another wrong argument.

    Examples
    --------
    >>> made = make_self_masked(1000)
    >>> made.table["y"].isna().equals(pd.Series(made.hidden))
    True
    >>> low, high = made.interval(0.9)
    >>> truth = made.complete["y"].to_numpy()
    >>> bool(abs(np.mean((low < truth) & (truth < high), where=made.hidden) - 0.9) < 0.05)
    True
    """
    n_rows = whole_number("n_rows", n_rows)
    slope, threshold = finite_number("slope", slope), finite_number("threshold", threshold)
    if not 0 <= finite_number("correlation", correlation) < 1:
        raise InvalidInputError(f"correlation is {correlation}; it must be at least 0 and below 1")
    skewed, mixed = truth_value("skewed", skewed), truth_value("mixed", mixed)
    rng = np.random.default_rng(seed_of("random_state", random_state, or_none=True))
    a, b, noise = rng.normal(size=(3, n_rows))
    if mixed:
        b = np.where(b > 0, 1.0, -1.0)
    center, variance = correlation * (a + b) / np.sqrt(2), 1 - correlation**2
    y = center + np.sqrt(variance) * noise
    hidden = rng.random(n_rows) < ndtr(slope * (y - threshold))
    complete = pd.DataFrame({"a": a, "b": np.where(b > 0, "north", "south") if mixed else b})
    complete["y"] = np.exp(y) if skewed else y
    table = complete.assign(y=complete["y"].mask(hidden))
    return SelfMasked(table, complete, hidden, center, variance, slope, threshold, skewed)


def bivariate_normal(h: FloatArray, k: FloatArray, correlation: float) -> FloatArray:
    """P(U <= h, V <= k) of two standard normals with a correlation, shape of ``h``.

    References
    ----------
    Owen 1956, Annals of Mathematical Statistics 27.

    Examples
    --------
    >>> bivariate_normal(np.zeros(1), np.zeros(1), 0.5).round(6)
    array([0.333333])
    """
    root = np.sqrt(1 - correlation**2)
    # Owen's T has its limits at the origin: a point next to it stands for it.
    h, k = (np.where(np.abs(end) < 1e-12, 1e-12, end) for end in (h, k))
    first, second = owens_t(h, (k - correlation * h) / (h * root)), owens_t(k, (h - correlation * k) / (k * root))
    return np.asarray(0.5 * (ndtr(h) + ndtr(k)) - first - second - 0.5 * (h * k < 0))
