"""Quantiles of the predictive distribution of a real target."""

from collections.abc import Sequence

import torch
from pyro.distributions import Normal
from torch import Tensor

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.posterior.answers import Posterior

# Each halves the interval; 60 leave nothing of a float64's digits.
_BISECTIONS = 60


@torch.no_grad()
def mixture_quantile(posterior: Posterior, levels: Sequence[float]) -> Tensor:
    """Quantiles of p(y | x_obs, s) ~ sum_k a_k N(mu_k, sigma^2), shape (n, Q), on the target's model scale.

    They are at Q levels in (0, 1), of rows without a target. UnsupportedModelError where the pair has no Gaussian head.
    """
    head = posterior.joint.head
    result = torch.empty(posterior.n_rows, len(levels), dtype=torch.float64)
    wanted = torch.as_tensor(levels, dtype=torch.float64, device=posterior.batch.x.device).view(-1, 1)
    for draws in posterior.draws():
        assert draws.x is not None
        y = None if head is None else head(draws.x)
        if not isinstance(y, Normal):
            raise UnsupportedModelError("quantiles of y need a pair with a Gaussian head")
        share = torch.softmax(draws.log_weights, 0)
        sigma = y.scale.expand_as(y.loc)
        low = (y.loc - 10 * sigma).min(0).values.expand(len(levels), -1).clone()
        high = (y.loc + 10 * sigma).max(0).values.expand(len(levels), -1).clone()
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = torch.stack([(share * y.cdf(level)).sum(0) for level in middle])
            low, high = torch.where(below < wanted, middle, low), torch.where(below < wanted, high, middle)
        result[draws.rows.cpu()] = ((low + high) / 2).T.cpu()
    return result
