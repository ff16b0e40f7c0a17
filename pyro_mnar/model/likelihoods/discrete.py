r"""Binary features, and groups of one-hot features that are one categorical variable.

What is seen of a one-hot group excludes values even when the 1 itself is hidden: with A(x_obs) the categories that the
seen cells allow,

    p(x_obs | z) = sum_{c in A} pi_c(z)        p(x_mis = c | z, x_obs) = pi_c / sum_{c' in A} pi_c'

so that a missing cell of a group whose 1 is seen is 0, with certainty.
"""

from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyro_mnar.model.likelihoods.base import RowDistribution
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.random_streams import uniform


class BernoulliChoice(WithChoices):
    """Independent 0/1 cells of which only the ``counted`` ones enter the probability.

    Parameters
    ----------
    logits
        log odds of 1, shape (..., p).
    counted
        bool, broadcastable to ``logits``.
    generator
        source of the draws; None is torch's global generator.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
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
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`."""
        return self.log_prob(value)


class BernoulliRows(BernoulliChoice, RowDistribution):
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
        """See :class:`RowDistribution`."""
        return BernoulliChoice(self.logits, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> BernoulliChoice:
        """See :class:`RowDistribution`."""
        return BernoulliChoice(self.logits, ~observed, generator)


class CategoricalChoice(WithChoices):
    """One category out of C as a one-hot vector, with probability proportional to exp(logits + offset).

    Parameters
    ----------
    logits
        shape (K, n, C).
    offset
        shape (n, C), -inf for categories that are excluded; at least one per row is finite.
    generator
        source of the draws; None is torch's global generator.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.one_hot

    def __init__(self, logits: Tensor, offset: Tensor, generator: torch.Generator | None = None) -> None:
        self.log_probability = (logits + offset).log_softmax(-1)
        self.generator = generator
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Probability of each category, shape (K, n, C)."""
        return self.log_probability.exp()

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """One-hot draws, shape ``sample_shape`` + (K, n, C), without a path derivative."""
        log_probability = self.log_probability.detach()
        shape = torch.Size(sample_shape) + log_probability.shape
        noise = uniform(shape, log_probability, self.generator)
        # Gumbel's trick: of independent exponentials with rates p_c, the first to ring is c with probability p_c.
        tiny = torch.finfo(noise.dtype).tiny
        arrival = (-noise.clamp(min=tiny).log()).clamp(min=tiny).log() - log_probability
        return torch.nn.functional.one_hot(arrival.argmin(-1), shape[-1]).to(log_probability.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of one-hot rows, shape (K, n), in nats."""
        zero = torch.zeros((), dtype=value.dtype, device=value.device)
        return torch.where(value > 0, self.log_probability, zero).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`."""
        return self.log_prob(value)


class CategoricalSeen(TorchDistribution):
    """p(x_obs | z) of one group: the probability of all categories that the seen cells allow."""

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, log_probability: Tensor, observed: Tensor) -> None:
        self.log_probability, self.observed = log_probability, observed
        super().__init__(log_probability.shape[:-1], log_probability.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the seen cells of ``value``, shape (K, n), in nats."""
        return (self.log_probability + log_allowed(value, self.observed)).logsumexp(-1)


class CategoricalRows(CategoricalChoice, RowDistribution):
    """One group of C one-hot features, p(x = c | z) = softmax(logits(z))_c.

    Examples
    --------
    >>> seen = torch.tensor([[True, False, False]])  # the first cell is 0; the 1 is in one of the other two
    >>> rows = CategoricalRows(torch.zeros(10, 1, 3))
    >>> rows.observed_part(seen).log_prob(torch.zeros(1, 3))[0].exp()
    tensor([0.6667])
    """

    def __init__(self, logits: Tensor, generator: torch.Generator | None = None) -> None:
        super().__init__(logits, torch.zeros((), dtype=logits.dtype, device=logits.device), generator)

    def observed_part(self, observed: Tensor) -> CategoricalSeen:
        """See :class:`RowDistribution`."""
        return CategoricalSeen(self.log_probability, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> CategoricalChoice:
        """See :class:`RowDistribution`."""
        return CategoricalChoice(self.log_probability, log_allowed(x, observed), generator)


def log_allowed(x: Tensor, observed: Tensor) -> Tensor:
    """0 for the categories that the seen cells of a one-hot group allow, -inf for the others, shape (..., C).

    Examples
    --------
    >>> log_allowed(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[False, True, True]]))
    tensor([[-inf, -inf, 0.]])
    """
    one = observed & (x > 0.5)
    allowed = torch.where(one.any(-1, keepdim=True), one, ~observed)
    return torch.where(allowed, 0.0, -torch.inf).to(x.dtype)
