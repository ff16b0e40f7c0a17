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

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.data.arguments import callable_only, instance_only, one_of, truth_value, whole_number
from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.censored import Censored
from pyro_mnar.model.curve import Curve, Link
from pyro_mnar.model.given import Direction
from pyro_mnar.model.latent import Latent
from pyro_mnar.model.mechanism import Ignorable, Mechanism
from pyro_mnar.model.networks import mlp
from pyro_mnar.model.observed import first_of_group
from pyro_mnar.model.per_column import REST, PerColumn
from pyro_mnar.model.self_masking import Nested, SelfMasking
from pyro_mnar.model.units import in_original_units

__all__ = [
    "Censored",
    "Curve",
    "Direction",
    "Fixed",
    "Ignorable",
    "Latent",
    "Linear",
    "Mechanism",
    "Nested",
    "Nonlinear",
    "PerColumn",
    "SelfMasking",
]


#: Widths beyond it are mistakes.
_WIDEST = 10**5


class Linear(Mechanism):
    r"""The mask depends on all values: logit P(s_j = 1 | x) = (A x + c)_j ("agnostic" in the literature).

    Parameters
    ----------
    own_value
        False leaves the cell's own value out: A has a diagonal of zeros. No self-censoring: other values, which may be
        missing too, tell what goes missing, and where every row could have been complete the data identify the
        distribution of the values without an assumption on its shape. See also :class:`Latent`, which has a closed
        form.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, section 3.2; Sadinle & Reiter 2017, Biometrika 104; Malinsky, Shpitser & Tchetgen
    Tchetgen 2022, JASA 117 (no self-censoring).

    Examples
    --------
    >>> mechanism = Linear(own_value=False)
    >>> mechanism.setup(ColumnInfo(("a", "b"), np.zeros(2), np.ones(2), np.full(2, 0.5)))
    >>> torch.nn.init.ones_(mechanism.linear.weight)[0].tolist(), mechanism(torch.tensor([[3.0, 1.0]])).logits.tolist()
    ([1.0, 1.0], [[1.0, 3.0]])
    """

    others: Tensor

    def __init__(self, own_value: bool = True) -> None:
        super().__init__()
        self.own_value = truth_value("own_value", own_value)

    def setup(self, columns: ColumnInfo) -> None:
        self.linear = nn.Linear(len(columns.names), len(columns.names))
        start_at_missing_rate(self.linear, columns)
        # The levels of one nominal column are one cell.
        first = torch.tensor([first_of_group(j, columns.names) for j in range(len(columns.names))])
        self.register_buffer("others", first[:, None] != first, persistent=False)

    def forward(self, x: Tensor) -> Bernoulli:
        weight = self.linear.weight
        weight = weight if self.own_value else torch.where(self.others, weight, torch.zeros_like(weight))
        return Bernoulli(logits=nn.functional.linear(x, weight, self.linear.bias), validate_args=False)


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
        instance_only("hidden_units", hidden_units, (list, tuple), "a list of widths, such as (64,)")
        self.hidden_units = tuple(whole_number("hidden_units", width, most=_WIDEST) for width in hidden_units)

    def setup(self, columns: ColumnInfo) -> None:
        p = len(columns.names)
        self.trunk = mlp(p, self.hidden_units)
        self.last = nn.Linear(self.hidden_units[-1] if self.hidden_units else p, p)
        start_at_missing_rate(self.last, columns)

    def forward(self, x: Tensor) -> Bernoulli:
        return Bernoulli(logits=self.last(self.trunk(x)), validate_args=False)


class Fixed(Mechanism):
    """A known mechanism, in the units of the table: nothing is learned.

    Either ``slope`` and ``threshold``: P(cell missing | x_j) = F(slope_j (x_j - threshold_j)), as for a detection limit
    or a saturating sensor; or ``probability``, any function from complete rows (..., p) in original units to the
    probability (..., p) that each cell is OBSERVED. Units are converted in double precision. Where a column is modelled
    on another scale (levels, bounds, piles, logarithms), x_mis is drawn, and goes back to its own units first. Labels
    count by their codes 0, 1, ..., dates in days since 1970.

    Parameters
    ----------
    slope
        one number, or one per column; per original unit; positive where high values go missing.
    threshold
        one number, or one per column; original units.
    link
        F, "logistic" or "probit".
    probability
        function of torch tensors (float64), in place of slope and threshold; differentiable.

    Examples
    --------
    >>> Fixed(slope=50.0, threshold=0.75).link
    'logistic'
    """

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
        one_of("link", link, ("probit", "logistic"))
        if probability is not None:
            callable_only("probability", probability, "None, or a function of rows in original units")
        self.slope = slope
        self.threshold = threshold
        self.link: Link = link
        self.probability = probability

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            slope or threshold with a wrong number of entries, or that are no finite numbers; a probability of another
            shape or outside [0, 1].
        """
        # A plain attribute, no buffers, which are cast to single precision with the weights: 1e8 + 0.5 is not in it.
        self._columns = columns
        if self.probability is not None:
            self._seen(torch.stack([torch.zeros(len(columns.names)), torch.ones(len(columns.names))]))
            return
        slope, threshold = self.given()
        center, unit = torch.as_tensor(columns.center), torch.as_tensor(columns.scale)
        for j, codes in enumerate(columns.codes):
            if codes:
                center, unit = center.clone(), unit.clone()
                center[j], unit[j] = codes[0], codes[1] - codes[0]
        dtype = torch.get_default_dtype()
        self.register_buffer("standard_slope", (slope * unit).to(dtype))
        self.register_buffer("standard_intercept", (slope * (center - threshold)).to(dtype))

    def given(self) -> tuple[Tensor, Tensor]:
        """Slope and threshold in original units, float64, shape (p,) or (), as they were given; after :meth:`setup`."""
        names = ("slope", "threshold")
        slope, threshold = (_numbers(name, getattr(self, name), self._columns) for name in names)
        return slope, threshold

    @property
    def by_own_value(self) -> bool:
        return self.probability is None

    def curve(self, z: Tensor | None = None) -> Curve | None:
        if self.probability is not None or self._columns.transformed:
            return None
        return Curve(self.standard_slope, self.standard_intercept, self.link)

    def forward(self, x: Tensor) -> Bernoulli:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            a probability of another shape than ``x``, or outside [0, 1].
        """
        curve = self.curve()
        if curve is not None:
            return curve.bernoulli(x)
        if self.probability is None:
            slope, threshold = (value.to(x.device) for value in self.given())
            t = (slope * (in_original_units(x, self._columns) - threshold)).to(x.dtype)
            return Curve(torch.ones_like(t[..., :1]), torch.zeros_like(t[..., :1]), self.link).bernoulli(t)
        tiny = torch.finfo(x.dtype).tiny
        chance = self._seen(x).to(x.dtype).clamp(tiny, 1 - torch.finfo(x.dtype).eps)
        return Bernoulli(probs=chance, validate_args=False)

    def _seen(self, x: Tensor) -> Tensor:
        """What ``probability`` says of standardised rows, checked."""
        assert self.probability is not None
        chance = self.probability(in_original_units(x, self._columns))
        if not isinstance(chance, Tensor) or chance.shape != x.shape:
            found = tuple(chance.shape) if isinstance(chance, Tensor) else type(chance).__name__
            raise InvalidInputError(
                f"Fixed probability gave {found} for rows of the shape {tuple(x.shape)}; it must give a tensor of "
                "that shape: the probability that each cell is observed"
            )
        if not bool(((chance >= 0) & (chance <= 1)).all()):
            wrong = chance[~((chance >= 0) & (chance <= 1))].flatten()[0].item()
            raise InvalidInputError(f"Fixed probability gave {wrong:g}; probabilities are between 0 and 1")
        return chance


NAMES: dict[str, type[Mechanism]] = {
    "auto": Nested,
    "censored": Censored,
    "ignorable": Ignorable,
    "latent": Latent,
    "self-masking": SelfMasking,
    "linear": Linear,
    "nonlinear": Nonlinear,
}


def _numbers(name: str, value: object, columns: ColumnInfo) -> Tensor:
    """``slope`` or ``threshold`` in double precision, one number or one per column."""
    try:
        given = np.asarray(value)
    except ValueError:
        given = np.empty(0, dtype=object)
    if given.dtype.kind not in "iuf":
        raise InvalidInputError(f"Fixed {name} is {value!r}; give one number or one per column")
    numbers = torch.as_tensor(given.astype(np.float64))
    if numbers.ndim and numbers.shape != (len(columns.names),):
        raise InvalidInputError(
            f"Fixed {name} has {numbers.numel()} entries, the table {len(columns.names)} columns; give one "
            "number or one per column"
        )
    if not bool(numbers.isfinite().all()):
        raise InvalidInputError(f"Fixed {name} is {value!r}; its numbers must be finite")
    return numbers


#: What an estimator's ``mechanism`` may be.
Given: TypeAlias = "str | Mechanism | Mapping[Any, str | Mechanism]"


def by_name(mechanism: Given) -> Mechanism:
    """The mechanism of a short name, the instance itself, or one for each column from a mapping of both.

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
    if isinstance(mechanism, Mapping):
        given: dict[str | tuple[str, ...], Mechanism] = {}
        for name, part in mechanism.items():
            if isinstance(part, Mapping):
                raise InvalidInputError(f"the mechanism of column {name!r} is {shown(part)}; give one mechanism")
            block = isinstance(name, tuple)
            given[tuple(map(str, name)) if block else str(name)] = by_name(part)
        # As where nothing is said of a table.
        given.setdefault(REST, NAMES["auto"]())
        return PerColumn(given)
    if not isinstance(mechanism, str) or mechanism not in NAMES:
        raise InvalidInputError(
            f"mechanism is {mechanism!r}; give one of {sorted(NAMES)}, a Mechanism instance, or a mapping from column "
            "to one of these"
        )
    return NAMES[mechanism]()


def start_at_missing_rate(layer: nn.Linear, columns: ColumnInfo) -> None:
    """Give ``layer`` zero weights, and the ``columns``' rates of observed cells by its biases: a neutral start."""
    rate = torch.as_tensor(columns.missing_rate, dtype=layer.weight.dtype).clamp(0.02, 0.98)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(-torch.logit(rate))
