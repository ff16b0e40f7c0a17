"""The loop that one would write by hand in torch for one model: what the package's step is measured against.

Two of them. "plain" is written as one does, with torch's own parts: ``nn.Tanh``, ``torch.special.log_ndtr``,
``optim.Adam`` as it comes. "tuned" borrows what the package knows (its networks with their faster tanh, the fused
optimiser with two groups), so that only the price of its generality is left: Pyro, distributions, any mechanism.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pyro_mnar.inference.training import FitSettings, make_optimiser
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.networks import Tanh

Kind = Literal["plain", "tuned"]
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def handwritten_step(joint: Joint, kind: Kind, n_draws: int, collapsed: bool) -> Callable[[Batch], None]:
    """One training step of the model of ``joint`` (self-masking, probit, free signs), on networks of the same shape."""
    joint = copy.deepcopy(joint)
    if kind == "plain":
        joint.encoder.trunk, joint.decoder = with_torchs_tanh(joint.encoder.trunk), with_torchs_tanh(joint.decoder)
    columns = joint.active.nonzero()[:, 0]
    optimiser = (
        torch.optim.Adam(joint.parameters(), lr=1e-3)
        if kind == "plain"
        else make_optimiser(joint, FitSettings(max_iter=1))
    )

    def step(batch: Batch) -> None:
        optimiser.zero_grad()
        loss = handwritten_loss(joint, batch, n_draws, collapsed, columns)
        loss.backward()
        optimiser.step()

    return step


def with_torchs_tanh(network: object) -> nn.Sequential:
    """The same layers with ``nn.Tanh``."""
    assert isinstance(network, nn.Sequential)
    return nn.Sequential(*[nn.Tanh() if isinstance(module, Tanh) else module for module in network])


def handwritten_loss(joint: Joint, batch: Batch, n_draws: int, collapsed: bool, columns: Tensor) -> Tensor:
    """Minus the bound, mean over rows, nats: every term written out.

    Parameters
    ----------
    joint : Joint
        Whose layers and parameters are used; its methods are not.
    batch : Batch
        Rows, shape (n, p).
    n_draws : int
        K.
    collapsed : bool
        The mask term in closed form, or by a draw of x_mis.
    columns : Tensor
        Indices of the columns with a mask term.
    """
    encoder: Any = joint.encoder
    likelihood: Any = joint.likelihood
    mechanism: Any = joint.mechanism
    x, mask = batch.x, batch.observed.to(batch.x.dtype)
    q_loc, raw = encoder.loc_and_scale(encoder.trunk(torch.cat([x, mask], -1))).chunk(2, -1)
    q_scale = nn.functional.softplus(raw) + encoder.min_scale
    z = q_loc + q_scale * torch.randn(n_draws, *q_loc.shape, dtype=x.dtype)
    hidden = joint.decoder(z)
    loc = likelihood.loc(hidden)
    scale = nn.functional.softplus(likelihood.raw_scale(hidden)) + likelihood.min_scale
    log_px = (mask * (-0.5 * ((x - loc) / scale) ** 2 - scale.log() - _HALF_LOG_2PI)).sum(-1)
    log_pz = (-0.5 * z**2 - _HALF_LOG_2PI).sum(-1)
    log_qz = (-0.5 * ((z - q_loc) / q_scale) ** 2 - q_scale.log() - _HALF_LOG_2PI).sum(-1)
    slope, intercept = mechanism.slope_parameter[columns], mechanism.offset_parameter[columns]
    s = mask[..., columns]
    if collapsed:
        loc, scale = loc[..., columns], scale[..., columns]
        missing = torch.special.log_ndtr((slope * loc + intercept) / torch.sqrt(1 + (slope * scale) ** 2))
        observed = torch.special.log_ndtr(-(slope * x[..., columns] + intercept))
        log_ps = ((1 - s) * missing).sum(-1) + (s * observed).sum(-1)
    else:
        x_mis = loc + scale * torch.randn_like(loc)
        completed = (mask * x + (1 - mask) * x_mis)[..., columns]
        log_ps = torch.special.log_ndtr((1 - 2 * s) * (slope * completed + intercept)).sum(-1)
    log_w = log_px + log_pz + log_ps - log_qz
    return -(log_w.logsumexp(0) - math.log(n_draws)).mean()
