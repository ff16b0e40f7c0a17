"""Functions with derivatives of their own, called at the price of what they compute."""

from typing import Any

import torch


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
