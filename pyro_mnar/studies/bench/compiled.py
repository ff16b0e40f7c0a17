"""Loss and gradient of a training step, traced as one graph and compiled by torch's inductor."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils.stateless import _reparametrize_module

from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint

WARM_UP, TURNS = 3, 20


def step_times(joint: Joint, batch: Batch, n_draws: int = 5) -> dict[str, float]:
    """Seconds of a step's loss and gradient without and with a compiler, and of tracing and compiling.

    Pyro's handlers run once, while the step is traced. Numbers are drawn by torch's own generator, as a compiled step
    needs it: no two steps are alike, and their losses agree in distribution only.
    """
    joint = copy.deepcopy(joint).train()
    names, weights = zip(*joint.named_parameters(), strict=True)
    bound, fixed = ImportanceBound(n_draws, "dreg"), [weight.detach() for weight in weights]

    def step(parameters: list[Tensor], x: Tensor, observed: Tensor) -> list[Tensor]:
        with _reparametrize_module(joint, dict(zip(names, parameters, strict=True))):
            loss = bound.differentiable_loss(joint.model, joint.guide, Batch(x, observed)) / len(x)
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [loss.detach(), *(gradient for gradient in gradients if gradient is not None)]

    free = [weight.clone().requires_grad_() for weight in fixed]
    plain = seconds_of(lambda: step(free, batch.x, batch.observed), batch.x.device)
    start = time.perf_counter()
    graph = make_fx(step)(free, batch.x, batch.observed)
    with torch.no_grad():
        faster = torch.compile(graph, fullgraph=True)
        faster(fixed, batch.x, batch.observed)
        made = time.perf_counter() - start
        return {
            "as it is": plain,
            "compiled": seconds_of(lambda: faster(fixed, batch.x, batch.observed), batch.x.device),
            "to compile": made,
        }


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """The median of some calls, each waited for."""
    found = []
    for _ in range(WARM_UP + TURNS):
        start = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return statistics.median(found[WARM_UP:])
