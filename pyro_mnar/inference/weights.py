"""How far importance weights can be trusted, one answer per row.

Everything takes log weights of shape (K, n), draws first, and looks at each row's K weights by themselves. A weight of
``-inf`` is a zero weight; NaN, ``+inf`` and a row without a positive weight raise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pyro_mnar.errors import InvalidWeightsError

# Below this many draws the tail has too few weights to be fitted.
MIN_DRAWS = 100
# The grid of the fit for one chunk of rows is kept under this many numbers.
_CHUNK = 4_000_000


def check_log_weights(log_weights: Tensor) -> None:
    """Raise unless ``log_weights``, (K, n), nats, can be normalised in every row.

    InvalidWeightsError where there are no draws, a weight is NaN or ``+inf``, or all of a row's weights are zero; it
    counts the rows.
    """
    if log_weights.dim() < 1 or log_weights.shape[0] == 0:
        raise InvalidWeightsError(
            f"log weights have shape {tuple(log_weights.shape)}; the first axis must hold at least one draw"
        )
    for broken, what in (
        (log_weights.isnan(), "are NaN"),
        (log_weights == math.inf, "are infinite"),
    ):
        if bool(broken.any()):
            rows = int(broken.any(0).sum())
            raise InvalidWeightsError(
                f"{int(broken.sum())} log weights in {rows} row(s) {what}; a log weight must be finite, or -inf for a "
                "zero weight. Look for extreme values in those rows or a diverged model."
            )
    empty = (log_weights == -math.inf).all(0)
    if bool(empty.any()):
        raise InvalidWeightsError(
            f"all {log_weights.shape[0]} weights are zero in {int(empty.sum())} row(s), so they cannot be normalised; "
            "use more draws or a proposal that reaches those rows"
        )


def normalised(log_weights: Tensor) -> Tensor:
    """Give ``a_ik = w_ik / sum_k w_ik``: from log weights (K, n), nats, to shares (K, n) whose columns add up to 1.

    Examples
    --------
    >>> normalised(torch.tensor([[0.0], [math.log(3.0)]])).flatten()
    tensor([0.2500, 0.7500])
    """
    check_log_weights(log_weights)
    return torch.softmax(log_weights, 0)


def ess(log_weights: Tensor) -> Tensor:
    """Effective sample size ``1 / sum_k a_ik^2`` of each row, between 1 and K draws; from log weights (K, n) to (n,).

    References
    ----------
    Kong (1992), A note on importance sampling using standardized weights.

    Examples
    --------
    >>> ess(torch.zeros(50, 2))
    tensor([50., 50.])
    """
    check_log_weights(log_weights)
    # From weights relative to the largest, so that equal weights give exactly K.
    weights = (log_weights - log_weights.amax(0)).double().exp()
    return (weights.sum(0).square() / weights.square().sum(0)).to(log_weights.dtype)


def pareto_k_limit(n_draws: int) -> float:
    """Largest Pareto k-hat at which K weights can be trusted, ``min(1 - 1/log10 K, 0.7)``; NaN below 100 draws.

    References
    ----------
    Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance sampling, section 3.2.

    Examples
    --------
    >>> pareto_k_limit(n_draws=1000)
    0.6666666666666667
    """
    return math.nan if n_draws < MIN_DRAWS else min(1 - 1 / math.log10(n_draws), 0.7)


def pareto_k(log_weights: Tensor) -> Tensor:
    """Estimate the shape k-hat of the generalised Pareto tail of each row's weights (K, n), float64, shape (n,).

    Weights have finite moments up to order 1/k. The tail holds the ``min(0.2 K, 3 sqrt(K))`` largest. NaN below 100
    draws; ``-inf`` where the largest weights are all equal (nothing to fear); ``inf`` where four weights or fewer stand
    out of such a tie (nothing to fit).

    References
    ----------
    Vehtari et al. (2024), algorithm 1; Zhang and Stephens (2009), A new and efficient estimation method for the
    generalized Pareto distribution.

    Examples
    --------
    >>> pareto_k(torch.zeros(200, 1))
    tensor([-inf], dtype=torch.float64)
    """
    return _fit_tails(log_weights)[1]


def psis_smooth(log_weights: Tensor) -> Tensor:
    """Replace the largest weights by the expected order statistics of their Pareto tail, at most the largest weight.

    From log weights (K, n), nats, to the same shape, type and normalisation; rows without a finite k-hat come back as
    they are (Vehtari et al. 2024, algorithm 1).

    Examples
    --------
    >>> log_weights = torch.linspace(0, 1, 400).square().view(400, 1) * 9
    >>> bool(ess(psis_smooth(log_weights)) >= ess(log_weights))
    True
    """
    return _fit_tails(log_weights)[0]


def are_reliable(k_hat: Tensor, effective: Tensor, n_draws: int, min_ess: float) -> Tensor:
    """Which rows have ``ess >= min_ess``, and ``k-hat < pareto_k_limit(K)`` or ``ess >= K / 2``, shape (n,).

    Where half of the draws are effective the weights have no tail to speak of, and k-hat fitted to them is noise. None
    below 100 draws, where k-hat is not known.
    """
    limit = pareto_k_limit(n_draws)
    light = (k_hat < limit) | ((effective >= n_draws / 2) & (not math.isnan(limit)))
    return light & (effective >= min_ess)


def _fit_tails(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Smoothed log weights and k-hat."""
    check_log_weights(log_weights)
    log_weights = log_weights.detach()
    n_draws, *shape = log_weights.shape
    flat = log_weights.reshape(n_draws, -1)
    shapes = flat.new_full((flat.shape[1],), math.nan, dtype=torch.float64)
    if n_draws < MIN_DRAWS:
        return log_weights, shapes.view(shape)
    length = math.ceil(min(0.2 * n_draws, 3 * math.sqrt(n_draws)))
    top, index = flat.topk(length + 1, dim=0)
    # Rows first and ascending; relative to the row's largest weight.
    top, index = (top - top[0]).double().T.flip(1), index.T.flip(1)
    # A cutoff whose exponential underflows is a cutoff of zero weight.
    cutoff = top[:, :1].clamp(min=math.log(torch.finfo(torch.float64).tiny))
    counts = (top > cutoff).sum(1)
    smoothed = flat.clone()
    shapes[:] = math.inf
    shapes[counts == 0] = -math.inf
    # Ties at the cutoff shorten a tail; rows with equally long tails are fitted together.
    for count in counts.unique().tolist():
        if count <= 4:
            continue
        rows = (counts == count).nonzero()[:, 0]
        for chunk in rows.split(max(1, _CHUNK // (count * (30 + math.isqrt(count))))):
            tail, base = top[chunk, -count:], cutoff[chunk]
            shape_hat, log_quantiles = _smooth(tail, base)
            shapes[chunk] = shape_hat
            kept = torch.where(shape_hat.isfinite()[:, None], log_quantiles, tail)
            largest = flat[index[chunk, -1], chunk]
            values = kept.clamp(max=0).to(flat.dtype) + largest[:, None]
            smoothed[index[chunk, -count:].T, chunk] = values.T
    return smoothed.view_as(log_weights), shapes.view(shape)


def _smooth(tail: Tensor, cutoff: Tensor) -> tuple[Tensor, Tensor]:
    """k-hat, shape (rows,), and the log of the fitted tail's quantiles, shape (rows, count)."""
    count = tail.shape[1]
    # exp(tail) - exp(cutoff), in units of exp(cutoff), keeps its digits when the weights are nearly equal.
    excess = torch.expm1(tail - cutoff)
    excess, unit = excess / excess[:, -1:], excess[:, -1:]
    shape, scale = _fit_pareto(excess)
    place = (torch.arange(count, dtype=tail.dtype, device=tail.device) + 0.5) / count
    log_survival = torch.log1p(-place)
    shape_column = shape[:, None]
    flat_tail = shape_column.abs() < 1e-12
    safe = torch.where(flat_tail, torch.ones_like(shape_column), shape_column)
    quantile = torch.where(flat_tail, -log_survival, torch.expm1(-safe * log_survival) / safe)
    return shape, cutoff + torch.log1p(quantile * scale[:, None] * unit)


def _fit_pareto(excess: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and scale of a generalised Pareto from ascending exceedances (rows, count).

    Zhang and Stephens (2009), with the prior of Vehtari et al. (2024, appendix C), worth ten observations at 1/2,
    on the shape.
    """
    count = excess.shape[1]
    grid_size = 30 + math.isqrt(count)
    grid = torch.arange(1, grid_size + 1, dtype=excess.dtype, device=excess.device)
    quartile = excess[:, int(count / 4 + 0.5) - 1, None]
    theta = 1 / excess[:, -1:] + (1 - (grid_size / (grid - 0.5)).sqrt()) / (3 * quartile)
    shape = torch.log1p(-theta[:, :, None] * excess[:, None, :]).mean(2)
    profile = count * ((-theta / shape).log() - shape - 1)
    weight = torch.softmax(profile, 1)
    best = (weight * theta).sum(1)
    raw = torch.log1p(-best[:, None] * excess).mean(1)
    return (count * raw + 10 * 0.5) / (count + 10), -raw / best
