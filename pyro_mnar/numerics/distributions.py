"""Distributions over a whole row, written for speed and for an explicit source of noise."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.score_parts import ScoreParts
from torch import Tensor
from torch.distributions import constraints

from pyro_mnar.numerics.functions import Function
from pyro_mnar.numerics.random_streams import normal

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Unchecked(TorchDistribution):
    """A distribution of real vectors, unless it says otherwise, of which torch checks no argument."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support: ClassVar[constraints.Constraint] = constraints.real_vector


class DiagonalNormal(Unchecked):
    r"""Independent normals over the last axis, of which only the ``counted`` entries enter the density.

    .. math:: \log p(x) = \sum_{j\ \mathrm{counted}} \log N(x_j; \mathrm{loc}_j, \mathrm{scale}_j^2)

    One object in the place of ``Normal(...).mask(...).to_event(1)``: a third of the kernels of that chain, and draws
    come from ``generator``, so that a fit never touches torch's global generator.

    Parameters
    ----------
    loc
        means, shape (..., p).
    scale
        standard deviations, broadcastable to ``loc``.
    counted
        bool, broadcastable to ``loc``; None counts all.
    generator
        source of the draws; None is torch's global generator (Pyro's usual behaviour).

    Examples
    --------
    >>> import torch
    >>> DiagonalNormal(torch.zeros(2, 3), torch.ones(3)).log_prob(torch.zeros(2, 3)).shape
    torch.Size([2])
    """

    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale: Tensor,
        counted: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.loc = loc
        self.scale = scale
        self.counted = counted
        self.generator = generator
        self._drawn: tuple[Tensor, Tensor] | None = None
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "DiagonalNormal":
        """The same distribution with a larger batch shape; itself when it has that shape already."""
        if torch.Size(batch_shape) == self.batch_shape:
            return self
        shape = torch.Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.loc.expand(shape), self.scale, self.counted, self.generator)

    def detached(self) -> "DiagonalNormal":
        """The same distribution with no gradient to its parameters."""
        return DiagonalNormal(self.loc.detach(), self.scale.detach(), self.counted, self.generator)

    @property
    def mean(self) -> Tensor:
        """Means, shape (..., p)."""
        return self.loc

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each entry, counted or not, shape of ``value``, in nats."""
        standard = (value - self.loc) / self.scale
        return -0.5 * standard**2 - self.scale.log() - _HALF_LOG_2PI

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Reparameterised draws, shape ``sample_shape`` + (..., p)."""
        shape = torch.Size(sample_shape) + self.loc.shape
        noise = normal(shape, self.loc, self.generator)
        value = self.loc + self.scale * noise
        self._drawn = (value, noise)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the counted entries, shape (...), in nats.

        For the latest draw of :meth:`rsample` itself, the gradient is the total one: through the draw and through the
        parameters, which cancel but for the scale's share.
        """
        if self.counted is None and self._drawn is not None and value is self._drawn[0]:
            # (value - loc) / scale is the noise, and costs nothing to differentiate.
            log_scale = self.scale.log().expand(self.scale.shape[:-1] + self.event_shape).sum(-1)
            return (_log_standard(self._drawn[1]) - log_scale).expand(value.shape[:-1])
        if self.counted is None:
            standard = (value - self.loc) / self.scale
            per_feature = torch.addcmul(self.scale.log(), standard, standard, value=0.5)
            return -per_feature.sum(-1) - self.event_shape[0] * _HALF_LOG_2PI
        counted = self.counted.to(self.loc.dtype)
        density: Tensor = _CountedNormal.apply(*torch.broadcast_tensors(value, self.loc, self.scale), counted)[0]
        return density - _HALF_LOG_2PI * counted.sum(-1)


class _CountedNormal(Function):
    """Sum of the counted entries' log densities up to the constant, with its gradient in half of autograd's steps."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value, loc, scale, counted):  # type: ignore[no-untyped-def]
        standard = (value - loc) / scale
        per_feature = torch.addcmul(scale.log(), standard, standard, value=0.5)
        # A product rather than torch.where: missing cells hold 0, so nothing here is infinite.
        return -(per_feature * counted).sum(-1), standard

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.mark_non_differentiable(output[1])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, output[1])
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[no-untyped-def]
        if grad is None:
            return None, None, None, None
        value, loc, scale, counted, standard = ctx.saved_tensors
        if torch.is_grad_enabled():
            standard = (value - loc) / scale
        share = grad.unsqueeze(-1) * counted / scale
        by_loc = share * standard
        by_value = -by_loc if ctx.needs_input_grad[0] else None
        return by_value, by_loc, torch.addcmul(-share, by_loc, standard), None

    @staticmethod
    def jvp(ctx, value_t, loc_t, scale_t, _):  # type: ignore[no-untyped-def]
        value, loc, scale, counted = ctx.saved_tensors
        standard = (value - loc) / scale
        total = torch.zeros_like(standard)
        for tangent, factor in ((value_t, -standard), (loc_t, standard), (scale_t, standard**2 - 1)):
            if tangent is not None:
                total = total + tangent * factor
        return (total * counted / scale).sum(-1), None


class StandardNormal(Unchecked):
    r"""N(0, I) over the last axis: :class:`DiagonalNormal` without the arithmetic of a mean 0 and a scale 1.

    That axis has ``n_features``; draws have the dtype and device of ``like``.

    Examples
    --------
    >>> StandardNormal(torch.zeros(()), 2).log_prob(torch.zeros(3, 2))
    tensor([-1.8379, -1.8379, -1.8379])
    """

    has_rsample = True

    def __init__(
        self,
        like: Tensor,
        n_features: int,
        batch_shape: torch.Size = torch.Size(),  # noqa: B008
        generator: torch.Generator | None = None,
    ) -> None:
        self.like = like
        self.generator = generator
        super().__init__(batch_shape, torch.Size([n_features]), validate_args=False)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "StandardNormal":
        """The same distribution with a larger batch shape."""
        return StandardNormal(self.like, self.event_shape[0], torch.Size(batch_shape), self.generator)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (..., p)."""
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        return normal(shape, self.like, self.generator).expand(shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, shape (...), in nats."""
        return _log_standard(value)


def _log_standard(value: Tensor) -> Tensor:
    return value.square().sum(-1) * -0.5 - value.shape[-1] * _HALF_LOG_2PI


class WithChoices(Unchecked, ABC):
    r"""A distribution of which a draw makes discrete choices: a gradient through the draw leaves their part out.

    A draw is x = g(c, u; theta), c chosen with probability r(c; theta), u noise. The gradient of E f(x) is
    E [ grad f(g(c, u; theta)) + f(x) grad log r(c; theta) ]; the second term is what :meth:`choice_log_prob` is for.
    """

    has_rsample = True

    @abstractmethod
    def choice_log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the choices in the draw ``value``, batch shape, differentiable in the parameters alone."""

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> TorchDistribution:
        """The same distribution with a larger batch shape; itself when it has that shape already."""
        same = torch.Size(batch_shape) == self.batch_shape
        return self if same else super().expand(torch.Size(batch_shape))

    def score_parts(self, x: Tensor, *args: object, **kwargs: object) -> ScoreParts:
        """Pyro's own account of the same: log density, score function, entropy term."""
        log_prob = self.log_prob(x)
        return ScoreParts(log_prob, self.choice_log_prob(x), log_prob)
