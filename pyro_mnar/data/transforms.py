r"""Monotone increasing transforms g between a column's own scale and the model's: value = (g(x) - center) / scale.

Each is a small record of plain numbers, so that a fitted one is saved and read as it is. ``inverse`` is defined for
every number and gives a value that the column can have: it stays within a stated reach, and never overflows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

#: Standard deviations from the mean at which new values beyond a transform's open end are cut off (zeros of a log).
FARTHEST_END = 10.0
#: exp of more than this is no finite number.
LARGEST_LOG = 700.0
#: What counts as the place of an atom, relative to it: single precision and a margin.
_NEAR = 1e-6


class Transform(ABC):
    """A monotone increasing g from original values to transformed ones."""

    @property
    def open_ends(self) -> tuple[bool, bool]:
        """Whether g is infinite at a finite lower end, and at a finite upper one."""
        return False, False

    @abstractmethod
    def forward(self, values: FloatArray) -> FloatArray:
        """Transformed values of original ones, any shape; infinite at an open end and beyond it, NaN of NaN."""

    @abstractmethod
    def inverse(self, values: FloatArray) -> FloatArray:
        """Original values of transformed ones, any shape: finite for every number, and within the column's reach."""

    @abstractmethod
    def log_derivative(self, values: FloatArray) -> FloatArray:
        """Log g' at original values, nats."""

    def is_mass(self, values: FloatArray) -> BoolArray:
        """Where original values have a probability of their own, not a density; NaN has none."""
        return np.zeros(np.shape(values), bool)

    def describe(self) -> str:
        """The formula in short, for people."""
        return "none"


@dataclass(frozen=True)
class Identity(Transform):
    """g(x) = x."""

    def forward(self, values: FloatArray) -> FloatArray:
        return values

    def inverse(self, values: FloatArray) -> FloatArray:
        return values

    def log_derivative(self, values: FloatArray) -> FloatArray:
        return np.where(np.isnan(values), np.nan, 0.0)


@dataclass(frozen=True)
class Log(Transform):
    """g(x) = log x, of positive columns.

    Attributes
    ----------
    lowest, highest : float
        What a logarithm is cut to on the way back.

    Examples
    --------
    >>> Log().forward(np.array([1.0, 0.0])).tolist(), Log(highest=2.0).inverse(np.array([0.0, 1e9])).round(3).tolist()
    ([0.0, -inf], [1.0, 7.389])
    """

    lowest: float = -LARGEST_LOG
    highest: float = LARGEST_LOG

    @property
    def open_ends(self) -> tuple[bool, bool]:
        return True, False

    def forward(self, values: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(values, 0.0))

    def inverse(self, values: FloatArray) -> FloatArray:
        return np.exp(np.clip(values, self.lowest, self.highest))

    def log_derivative(self, values: FloatArray) -> FloatArray:
        return -self.forward(values)

    def describe(self) -> str:
        return "log"


@dataclass(frozen=True)
class YeoJohnson(Transform):
    r"""Yeo and Johnson's power transform of u = (x - middle) / unit.

    g = ((1 + u)^power - 1) / power where u >= 0, and -((1 - u)^(2 - power) - 1) / (2 - power) where u < 0, with
    logarithms in the limits; power 1 is u itself, below 1 draws a long upper tail in, above 1 a long lower one.

    Attributes
    ----------
    power, middle, unit : float
        Its parameters; ``unit`` is positive.
    lowest, highest : float
        What a transformed value is cut to on the way back; within the range of g.

    References
    ----------
    Yeo & Johnson 2000, Biometrika 87.

    Examples
    --------
    >>> g = YeoJohnson(0.5, 10.0, 2.0)
    >>> x = np.array([3.0, 10.0, 40.0])
    >>> np.allclose(g.inverse(g.forward(x)), x)
    True
    """

    power: float
    middle: float = 0.0
    unit: float = 1.0
    lowest: float = -np.inf
    highest: float = np.inf

    def forward(self, values: FloatArray) -> FloatArray:
        u = (values - self.middle) / self.unit
        return np.where(u < 0, -_power(np.log1p(np.maximum(-u, 0.0)), 2 - self.power), _power_of(u, self.power))

    def inverse(self, values: FloatArray) -> FloatArray:
        y = np.clip(values, self.lowest, self.highest)
        up = np.expm1(_log_of_root(np.maximum(y, 0.0), self.power))
        down = -np.expm1(_log_of_root(np.maximum(-y, 0.0), 2 - self.power))
        return np.asarray(self.middle + self.unit * np.where(y < 0, down, up))

    def log_derivative(self, values: FloatArray) -> FloatArray:
        u = (values - self.middle) / self.unit
        return np.asarray(np.where(u < 0, 1 - self.power, self.power - 1) * np.log1p(np.abs(u)) - np.log(self.unit))

    def describe(self) -> str:
        return f"Yeo-Johnson, power {self.power:.3g}"


@dataclass(frozen=True)
class Logit(Transform):
    """g(x) = log((x - low) / (high - x)), of columns between two bounds.

    Attributes
    ----------
    low, high : float
        The bounds.

    Examples
    --------
    >>> Logit(0.0, 100.0).inverse(np.array([-1e9, 0.0, 1e9])).tolist()
    [0.0, 50.0, 100.0]
    """

    low: float = 0.0
    high: float = 1.0

    @property
    def open_ends(self) -> tuple[bool, bool]:
        return True, True

    def forward(self, values: FloatArray) -> FloatArray:
        share = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(share) - np.log1p(-share))

    def inverse(self, values: FloatArray) -> FloatArray:
        share = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(values)))
        return np.asarray(np.clip(self.low + (self.high - self.low) * share, self.low, self.high))

    def log_derivative(self, values: FloatArray) -> FloatArray:
        share = np.clip((values - self.low) / (self.high - self.low), 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return np.asarray(-np.log(share) - np.log1p(-share) - np.log(self.high - self.low))

    def describe(self) -> str:
        return f"logit between {self.low:g} and {self.high:g}"


@dataclass(frozen=True)
class Tabulated(Transform):
    """Levels and their scores on the model's scale; straight lines between them, for averages.

    Attributes
    ----------
    values, scores : tuple of float
        Original values and transformed ones, both ascending.

    Examples
    --------
    >>> g = Tabulated((1.0, 2.0, 5.0), (-1.0, 0.0, 1.0))
    >>> g.forward(np.array([2.0, 9.0])).tolist(), g.inverse(np.array([0.5, 7.0])).tolist()
    ([0.0, 1.0], [3.5, 5.0])
    """

    values: tuple[float, ...]
    scores: tuple[float, ...]

    def forward(self, values: FloatArray) -> FloatArray:
        """The score of the nearest level."""
        return np.where(np.isnan(values), np.nan, np.asarray(self.scores)[self._position(values)])

    def nearest(self, values: FloatArray) -> FloatArray:
        """The nearest levels, in original units; NaN stays."""
        return np.where(np.isnan(values), np.nan, np.asarray(self.values)[self._position(values)])

    def _position(self, values: FloatArray) -> npt.NDArray[np.int64]:
        place = np.interp(values, self.values, np.arange(len(self.values), dtype=float))
        return np.rint(np.nan_to_num(place)).astype(np.int64)

    def inverse(self, values: FloatArray) -> FloatArray:
        return np.interp(values, self.scores, self.values)

    def log_derivative(self, values: FloatArray) -> FloatArray:
        """No density, so no derivative: 0."""
        return np.where(np.isnan(values), np.nan, 0.0)

    def is_mass(self, values: FloatArray) -> BoolArray:
        return ~np.isnan(values)

    def describe(self) -> str:
        return f"scores of {len(self.values)} levels"


@dataclass(frozen=True)
class WithAtoms(Transform):
    """A transform of a column with point masses: an atom at an end of the rest has a place of its own beyond it.

    Between such an atom and the nearest value of the rest g is a straight line, so that it is monotone and has an
    inverse everywhere; an atom inside the rest is where the rest's transform has it.

    Attributes
    ----------
    rest : Transform
        Of the values beside the atoms.
    low, high : tuple of (float, float)
        Values and places, ascending, of the atoms below the rest and of the rest's lowest value; of the rest's highest
        value and of the atoms above it. Empty where there are no such atoms.
    inside : tuple of float
        Values of atoms within the rest.

    Examples
    --------
    >>> g = WithAtoms(Log(), low=((0.0, -3.0), (1.0, 0.0)))
    >>> g.forward(np.array([0.0, 1.0, np.e])).tolist(), g.inverse(np.array([-9.0, -1.5, 1.0])).round(3).tolist()
    ([-3.0, 0.0, 1.0], [0.0, 0.5, 2.718])
    """

    rest: Transform
    low: tuple[tuple[float, float], ...] = ()
    high: tuple[tuple[float, float], ...] = ()
    inside: tuple[float, ...] = ()

    @property
    def open_ends(self) -> tuple[bool, bool]:
        """See :class:`Transform`; an atom closes its end."""
        low, high = self.rest.open_ends
        return low and not self.low, high and not self.high

    @property
    def values(self) -> tuple[float, ...]:
        """Original values of the atoms, ascending."""
        return tuple(sorted(value for value, _ in self._places()))

    def forward(self, values: FloatArray) -> FloatArray:
        result = self.rest.forward(values)
        for line, x, y in self._lines():
            result = np.where(line(values, x), np.interp(values, x, y), result)
        return np.asarray(result)

    def inverse(self, values: FloatArray) -> FloatArray:
        result = self.rest.inverse(values)
        for line, x, y in self._lines():
            result = np.where(line(values, y), np.interp(values, y, x), result)
        for value, place in self._places():
            result = np.where(np.abs(values - place) <= _NEAR * max(abs(place), 1.0), value, result)
        return np.asarray(result)

    def log_derivative(self, values: FloatArray) -> FloatArray:
        """See :class:`Transform`; 0 at the atoms."""
        result = self.rest.log_derivative(values)
        for line, x, y in self._lines():
            slopes = np.log(np.diff(y) / np.diff(x))
            piece = np.clip(np.searchsorted(x, values) - 1, 0, len(slopes) - 1)
            result = np.where(line(values, x), slopes[piece], result)
        return np.where(self.is_mass(values), 0.0, result)

    def is_mass(self, values: FloatArray) -> BoolArray:
        """See :class:`Transform`; values beyond an atom at an end count as the atom."""
        mass = np.isin(values, self.values)
        if self.low:
            mass |= values <= self.low[0][0]
        if self.high:
            mass |= values >= self.high[-1][0]
        return mass

    def describe(self) -> str:
        atoms = ", ".join(f"{value:g}" for value in self.values)
        return f"point mass at {atoms}; rest: {self.rest.describe()}"

    def _places(self) -> list[tuple[float, float]]:
        """Values and places of all atoms."""
        inside = [(value, float(self.rest.forward(np.array(value)))) for value in self.inside]
        return [*self.low[:-1], *self.high[1:], *inside]

    def _lines(self) -> list[tuple[Callable[[FloatArray, FloatArray], BoolArray], FloatArray, FloatArray]]:
        """The straight parts: where they hold, given their knots, and the knots' values and places."""
        found: list[tuple[Callable[[FloatArray, FloatArray], BoolArray], FloatArray, FloatArray]] = []
        if self.low:
            found.append((lambda at, knots: at < knots[-1], *np.array(self.low).T))
        if self.high:
            found.append((lambda at, knots: at > knots[0], *np.array(self.high).T))
        return found


def _power(log_base: FloatArray, power: float) -> FloatArray:
    """(base^power - 1) / power from the logarithm of the base, or that logarithm itself where the power is 0."""
    with np.errstate(over="ignore"):
        return log_base if abs(power) < 1e-12 else np.expm1(power * log_base) / power


def _power_of(u: FloatArray, power: float) -> FloatArray:
    return _power(np.log1p(np.maximum(u, 0.0)), power)


def _log_of_root(y: FloatArray, power: float) -> FloatArray:
    """Logarithm of the base of which (base^power - 1) / power is y >= 0; beyond the range, that of its end."""
    if abs(power) < 1e-12:
        return np.minimum(y, LARGEST_LOG)
    inside = np.maximum(power * y, -1.0 + 1e-15)
    return np.minimum(np.log1p(inside) / power, LARGEST_LOG)
