r"""A normal of which an interval is known: its probability, and the mean and draws of what lies in it.

With a = (low - m) / s and b = (high - m) / s, either of them infinite:

    log P(low <= x <= high) = log(Phi(b) - Phi(a))
    E[x | low <= x <= high] = m + s (phi(a) - phi(b)) / (Phi(b) - Phi(a))

Everything is turned to the lower tail first and computed there from logarithms, so that nothing cancels however far out
the interval lies; in double precision, since few cells are censored and narrow intervals need the digits.

References
----------
    Tobin 1958; Robert 1995, "Simulation of truncated normal variables".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_mnar.numerics.normal_tails import log_ndtr, log_ndtri

#: Standard deviations that stand for an infinite end: log Phi of minus it is finite, and its exponential is 0.
_FAR = 1e6
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def log_interval(loc: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log P(low <= x <= high) of x ~ N(loc, scale^2), in nats, with the dtype of ``loc``; differentiable twice.

    Low is below high, and either end may be infinite.

    Examples
    --------
    >>> zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    >>> log_interval(zero, one, one * 30, one * math.inf)
    tensor(-454.3212, dtype=torch.float64)
    """
    low_tail, high_tail, _ = _lower_tail(loc, scale, low, high)
    return _log_difference(low_tail, high_tail).to(loc.dtype)


def mean_within(loc: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """E[x | low <= x <= high] of x ~ N(loc, scale^2), without gradient; arguments as for :func:`log_interval`."""
    with torch.no_grad():
        low_tail, high_tail, turned = _lower_tail(loc, scale, low, high)
        log_p = _log_difference(low_tail, high_tail)
        shift = torch.exp(_log_density(low_tail) - log_p) - torch.exp(_log_density(high_tail) - log_p)
        shift = shift.clamp(low_tail, high_tail)
        return _back(torch.where(turned, -shift, shift), loc, scale, low, high)


def draw_within(loc: Tensor, scale: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
    """Draws of x ~ N(loc, scale^2) given low <= x <= high, with their path derivative, from uniforms in (0, 1)."""
    low_tail, high_tail, turned = _lower_tail(loc, scale, low, high)
    u = noise.to(low_tail.dtype)
    # The distribution function at the draw: (1 - u) Phi(low) + u Phi(high), in logarithms.
    log_cdf = torch.logaddexp(log_ndtr(low_tail) + torch.log1p(-u), log_ndtr(high_tail) + torch.log(u))
    place = log_ndtri(log_cdf.clamp(max=-1e-300))
    place = torch.minimum(torch.maximum(place, low_tail), high_tail)
    return _back(torch.where(turned, -place, place), loc, scale, low, high)


def _lower_tail(loc: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The ends in standard units, turned round where the middle lies above 0, and where that was done."""
    # MPS alone has no double precision.
    dtype = torch.float32 if loc.device.type == "mps" else torch.float64
    m, s = loc.to(dtype), scale.to(dtype)
    a, b = (_standard(end.to(dtype), m, s) for end in (low, high))
    turned = a + b > 0
    return torch.where(turned, -b, a), torch.where(turned, -a, b), turned


def _standard(end: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """(end - loc) / scale, a large number where the end is infinite, which has no gradient."""
    open_end = end.isinf()
    inside = ((torch.where(open_end, torch.zeros_like(end), end) - loc) / scale).clamp(-_FAR, _FAR)
    return torch.where(open_end, end.sign() * _FAR, inside)


def _log_difference(a: Tensor, b: Tensor) -> Tensor:
    """log(Phi(b) - Phi(a)) for a < b with a + b <= 0."""
    below, above = log_ndtr(a), log_ndtr(b)
    tiny = torch.finfo(a.dtype).tiny
    return above + torch.log((-torch.expm1(below - above)).clamp(min=tiny))


def _log_density(t: Tensor) -> Tensor:
    return -0.5 * t.square() - _HALF_LOG_2PI


def _back(place: Tensor, loc: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """From standard units to the scale of ``loc``, rounding kept within the interval."""
    value = (loc.to(place.dtype) + scale.to(place.dtype) * place).to(loc.dtype)
    return torch.minimum(torch.maximum(value, low.to(loc.dtype)), high.to(loc.dtype))
