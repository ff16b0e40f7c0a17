"""Quantiles of weighted draws, and draws in proportion to their weights (sampling-importance-resampling)."""

from __future__ import annotations

import torch
from torch import Tensor

from pyro_mnar.inference.weights import normalised
from pyro_mnar.numerics.random_streams import uniform


def weighted_quantile(values: Tensor, log_weights: Tensor, levels: Tensor) -> Tensor:
    """The smallest value whose cumulated normalised weight reaches a level; the level 0.5 minimises the absolute error.

    It is always one of the draws, one with a positive weight.

    Parameters
    ----------
    values : Tensor
        Draws, shape (K, n, p).
    log_weights : Tensor
        Shape (K, n), nats; InvalidWeightsError where a row's cannot be normalised.
    levels : Tensor
        In [0, 1], shape (Q,).

    Returns
    -------
    Tensor
        Shape (Q, n, p), in the scale of ``values``.

    Examples
    --------
    >>> draws = torch.tensor([3.0, 1.0, 2.0]).view(3, 1, 1)
    >>> weighted_quantile(draws, torch.tensor([0.2, 0.2, 0.6]).log().view(3, 1), torch.tensor([0.5]))
    tensor([[[2.]]])
    """
    n_draws = values.shape[0]
    weights = normalised(log_weights.double())
    ordered, order = values.movedim(0, -1).sort(-1)
    spread = weights.T.unsqueeze(1).expand(order.shape)
    cumulated = spread.gather(-1, order).cumsum(-1)
    cumulated = cumulated / cumulated[..., -1:]
    # Rounding in the sum must not push a level that is met exactly to the next draw; and a level of 0 means the
    # smallest draw with a weight, not a draw of weight zero.
    exact = torch.finfo(torch.float64)
    wanted = (levels.to(values.device, torch.float64) - n_draws * exact.eps).clamp(min=exact.tiny)
    place = torch.searchsorted(
        cumulated.contiguous(), wanted.expand(*cumulated.shape[:-1], -1).contiguous(), right=False
    ).clamp(max=n_draws - 1)
    return ordered.gather(-1, place).movedim(-1, 0)


def resample(log_weights: Tensor, n_samples: int, *, generator: torch.Generator) -> Tensor:
    """Choose draws in proportion to their weights, in each row by itself, systematically.

    That has the same expectation as independent choices and less noise: draw k is taken either floor or ceil of
    ``n_samples a_k`` times. Each row's choices are shuffled, so that the s-th sample of every row is a random one of
    its draws.

    Parameters
    ----------
    log_weights : Tensor
        Shape (K, n), nats; InvalidWeightsError where a row's cannot be normalised.
    n_samples : int
        S, at least 1.
    generator : torch.Generator
        Source of the noise.

    Returns
    -------
    Tensor
        Indices of draws, shape (S, n), int64.

    References
    ----------
    Rubin (1987), The calculation of posterior distributions by data augmentation: comment (SIR); Douc, Cappe and
    Moulines (2005), Comparison of resampling schemes for particle filtering.

    Examples
    --------
    >>> log_weights = torch.tensor([0.5, 0.0, 0.5]).log().view(3, 1)
    >>> resample(log_weights, 4, generator=torch.Generator().manual_seed(0)).sort(0).values.flatten()
    tensor([0, 0, 2, 2])
    """
    cumulated = normalised(log_weights.double()).T.cumsum(1)
    # The last positive weight must end at exactly 1, so that no point falls behind it.
    cumulated = (cumulated / cumulated[:, -1:]).contiguous()
    n = len(cumulated)

    def uniforms(*shape: int) -> Tensor:
        like = torch.empty((), dtype=torch.float64, device=generator.device)
        return uniform((1, *shape), like, generator)[0].to(cumulated.device)

    steps = torch.arange(n_samples, dtype=torch.float64, device=cumulated.device)
    points = (steps + uniforms(n, 1)) / n_samples
    below_one = 1 - torch.finfo(torch.float64).eps
    chosen = torch.searchsorted(cumulated, points.clamp(max=below_one), right=True)
    return chosen.gather(1, uniforms(n, n_samples).argsort(1)).T.contiguous()
