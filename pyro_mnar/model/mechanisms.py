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

from collections.abc import Callable, Sequence

import torch
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import Curve, Link
from pyro_mnar.model.mechanism import Ignorable, Mechanism
from pyro_mnar.model.networks import mlp
from pyro_mnar.model.self_masking import Direction, Nested, SelfMasking

__all__ = [
    "Direction",
    "Fixed",
    "Ignorable",
    "Linear",
    "Mechanism",
    "Nested",
    "Nonlinear",
    "SelfMasking",
    "by_name",
]


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

    def curve(self, z: Tensor | None = None) -> Curve | None:
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
    "auto": Nested,
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
