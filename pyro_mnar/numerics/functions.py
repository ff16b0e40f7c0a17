"""Functions with derivatives of their own, called at the price of what they compute."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Function(torch.autograd.Function):
    """``torch.autograd.Function`` of which ``apply`` takes positional arguments and asks for no signature.

    torch looks up the signature of ``forward`` at every call, a tenth of a millisecond, which is more than most
    functions of a training step take themselves. Transforms (vmap, hessian) go torch's own way.
    """

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """The function's value, with its derivative known to autograd."""
        if torch._C._are_functorch_transforms_active():
            return super().apply(*args)
        return super(torch.autograd.Function, cls).apply(*args)  # type: ignore[misc]


def elementwise(
    value: Callable[[Tensor], Tensor], chain: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """The function ``value`` of an array, with ``chain(g, u)`` for g times its derivative at u."""

    class Elementwise(Function):
        generate_vmap_rule = True

        @staticmethod
        def forward(u):  # type: ignore[no-untyped-def]
            return value(u)

        @staticmethod
        def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
            ctx.save_for_backward(inputs[0])
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx, grad):  # type: ignore[no-untyped-def]
            return chain(grad, ctx.saved_tensors[0])

        @staticmethod
        def jvp(ctx, tangent):  # type: ignore[no-untyped-def]
            return chain(tangent, ctx.saved_tensors[0])

    apply: Callable[[Tensor], Tensor] = Elementwise.apply
    return apply


def with_gradient(
    value_and_gradient: Callable[..., Any], gradient: Callable[..., Any]
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A function of three arrays that computes its value and its three derivatives in one pass.

    ``gradient`` gives the derivatives once more, in operations that can be differentiated: it is asked for the second
    ones. The arrays are broadcast first.
    """

    class WithGradient(Function):
        @staticmethod
        def forward(*inputs):  # type: ignore[no-untyped-def]
            return value_and_gradient(*inputs)

        @staticmethod
        def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
            ctx.mark_non_differentiable(*output[1:])
            ctx.set_materialize_grads(False)
            ctx.save_for_backward(*inputs, *output[1:])
            ctx.save_for_forward(*inputs)

        @staticmethod
        def backward(ctx, grad, *_):  # type: ignore[no-untyped-def]
            if grad is None:
                return None, None, None
            *inputs, first, second, third = ctx.saved_tensors
            if torch.is_grad_enabled():
                first, second, third = gradient(*inputs)
            return grad * first, grad * second, grad * third

        @staticmethod
        def jvp(ctx, *tangents):  # type: ignore[no-untyped-def]
            parts = zip(tangents, gradient(*ctx.saved_tensors), strict=True)
            total = sum(tangent * part for tangent, part in parts if tangent is not None)
            return total, None, None, None

        @staticmethod
        def vmap(info, in_dims, *inputs):  # type: ignore[no-untyped-def]
            aligned = [
                part.unsqueeze(0) if dim is None else part.movedim(dim, 0)
                for part, dim in zip(inputs, in_dims, strict=True)
            ]
            return WithGradient.apply(*torch.broadcast_tensors(*aligned)), (0, 0, 0, 0)

    def value(*inputs: Tensor) -> Tensor:
        result: Tensor = WithGradient.apply(*torch.broadcast_tensors(*inputs))[0]
        return result

    return value
