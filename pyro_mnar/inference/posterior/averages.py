"""Conditional means, from weighted draws."""

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, FloatArray, original
from pyro_mnar.inference.posterior.draws import WeightedDraws
from pyro_mnar.inference.weights import normalised


def average(log_weights: Tensor, values: Tensor | None) -> Tensor:
    """sum_k a_k values_k, shape (r, ...)."""
    assert values is not None
    share = normalised(log_weights)
    return torch.einsum("kr,kr...->r...", share.to(values.device), values)


def average_original(draws: WeightedDraws, columns: ColumnInfo) -> FloatArray:
    """E[x | x_obs, s] in original units, shape (r, p).

    Back on its own scale the mean of a transformed column is not the transform of its mean. Such columns are drawn
    given z, and the draws go back one by one; their exact mean given z takes the linear part of the noise away.

    References
    ----------
    Owen 2013, Monte Carlo theory, methods and examples, section 8.9 (control variates).
    """
    assert draws.x is not None
    mean = original(average(draws.log_weights, draws.x).cpu().numpy(), columns)
    changed = nonlinear(columns)
    if changed:
        values = draws.x if draws.drawn is None else draws.drawn
        share = normalised(draws.log_weights).cpu().numpy()[..., None]
        moved = (values - draws.x)[..., changed].cpu().numpy()
        back = original(values.cpu().numpy().astype(np.float64), columns)[..., changed]
        average_back, average_moved = (share * back).sum(0), (share * moved).sum(0)
        spread = (share * (moved - average_moved) ** 2).sum(0)
        together = (share * (moved - average_moved) * (back - average_back)).sum(0)
        slope = together / np.where(spread > 0, spread, 1.0)
        lowest, highest = back.min(0), back.max(0)
        mean[:, changed] = np.clip(average_back - slope * average_moved, lowest, highest)
    return mean


def nonlinear(columns: ColumnInfo) -> list[int]:
    """Positions of the columns of which the way back to original units is no straight line."""
    bounded = [j for j, s in enumerate(columns.supports) if s.lowest > -np.inf or s.highest < np.inf]
    return sorted({*(j for j, _ in columns.transformed), *bounded})
