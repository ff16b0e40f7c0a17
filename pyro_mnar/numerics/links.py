"""The logistic link as a mixture of probits, and the identities that keep it where it is accurate.

The logistic link needs one approximation: ``sigmoid(t)`` as a mixture of normal CDFs,
``sum_i p_i Phi(s_i t)``. It is exact with a continuous mixture (Andrews and Mallows 1974); Monahan and
Stefanski (1989) cut it to a few nodes. Their tables bound the absolute error of the link, which is no bound at
all on ``log p`` in the tails. Two identities for ``E(a, c) = E sigmoid(a + c e)``, ``e ~ N(0, 1)``, repair that:

    E(a, c) = 1 - E(-a, c)                               (symmetry)
    E(a, c) = exp(a + c^2/2) E(-(a + c^2), c)            (sigmoid(t) = e^t sigmoid(-t), complete the square)

so that the mixture is only ever asked for ``a >= -c^2/2``, where its RELATIVE error is bounded for every ``c``,
and the linear tail of the logistic comes out exactly.

References
----------
    Andrews and Mallows (1974), JRSS B 36; Monahan and Stefanski (1989), "Normal scale mixture approximations
    to F*(z) and computation of the logistic-normal integral".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pyro_mnar.errors import InvalidInputError

Link = Literal["probit", "logistic"]

# Scales and weights found by minimising the largest relative error of E(a, c) over a >= -c^2/2 and c from 0 to 1000
# (least squares on the relative error, weights raised where the error is largest until it is level; float64).
# Largest relative error: 7.4e-8 with seven nodes (six: 4.4e-7, five: 3.0e-6). The tests verify the bound anew.
SCALES = (
    1.2274937833196427,
    0.9131533491485126,
    0.6836956365932179,
    0.5107840413783699,
    0.3825324350056273,
    0.28854365481934896,
    0.21731752174538327,
)
WEIGHTS = (
    1.5621743911784079e-02,
    1.5634478987835623e-01,
    3.5835570912236508e-01,
    3.2473944846810326e-01,
    1.2807452826246832e-01,
    1.6548232455709633e-02,
    3.1554790121343489e-04,
)


def check_link(link: str) -> None:
    """Raise InvalidInputError unless ``link`` is one of the two links with a closed form."""
    if link not in ("probit", "logistic"):
        raise InvalidInputError(f"link must be 'probit' or 'logistic', not {link!r}: only these two have a closed form")


def nodes(link: Link, like: Tensor) -> tuple[Tensor, Tensor]:
    """Scales and log weights of the mixture of normal CDFs, shape (nodes,); one node for the probit."""
    if link == "probit":
        return like.new_ones(1), like.new_zeros(1)
    weights = torch.tensor(WEIGHTS, dtype=torch.float64, device=like.device)
    return like.new_tensor(SCALES), (weights / weights.sum()).log().to(like.dtype)


def standardised(distance: Tensor, scale: Tensor, slope: Tensor) -> Tensor:
    """``w d / sqrt(1 + w^2 v)`` for ``d = m - b``, with gradients that keep their digits at every steepness.

    For steep links it is computed as ``sign(w) (d / sqrt(v)) / sqrt(1 + 1/(w^2 v))``: the two parts of the derivative
    by ``w`` of the formula as written cancel there, and those of the other form cancel for gentle links.
    """
    spread = slope * scale
    steep = spread.abs() > 1
    gentle = slope * distance / torch.sqrt(1 + torch.where(steep, torch.zeros_like(spread), spread) ** 2)
    wide = torch.where(steep, spread, torch.ones_like(spread))
    return torch.where(steep, wide.sign() * (distance / scale) / torch.sqrt(1 + wide**-2), gentle)


def fold(distance: Tensor, scale: Tensor, slope: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Use the second identity where ``a < -c^2/2``: move m by ``w v`` and turn the slope round.

    Gives ``d`` and ``w`` to ask the mixture for, and the ``a + c^2/2`` that its logarithm must be given back.
    """
    shift = slope * distance
    folded = shift < -((slope * scale) ** 2) / 2
    tilt = slope * scale**2
    back = torch.where(folded, slope * (distance + tilt / 2), torch.zeros_like(shift))
    return torch.where(folded, distance + tilt, distance), torch.where(folded, -slope, slope), back
