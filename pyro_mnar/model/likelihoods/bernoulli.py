"""Binary features: 0/1 cells, of which the mask term is a sum over two values."""

import torch
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyro_mnar.model.curve import Curve, take
from pyro_mnar.model.likelihoods.base import CellRows, MaskedRows
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.random_streams import uniform


class BernoulliChoice(WithChoices):
    """Independent 0/1 cells of which only the ``counted`` ones enter the probability.

    ``logits`` are log odds of 1, shape (..., p), to which ``counted``, bool, can be broadcast.
    """

    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, logits: Tensor, counted: Tensor, generator: torch.Generator | None = None) -> None:
        self.logits, self.counted, self.generator = logits, counted, generator
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Probability of 1, shape (..., p)."""
        return self.logits.sigmoid()

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws of 0 and 1, shape ``sample_shape`` + (..., p), without a path derivative."""
        probability = self.mean.detach()
        shape = torch.Size(sample_shape) + probability.shape
        noise = uniform(shape, probability, self.generator)
        return (noise < probability).to(probability.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the counted cells, shape (...), in nats."""
        per_cell = logsigmoid(self.logits * (2 * value - 1))
        return torch.where(self.counted, per_cell, torch.zeros_like(per_cell)).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob(value)


class BernoulliRows(BernoulliChoice, CellRows):
    """Independent 0/1 features, p(x_j = 1 | z) = sigmoid(logit_j(z)).

    Examples
    --------
    >>> rows = BernoulliRows(torch.zeros(10, 5, 3))
    >>> rows.observed_part(torch.ones(5, 3, dtype=torch.bool)).log_prob(torch.zeros(5, 3)).shape
    torch.Size([10, 5])
    """

    def __init__(self, logits: Tensor, generator: torch.Generator | None = None) -> None:
        super().__init__(logits, torch.ones((), dtype=torch.bool, device=logits.device), generator)

    def observed_part(self, observed: Tensor) -> BernoulliChoice:
        return BernoulliChoice(self.logits, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> BernoulliChoice:
        return BernoulliChoice(self.logits, ~observed, generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        logits = take(self.logits.flatten(-2), cells)
        at_zero, at_one = log_missing_at_values(curve, logits)
        return torch.logaddexp(logsigmoid(-logits) + at_zero, logsigmoid(logits) + at_one)

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> BernoulliChoice:
        at_zero, at_one = log_missing_at_values(masked.curve, self.logits)
        tilt = torch.where(masked.active, at_one - at_zero, torch.zeros_like(at_one))
        return BernoulliChoice(self.logits + tilt, ~masked.observed, generator)


def log_missing_at_values(curve: Curve, like: Tensor) -> tuple[Tensor, Tensor]:
    """Log P(s_j = 0 | x_j) at x_j = 0 and x_j = 1, broadcastable to ``like``."""
    return curve.log_missing(like.new_zeros(like.shape[-1])), curve.log_missing(like.new_ones(like.shape[-1]))
