"""Continuous columns: the mask integral of a normal cell, and the law that it leaves behind."""

from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import GaussianRows
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.masked_normal import TiltedNormal, log_missing
from pyro_mnar.numerics.random_streams import normal, uniform

#: Per standard deviation; far below any slope that data could tell from 0.
SMALLEST_SLOPE = 1e-3


class GaussianMask(TorchDistribution):
    r"""p(s | z, x_obs): P(s_j=1|x_j) where x_j is seen, times int P(s_j=0|x_j) p(x_j|z) dx_j where it is not.

    Batch shape (K, n), event shape (p,). It is the distribution of one mask, the one that says which cells of ``x`` are
    seen, so ``log_prob`` is defined for that mask alone.

    Parameters
    ----------
    rows : GaussianRows
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

    def __init__(self, rows: GaussianRows, curve: Curve, x: Tensor, observed: Tensor, active: Tensor) -> None:
        self.rows, self.curve, self.x, self.observed, self.active = rows, curve, x, observed, active
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        n_features = self.observed.shape[-1]
        # Only the cells that are missing are integrated, and they are the same for all draws.
        cells = (self.active & ~self.observed).reshape(-1).nonzero()[:, 0]
        column = cells % n_features
        slope, threshold = slope_and_threshold(self.curve)
        hidden = log_missing(
            self.rows.loc.flatten(-2).index_select(-1, cells),
            _scale_of(cells, column, self.rows),
            _per_column(slope, column),
            _per_column(threshold, column),
            self.curve.link,
        )
        # What the seen cells contribute does not depend on z: once per row, not per draw.
        shown = (self.active & self.observed).reshape(-1).nonzero()[:, 0]
        seen = self.curve.at(shown % n_features).log_observed(self.x.reshape(-1).index_select(0, shown))
        per_row = seen.new_zeros(self.observed.shape[0]).index_add(0, shown // n_features, seen)
        return per_row.expand(self.batch_shape).index_add(-1, cells // n_features, hidden)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The mask itself: it is what the distribution is conditioned on."""
        return self.observed.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)


class TiltedGaussian(WithChoices):
    """p(x_mis | z, s, x_obs): missing active cells follow p(x_j|z) P(s_j=0|x_j), the other missing cells p(x_j|z).

    Batch shape (K, n), event shape (p,); values in observed cells mean nothing. Draws have a path derivative; with the
    logistic link it is that of a draw whose node of the mixture is given, and ``choice_log_prob`` accounts for the
    choice of the node.

    Parameters
    ----------
    rows, curve, observed
        As for :class:`GaussianMask`.
    active : Tensor
        Indices of the columns that have a mask term, shape (a,).
    generator : torch.Generator or None
        Source of the draws.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(
        self,
        rows: GaussianRows,
        curve: Curve,
        observed: Tensor,
        active: Tensor,
        generator: torch.Generator | None = None,
    ) -> None:
        self.rows, self.curve, self.active, self.generator, self.observed = rows, curve, active, generator, observed
        loc, scale, slope, threshold = _at(active, rows, curve)
        self.tilted = TiltedNormal(loc, scale, slope, threshold, curve.link)
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x_mis | z, s] = m + v d log Z / dm in missing active cells, m elsewhere; shape (K, n, p), without gradient.

        Tweedie's identity asks for nothing but the integral that training needs anyway.
        """
        loc = self.rows.loc.detach().flatten(-2)
        n_features = self.observed.shape[-1]
        active = torch.zeros_like(self.observed[0]).index_fill(0, self.active, True)
        cells = (active & ~self.observed).reshape(-1).nonzero()[:, 0]
        column = cells % n_features
        slope, threshold = (_per_column(v.detach(), column) for v in slope_and_threshold(self.curve))
        scale = _scale_of(cells, column, self.rows).detach()
        with torch.enable_grad():
            m = loc.index_select(-1, cells).requires_grad_()
            log_z = log_missing(m, scale, slope, threshold, self.curve.link).sum()
        (by_loc,) = torch.autograd.grad(log_z, m)
        return loc.index_copy(-1, cells, m.detach() + scale**2 * by_loc).reshape(self.rows.loc.shape)

    def log_exponential_mean(self, rate: Tensor) -> Tensor:
        r"""Log E[exp(r_j x_j) | z, s], shape (K, n, p): r m + r^2 v / 2, and log Z(m + r v) / Z(m) in active columns.

        Parameters
        ----------
        rate : Tensor
            r, shape (p,).
        """
        plain = rate * self.rows.loc + 0.5 * (rate * self.rows.scale) ** 2
        law, moved = self.tilted, rate[self.active]
        at = (law.scale, law.slope, law.threshold, law.link)
        change = log_missing(law.loc + moved * law.scale**2, *at) - log_missing(law.loc, *at)
        return self._put(plain, plain[..., self.active] + change)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        shape = torch.Size(sample_shape) + self.rows.loc.shape
        plain = self.rows.loc + self.rows.scale * normal(shape, self.rows.loc, self.generator)
        tilted_shape = torch.Size((self.tilted.n_noise, *sample_shape, *self.tilted.shape))
        noise = uniform(tilted_shape, self.rows.loc, self.generator)
        return self._put(plain, self.tilted.sample(noise=noise))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x_mis | z, s), shape (K, n), in nats."""
        plain = -0.5 * ((value - self.rows.loc) / self.rows.scale) ** 2 - self.rows.scale.log()
        plain = plain - 0.5 * torch.log(torch.tensor(2 * torch.pi))
        per_feature = self._put(plain, self.tilted.log_prob(value[..., self.active]))
        return torch.where(self.observed, torch.zeros_like(per_feature), per_feature).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`; averaged over the nodes that x can come from."""
        per_cell = self.tilted.node_log_prob(value[..., self.active])
        return torch.where(self.observed[..., self.active], torch.zeros_like(per_cell), per_cell).sum(-1)

    def _put(self, all_columns: Tensor, active_columns: Tensor) -> Tensor:
        return all_columns.expand(active_columns.shape[:-1] + self.event_shape).index_copy(
            -1, self.active, active_columns
        )


def slope_and_threshold(curve: Curve) -> tuple[Tensor, Tensor]:
    """Slope and threshold of a curve, each of the curve's own shape."""
    slope, intercept, _ = curve
    # A slope that passes through 0 has no threshold: keep it this far away in value, not in gradient.
    value = slope.detach()
    slope = slope + (value.abs().clamp(min=SMALLEST_SLOPE).copysign(value) - value)
    return slope, -intercept / slope


def _at(active: Tensor, rows: GaussianRows, curve: Curve) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """loc, scale, slope and threshold in the active columns (any of them may be shared by all columns)."""
    slope, threshold = (_per_column(v, active) for v in slope_and_threshold(curve))
    return rows.loc[..., active], _per_column(rows.scale, active), slope, threshold


def _per_column(values: Tensor, columns: Tensor) -> Tensor:
    """The last axis at the indices ``columns``; a value that all columns share stays as it is."""
    return values if values.ndim == 0 or values.shape[-1] == 1 else values.index_select(-1, columns)


def _scale_of(cells: Tensor, column: Tensor, rows: GaussianRows) -> Tensor:
    """The scale at positions ``cells`` of the flattened rows, be it of each cell, each column, or shared."""
    if rows.scale.shape == rows.loc.shape:
        return rows.scale.flatten(-2).index_select(-1, cells)
    return _per_column(rows.scale, column)
