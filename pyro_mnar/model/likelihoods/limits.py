r"""Cells that were not observed but are known to lie within limits, which may differ from row to row.

A limit is evidence about the row as an observed value is: the probability of the interval takes the place of a density,

    p(x_obs, limits | z) = prod_{j observed} p(x_j | z) prod_{j censored} P(l_j <= x_j <= u_j | z)

and given z such a cell follows p(x_j | z) cut to its interval.
"""

import numpy as np
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.model.likelihoods.atoms import AtomRows
from pyro_mnar.model.likelihoods.base import CellRows, RowDistribution, places
from pyro_mnar.model.likelihoods.gaussian import GaussianRows
from pyro_mnar.model.likelihoods.levels import LevelRows
from pyro_mnar.model.likelihoods.mixed import Blocks, MixedRows
from pyro_mnar.numerics.distributions import Unchecked, WithChoices
from pyro_mnar.numerics.random_streams import uniform


class LimitEvidence(Unchecked):
    """The distribution of limits (n, p, 2) as far as they are evidence of z: batch (K, n), event (p, 2).

    The limits of the cells ``censored``, bool, shape (n, p), count.
    """

    support = constraints.independent(constraints.real, 2)

    def __init__(self, rows: RowDistribution, censored: Tensor) -> None:
        self.rows, self.censored = rows, censored
        super().__init__(rows.batch_shape, torch.Size((*rows.event_shape, 2)), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "LimitEvidence":
        """Itself: the rows have all draws already."""
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Log prob of the intervals ``value``, shape (K, n), in nats."""
        return log_within(self.rows, value, self.censored)


class WithinLimits(WithChoices):
    """A distribution of x_mis in which the censored cells lie within their limits: batch (K, n), event (p,).

    ``part`` is that of the other missing cells, which takes the censored ones for observed. ``limits`` have the shape
    (n, p, 2), and ``censored`` is bool, (n, p).
    """

    def __init__(
        self,
        part: TorchDistribution,
        rows: CellRows,
        limits: Tensor,
        censored: Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        self.part, self.rows, self.generator = part, rows, generator
        self.cells, self.low, self.high = _cells(limits, censored)
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Means, shape (K, n, p)."""
        return self._put(self.part.mean, self.rows.mean_within(self.cells, self.low, self.high))

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        draws = self.part.rsample(torch.Size(sample_shape))
        noise = uniform(tuple(draws.shape), draws, self.generator).expand(draws.shape)
        noise = noise.flatten(-2).index_select(-1, self.cells)
        return self._put(draws, self.rows.draw_within(self.cells, self.low, self.high, noise))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, shape (K, n), in nats: within its limits a cell has its own, divided by their probability."""
        density = self._own(value).log_prob(value)
        return self.part.log_prob(value) + density - self._log_within(density)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        choices = value.new_zeros(value.shape[:-1])
        if isinstance(self.part, WithChoices):
            choices = choices + self.part.choice_log_prob(value)
        if isinstance(self.rows, WithChoices):
            own = self._own(value)
            assert isinstance(own, WithChoices)
            choices = choices + own.choice_log_prob(value) - self._log_within(choices)
        return choices

    def _own(self, value: Tensor) -> TorchDistribution:
        """p(x | z) of the censored cells."""
        place = torch.zeros(value.shape[-2:], dtype=torch.bool, device=value.device)
        place.view(-1)[self.cells] = True
        return self.rows.observed_part(place)

    def _log_within(self, like: Tensor) -> Tensor:
        """Log probability of the limits of each row, shape (K, n)."""
        log_p = self.rows.log_within(self.cells, self.low, self.high)
        return like.new_zeros(self.batch_shape).index_add(-1, self.cells // self.event_shape[0], log_p)

    def _put(self, all_cells: Tensor, censored_cells: Tensor) -> Tensor:
        shape = np.broadcast_shapes(all_cells.shape, (*censored_cells.shape[:-1], *all_cells.shape[-2:]))
        flat = all_cells.expand(shape).flatten(-2)
        return flat.index_copy(-1, self.cells, censored_cells.expand((*shape[:-2], -1))).reshape(shape)


def log_within(rows: RowDistribution, limits: Tensor, censored: Tensor) -> Tensor:
    """Log prod_j P(l_j <= x_j <= u_j | z) over the censored cells, shape (K, n), in nats; limits and cells as above.

    UnsupportedModelError for a censored cell of a kind of which intervals have no probability; on a GPU NaN may say so
    instead.
    """
    total = torch.zeros((), dtype=limits.dtype, device=limits.device).expand(rows.batch_shape)
    if isinstance(rows, MixedRows):
        for block in rows.blocks:
            inside = censored[..., block.columns]
            cells, counted = places(inside)
            if counted is None and len(cells) == 0:
                continue
            if counted is None or isinstance(block.rows, (GaussianRows, LevelRows, AtomRows)):
                total = total + log_within(block.rows, limits[..., block.columns, :], inside)
            else:
                # Nobody waits to hear from a GPU whether there is such a cell: the bound itself would tell.
                total = total.masked_fill(inside.any(), torch.nan)
        return total
    cells, counted = places(censored)
    low, high = _ends(limits, cells)
    log_p = _of_cells(rows).log_within(cells, low, high)
    log_p = log_p if counted is None else torch.where(counted, log_p, 0.0)
    return total.index_add(-1, cells // rows.event_shape[0], log_p.expand((*rows.batch_shape[:-1], len(cells))))


def within_limits(
    rows: RowDistribution,
    part: TorchDistribution,
    limits: Tensor,
    censored: Tensor,
    generator: torch.Generator | None = None,
) -> TorchDistribution:
    """``part``, the distribution of x_mis, with the censored cells within their limits; arguments as above."""
    if isinstance(rows, MixedRows) and isinstance(part, Blocks):
        parts = [
            within_limits(block.rows, own, limits[..., block.columns, :], censored[..., block.columns], generator)
            for block, own in zip(rows.blocks, part.parts, strict=True)
        ]
        return Blocks(part.columns, parts)
    if not bool(censored.any()):
        return part
    return WithinLimits(part, _of_cells(rows), limits, censored, generator)


def _of_cells(rows: RowDistribution) -> CellRows:
    if not isinstance(rows, CellRows):
        raise UnsupportedModelError(
            f"{type(rows).__name__} gives an interval no probability; such columns have no limits"
        )
    return rows


def _cells(limits: Tensor, censored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of the censored cells in the flattened rows, and their limits, shape (m,) each."""
    cells = censored.reshape(-1).nonzero()[:, 0]
    return cells, *_ends(limits, cells)


def _ends(limits: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """The limits of cells at these positions of the flattened rows, shape (m,) each."""
    low, high = limits.reshape(-1, 2).index_select(0, cells).unbind(-1)
    return low, high
