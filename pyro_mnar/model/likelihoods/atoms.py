r"""Columns with values that occur again and again beside a continuous part: zeros and amounts, caps, full marks.

    p(x | z) = sum_a pi_a(z) [x = a]  +  pi_0(z) N(x; m(z), s(z)^2)

The mask term adds to the mask integral of the normal a sum over the atoms.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pyro_mnar.data.columns import Atoms
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.base import CellRows, Likelihood, MaskedRows, within
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood, GaussianRows, TiltedGaussian
from pyro_mnar.numerics.distributions import DiagonalNormal, WithChoices
from pyro_mnar.numerics.random_streams import uniform

#: Share of 1 within which a value is its atom: the precision of float32.
_SAME = 1e-6


class AtomChoice(WithChoices):
    """Independent cells that are one of their column's atoms or follow a continuous distribution.

    ``log_share`` is the log probability of the continuous part, then of each atom, shape (K, n, q, 1 + A); ``atoms``
    are their values, (q, A), ``rest`` is the continuous part, event (q,), and the cells ``counted``, bool, (n, q),
    enter the density.
    """

    def __init__(
        self,
        log_share: Tensor,
        atoms: Tensor,
        rest: DiagonalNormal | TiltedGaussian,
        counted: Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        self.log_share, self.atoms, self.rest = log_share, atoms, rest
        self.counted, self.generator = counted, generator
        super().__init__(log_share.shape[:-2], log_share.shape[-2:-1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean on the model's scale, shape (K, n, q)."""
        share = self.log_share.exp()
        return share[..., 0] * self.rest.mean + (share[..., 1:] * self.atoms).sum(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, q); only those of the continuous part have a path derivative."""
        draw = self.rest.rsample(torch.Size(sample_shape))
        upper = self.log_share.detach().exp().cumsum(-1)
        noise = uniform(torch.Size(sample_shape) + upper.shape[:-1], upper, self.generator)
        part = (upper[..., :-1] < noise.unsqueeze(-1)).sum(-1, keepdim=True)
        return _of_part(part, self.atoms, draw)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the counted cells, shape (K, n): nats, with respect to length plus counts of the atoms."""
        density = self.rest.log_density(value)
        part, log_share = self._part(value)
        per_cell = log_share + torch.where(part > 0, torch.zeros_like(density), density)
        return torch.where(self.counted, per_cell, torch.zeros_like(per_cell)).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        log_share = self._part(value)[1]
        return torch.where(self.counted, log_share, torch.zeros_like(log_share)).sum(-1)

    def _part(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Which part each cell belongs to (0: the continuous one), and the log probability of that."""
        tolerance = _SAME * (1 + self.atoms.abs())
        same = (value.unsqueeze(-1) - self.atoms).abs() <= tolerance
        part = torch.where(same.any(-1), same.to(torch.uint8).argmax(-1) + 1, 0)
        shape = np.broadcast_shapes(part.shape, self.log_share.shape[:-1])
        log_share = self.log_share.expand((*shape, -1)).gather(-1, part.expand(shape).unsqueeze(-1)).squeeze(-1)
        return part, log_share


class AtomRows(AtomChoice, CellRows):
    """Independent columns of atoms and a continuous part, the :class:`RowDistribution` of :class:`AtomLikelihood`."""

    rest: GaussianRows

    def __init__(
        self, log_share: Tensor, atoms: Tensor, rest: GaussianRows, generator: torch.Generator | None = None
    ) -> None:
        everything = torch.ones((), dtype=torch.bool, device=log_share.device)
        super().__init__(log_share, atoms, rest, everything, generator)

    def observed_part(self, observed: Tensor) -> AtomChoice:
        return AtomChoice(self.log_share, self.atoms, self.rest, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> AtomChoice:
        rest = DiagonalNormal(self.rest.loc, self.rest.scale, generator=generator)
        return AtomChoice(self.log_share, self.atoms, rest, ~observed, generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        log_share = self.log_share.flatten(-3, -2).index_select(-2, cells)
        at_atoms = curve.log_missing_at(self.atoms[cells % self.event_shape[0]])
        rest = self.rest.log_missing(curve, cells)
        return (log_share + _together(rest, at_atoms)).logsumexp(-1)

    def log_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return self._inside(cells, low, high)[0].logsumexp(-1)

    def mean_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        log_part, atoms = self._inside(cells, low, high)
        share = log_part.softmax(-1)
        return share[..., 0] * self.rest.mean_within(cells, low, high) + (share[..., 1:] * atoms).sum(-1)

    def draw_within(self, cells: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
        """See :class:`CellRows`; only draws of the continuous part have a path derivative."""
        log_part, atoms = self._inside(cells, low, high)
        upper = log_part.detach().softmax(-1).cumsum(-1)
        part = (upper[..., :-1] < noise.unsqueeze(-1)).sum(-1, keepdim=True)
        # Given that it is below its share, what is left of the noise is uniform again.
        tiny = torch.finfo(noise.dtype).eps
        rest = self.rest.draw_within(cells, low, high, (noise / upper[..., 0]).clamp(tiny, 1 - tiny))
        return _of_part(part, atoms, rest)

    def _inside(self, cells: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Log probability of each part together with the limits of some cells, (K, m, 1 + A); and the atoms, (m, A)."""
        atoms = self.atoms[cells % self.event_shape[0]]
        log_share = self.log_share.flatten(-3, -2).index_select(-2, cells)
        rest = (log_share[..., 0] + self.rest.log_within(cells, low, high)).unsqueeze(-1)
        at_atoms = log_share[..., 1:].masked_fill(~within(atoms, low, high), torch.finfo(log_share.dtype).min / 2)
        return torch.cat([rest, at_atoms], -1), atoms

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> AtomChoice:
        curve, observed, active = masked.curve, masked.observed, masked.active
        if not masked.own.any():
            return self.missing_part(masked.x, observed, generator)
        rest = self.rest.missing_given_mask(masked, generator)
        everywhere = torch.arange(observed.numel(), device=observed.device)
        log_rest = self.rest.log_missing(curve.of_cells(everywhere, observed.shape[-1]), everywhere)
        log_rest = log_rest.expand((*self.batch_shape[:-1], observed.numel())).reshape(self.rest.loc.shape)
        tilt = _together(log_rest, curve.log_missing_at(self.atoms))
        tilt = tilt.masked_fill(~active.unsqueeze(-1), 0.0)
        return AtomChoice((self.log_share + tilt).log_softmax(-1), self.atoms, rest, ~observed, generator)


def _of_part(part: Tensor, atoms: Tensor, rest: Tensor) -> Tensor:
    """Of the atoms (..., A) that of each cell's part (..., 1), counted from 1; ``rest`` where the part is 0."""
    values = atoms.expand((*part.shape[:-1], -1)).gather(-1, (part - 1).clamp(min=0)).squeeze(-1)
    return torch.where(part.squeeze(-1) > 0, values, rest)


def _together(rest: Tensor, at_atoms: Tensor) -> Tensor:
    """The continuous part's value, then those of the atoms, along a new last axis."""
    return torch.cat([rest.unsqueeze(-1), at_atoms.expand((*rest.shape, -1))], -1)


class AtomLikelihood(Likelihood):
    r"""p(x|z) of columns with atoms beside a normal.

    The values of each column's atoms are on the model's scale, and so is ``min_scale``, a floor under the normal's
    standard deviation.

    References
    ----------
    Olsen & Schafer 2001 (two-part models of semicontinuous data).

    Examples
    --------
    >>> rain = Atoms(0, (-1.0,))
    >>> rows = AtomLikelihood(4, [rain])(torch.zeros(10, 5, 4))
    >>> rows.observed_part(torch.ones(5, 1, dtype=torch.bool)).log_prob(torch.full((5, 1), -1.0)).shape
    torch.Size([10, 5])
    """

    values: Tensor
    absent: Tensor

    def __init__(self, n_hidden: int, atoms: Sequence[Atoms], min_scale: float = 0.1) -> None:
        super().__init__()
        self.width = max(len(column.values) for column in atoms)
        self.rest = GaussianLikelihood(n_hidden, len(atoms), "free", min_scale)
        self.n_numbers = 1 + self.rest.n_numbers
        self.logits = nn.Linear(n_hidden, len(atoms) * (1 + self.width))
        values = [[*column.values, *[column.values[-1]] * (self.width - len(column.values))] for column in atoms]
        absent = [[False, *(k >= len(column.values) for k in range(self.width))] for column in atoms]
        self.register_buffer("values", torch.tensor(values), persistent=False)
        self.register_buffer("absent", torch.tensor(absent), persistent=False)

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return self.logits(hidden), *self.rest.numbers(hidden)

    def rows(self, *numbers: Tensor) -> AtomRows:
        logits, *rest = numbers
        logits = logits.unflatten(-1, (-1, 1 + self.width))
        logits = logits.masked_fill(self.absent, torch.finfo(logits.dtype).min / 2)
        return AtomRows(logits.log_softmax(-1), self.values.to(logits), self.rest.rows(*rest))
