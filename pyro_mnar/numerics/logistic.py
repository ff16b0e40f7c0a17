"""The logistic mask integral together with its gradient, in one pass over the nodes.

Training asks for the value and the gradient of K n p integrals in every step. Autograd would keep some forty arrays
for each of the seven nodes; here the nodes are visited one after the other in arrays of shape (K, n, p), and the
three derivatives are sums of the terms that the value needs anyway. With ``t_i = s_i w d / D_i``,
``D_i = sqrt(1 + s_i^2 w^2 v)`` and ``d = m - b``:

    dt_i/dd = s_i w / D_i,    dt_i/dw = s_i d / D_i^3,    dt_i/dscale = -(s_i w)^3 d scale / D_i^3

No two of these cancel. Second derivatives come from the same sums written in differentiable operations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_mnar.numerics.functions import with_gradient
from pyro_mnar.numerics.links import SCALES, WEIGHTS, fold, nodes, standardised
from pyro_mnar.numerics.normal_tails import half_erfcx, inverse_mills, log_ndtr


def _value_and_gradient(distance: Tensor, scale: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Value and derivatives by the three arguments, without autograd."""
    likely = slope * distance >= 0
    lower = torch.where(likely, -slope, slope)
    inside, turned, back = fold(distance, scale, lower)
    total = sum(WEIGHTS)
    spread2 = (turned * scale).square_()
    size = (turned * inside).abs_()
    # The least steep node has the smallest |t|; exponents are taken relative to it.
    base = size * (1 + spread2 * SCALES[-1] ** 2).rsqrt_().mul_(SCALES[-1])
    base2 = base.square() / 2
    tail, first, third, fifth = (torch.zeros_like(distance) for _ in range(4))
    for s, weight in zip(SCALES, WEIGHTS, strict=True):
        inverse = (spread2 * s**2).add_(1).rsqrt_()
        y = (size * inverse).mul_(s)
        kernel = (base2 - y.square() / 2).exp_().mul_(weight / total)
        tail.addcmul_(kernel, half_erfcx(y))
        kernel.mul_(inverse)
        first.add_(kernel, alpha=s)
        kernel.mul_(inverse).mul_(inverse)
        third.add_(kernel, alpha=s)
        fifth.add_(kernel, alpha=s**3)
    rising = turned * inside > 0
    # log of the mixture: its tail itself below 0, the complement above.
    decay = (-base2).exp()
    complement = 1 - tail * decay
    log_mixture = torch.where(rising, complement.log(), tail.log() - base2)
    hazard = torch.where(rising, decay / complement, 1 / tail).mul_(1 / math.sqrt(2 * math.pi))
    by_distance = hazard * turned * first
    by_slope = hazard * inside * third
    by_scale = -(hazard * inside) * turned**3 * scale * fifth
    return _unfold(log_mixture, back, distance, scale, slope, likely, lower, turned, by_distance, by_scale, by_slope)


def _unfold(
    log_mixture: Tensor,
    back: Tensor,
    distance: Tensor,
    scale: Tensor,
    slope: Tensor,
    likely: Tensor,
    lower: Tensor,
    turned: Tensor,
    by_distance: Tensor,
    by_scale: Tensor,
    by_slope: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Carry the mixture's value and derivatives back through the two identities."""
    folded = turned != lower
    nothing = torch.zeros_like(distance)
    tilt = torch.where(folded, lower * scale, nothing)
    variance = torch.where(folded, scale**2, nothing)
    # Folded: m moved by w v, the slope turned round, and w d + w^2 v / 2 added.
    by_scale = by_scale + tilt * (lower + 2 * by_distance)
    by_slope = torch.where(folded, distance + lower * variance - by_slope, by_slope) + by_distance * variance
    by_distance = by_distance + torch.where(folded, lower, nothing)
    log_lower = log_mixture + back
    probability = log_lower.exp()
    odds = torch.where(likely, probability / (probability - 1), torch.ones_like(log_lower))
    value = torch.where(likely, torch.log1p(-probability), log_lower)
    return value, odds * by_distance, odds * by_scale, torch.where(likely, -odds, odds) * by_slope


def _gradient(distance: Tensor, scale: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three derivatives, in operations that can be differentiated again."""
    likely = slope * distance >= 0
    lower = torch.where(likely, -slope, slope)
    inside, turned, back = fold(distance, scale, lower)
    scales, log_weights = nodes("logistic", distance)
    column = (-1,) + (1,) * distance.dim()
    scales = scales.view(column)
    t = standardised(inside, scale, scales * turned)
    terms = log_weights.view(column) + log_ndtr(t)
    rate = torch.softmax(terms, 0) * inverse_mills(t) * scales / torch.sqrt(1 + (scales * turned * scale) ** 2)
    cubed = rate / (1 + (scales * turned * scale) ** 2)
    by_distance = turned * rate.sum(0)
    by_slope = inside * cubed.sum(0)
    by_scale = -inside * turned**3 * scale * (scales**2 * cubed).sum(0)
    _, *result = _unfold(
        torch.logsumexp(terms, 0),
        back,
        distance,
        scale,
        slope,
        likely,
        lower,
        turned,
        by_distance,
        by_scale,
        by_slope,
    )
    return result[0], result[1], result[2]


_log_integral = with_gradient(_value_and_gradient, _gradient)


def log_expected_sigmoid(distance: Tensor, scale: Tensor, slope: Tensor) -> Tensor:
    """``log int sigmoid(w (x - b)) N(x; m, v) dx`` with ``distance = m - b``.

    Relative accuracy of the probability in both tails; differentiable twice, and under ``torch.func``.
    """
    return _log_integral(distance, scale, slope)
