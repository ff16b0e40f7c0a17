"""Continuous features: independent normals, their mask integral, and what it leaves of a missing cell."""

import functools
from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pyro_mnar.model.curve import Curve, take
from pyro_mnar.model.likelihoods.base import CellMask, CellRows, Likelihood, MaskedRows, at_cells, at_columns
from pyro_mnar.numerics.distributions import DiagonalNormal, WithChoices
from pyro_mnar.numerics.masked_normal import TiltedNormal, log_missing
from pyro_mnar.numerics.normal_tails import log_ndtr
from pyro_mnar.numerics.random_streams import normal, uniform
from pyro_mnar.numerics.truncated_normal import draw_within, log_interval, mean_within


class GaussianRows(DiagonalNormal, CellRows):
    """Independent normals, the :class:`RowDistribution` of :class:`GaussianLikelihood`."""

    def observed_part(self, observed: Tensor) -> DiagonalNormal:
        return DiagonalNormal(self.loc, self.scale, counted=observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> DiagonalNormal:
        return DiagonalNormal(self.loc, self.scale, counted=~observed, generator=generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        if curve.gap is not None:
            m, s = self.moments(cells)
            return curve.log_between(curve.slope * m + curve.intercept, torch.sqrt(1 + (curve.slope * s) ** 2))
        slope, threshold = curve.slope_and_threshold
        loc = take(self.loc.flatten(-2), cells)
        return log_missing(loc, at_cells(self.scale, cells, self.loc.shape), slope, threshold, curve.link)

    def log_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return log_interval(*self.moments(cells), low, high)

    def mean_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return mean_within(*self.moments(cells), low, high)

    def draw_within(self, cells: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
        return draw_within(*self.moments(cells), low, high, noise)

    def moments(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of some cells, shape (K, m), or (m,) or (1,) where the latter is shared."""
        return take(self.loc.flatten(-2), cells), at_cells(self.scale, cells, self.loc.shape)

    def mask_term(self, masked: MaskedRows) -> CellMask:
        curve = masked.curve
        one_pass = curve.link == "probit" and curve.gap is None and curve.intercept.shape == self.loc.shape
        return ProbitMask(self, masked) if one_pass else CellMask(self, masked)

    def missing_given_mask(
        self, masked: MaskedRows, generator: torch.Generator | None = None
    ) -> "DiagonalNormal | TiltedGaussian | TwoSidedGaussian":
        tilted = masked.own.nonzero()[:, 0]
        if len(tilted) == 0:
            return self.missing_part(masked.x, masked.observed, generator)
        kind = TiltedGaussian if masked.curve.gap is None else TwoSidedGaussian
        return kind(self, masked.curve, masked.observed, tilted, generator)


class ProbitMask(CellMask):
    r"""The mask term of normal cells where each code has an intercept of its own: all cells of a row in one pass.

    .. math:: \log P(s_j | z, x_{obs}) = \log \Phi(\pm t), \quad
              t = w x_j + c_j \text{ where observed, } t = (w m_j + c_j) / \sqrt{1 + w^2 v_j} \text{ where not}
    """

    rows: GaussianRows

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        slope, intercept, flat = self.curve.slope, self.curve.intercept, self.curve.flat
        slope = slope if flat is None else slope.masked_fill(flat, 0.0)
        hidden = (slope * self.rows.loc + intercept) * torch.rsqrt(1 + (slope * self.rows.scale).square())
        t = torch.where(self.observed, -(slope * self.x + intercept), hidden)
        return log_ndtr(t) @ self.active.to(t.dtype)


class MaskedGaussian(WithChoices, ABC):
    """p(x_mis | z, s, x_obs): missing active cells follow p(x_j|z) P(s_j=0|x_j), the other missing cells p(x_j|z).

    Batch shape (K, n), event shape (p,); values in observed cells mean nothing. ``active`` are indices of the columns
    that have a mask term, shape (a,), and ``observed`` is bool, shape (n, p).
    """

    def __init__(
        self, rows: GaussianRows, curve: Curve, observed: Tensor, active: Tensor, generator: torch.Generator | None
    ) -> None:
        self.rows, self.curve, self.active, self.generator, self.observed = rows, curve, active, generator, observed
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    @abstractmethod
    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each cell given that it is missing, shape (K, n, p), in nats."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x_mis | z, s), shape (K, n), in nats."""
        per_feature = self.log_density(value)
        return torch.where(self.observed, torch.zeros_like(per_feature), per_feature).sum(-1)

    def _sum_of_missing(self, active_columns: Tensor) -> Tensor:
        """Sum over the missing cells of the active columns, shape (K, n)."""
        seen = self.observed[..., self.active]
        return torch.where(seen, torch.zeros_like(active_columns), active_columns).sum(-1)

    def _put(self, all_columns: Tensor, active_columns: Tensor) -> Tensor:
        shape = torch.Size(np.broadcast_shapes(all_columns.shape[:-1], active_columns.shape[:-1]))
        return all_columns.expand(shape + self.event_shape).index_copy(-1, self.active, active_columns)


class TiltedGaussian(MaskedGaussian):
    """Cells that go missing beyond one threshold. Draws have a path derivative.

    With the logistic link it is that of a draw whose node of the mixture is given, and ``choice_log_prob`` accounts for
    the choice of the node.
    """

    @property
    def mean(self) -> Tensor:
        """E[x_mis | z, s] = m + v d log Z / dm in missing active cells, m elsewhere; shape (K, n, p), without gradient.

        Tweedie's identity asks for nothing but the integral that training needs anyway.
        """
        loc = self.rows.loc.detach().flatten(-2)
        active = torch.zeros_like(self.observed[0]).index_fill(0, self.active, True)
        cells = (active & ~self.observed).reshape(-1).nonzero()[:, 0]
        curve = self.curve.of_cells(cells, self.observed.shape[-1])
        slope, threshold = (v.detach() for v in curve.slope_and_threshold)
        scale = at_cells(self.rows.scale, cells, self.rows.loc.shape).detach()
        with torch.enable_grad():
            m = take(loc, cells).requires_grad_()
            log_z = log_missing(m, scale, slope, threshold, curve.link).sum()
        (by_loc,) = torch.autograd.grad(log_z, m)
        return loc.index_copy(-1, cells, m.detach() + scale**2 * by_loc).reshape(self.rows.loc.shape)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        n_active, n_features = len(self.active), self.event_shape[0]
        shape = torch.Size(sample_shape) + self.rows.loc.shape
        plain = self.rows.loc + self.rows.scale * normal(shape, self.rows.loc, self.generator)
        n_noise = 2 if self.curve.link == "probit" else 3
        noise = uniform((n_noise, *shape[:-1], n_active), self.rows.loc, self.generator)
        # Only the missing cells are tilted: a tilted draw costs ten times a plain one.
        place = (~self.observed[:, self.active]).reshape(-1).nonzero()[:, 0]
        cells = place // n_active * n_features + self.active[place % n_active]
        shared = noise.shape[-2] == 1
        noise = take(noise.flatten(-2), place % n_active if shared else place)
        drawn = self._tilted_cells(cells).sample(noise)
        return plain.flatten(-2).index_copy(-1, cells, drawn).reshape(plain.shape)

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each cell given that it is missing, shape (K, n, p), in nats."""
        plain = DiagonalNormal(self.rows.loc, self.rows.scale).log_density(value)
        return self._put(plain, self.tilted.log_prob(value[..., self.active]))

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`; averaged over the nodes that x can come from."""
        return self._sum_of_missing(self.tilted.node_log_prob(value[..., self.active]))

    @functools.cached_property
    def tilted(self) -> TiltedNormal:
        """The cells of the active columns given that they are missing, shape (K, n, a)."""
        slope, threshold = (at_columns(v, self.active) for v in self.curve.slope_and_threshold)
        loc, scale = take(self.rows.loc, self.active), at_columns(self.rows.scale, self.active)
        return TiltedNormal(loc, scale, slope, threshold, self.curve.link)

    def _tilted_cells(self, cells: Tensor) -> TiltedNormal:
        """The same of cells at these positions of the flattened rows, shape (K, m)."""
        curve = self.curve.of_cells(cells, self.event_shape[0])
        loc, scale = self.rows.moments(cells)
        return TiltedNormal(loc, scale, *curve.slope_and_threshold, curve.link)


class TwoSidedGaussian(MaskedGaussian):
    """Cells that go missing within an interval, or outside of it.

    With q = w x + c + e, e ~ N(0, 1), a cell is missing where q lies in (0, gap), or outside: q is drawn first, from a
    truncated normal, and x given q is normal. Draws have a path derivative but for the side on which q lies.
    """

    def __init__(
        self, rows: GaussianRows, curve: Curve, observed: Tensor, active: Tensor, generator: torch.Generator | None
    ) -> None:
        super().__init__(rows, curve.at(active), observed, active, generator)
        self.loc, self.scale = take(rows.loc, active), at_columns(rows.scale, active)
        self.q_loc = self.curve.slope * self.loc + self.curve.intercept
        self.q_scale = torch.sqrt(1 + (self.curve.slope * self.scale) ** 2).expand_as(self.q_loc)

    @property
    def mean(self) -> Tensor:
        """E[x_mis | z, s], shape (K, n, p), without gradient, by Tweedie's identity."""
        slope, intercept = self.curve.slope.detach(), self.curve.intercept.detach()
        scale = self.scale.detach()
        with torch.enable_grad():
            m = self.loc.detach().clone().requires_grad_()
            log_z = self.curve.log_between(slope * m + intercept, self.q_scale.detach()).sum()
        (by_loc,) = torch.autograd.grad(log_z, m)
        return self._put(self.rows.loc.detach(), m.detach() + scale**2 * by_loc)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        shape = torch.Size(sample_shape) + self.rows.loc.shape
        plain = self.rows.loc + self.rows.scale * normal(shape, self.rows.loc, self.generator)
        noise = uniform((2, *sample_shape, *self.loc.shape), self.loc, self.generator)
        spread = normal((*sample_shape, *self.loc.shape), self.loc, self.generator)
        gap, ends = self.curve.gap, self.curve.ends
        assert gap is not None and ends is not None
        low_side = noise[1] < self._log_sides()[0].detach().exp()
        zero, far = torch.zeros_like(self.q_loc), torch.full_like(self.q_loc, torch.inf)
        low = torch.where(ends, torch.where(low_side, -far, gap.expand_as(zero)), zero)
        high = torch.where(ends, torch.where(low_side, zero, far), gap.expand_as(zero))
        q = draw_within(self.q_loc, self.q_scale, low, high, noise[0])
        pull = self.curve.slope * self.scale**2 / self.q_scale**2
        return self._put(plain, self.loc + pull * (q - self.q_loc) + self.scale / self.q_scale * spread)

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each cell given that it is missing, shape (K, n, p), in nats."""
        plain = DiagonalNormal(self.rows.loc, self.rows.scale).log_density(value)
        own = self.curve.log_missing(value[..., self.active]) - self.curve.log_between(self.q_loc, self.q_scale)
        return self._put(plain, plain[..., self.active] + own)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`; averaged over the sides that x can come from."""
        curve = self.curve
        assert curve.gap is not None and curve.ends is not None
        t = curve.slope * value[..., self.active] + curve.intercept
        share = torch.stack([log_ndtr(-t), log_ndtr(t - curve.gap)]).softmax(0).detach()
        return self._sum_of_missing((share * torch.stack(self._log_sides())).sum(0) * curve.ends)

    def _log_sides(self) -> tuple[Tensor, Tensor]:
        """Log probability that q lies below 0, and above the gap, given that it is outside."""
        assert self.curve.gap is not None
        below = log_ndtr(-self.q_loc / self.q_scale)
        above = log_ndtr((self.q_loc - self.curve.gap) / self.q_scale)
        total = torch.logaddexp(below, above)
        return below - total, above - total


class GaussianLikelihood(Likelihood):
    r"""p(x|z) = N(x; mu(z), diag sigma^2).

    Parameters
    ----------
    n_hidden, n_features
        width h of what comes in, and p.
    scale
        "free" gives sigma(z) per feature (heteroscedastic), "shared" one learned sigma for all (with a linear decoder:
        probabilistic PCA).
    min_scale
        floor under sigma, in standardised units. A free scale without one collapses onto repeated values
        (zeros in a column, say) and then rules the bound.

    References
    ----------
    Mattei & Frellsen 2018, arXiv:1802.04826 (why the likelihood is unbounded without a floor); Tipping & Bishop
    1999 (probabilistic PCA).

    Examples
    --------
    >>> GaussianLikelihood(8, 3)(torch.zeros(10, 5, 8)).observed_part(torch.ones(5, 3, dtype=torch.bool)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(
        self,
        n_hidden: int,
        n_features: int,
        scale: Literal["free", "shared"] = "free",
        min_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.min_scale = min_scale
        self.loc = nn.Linear(n_hidden, n_features)
        self.n_numbers = 2 if scale == "free" else 1
        if scale == "free":
            self.raw_scale: nn.Module | nn.Parameter = nn.Linear(n_hidden, n_features)
        else:
            self.raw_scale = nn.Parameter(torch.zeros(1))

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        loc = self.loc(hidden)
        return (loc, self.raw_scale(hidden)) if isinstance(self.raw_scale, nn.Module) else (loc,)

    def rows(self, *numbers: Tensor) -> GaussianRows:
        loc, *free = numbers
        raw = self.raw_scale if isinstance(self.raw_scale, nn.Parameter) else free[0]
        return GaussianRows(loc, nn.functional.softplus(raw) + self.min_scale)
