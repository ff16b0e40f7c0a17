r"""Groups of one-hot features that are one categorical variable, of which the mask term is a sum over the categories.

What is observed of a one-hot group excludes values even when the 1 itself is missing: with A(x_obs) the categories that
the observed cells allow, and x(c) the one-hot row of category c,

    p(x_obs | z) = sum_{c in A} pi_c(z)        p(x_obs, s | z) = sum_{c in A} pi_c(z) prod_j P(s_j | x_j(c))

so that a missing cell of a group whose 1 is observed is 0, with certainty. Given z, s and x_obs the missing part is
category c in A with probability proportional to pi_c prod_j P(s_j | x_j(c)).
"""

import torch
from torch import Tensor
from torch.distributions import constraints

from pyro_mnar.model.likelihoods.base import MaskedRows, MaskTerm, RowDistribution
from pyro_mnar.numerics.distributions import Unchecked, WithChoices
from pyro_mnar.numerics.random_streams import uniform


class CategoricalChoice(WithChoices):
    """One category out of C as a one-hot vector, with probability proportional to exp(logits + offset).

    The logits have the shape (K, n, C), the offset (n, C), -inf for categories that are excluded: not for all of a row.
    """

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
        return self.log_prob(value)


class CategoricalSeen(Unchecked):
    """p(x_obs | z) of one group: the probability of all categories that the observed cells allow."""

    def __init__(self, log_probability: Tensor, observed: Tensor) -> None:
        self.log_probability, self.observed = log_probability, observed
        super().__init__(log_probability.shape[:-1], log_probability.shape[-1:], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the observed cells of ``value``, shape (K, n), in nats."""
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
        return CategoricalSeen(self.log_probability, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> CategoricalChoice:
        return CategoricalChoice(self.log_probability, log_allowed(x, observed), generator)

    @property
    def has_mask_term(self) -> bool:
        return True

    def mask_term(self, masked: MaskedRows) -> "CategoricalMask":
        return CategoricalMask(self, masked)

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> CategoricalChoice:
        offset = log_allowed(masked.x, masked.observed) + category_log_mask(masked)
        return CategoricalChoice(self.log_probability, offset, generator)


class CategoricalMask(MaskTerm):
    """p(s | z, x_obs) of one one-hot group, summed over the categories that the observed cells allow.

    Batch shape (K, n), event shape (C,). Where the C columns stand for one cell of the table there is one mask for all,
    and P(s = 0 | c) is column c's curve at 1.
    """

    def __init__(self, rows: CategoricalRows, masked: MaskedRows) -> None:
        self.rows = rows
        self.allowed = log_allowed(masked.x, masked.observed)
        self.log_mask = category_log_mask(masked)
        super().__init__(rows, masked.observed)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        among_allowed = (self.rows.log_probability + self.allowed).log_softmax(-1)
        return (among_allowed + self.log_mask).logsumexp(-1)


def log_allowed(x: Tensor, observed: Tensor) -> Tensor:
    """0 for the categories that the observed cells of a one-hot group allow, -inf for the others, shape (..., C).

    Examples
    --------
    >>> log_allowed(torch.tensor([[0.0, 0.0, 1.0]]), torch.tensor([[False, True, True]]))
    tensor([[-inf, -inf, 0.]])
    """
    one = observed & (x > 0.5)
    allowed = torch.where(one.any(-1, keepdim=True), one, ~observed)
    return torch.where(allowed, 0.0, -torch.inf).to(x.dtype)


def category_log_mask(masked: MaskedRows) -> Tensor:
    """Log prod_j P(s_j | x_j(c)) over the active columns, for each category c, shape (n, C) or (K, n, C)."""
    curve, x, observed, active, one_cell = masked
    zero, one = x.new_zeros(x.shape[-1]), x.new_ones(x.shape[-1])
    at_one = torch.where(observed, curve.log_observed(one), curve.log_missing(one))
    if one_cell:
        return at_one * active.any()
    at_zero = torch.where(observed, curve.log_observed(zero), curve.log_missing(zero)) * active
    return at_zero.sum(-1, keepdim=True) + (at_one * active - at_zero)
