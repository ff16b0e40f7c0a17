"""The probit mask integral together with its gradient, in one pass.

With ``d = m - b``, ``D = sqrt(1 + w^2 v)``, ``t = w d / D`` and ``r = phi(t) / Phi(t)``:

    log Z = log Phi(t)    dlogZ/dd = r w / D    dlogZ/dw = r d / D^3    dlogZ/dscale = -r w^3 d scale / D^3

Nothing here cancels at any steepness, and value and derivatives share the one costly term, the normal tail.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_mnar.numerics.functions import with_gradient
from pyro_mnar.numerics.links import standardised
from pyro_mnar.numerics.normal_tails import half_erfcx, inverse_mills


def _value_and_gradient(distance: Tensor, scale: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value and derivatives by the three arguments, without autograd."""
    spread = slope * scale
    inverse = spread.square().add_(1).rsqrt_()
    t = (slope * distance).mul_(inverse)
    tail = half_erfcx(t.abs())
    exponent = t.square().mul_(-0.5)
    decay = exponent.exp()
    rising = t > 0
    upper = tail * decay
    value = torch.where(rising, torch.log1p(-upper), tail.log().add_(exponent))
    hazard = torch.where(rising, decay / (1 - upper), tail.reciprocal_()).mul_(1 / math.sqrt(2 * math.pi))
    hazard.mul_(inverse)
    by_distance = hazard * slope
    by_scale = by_distance * t.mul_(spread).mul_(inverse).neg_()
    by_slope = (hazard * distance).mul_(inverse).mul_(inverse)
    return value, by_distance, by_scale, by_slope


def _gradient(distance: Tensor, scale: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three derivatives, in operations that can be differentiated again."""
    spread = slope * scale
    inverse = torch.rsqrt(1 + spread**2)
    t = standardised(distance, scale, slope)
    hazard = inverse_mills(t) * inverse
    by_distance = hazard * slope
    return by_distance, -by_distance * t * spread * inverse, hazard * distance * inverse**2


_log_integral = with_gradient(_value_and_gradient, _gradient)


def log_expected_probit(distance: Tensor, scale: Tensor, slope: Tensor) -> Tensor:
    """``log int Phi(w (x - b)) N(x; m, v) dx`` with ``distance = m - b``.

    Relative accuracy of the probability in both tails; differentiable twice, and under ``torch.func``.
    """
    return _log_integral(distance, scale, slope)
