r"""Continuous columns whose errors are Student's t, and go missing by errors of the same scale (selection).

Given the code z and a scale g ~ Gamma(nu / 2, nu / 2) of the cell, the value is m + s e / sqrt(g), and the cell is
missing where w x + c + u / sqrt(g) > 0, with e and u standard normal. With D = sqrt(1 + w^2 s^2), and T_k the
cumulative distribution function of Student's t with k degrees of freedom, g integrates out in closed form:

    P(s = 0 | z) = T_nu((w m + c) / D)
    P(s = 0 | x, z) = T_{nu + 1}((w x + c) sqrt((nu + 1) / (nu + ((x - m) / s)^2)))

References
----------
Marchenko & Genton 2012, JASA 107 (the selection-t model); Ogundimu & Collins 2019, Statistics in Medicine 38.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from pyro.distributions import Bernoulli
from torch import Tensor, nn

from pyro_mnar.model.curve import Curve, take
from pyro_mnar.model.likelihoods.base import CellMask, CellRows, Likelihood, MaskedRows
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.normal_tails import log_ndtr, log_ndtri
from pyro_mnar.numerics.random_streams import uniform
from pyro_mnar.numerics.student import log_student_cdf, log_student_density, scale_nodes

#: Learned degrees of freedom lie between these: values have a variance, and the upper end is as good as normal.
_LEAST, _MOST = 2.0, 100.0
#: Where they start.
_FIRST = 10.0
#: An argument of the curve at which a cell is missing for sure.
_SURE = 40.0


class StudentRows(CellRows):
    """Independent cells m + s T, T of Student's t with ``freedom`` degrees; batch (K, n), event (p,).

    ``loc`` has the shape (K, n, p), to which all else can be broadcast; the cells ``counted``, or all, enter the
    density.
    """

    def __init__(self, loc: Tensor, scale: Tensor, freedom: Tensor, counted: Tensor | None = None) -> None:
        self.loc, self.scale, self.freedom, self.counted = loc, scale.expand_as(loc), freedom, counted
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each cell, shape of ``value``, in nats."""
        return log_student_density((value - self.loc) / self.scale, self.freedom) - self.scale.log()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the counted cells, shape (K, n), in nats."""
        density = self.log_density(value)
        return (density if self.counted is None else density * self.counted).sum(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        nothing = torch.zeros(self.loc.shape[-2:], dtype=torch.bool, device=self.loc.device)
        return self.missing_part(self.loc, nothing).rsample(sample_shape)

    def observed_part(self, observed: Tensor) -> "StudentRows":
        return StudentRows(self.loc, self.scale, self.freedom, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> "TiltedStudent":
        zero = self.freedom.new_zeros(1)
        return TiltedStudent(self, zero, zero + _SURE, observed, generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        loc, scale, freedom = (
            take(v.expand_as(self.loc).flatten(-2), cells) for v in (self.loc, self.scale, self.freedom)
        )
        t = (curve.slope * loc + curve.intercept) * torch.rsqrt(1 + (curve.slope * scale).square())
        return log_student_cdf(t, freedom)

    def argument_at(self, curve: Curve, x: Tensor) -> Tensor:
        """Of the curve, for the cells' values x, shape (..., K, n, p): P(s = 0 | x, z) = T_{nu + 1} of it."""
        squared = ((x - self.loc) / self.scale).square()
        return (curve.slope * x + curve.intercept) * torch.sqrt((self.freedom + 1) / (self.freedom + squared))

    def mask_given_values(self, plain: Bernoulli, curve: Curve, x: Tensor) -> Bernoulli:
        rows = self
        if x.ndim > self.loc.ndim:
            rows = StudentRows(self.loc.unsqueeze(-2), self.scale.unsqueeze(-2), self.freedom)
            if curve.intercept.ndim > 1:
                curve = curve._replace(intercept=curve.intercept.unsqueeze(-2))
        t, freedom = rows.argument_at(curve, x), self.freedom + 1
        return Bernoulli(logits=log_student_cdf(-t, freedom) - log_student_cdf(t, freedom), validate_args=False)

    def mask_term(self, masked: MaskedRows) -> "StudentMask":
        return StudentMask(self, masked)

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> "TiltedStudent":
        curve, active = masked.curve, masked.active
        slope = torch.where(active, curve.slope, torch.zeros_like(curve.slope))
        intercept = torch.where(active, curve.intercept, torch.full_like(curve.intercept, _SURE))
        return TiltedStudent(self, slope, intercept, masked.observed, generator)


class StudentMask(CellMask):
    """The mask term of t cells: an observed one tells by its distance from m how large the errors of its scale are."""

    rows: StudentRows

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        rows = self.rows
        hidden = (self.curve.slope * rows.loc + self.curve.intercept) * torch.rsqrt(
            1 + (self.curve.slope * rows.scale).square()
        )
        t = torch.where(self.observed, -rows.argument_at(self.curve, self.x.expand_as(rows.loc)), hidden)
        return log_student_cdf(t, rows.freedom + self.observed.to(t.dtype)) @ self.active.to(t.dtype)


class TiltedStudent(WithChoices):
    """p(x_mis | z, s, x_obs) of t cells: given g a normal cell that is missing by a probit curve, g a choice of a node.

    Batch shape (K, n), event shape (p,); values in observed cells mean nothing. Slope and intercept of the curve are
    broadcastable to (K, n, p), and ``observed`` is bool, shape (n, p).
    """

    def __init__(
        self, rows: StudentRows, slope: Tensor, intercept: Tensor, observed: Tensor, generator: torch.Generator | None
    ) -> None:
        self.rows, self.observed, self.generator = rows, observed, generator
        self.curve = Curve(slope, intercept, "probit")
        length = torch.sqrt(1 + (slope * rows.scale).square())
        self.t = (slope * rows.loc + intercept) / length
        self.correlation, self.across = slope * rows.scale / length, 1 / length
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x_mis | z, s], shape (K, n, p), without gradient: that of a t that is cut at -t, times the correlation."""
        freedom, t = self.rows.freedom, self.t
        log_share = log_student_density(t, freedom) - log_student_cdf(t, freedom)
        excess = (freedom + t.square()) / (freedom - 1) * log_share.exp()
        return (self.rows.loc + self.rows.scale * self.correlation * excess).detach()

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        noise = uniform((3, *sample_shape, *self.t.shape), self.t, self.generator)
        g, log_part = scale_nodes(self.rows.freedom, self.t)
        upto = log_part.softmax(0).cumsum(0)
        node = (upto[:-1].view(-1, *(1,) * len(sample_shape), *self.t.shape) < noise[2]).sum(0)
        g = g.movedim(0, -1).expand(*node.shape, len(g)).gather(-1, node.unsqueeze(-1)).squeeze(-1)
        latent = -log_ndtri(noise[0].log() + log_ndtr(g.sqrt() * self.t))
        error = self.correlation * latent + self.across * torch.special.ndtri(noise[1])
        return self.rows.loc + self.rows.scale * error / g.sqrt()

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each cell given that it is missing, shape (K, n, p), in nats."""
        freedom = self.rows.freedom
        by_value = log_student_cdf(self.rows.argument_at(self.curve, value), freedom + 1)
        return self.rows.log_density(value) + by_value - log_student_cdf(self.t, freedom)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(x_mis | z, s), shape (K, n), in nats."""
        return (self.log_density(value) * ~self.observed).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`; averaged over the nodes that x can come from."""
        t = self.t.expand(value.shape)
        g, log_part = scale_nodes(self.rows.freedom, t)
        error = (value - self.rows.loc) / self.rows.scale
        by_value = log_ndtr(g.sqrt() * (self.curve.slope * value + self.curve.intercept)) - log_ndtr(g.sqrt() * t)
        came_from = (log_part + 0.5 * g.log() - 0.5 * g * error.square() + by_value).softmax(0).detach()
        return ((came_from * log_part.log_softmax(0)).sum(0) * ~self.observed).sum(-1)


class StudentLikelihood(Likelihood):
    """p(x|z) of columns with t errors, one number of degrees of freedom each: learned from 2 to 100, or held.

    ``held`` are those of each column, NaN where they are learned; None learns all. Other arguments as for
    :class:`GaussianLikelihood`.

    Examples
    --------
    >>> StudentLikelihood(8, 2)(torch.zeros(10, 5, 8)).freedom
    tensor([10., 10.], grad_fn=<WhereBackward0>)
    """

    held: Tensor

    def __init__(
        self,
        n_hidden: int,
        n_features: int,
        scale: Literal["free", "shared"] = "free",
        min_scale: float = 0.1,
        held: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.errors = GaussianLikelihood(n_hidden, n_features, scale, min_scale)
        self.raw_freedom = nn.Parameter(torch.logit(torch.full((n_features,), (_FIRST - _LEAST) / (_MOST - _LEAST))))
        self.n_numbers = self.errors.n_numbers
        # Not saved: it follows from the mechanism.
        number = torch.full((n_features,), torch.nan) if held is None else torch.tensor(held, dtype=torch.float32)
        self.register_buffer("held", number, persistent=False)

    @property
    def freedom(self) -> Tensor:
        """Degrees of freedom, shape (p,)."""
        learned = _LEAST + (_MOST - _LEAST) * self.raw_freedom.sigmoid()
        return torch.where(self.held.isnan(), learned, self.held)

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return self.errors.numbers(hidden)

    def rows(self, *numbers: Tensor) -> StudentRows:
        normal = self.errors.rows(*numbers)
        return StudentRows(normal.loc, normal.scale, self.freedom)
