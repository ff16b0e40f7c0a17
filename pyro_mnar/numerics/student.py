"""Student's t as a mixture of normals over a scale: its cumulative distribution function, and the scale itself.

With g ~ Gamma(nu / 2, nu / 2) and e ~ N(0, 1), e / sqrt(g) has Student's t with nu degrees of freedom. The integral
over g is a sum over nodes: g = exp(u - exp(-u)) makes the density fall doubly exponentially to both sides, so that
equal steps of u converge geometrically (Takahasi & Mori 1974). Far out, where t is -T, g is small: there the nodes
follow, times nu / (nu + T^2).
"""

import math

import torch
from torch import Tensor

from pyro_mnar.numerics.normal_tails import log_ndtr

#: Nodes over g, and how far they reach in units of its spread.
_NODES = 25
_REACH = 6.5
#: u - exp(-u) = 0, so that this is exp(-u) too: where the density of log g has its peak.
_PEAK = 0.5671432904097838
#: From this half of the degrees of freedom on, four terms of a series are exact to 1e-12.
_MANY = 20.0


def scale_nodes(freedom: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Values of g, and the logarithm of their part in P(e / sqrt(g) < t): p(g) Phi(sqrt(g) t), summed over them.

    Both have the shape (nodes, ...); ``freedom`` is nu >= 1, broadcastable with ``t``.
    """
    place = torch.linspace(-_REACH, _REACH, _NODES, dtype=t.dtype, device=t.device)
    # Both are written so that many degrees of freedom lose no digits; the weight is up to a constant.
    step = place.view(-1, *(1,) * max(t.ndim, freedom.ndim)) * torch.sqrt(1 / (freedom + 1))
    u, log_g = _PEAK + step, step - _PEAK * torch.expm1(-step)
    log_weight = torch.log_softmax(freedom / 2 * (log_g - torch.expm1(log_g)) + torch.log1p(torch.exp(-u)), 0)
    far = t.clamp(max=0.0).square()
    g = log_g.exp() * (freedom / (freedom + far))
    tail = log_ndtr(g.sqrt() * t) + g * far / 2
    return g, log_weight + tail - freedom / 2 * torch.log1p(far / freedom)


def log_student_cdf(t: Tensor, freedom: Tensor) -> Tensor:
    """Log P(T < t) of Student's t, in nats, with a relative error of the probability under 1e-9 in both tails.

    The degrees of freedom are nu >= 1; both arguments may have gradients.

    Examples
    --------
    >>> log_student_cdf(torch.tensor([0.0, -1e4], dtype=torch.float64), torch.tensor(3.0))
    tensor([ -0.6931, -27.5333], dtype=torch.float64)
    """
    lower = scale_nodes(freedom, torch.where(t < 0, t, -t))[1].logsumexp(0)
    return torch.where(t < 0, lower, torch.log1p(-lower.exp()))


def log_student_density(t: Tensor, freedom: Tensor) -> Tensor:
    """Log density of Student's t, broadcast shape, in nats."""
    half = freedom / 2
    return _log_constant(half) - (half + 0.5) * torch.log1p(t.square() / freedom)


def _log_constant(half: Tensor) -> Tensor:
    """Log of Gamma(h + 1/2) / (Gamma(h) sqrt(2 pi h)); by its series where the difference would lose digits."""
    few, many = half.clamp(max=_MANY), half.clamp(min=_MANY)
    exact = torch.lgamma(few + 0.5) - torch.lgamma(few) - 0.5 * torch.log(2 * math.pi * few)
    series = -0.5 * math.log(2 * math.pi) - (1 / 8 - (1 / 192 - 1 / (640 * many**2)) / many**2) / many
    return torch.where(half < _MANY, exact, series)
