"""Adam, as torch computes it, without what ``torch.optim.Optimizer`` brings along."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import torch
from torch import Tensor
from torch.optim.adamw import adamw


class Parameters(TypedDict):
    """Parameters of one rate: ``lr``, and ``weight_decay``, decoupled, per step and unit of the rate."""

    params: Sequence[Tensor]
    lr: float
    weight_decay: float


class Adam:
    """Adam with decoupled weight decay, by torch's fused function.

    The first ``torch.optim.Optimizer`` of a process imports torch's compiler, which takes longer than to fit a small
    table, and each of its steps gathers anew what never changes.

    References
    ----------
    Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter 2019, arXiv:1711.05101.

    Examples
    --------
    >>> x = torch.ones(2, requires_grad=True)
    >>> adam = Adam([Parameters(params=[x], lr=0.1, weight_decay=0.0)])
    >>> x.square().sum().backward()
    >>> adam.step()
    >>> x.detach()
    tensor([0.9000, 0.9000])
    """

    def __init__(self, groups: list[Parameters], betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.param_groups = groups
        self.betas = betas
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        self._state = [
            {
                "step": torch.zeros((), device=p.device),
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
            for p in self.parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        place = 0
        for group in self.param_groups:
            state = self._state[place : place + len(group["params"])]
            place += len(group["params"])
            moved = [own for p, own in zip(group["params"], state, strict=True) if p.grad is not None]
            gradients = [parameter.grad for parameter in group["params"] if parameter.grad is not None]
            if not moved:
                continue
            adamw(
                [parameter for parameter in group["params"] if parameter.grad is not None],
                gradients,
                [own["exp_avg"] for own in moved],
                [own["exp_avg_sq"] for own in moved],
                [],
                [own["step"] for own in moved],
                fused=True,
                amsgrad=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=1e-8,
                maximize=False,
            )

    def state(self) -> dict[int, dict[str, Tensor]]:
        """Steps and moments of each parameter, by its place, for :meth:`load_state`."""
        return dict(enumerate(self._state))

    def load_state(self, state: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Go on from there, in place; ValueError if it is not the state of these parameters."""
        if state.keys() != set(range(len(self._state))):
            raise ValueError("the optimiser's state is that of other parameters")
        for place, own in enumerate(self._state):
            if state[place].keys() != own.keys():
                raise ValueError(f"the optimiser's state of parameter {place} has other parts")
            for name, value in own.items():
                value.copy_(state[place][name])
