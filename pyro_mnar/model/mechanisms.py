r"""Missingness mechanisms p(s | x): one Bernoulli per feature given the complete row.

To write your own, subclass :class:`Mechanism`, make the parameters (in ``__init__``, or in ``setup`` when their number
depends on the table) and return a Bernoulli over ``s`` (1 = observed) from ``forward``; x is on the standardised scale:

    >>> class Detector(Mechanism):
    ...     "One threshold for all features: a cell is lost where it exceeds the detector's range."
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.range = nn.Parameter(torch.tensor(1.0))
    ...     def forward(self, x):
    ...         return Bernoulli(logits=4.0 * (self.range - x), validate_args=False)

Such a mechanism is trained by drawing x_mis. If the probability that cell j is missing is a function F(w_j x_j + c_j)
of that cell alone, return those from ``curve`` and x_mis is integrated out exactly instead.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import LOGISTIC_PER_PROBIT, Curve, Link, inverse_cdf
from pyro_mnar.model.networks import mlp

Direction = Literal["high", "low"]


class Mechanism(nn.Module, ABC):
    """Base of all mechanisms: ``forward(x)`` is p(s | x)."""

    def setup(self, columns: ColumnInfo) -> None:
        """Make the parameters for a table's ``columns``; called once on a copy, before training. Does nothing here."""

    @abstractmethod
    def forward(self, x: Tensor) -> Bernoulli:
        """p(s | x): for standardised rows x (..., p), a Bernoulli of the same shape with 1 = observed."""

    def curve(self) -> Curve | None:
        """The mechanism as one curve per cell if it has that form, which allows exact marginalisation; else None."""
        return None


class Ignorable(Mechanism):
    """No mechanism: the mask carries no information given x_obs (MCAR or MAR). Gives MIWAE and supMIWAE.

    References
    ----------
    Rubin 1976; Mattei & Frellsen 2019, arXiv:1812.02633.
    """

    def forward(self, x: Tensor) -> Bernoulli:
        """Not part of the model, for rows ``x`` (..., p): there is no site ``s``, and no shape.

        Raises
        ------
        NotImplementedError
            always.
        """
        raise NotImplementedError("an ignorable mechanism has no p(s|x)")


class SelfMasking(Mechanism):
    r"""A cell goes missing because of its own value: P(s_j = 0 | x_j) = F(w_j (x_j - b_j)).

    Training starts from a neutral state: slope 0 (direction unknown) or 1 (known), and the column's missing rate, or
    with ``shared`` and a known direction the threshold in the middle of the data.

    Parameters
    ----------
    direction
        None leaves the sign of every w_j free. "high" (high values go missing) or "low" fixes it; a mapping
        from column name to direction, or a sequence with one entry per column, fixes some of them.
    link
        F, "probit" (normal CDF) or "logistic".
    shared
        one w and b for all columns (images: the same sensor behind each pixel).
    slope
        Slopes to hold fixed while the thresholds are learned, for a sensitivity analysis: one number, or a mapping from
        column name to number: logits per standard deviation of the observed values, positive where high values go
        missing, 0 where the value does not matter. They overrule ``direction``.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, equation 17.

    Examples
    --------
    >>> SelfMasking(direction={"income": "high"}).direction
    {'income': 'high'}
    """

    sign: Tensor
    slope_is_fixed: Tensor
    fixed_slope: Tensor

    def __init__(
        self,
        direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None = None,
        link: Link = "probit",
        shared: bool = False,
        slope: float | Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        if link not in ("probit", "logistic"):
            raise InvalidInputError(f"link is {link!r}; it must be 'probit' or 'logistic'")
        self.direction = direction
        self.link: Link = link
        self.shared = shared
        self.slope = slope

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            a direction that is not "high", "low" or None, or is for an unknown column, or of the
            wrong number of columns; a fixed slope that is not finite or for an unknown column.
        """
        fixed = fixed_slopes(self.slope, columns.names)
        signs = torch.tensor(direction_signs(self.direction, columns.names), dtype=torch.get_default_dtype())
        rates = torch.as_tensor(columns.missing_rate, dtype=torch.get_default_dtype())
        if self.shared:
            if len(set(signs.tolist())) > 1:
                raise InvalidInputError(
                    "shared=True has one slope for all columns: give one direction for all, or None"
                )
            if len({str(value) for value in fixed}) > 1:
                raise InvalidInputError("shared=True has one slope for all columns: give slope as one number")
            signs, rates, fixed = signs[:1], rates.mean(0, keepdim=True), fixed[:1]
        is_fixed = torch.tensor([value is not None for value in fixed])
        signs = torch.where(is_fixed, torch.zeros_like(signs), signs)
        self.register_buffer("sign", signs)
        # Not saved: they follow from the constructor's parameters.
        self.register_buffer("slope_is_fixed", is_fixed, persistent=False)
        per_unit = 1.0 if self.link == "logistic" else 1 / LOGISTIC_PER_PROBIT
        values = torch.tensor([per_unit * (value or 0.0) for value in fixed], dtype=signs.dtype)
        self.register_buffer("fixed_slope", values, persistent=False)
        start = inverse_cdf(rates.clamp(0.02, 0.98), self.link)
        # Known sign: (log |w|, b); free sign: (w, intercept), since a wrong sign in (w, b) can never turn round.
        self.slope_parameter = nn.Parameter(torch.zeros_like(signs))
        # A threshold that all columns share starts in the middle of the data: their rates say little of it.
        threshold = torch.zeros_like(start) if self.shared else -start * signs
        self.offset_parameter = nn.Parameter(torch.where(signs == 0, start, threshold))

    @torch.no_grad()
    def lean(self, direction: Tensor) -> None:
        """Start columns of unknown direction from a slope of that sign, which stays free; call it after :meth:`setup`.

        Parameters
        ----------
        direction : Tensor
            +1, -1, or 0 for columns to leave as they are, shape (p,).
        """
        free = (self.sign == 0) & (direction.to(self.sign) != 0) & ~self.slope_is_fixed
        self.slope_parameter.copy_(torch.where(free, direction.to(self.sign), self.slope_parameter))

    @torch.no_grad()
    def start_at(self, where: Tensor, slope: Tensor, threshold: Tensor) -> None:
        """Start some columns at a slope and threshold (standardised), and keep their direction.

        A network can bend far enough to turn a direction round, so one that was found by other means is held.

        Parameters
        ----------
        where : Tensor
            bool, shape (p,): the columns to start.
        slope : Tensor
            Shape (p,), per standard deviation.
        threshold : Tensor
            Shape (p,), standardised scale.
        """
        slope, threshold = slope.to(self.sign), threshold.to(self.sign)
        where = where.to(self.sign.device) & ~self.slope_is_fixed
        self.sign.copy_(torch.where(where, slope.sign(), self.sign))
        self.slope_parameter.copy_(torch.where(where, slope.abs().clamp(min=1e-2).log(), self.slope_parameter))
        self.offset_parameter.copy_(torch.where(where, threshold, self.offset_parameter))

    def curve(self) -> Curve:
        """See :class:`Mechanism`."""
        known = self.sign != 0
        slope = torch.where(known, self.sign * self.slope_parameter.exp(), self.slope_parameter)
        slope = torch.where(self.slope_is_fixed, self.fixed_slope, slope)
        intercept = torch.where(known, -slope * self.offset_parameter, self.offset_parameter)
        return Curve(slope, intercept, self.link)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`."""
        return self.curve().bernoulli(x)


class Linear(Mechanism):
    r"""The mask depends on all values: logit P(s_j = 1 | x) = (A x + c)_j ("agnostic" in the literature).

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, section 3.2.
    """

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`."""
        self.linear = nn.Linear(len(columns.names), len(columns.names))
        start_at_missing_rate(self.linear, columns)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`."""
        return Bernoulli(logits=self.linear(x), validate_args=False)


class Nonlinear(Mechanism):
    """The mask depends on all values through a tanh network: logit P(s | x) = MLP(x).

    Parameters
    ----------
    hidden_units
        widths of the hidden layers.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, section 3.2.
    """

    def __init__(self, hidden_units: Sequence[int] = (64,)) -> None:
        super().__init__()
        self.hidden_units = tuple(hidden_units)

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`."""
        p = len(columns.names)
        self.trunk = mlp(p, self.hidden_units)
        self.last = nn.Linear(self.hidden_units[-1] if self.hidden_units else p, p)
        start_at_missing_rate(self.last, columns)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`."""
        return Bernoulli(logits=self.last(self.trunk(x)), validate_args=False)


class Fixed(Mechanism):
    """A known mechanism, in the units of the table: nothing is learned.

    Either ``slope`` and ``threshold``: P(cell missing | x_j) = F(slope_j (x_j - threshold_j)), as for a detection limit
    or a saturating sensor; or ``probability``, any function from complete rows (..., p) in original units to the
    probability (..., p) that each cell is OBSERVED.

    Parameters
    ----------
    slope
        one number, or one per column; per original unit; positive where high values go missing.
    threshold
        one number, or one per column; original units.
    link
        F, "logistic" or "probit".
    probability
        function of torch tensors, in place of slope and threshold.

    Examples
    --------
    >>> Fixed(slope=50.0, threshold=0.75).link
    'logistic'
    """

    center: Tensor
    unit: Tensor
    standard_slope: Tensor
    standard_intercept: Tensor

    def __init__(
        self,
        slope: float | Sequence[float] | None = None,
        threshold: float | Sequence[float] | None = None,
        link: Link = "logistic",
        probability: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        if (probability is None) == (slope is None or threshold is None):
            raise InvalidInputError("Fixed takes either slope and threshold, or probability")
        self.slope = slope
        self.threshold = threshold
        self.link: Link = link
        self.probability = probability

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            slope or threshold with a wrong number of entries.
        """
        dtype = torch.get_default_dtype()
        center, scale = torch.as_tensor(columns.center, dtype=dtype), torch.as_tensor(columns.scale, dtype=dtype)
        self.register_buffer("center", center)
        self.register_buffer("unit", scale)
        if self.probability is None:
            slope, threshold = (torch.as_tensor(v, dtype=dtype) for v in (self.slope, self.threshold))
            for name, value in (("slope", slope), ("threshold", threshold)):
                if value.ndim and value.shape != center.shape:
                    raise InvalidInputError(
                        f"Fixed {name} has {value.numel()} entries, the table {center.numel()} columns; give one "
                        "number or one per column"
                    )
            self.register_buffer("standard_slope", slope * scale)
            self.register_buffer("standard_intercept", slope * (center - threshold))

    def curve(self) -> Curve | None:
        """See :class:`Mechanism`."""
        if self.probability is not None:
            return None
        return Curve(self.standard_slope, self.standard_intercept, self.link)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`."""
        curve = self.curve()
        if curve is not None:
            return curve.bernoulli(x)
        assert self.probability is not None
        tiny = torch.finfo(x.dtype).tiny
        seen = self.probability(x * self.unit + self.center).clamp(tiny, 1 - torch.finfo(x.dtype).eps)
        return Bernoulli(probs=seen, validate_args=False)


NAMES: dict[str, type[Mechanism]] = {
    "ignorable": Ignorable,
    "self-masking": SelfMasking,
    "linear": Linear,
    "nonlinear": Nonlinear,
}


def by_name(mechanism: str | Mechanism) -> Mechanism:
    """The mechanism of a short name, or the instance itself.

    Raises
    ------
    InvalidInputError
        a name that is not in the table, or another type.

    Examples
    --------
    >>> by_name("linear")
    Linear()
    """
    if isinstance(mechanism, Mechanism):
        return mechanism
    if not isinstance(mechanism, str) or mechanism not in NAMES:
        raise InvalidInputError(f"mechanism is {mechanism!r}; give one of {sorted(NAMES)} or a Mechanism instance")
    return NAMES[mechanism]()


def start_at_missing_rate(layer: nn.Linear, columns: ColumnInfo) -> None:
    """Give ``layer`` zero weights, and the ``columns``' rates of observed cells by its biases: a neutral start."""
    rate = torch.as_tensor(columns.missing_rate, dtype=layer.weight.dtype).clamp(0.02, 0.98)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(-torch.logit(rate))


def direction_signs(
    direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None, names: Sequence[str]
) -> list[float]:
    """+1 ("high"), -1 ("low") or 0 (unknown) per column."""
    if direction is None or isinstance(direction, str):
        per_column = [direction] * len(names)
    elif isinstance(direction, Mapping):
        unknown = [name for name in direction if name not in names]
        if unknown:
            raise InvalidInputError(f"direction names the unknown column {unknown[0]!r}; the columns are {list(names)}")
        per_column = [direction.get(name) for name in names]
    else:
        per_column = list(direction)
        if len(per_column) != len(names):
            raise InvalidInputError(f"direction has {len(per_column)} entries, the table {len(names)} columns")
    for name, value in zip(names, per_column, strict=True):
        if value not in ("high", "low", None):
            raise InvalidInputError(f"direction of column {name!r} is {value!r}; it must be 'high', 'low' or None")
    return [{"high": 1.0, "low": -1.0, None: 0.0}[value] for value in per_column]


def fixed_slopes(slope: float | Mapping[str, float] | None, names: Sequence[str]) -> list[float | None]:
    """The slope to hold fixed, or None, per column."""
    if isinstance(slope, Mapping):
        unknown = [name for name in slope if name not in names]
        if unknown:
            raise InvalidInputError(f"slope names the unknown column {unknown[0]!r}; the columns are {list(names)}")
        per_column = [slope.get(name) for name in names]
    else:
        per_column = [slope] * len(names)
    for name, value in zip(names, per_column, strict=True):
        if value is not None and not math.isfinite(value):
            raise InvalidInputError(f"slope of column {name!r} is {value}; it must be a finite number")
    return per_column
