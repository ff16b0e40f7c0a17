"""The normal distribution far out: log Phi, its derivatives and its inverse, without cancellation.

With ``r(u) = phi(u) / Phi(u)`` (the inverse Mills ratio) and ``gap(u) = r(u) + u``:

    d log Phi / du = r          dr / du = -r gap          d gap / du = 1 - r gap

For ``u`` near ``-1e4`` the naive ``r + u`` has no correct digit in float32, so the second
derivative of ``torch.special.log_ndtr`` cannot be used there. Here ``gap`` comes from Laplace's
continued fraction below ``-10``, and each function carries its own exact derivative, so that
autograd and ``torch.func`` (vmap, jacrev, jacfwd, hessian) can be applied twice.

References
----------
    Abramowitz and Stegun (1964), 26.2.14 (continued fraction).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_mnar.numerics.functions import Function, elementwise

_SWITCH = -10.0
_TERMS = 24

# erfcx(y / sqrt 2) / 2 = P((y - 3) / (y + 3)) / (1 + y) for y >= 0, relative error 1.3e-8: enough for float32, and made
# of operations that are vectorised, which torch's erfcx is not. Least squares on the relative error, reweighted until
# level, as for the nodes.
_HALF_ERFCX = (
    5.951150431654715e-05,
    3.5964962466453646e-05,
    -0.00047356860488763955,
    -0.0003657837650126214,
    0.0029863878722935122,
    0.0011643200970831939,
    -0.022724368824866892,
    0.045163376774380044,
    -0.016432618495203517,
    -0.09652673534542515,
    0.4860557993708058,
)


#: Elements up to which torch's own function, in float64, takes less time than the calls of the polynomial.
_SMALL = 1024


def half_erfcx(y: Tensor) -> Tensor:
    """``Phi(-y) exp(y^2/2) = erfcx(y / sqrt 2) / 2`` for ``y >= 0``."""
    if y.dtype != torch.float32:
        return torch.special.erfcx(y * math.sqrt(0.5)).mul_(0.5)
    if y.numel() <= _SMALL and y.device.type == "cpu":
        return half_erfcx(y.double()).float()
    place = (y - 3).div_(y + 3)
    value = place * _HALF_ERFCX[0]
    for coefficient in _HALF_ERFCX[1:-1]:
        value.add_(coefficient).mul_(place)
    return value.add_(_HALF_ERFCX[-1]).div_(y + 1)


def _continued_fraction(u: Tensor) -> tuple[Tensor, Tensor]:
    """``gap = 1/(y + rest)`` and ``rest = 2/(y + 3/(y + ...))`` at ``y = -u``, for ``u <= -10``."""
    y = -u.clamp(max=_SWITCH)
    rest = torch.zeros_like(y)
    for k in range(_TERMS, 1, -1):
        rest = k / (y + rest)
    return 1 / (y + rest), rest


def _mills(u: Tensor) -> Tensor:
    tail = half_erfcx(u.abs())
    decay = (-u.square() / 2).exp()
    return torch.where(u < 0, 1 / tail, decay / (1 - tail * decay)) * math.sqrt(0.5 / math.pi)


def _value_and_slope(u: Tensor) -> tuple[Tensor, Tensor]:
    """``log Phi(u)`` and ``r(u)``, which share the costly term; torch's own log_ndtr has no batching rule for vmap."""
    tail = half_erfcx(u.abs())
    exponent = u.square().mul_(-0.5)
    decay = exponent.exp()
    upper = tail * decay
    left = u < 0
    value = torch.where(left, tail.log().add_(exponent), torch.log1p(-upper))
    slope = torch.where(left, tail.reciprocal(), decay.div_(1 - upper)).mul_(math.sqrt(0.5 / math.pi))
    return value, slope


def _gap(u: Tensor) -> Tensor:
    return torch.where(u < _SWITCH, _continued_fraction(u)[0], _mills(u) + u)


class _LogNdtr(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(u: Tensor) -> tuple[Tensor, Tensor]:
        return _value_and_slope(u)

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], output[1])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, grad, _):  # type: ignore[no-untyped-def]
        u, mills = ctx.saved_tensors
        return grad * (inverse_mills(u) if torch.is_grad_enabled() else mills)

    @staticmethod
    def jvp(ctx, tangent):  # type: ignore[no-untyped-def]
        return tangent * inverse_mills(ctx.saved_tensors[0]), None


def log_ndtr(u: Tensor) -> Tensor:
    """``log Phi(u)``, with exact first and second derivatives in both tails, in nats.

    Examples
    --------
    >>> log_ndtr(torch.tensor([0.0, -20.0], dtype=torch.float64))
    tensor([  -0.6931, -203.9172], dtype=torch.float64)
    """
    result: Tensor = _LogNdtr.apply(u)[0]
    return result


def inverse_mills(u: Tensor) -> Tensor:
    """``r(u) = phi(u) / Phi(u)``, the derivative of :func:`log_ndtr`."""
    return _differentiable_mills(u)


def mills_gap(u: Tensor) -> Tensor:
    """``r(u) + u``, positive, about ``1/|u|`` in the left tail: the mean excess of a normal above ``-u``."""
    return _differentiable_gap(u)


def truncated_variance(u: Tensor) -> Tensor:
    """``1 - r (r + u)``: the variance of a standard normal kept above ``-u``, in (0, 1).

    About ``1/u^2`` in the left tail, where the formula as written would cancel.
    """
    gap, rest = _continued_fraction(u)
    near = u.clamp(min=_SWITCH)
    return torch.where(u < _SWITCH, gap * (rest - gap), 1 - inverse_mills(near) * mills_gap(near))


_differentiable_mills = elementwise(_mills, lambda g, u: -g * inverse_mills(u) * mills_gap(u))
_differentiable_gap = elementwise(_gap, lambda g, u: g * truncated_variance(u))


def log_ndtri(log_p: Tensor) -> Tensor:
    """Solve ``log Phi(u) = log_p`` for any ``log_p < 0``, in nats, however small.

    The last Newton step is taken with gradients on, so the result has the exact first derivative ``du / dlog_p = 1 /
    r(u)``.

    Examples
    --------
    >>> log_ndtri(torch.tensor([-203.9172], dtype=torch.float64)).round(decimals=4)
    tensor([-20.], dtype=torch.float64)
    """
    with torch.no_grad():
        middle = log_p.clamp(min=-8.0)
        # Above one half the complement keeps the digits that exp(log_p) near 1 would lose.
        high = middle > -0.5
        root = torch.special.ndtri(torch.where(high, -torch.expm1(middle), middle.exp()))
        root = torch.where(high, -root, root)
        far = log_p < -8
        if far.device.type != "cpu":
            # To ask whether there are any would make the processor wait for the device.
            root = torch.where(far, _far_root(log_p.clamp(max=-8.0)), root)
        elif far.any():
            root[far] = _far_root(log_p[far])
        root = root.clamp(max=torch.finfo(log_p.dtype).max)
        value, slope = _value_and_slope(root)
        # In the far upper tail r underflows; there the root is already exact to rounding.
        usable = slope > torch.finfo(log_p.dtype).eps
        slope = torch.where(usable, slope, torch.ones_like(slope))
    step = (log_p - value) / slope
    return root + torch.where(usable, step, torch.zeros_like(step))


def _far_root(log_p: Tensor) -> Tensor:
    """The same below -8, by Newton's method."""
    twice = -2 * log_p
    # Phi(u) ~ phi(u)/|u|, solved for u with |u| ~ sqrt(-2 log p) inside the logarithm.
    root = -(twice - (2 * math.pi * (twice - torch.log(2 * math.pi * twice))).log()).sqrt()
    for _ in range(4):
        value, slope = _value_and_slope(root)
        root = root - (value - log_p) / slope
    return root
