"""What every likelihood p(x | z) offers, and the mask term of cells that are independent given z."""

from abc import ABC, abstractmethod
from typing import NamedTuple, TypeAlias

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.model.curve import Curve, take
from pyro_mnar.numerics.distributions import Unchecked

#: Share of 1 within which a limit is at a level or an atom: it passes through single precision.
SAME_PLACE = 1e-5

#: Places of cells in the flattened rows, shape (m,), and which of them count, bool, shape (m,); None: all.
Cells: TypeAlias = tuple[Tensor, Tensor | None]


class MaskedRows(NamedTuple):
    """Rows with holes and the mechanism by which each cell goes missing: what a mask term is asked about.

    Attributes
    ----------
    curve : Curve
        The mechanism.
    x, observed : Tensor
        The rows, shape (n, p).
    active : Tensor
        bool, shape (p,): the columns that have a mask term.
    one_cell : bool
        The columns are a one-hot group that stands for one cell of the table.
    """

    curve: Curve
    x: Tensor
    observed: Tensor
    active: Tensor
    one_cell: bool = False

    @property
    def own(self) -> Tensor:
        """The active columns whose own values matter, bool, shape (p,)."""
        return self.active if self.curve.flat is None else self.active & ~self.curve.flat

    def block(self, columns: Tensor, one_cell: bool) -> "MaskedRows":
        """These columns of the rows."""
        at = (self.x[..., columns], self.observed[..., columns], self.active[columns])
        curve = self.curve.at(columns)
        if one_cell and curve.flat is not None:
            # One cell whose category does not matter: all its columns go missing by the curve of the first.
            curve = self.curve.at(columns[:1].expand(len(columns))).where(curve.flat.all(), curve)
        return MaskedRows(curve, *at, one_cell)


class RowDistribution(Unchecked, ABC):
    """p(x | z) of a complete row: batch shape (K, n), event shape (p,)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x | z], shape (K, n, p)."""

    @abstractmethod
    def observed_part(self, observed: Tensor) -> TorchDistribution:
        """p(x_obs | z): its ``log_prob`` of a row reads the cells ``observed`` (n, p) alone."""

    @abstractmethod
    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> TorchDistribution:
        """p(x_mis | z, x_obs): its draws have shape (K, n, p); their values in observed cells mean nothing."""

    def mask_given_values(self, plain: Bernoulli, curve: Curve, x: Tensor) -> Bernoulli:
        """p(s | x, z) of rows x, (K, n, p) or (K, n, M, p): ``plain``, unless it depends on z in other ways too."""
        return plain

    @property
    def has_mask_term(self) -> bool:
        """Whether x_mis can be integrated out of the mask term of a self-masking mechanism: see :meth:`mask_term`."""
        return False

    def mask_term(self, masked: MaskedRows) -> TorchDistribution:
        """p(s | z, x_obs), batch (K, n), event (p,), for the mask that says which cells of the rows are observed.

        UnsupportedModelError where there is no closed form.
        """
        raise UnsupportedModelError(f"{type(self).__name__} has no closed form of the mask term; use collapse='auto'")

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> TorchDistribution:
        """p(x_mis | z, s, x_obs), batch (K, n), event (p,); values in observed cells mean nothing.

        Errors as for :meth:`mask_term`; ``generator`` is the source of the draws.
        """
        raise UnsupportedModelError(f"{type(self).__name__} has no closed form of the mask term; use collapse='auto'")


class CellRows(RowDistribution):
    """A row whose cells are independent given z, so that each missing cell is integrated by itself."""

    @property
    def has_mask_term(self) -> bool:
        return True

    @abstractmethod
    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        """Log int P(s = 0 | x) p(x | z) dx of some cells, shape (K, m), in nats.

        ``cells`` are positions in the flattened rows, shape (m,), and ``curve`` is that of each of them
        (:meth:`Curve.of_cells`).
        """

    def mask_term(self, masked: MaskedRows) -> "CellMask":
        return CellMask(self, masked)

    def log_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Log P(low <= x <= high | z) of some cells, shape (K, m), in nats.

        ``cells`` are positions in the flattened rows, and either of their limits may be infinite, shape (m,) each.
        UnsupportedModelError where an interval has no probability.
        """
        raise UnsupportedModelError(f"{type(self).__name__} gives an interval no probability")

    def mean_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """E[x | z, low <= x <= high] of some cells, shape (K, m); see :meth:`log_within`."""
        raise UnsupportedModelError(f"{type(self).__name__} gives an interval no probability")

    def draw_within(self, cells: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
        """Draws from p(x | z, low <= x <= high), shape of ``noise``, uniforms (..., K, m); see :meth:`log_within`."""
        raise UnsupportedModelError(f"{type(self).__name__} gives an interval no probability")


class MaskTerm(Unchecked, ABC):
    """p(s | z, x_obs) of one mask, the one that says which cells of a row are observed: no other has a probability."""

    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, rows: RowDistribution, observed: Tensor) -> None:
        self.observed = observed
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The mask itself: it is what the distribution is conditioned on."""
        return self.observed.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)


def places(mask: Tensor) -> Cells:
    """Places of the true cells in the flattened mask, and which of the places count; None: all.

    On a GPU these are all places: it computes them in the time in which the processor would wait for the number of
    true ones.
    """
    flat = mask.reshape(-1)
    if flat.device.type == "cpu":
        return flat.nonzero()[:, 0], None
    return torch.arange(len(flat), device=flat.device), flat


def within(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Which of the values (m, V) lie within a cell's limits (m,), bool, as far as single precision tells."""
    near = SAME_PLACE * (1 + values.abs())
    return (values >= low.unsqueeze(-1) - near) & (values <= high.unsqueeze(-1) + near)


class CellMask(MaskTerm):
    r"""p(s | z, x_obs): P(s_j=1|x_j) where x_j is observed, times int P(s_j=0|x_j) p(x_j|z) dx_j where it is not.

    Batch shape (K, n), event shape (p,).
    """

    def __init__(self, rows: CellRows, masked: MaskedRows) -> None:
        self.rows, self.curve, self.x, self.active, self.own = rows, masked.curve, masked.x, masked.active, masked.own
        super().__init__(rows, masked.observed)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        n_features = self.observed.shape[-1]
        # Only the cells that are missing are integrated, and they are the same for all draws.
        cells, counted = places(self.own & ~self.observed)
        hidden = self.rows.log_missing(self.curve.of_cells(cells, n_features), cells)
        hidden = hidden if counted is None else torch.where(counted, hidden, 0.0)
        # Without an intercept of its own for each code, what the observed cells contribute is the same for all draws.
        shown, counted = places(self.own & self.observed)
        values = self.x.reshape(-1).index_select(0, shown)
        seen = self.curve.of_cells(shown, n_features).log_observed(values)
        seen = seen if counted is None else torch.where(counted, seen, 0.0)
        total = seen.new_zeros((*seen.shape[:-1], self.observed.shape[0]))
        total = total.index_add(-1, shown // n_features, seen).expand(self.batch_shape)
        total = total.index_add(-1, cells // n_features, hidden.expand((*self.batch_shape[:-1], len(cells))))
        if self.curve.flat is None:
            return total
        return total + self.curve.log_mask_where_flat(self.observed) @ (self.active & self.curve.flat).to(total.dtype)


class Likelihood(nn.Module, ABC):
    """Base of all likelihoods: ``forward(hidden)``, (K, n, h) -> :class:`RowDistribution` over p features.

    It has two halves, so that a thousand codes per row can pass through the network and the first half in slices.
    """

    @abstractmethod
    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """What the last layers make of each row of ``hidden``: tensors (..., q)."""

    @abstractmethod
    def rows(self, *numbers: Tensor) -> RowDistribution:
        """p(x | z) from :meth:`numbers`."""

    def forward(self, hidden: Tensor) -> RowDistribution:
        """p(x | z) given the last hidden layer of the decoder (or z itself, for a linear decoder)."""
        return self.rows(*self.numbers(hidden))


def at_cells(values: Tensor, cells: Tensor, shape: torch.Size) -> Tensor:
    """Entries at the positions ``cells``, (m,), of flattened rows: shape (..., m), (m,), (1,) or ().

    The array has one value per cell, as those of ``shape`` (..., n, p) have, or per column, (p,), or a shared one, (1,)
    or ().
    """
    if values.shape == shape:
        return take(values.flatten(-2), cells)
    return at_columns(values, cells % shape[-1])


def at_columns(values: Tensor, columns: Tensor) -> Tensor:
    """The last axis at the indices ``columns``; a value that all columns share stays as it is."""
    return values if values.ndim == 0 or values.shape[-1] == 1 else take(values, columns)
