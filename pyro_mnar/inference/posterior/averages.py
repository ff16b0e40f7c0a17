"""Conditional means, from weighted draws."""

import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.data.transforms import LARGEST_LOG
from pyro_mnar.inference.posterior.draws import WeightedDraws, code_carries_weight
from pyro_mnar.inference.weights import normalised
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood
from pyro_mnar.model.likelihoods.gaussian import TiltedGaussian


def average(log_weights: Tensor, values: Tensor | None) -> Tensor:
    """sum_k a_k values_k, shape (r, ...)."""
    assert values is not None
    share = normalised(log_weights)
    return torch.einsum("kr,kr...->r...", share.to(values.device), values)


def mean_of_draws(draws: WeightedDraws, joint: Joint, batch: Batch, columns: ColumnInfo) -> Tensor:
    """E[x | x_obs, s], shape (r, p), standardised scale."""
    return average(draws.log_weights, draws.x)


def mean_of_originals(draws: WeightedDraws, joint: Joint, batch: Batch, columns: ColumnInfo) -> Tensor:
    """The standardised values, shape (r, p), that are in original units E[original x | x_obs, s].

    In columns that are modelled by their logarithm the mean of the exponential is not the exponential of the mean.
    Given z it has a closed form where the mask term has one; elsewhere exponentials of the draws are averaged.
    """
    assert draws.x is not None
    center, scale = (torch.as_tensor(v).to(draws.x) for v in (columns.center, columns.scale))
    logs = center + scale * draws.x
    if joint.collapsed and code_carries_weight(joint, batch) and isinstance(joint.likelihood, GaussianLikelihood):
        part = batch.rows(draws.rows.to(batch.x.device))
        law = joint.missing_given_code(draws.z, joint.rows_given_code(draws.z), part)
        assert isinstance(law, TiltedGaussian)
        logs = torch.where(part.observed, logs, center + law.log_exponential_mean(scale))
    log_mean = average(draws.log_weights, logs.clamp(max=LARGEST_LOG).exp()).log()
    mean, logged = average(draws.log_weights, draws.x), list(columns.logged)
    mean[:, logged] = ((log_mean - center) / scale)[:, logged]
    return mean
