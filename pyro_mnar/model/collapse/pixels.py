r"""Pixels in a known range: the mask integral by quadrature over the range, and the law that it leaves behind.

128 nodes of Gauss-Legendre over [-1/2, 1/2], for the missing pixels only: within 1e-6 nats for noise scales from 0.015
and logistic slopes up to 100 per range (probit: 60), both beyond what images need.
"""

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.pixels import CENTER, TruncatedRows

N_NODES = 128


class PixelMask(TorchDistribution):
    r"""p(s | z, x_obs): P(s_j=1|x_j) where x_j is seen, times int P(s_j=0|x_j) p(x_j|z) dx_j where it is not.

    Batch shape (K, n), event shape (p,); defined for the mask that says which cells of ``x`` are seen.

    Parameters
    ----------
    rows : TruncatedRows
        p(x | z), batch (K, n).
    curve : Curve
        The mechanism.
    x, observed : Tensor
        The rows, shape (n, p).
    active : Tensor
        bool, shape (p,): the columns that have a mask term.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, rows: TruncatedRows, curve: Curve, x: Tensor, observed: Tensor, active: Tensor) -> None:
        self.rows, self.curve, self.x, self.observed, self.active = rows, curve, x, observed, active
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        cells = missing_cells(self.observed, self.active)
        log_plain, log_tilted = log_node_weights(self.rows, self.curve, cells)
        hidden = log_tilted.logsumexp(-1) - log_plain.logsumexp(-1)
        shown = self.curve.log_observed(self.x)
        zero = torch.zeros((), dtype=shown.dtype, device=shown.device)
        per_row = torch.where(self.active & self.observed, shown, zero).sum(-1)
        n_features = self.observed.shape[-1]
        return per_row + hidden.new_zeros(self.batch_shape).index_add(-1, cells // n_features, hidden)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The mask itself: it is what the distribution is conditioned on."""
        return self.observed.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)


class TiltedPixels(TorchDistribution):
    """p(x_mis | z, s, x_obs): missing active pixels follow p(x_j|z) P(s_j=0|x_j), the other missing ones p(x_j|z).

    Batch shape (K, n), event shape (p,); values in seen pixels mean nothing. The mean is exact up to the quadrature;
    draws are spread evenly within the 1/80 of the range, or less, that belongs to their node.

    Parameters
    ----------
    rows, curve, observed, active
        As for :class:`PixelMask`.
    generator : torch.Generator or None
        Source of the draws.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        rows: TruncatedRows,
        curve: Curve,
        observed: Tensor,
        active: Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows, self.curve, self.observed, self.generator = rows, curve, observed, generator
        self.cells = missing_cells(observed, active)
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x_mis | z, s], shape (K, n, p)."""
        _, log_tilted = log_node_weights(self.rows, self.curve, self.cells)
        node, _ = quadrature(log_tilted)
        return self._put(self.rows.mean, (log_tilted.softmax(-1) * node).sum(-1))

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws by the inverse CDF, shape ``sample_shape`` + (K, n, p)."""
        plain = TruncatedRows(self.rows.loc, self.rows.scale, generator=self.generator).rsample(sample_shape)
        _, log_tilted = log_node_weights(self.rows, self.curve, self.cells)
        share = log_tilted.softmax(-1).expand(*sample_shape, *log_tilted.shape)
        uniform = torch.rand(share.shape[:-1], generator=self.generator, dtype=share.dtype, device=share.device)
        upper = share.cumsum(-1)
        chosen = (upper < uniform.unsqueeze(-1)).sum(-1, keepdim=True).clamp(max=N_NODES - 1)
        mass = share.gather(-1, chosen)[..., 0]
        below = upper.gather(-1, chosen)[..., 0] - mass
        within = ((uniform - below) / mass.clamp_min(torch.finfo(mass.dtype).tiny)).clamp(0, 1)
        _, width = quadrature(share)
        left = width.cumsum(0) - width - CENTER
        return self._put(plain, left[chosen[..., 0]] + width[chosen[..., 0]] * within)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x_mis | z, s), shape (K, n), in nats."""
        log_plain, log_tilted = log_node_weights(self.rows, self.curve, self.cells)
        per_pixel = self.rows.log_density(value)
        tilt = self.curve.log_missing(value).flatten(-2).index_select(-1, self.cells)
        tilt = tilt - log_tilted.logsumexp(-1) + log_plain.logsumexp(-1)
        flat = per_pixel.flatten(-2)
        per_pixel = flat.index_add(-1, self.cells, tilt).reshape(per_pixel.shape)
        return torch.where(self.observed, torch.zeros_like(per_pixel), per_pixel).sum(-1)

    def _put(self, everywhere: Tensor, in_cells: Tensor) -> Tensor:
        return everywhere.flatten(-2).index_copy(-1, self.cells, in_cells).reshape(everywhere.shape)


def missing_cells(observed: Tensor, active: Tensor) -> Tensor:
    """Positions in the flattened (n, p) of the missing cells that have a mask term."""
    return (active & ~observed).reshape(-1).nonzero()[:, 0]


def log_node_weights(rows: TruncatedRows, curve: Curve, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Log of weight times normal density at each node, without and with P(s=0|x), shape (K, cells, nodes)."""
    column = cells % rows.event_shape[0]
    loc = rows.loc.flatten(-2).index_select(-1, cells).unsqueeze(-1)
    scale = rows.scale
    if scale.shape == rows.loc.shape:
        scale = scale.flatten(-2).index_select(-1, cells).unsqueeze(-1)
    elif scale.ndim and scale.shape[-1] > 1:
        scale = scale.index_select(-1, column).unsqueeze(-1)
    node, width = quadrature(loc)
    log_plain = width.log() - 0.5 * ((node - loc) / scale) ** 2
    here = curve.at(column)
    slope, intercept = (v.unsqueeze(-1) if v.ndim and v.shape[-1] > 1 else v for v in here[:2])
    return log_plain, log_plain + Curve(slope, intercept, curve.link).log_missing(node)


def quadrature(like: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes and weights over the range on the model's scale, with the type and device of ``like``."""
    node, weight = _legendre()
    return like.new_tensor(node), like.new_tensor(weight)


@lru_cache(maxsize=1)
def _legendre() -> tuple[np.ndarray, np.ndarray]:
    node, weight = np.polynomial.legendre.leggauss(N_NODES)
    return node / 2 + 0.5 - CENTER, weight / 2
