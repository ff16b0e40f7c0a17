r"""Binary columns and one-hot groups: the mask term is an exact sum over their values.

With A(x_obs) the categories that the seen cells of a group allow, and x(c) the one-hot row of category c,

    p(x_obs, s | z) = sum_{c in A} pi_c(z) prod_j P(s_j | x_j(c))

of which the site ``x_obs`` holds sum_{c in A} pi_c and the site ``s`` the rest. Given z, s and x_obs the missing part
is category c in A with probability proportional to pi_c prod_j P(s_j | x_j(c)).
"""

from typing import ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import BernoulliRows, CategoricalRows
from pyro_mnar.model.likelihoods.discrete import BernoulliChoice, CategoricalChoice, log_allowed


class BernoulliMask(TorchDistribution):
    """p(s | z, x_obs) of 0/1 columns: P(s_j|x_j) where x_j is seen, else sum_x P(s_j=0|x) p(x_j=x|z).

    Batch shape (K, n), event shape (p,); defined for the mask that says which cells of ``x`` are seen.

    Parameters
    ----------
    rows : BernoulliRows
        p(x | z), batch (K, n).
    curve : Curve
        The mechanism of these columns.
    x, observed : Tensor
        The rows, shape (n, p).
    active : Tensor
        bool, shape (p,): the columns that have a mask term.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.independent(constraints.boolean, 1)

    def __init__(self, rows: BernoulliRows, curve: Curve, x: Tensor, observed: Tensor, active: Tensor) -> None:
        self.rows, self.curve, self.x, self.observed, self.active = rows, curve, x, observed, active
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        logits = self.rows.logits
        at_zero, at_one = missing_at_values(self.curve, logits)
        hidden = torch.logaddexp(logsigmoid(-logits) + at_zero, logsigmoid(logits) + at_one)
        shown = self.curve.log_observed(self.x)
        zero = torch.zeros((), dtype=hidden.dtype, device=hidden.device)
        hidden = torch.where(self.active & ~self.observed, hidden, zero).sum(-1)
        return hidden + torch.where(self.active & self.observed, shown, zero).sum(-1)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The mask itself: it is what the distribution is conditioned on."""
        return self.observed.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)


class CategoricalMask(TorchDistribution):
    """p(s | z, x_obs) of one one-hot group, summed over the categories that the seen cells allow.

    Batch shape (K, n), event shape (C,); defined for the mask that says which cells of ``x`` are seen.

    Parameters
    ----------
    rows, curve, x, observed, active
        As for :class:`BernoulliMask`.
    one_cell : bool
        The C columns stand for one cell of the table: one mask for all, P(s = 0 | c) from column c's curve at 1.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.independent(constraints.boolean, 1)

    def __init__(
        self, rows: CategoricalRows, curve: Curve, x: Tensor, observed: Tensor, active: Tensor, one_cell: bool
    ) -> None:
        self.rows, self.observed = rows, observed
        self.allowed = log_allowed(x, observed)
        self.log_mask = category_log_mask(curve, x, observed, active, one_cell)
        super().__init__(rows.batch_shape, rows.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log p(s | z, x_obs), shape (K, n), in nats."""
        among_allowed = (self.rows.log_probability + self.allowed).log_softmax(-1)
        return (among_allowed + self.log_mask).logsumexp(-1)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The mask itself: it is what the distribution is conditioned on."""
        return self.observed.expand(torch.Size(sample_shape) + self.batch_shape + self.event_shape)


def tilted_bernoulli(
    rows: BernoulliRows, curve: Curve, observed: Tensor, active: Tensor, generator: torch.Generator | None
) -> BernoulliChoice:
    """p(x_mis | z, s, x_obs) of 0/1 columns."""
    at_zero, at_one = missing_at_values(curve, rows.logits)
    tilt = torch.where(active, at_one - at_zero, torch.zeros_like(at_one))
    return BernoulliChoice(rows.logits + tilt, ~observed, generator)


def tilted_categorical(
    rows: CategoricalRows,
    curve: Curve,
    x: Tensor,
    observed: Tensor,
    active: Tensor,
    one_cell: bool,
    generator: torch.Generator | None,
) -> CategoricalChoice:
    """p(x_mis | z, s, x_obs) of one one-hot group."""
    offset = log_allowed(x, observed) + category_log_mask(curve, x, observed, active, one_cell)
    return CategoricalChoice(rows.log_probability, offset, generator)


def missing_at_values(curve: Curve, like: Tensor) -> tuple[Tensor, Tensor]:
    """Log P(s_j = 0 | x_j) at x_j = 0 and x_j = 1, shape (p,) each."""
    zero, one = curve.log_missing(torch.stack([like.new_zeros(like.shape[-1]), like.new_ones(like.shape[-1])]))
    return zero, one


def category_log_mask(curve: Curve, x: Tensor, observed: Tensor, active: Tensor, one_cell: bool) -> Tensor:
    """Log prod_j P(s_j | x_j(c)) over the active columns, for each category c, shape (n, C)."""
    both = torch.stack([x.new_zeros(x.shape[-1]), x.new_ones(x.shape[-1])])
    seen, hidden = curve.log_observed(both), curve.log_missing(both)
    at_one = torch.where(observed, seen[1], hidden[1])
    if one_cell:
        return at_one * active.any()
    at_zero = torch.where(observed, seen[0], hidden[0]) * active
    return at_zero.sum(-1, keepdim=True) + (at_one * active - at_zero)
