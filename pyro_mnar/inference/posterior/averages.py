"""Conditional means, from weighted draws."""

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, FloatArray, original, original_column
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.inference.posterior.draws import WeightedDraws
from pyro_mnar.inference.weights import normalised


def average(log_weights: Tensor, values: Tensor | None) -> Tensor:
    """sum_k a_k values_k, shape (r, ...)."""
    assert values is not None
    share = normalised(log_weights)
    return torch.einsum("kr,kr...->r...", share.to(values.device), values.to(share.dtype))


def of_draws(values: object, draws: WeightedDraws) -> Tensor:
    """What a user's function made of the draws.

    InvalidInputError where that is no tensor, or has not one entry for each draw of each row.
    """
    shape = tuple(draws.log_weights.shape)
    if not isinstance(values, Tensor):
        raise InvalidInputError(f"function gave a {type(values).__name__}; it must give a tensor, {shape} + ...")
    if tuple(values.shape[:2]) != shape:
        raise InvalidInputError(f"function gave a tensor of shape {tuple(values.shape)}; it must begin with {shape}")
    return values


def average_original(draws: WeightedDraws, columns: ColumnInfo, missing: Tensor | None = None) -> FloatArray:
    """E[x | x_obs, s] of the r rows that were drawn, in original units, shape (r, p).

    Back on its own scale the mean of a transformed column is not the transform of its mean. Such columns are drawn
    given z, and the draws go back one by one; their exact mean given z takes the linear part of the noise away. That is
    done in the cells ``missing``, bool, (r, p), or in all; of the others the mean goes back.

    References
    ----------
    Owen 2013, Monte Carlo theory, methods and examples, section 8.9 (control variates).
    """
    assert draws.x is not None
    share = normalised(draws.log_weights)
    mean = original(average(draws.log_weights, draws.x).cpu().numpy(), columns)
    drawn = draws.x if draws.drawn is None else draws.drawn
    for j in nonlinear(columns):
        everywhere = draws.rows.new_ones(len(draws.rows), dtype=torch.bool)
        rows = (everywhere if missing is None else missing[:, j]).nonzero()[:, 0]
        x, values, a = (
            part.index_select(1, rows).double().cpu().numpy() for part in (draws.x[..., j], drawn[..., j], share)
        )
        moved, back = values - x, original_column(values, j, columns)
        average_back, average_moved = (a * back).sum(0), (a * moved).sum(0)
        centred = a * (moved - average_moved)
        spread, together = (centred * (moved - average_moved)).sum(0), (centred * (back - average_back)).sum(0)
        slope = together / np.where(spread > 0, spread, 1.0)
        mean[rows.cpu().numpy(), j] = np.clip(average_back - slope * average_moved, back.min(0), back.max(0))
    return mean


def nonlinear(columns: ColumnInfo) -> list[int]:
    """Positions of the columns of which the way back to original units is no straight line."""
    bounded = [j for j, s in enumerate(columns.supports) if s.lowest > -np.inf or s.highest < np.inf]
    return sorted({*(j for j, _ in columns.transformed), *bounded})
