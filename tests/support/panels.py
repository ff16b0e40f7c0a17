"""Distribution function and quantile of a missing cell's distribution, by panels of Gauss-Legendre nodes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.numerics.masked_normal import TiltedNormal
from pyro_mnar.numerics.normal_tails import inverse_mills, truncated_variance

# A log-concave density falls off at least exponentially outside a few standard deviations.
_REACH = (
    -40.0,
    -25.0,
    -16.0,
    -10.0,
    -6.5,
    -4.5,
    -3.0,
    -2.0,
    -1.0,
    0.0,
    1.0,
    2.0,
    3.0,
    4.5,
    6.5,
    10.0,
    16.0,
    25.0,
    40.0,
)
# Panels widen away from the link's step, where the integrand bends within 1/|w|.
_STEP = (-40.0, -20.0, -10.0, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)

LogKernel = Callable[[Tensor], Tensor]


def _edges(mean: Tensor, deviation: Tensor, centre: Tensor, width: Tensor) -> Tensor:
    """Sorted panel edges, shape (edges, ...), all within 40 deviations of the mean."""
    reach, step = mean.new_tensor(_REACH), mean.new_tensor(_STEP)
    column = (-1,) + (1,) * mean.dim()
    body = mean + deviation * reach.view(column)
    bend = (centre + width * step.view(column)).clamp(body[0], body[-1])
    return torch.cat([body, bend]).sort(0).values


def _integral(log_kernel: LogKernel, low: Tensor, high: Tensor, log_scale: Tensor) -> Tensor:
    """``int_low^high exp(log_kernel(x) - log_scale) dx``, over every panel at once."""
    half = (high - low) / 2
    middle = (high + low) / 2
    total = torch.zeros_like(half)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        total = total + weight * (log_kernel(middle + half * node) - log_scale).exp()
    return total * half


def cumulative(
    log_kernel: LogKernel, value: Tensor, mean: Tensor, deviation: Tensor, centre: Tensor, width: Tensor
) -> Tensor:
    """``P(x <= value)`` for the density proportional to ``exp(log_kernel)``.

    Parameters
    ----------
    log_kernel
        log density up to a constant; gets shape (panels, ...).
    value
        where, shape (...).
    mean, deviation
        of the distribution, shape (...); they place the panels and need not be exact.
    centre, width
        where the density bends, and within what distance, shape (...).

    Returns
    -------
    Tensor
        Shape (...), in [0, 1].
    """
    edges = _edges(mean, deviation, centre, width)
    log_scale = log_kernel(mean)
    mass = _integral(log_kernel, edges[:-1], edges[1:], log_scale)
    cut = edges.clamp(max=value)
    below = _integral(log_kernel, cut[:-1], cut[1:], log_scale)
    return (below.sum(0) / mass.sum(0)).clamp(0, 1)


def invert(
    log_kernel: LogKernel, probability: Tensor, mean: Tensor, deviation: Tensor, centre: Tensor, width: Tensor
) -> Tensor:
    """Solve ``cumulative(x) = probability``: find the panel, then Newton steps kept inside a bracket.

    Parameters
    ----------
    probability
        shape (...), in (0, 1); the other arguments as for :func:`cumulative`.

    Returns
    -------
    Tensor
        Shape (...).
    """
    edges = _edges(mean, deviation, centre, width)
    log_scale = log_kernel(mean)
    mass = _integral(log_kernel, edges[:-1], edges[1:], log_scale)
    reached = mass.cumsum(0)
    target = probability * reached[-1]
    panel = (reached < target).sum(0, keepdim=True).clamp(max=len(mass) - 1)
    low = edges.gather(0, panel).squeeze(0)
    high = edges.gather(0, panel + 1).squeeze(0)
    inside = mass.gather(0, panel).squeeze(0)
    target = target - (reached.gather(0, panel).squeeze(0) - inside)
    start = low
    x = low + (high - low) * (target / inside.clamp(min=torch.finfo(inside.dtype).tiny)).clamp(0, 1)
    for _ in range(40):
        excess = _integral(log_kernel, start, x, log_scale) - target
        low, high = torch.where(excess < 0, x, low), torch.where(excess < 0, high, x)
        newton = x - excess / (log_kernel(x) - log_scale).exp().clamp(min=torch.finfo(x.dtype).tiny)
        sound = (newton > low) & (newton < high)
        proposal = torch.where(sound, newton, (low + high) / 2)
        if bool(((proposal - x).abs() <= 1e-14 * deviation).all()):
            return proposal
        x = proposal
    return x


def moments(distribution: TiltedNormal) -> tuple[Tensor, Tensor]:
    """Mean and variance: of the extended skew-normal, or of the mixture of seven of them that a logistic link gives.

    With ``t = w (m - b) / D``, ``D = sqrt(1 + w^2 v)`` and ``r = phi(t) / Phi(t)`` the mean is ``m + v w r / D``, the
    variance ``v - v^2 w^2 r (r + t) / D^2``, here as a sum of positive terms.
    """
    log_share, loc, correlation, across, t = distribution._parts()
    share = log_share.exp()
    mean = loc + distribution.scale * correlation * inverse_mills(t)
    variance = distribution.scale**2 * (across**2 + correlation**2 * truncated_variance(t))
    centre = (share * mean).sum(0)
    return centre, (share * (variance + (mean - centre) ** 2)).sum(0)


def draws(distribution: TiltedNormal, shape: tuple[int, ...], seed: int) -> Tensor:
    """Draws, shape ``shape`` + that of the distribution, with uniforms of torch's own."""
    n_noise = 2 if distribution.link == "probit" else 3
    generator, like = torch.Generator().manual_seed(seed), distribution.loc
    return distribution.sample(torch.rand((n_noise, *shape, *like.shape), generator=generator, dtype=like.dtype))


def cdf(distribution: TiltedNormal, value: Tensor) -> Tensor:
    """P(x <= value) by quadrature of the exact density to about 1e-10, float64."""
    distribution, value = _double(distribution, value)
    return cumulative(distribution.log_prob, value, *_layout(distribution))


def icdf(distribution: TiltedNormal, probability: Tensor) -> Tensor:
    """The x with ``cdf(distribution, x) = probability``, float64."""
    distribution, probability = _double(distribution, probability)
    return invert(distribution.log_prob, probability, *_layout(distribution))


def _double(distribution: TiltedNormal, other: Tensor) -> tuple[TiltedNormal, Tensor]:
    parts = torch.broadcast_tensors(
        distribution.loc, distribution.scale, distribution.slope, distribution.threshold, other
    )
    loc, scale, slope, threshold, other = (part.detach().double() for part in parts)
    return TiltedNormal(loc, scale, slope, threshold, distribution.link), other


def _layout(distribution: TiltedNormal) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and deviation, and place and width of the link's step."""
    mean, variance = moments(distribution)
    return mean, variance.sqrt(), distribution.threshold, 1 / distribution.slope.abs().clamp(min=1e-300)
