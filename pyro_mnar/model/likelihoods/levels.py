r"""Columns with few ordered values (ordered levels, small counts, settings): a logistic cut into levels.

Level k of a column is what lies between two cut points of a logistic distribution (the proportional-odds model):

    P(x = k | z) = sigmoid((c_{k+1} - m(z)) / s(z)) - sigmoid((c_k - m(z)) / s(z))

with c_0 = -inf and c_C = inf. A cell's value on the model's scale is the score of its level, and the mask term is a sum
over the levels. Where high levels go missing, m and s say how likely levels are that were never observed.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import logsigmoid, softplus

from pyro_mnar.data.columns import Levels
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.base import SAME_PLACE, CellRows, Likelihood, MaskedRows
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.random_streams import uniform

#: Stands for the end of the line; a cut point that a column does not have.
_FAR = 1e5


class LevelTable:
    """Scores and cut points of q columns, padded to the same number of levels with levels of probability zero.

    Parameters
    ----------
    scores : Tensor
        On the model's scale, ascending, shape (q, C).
    cuts : Tensor
        Between them, shape (q, C - 1).
    """

    def __init__(self, scores: Tensor, cuts: Tensor) -> None:
        self.scores, self.cuts = scores, cuts

    def level_of(self, x: Tensor) -> Tensor:
        """The level in which each cell of ``x`` (..., q) lies, from 0."""
        return (x.unsqueeze(-1) > self.cuts).sum(-1)

    def at(self, columns: Tensor) -> "LevelTable":
        """That of some columns, which may be named more than once."""
        return LevelTable(self.scores[columns], self.cuts[columns])


def log_level_probability(loc: Tensor, scale: Tensor, cuts: Tensor) -> Tensor:
    """Log P(level | z) of every level, shape (..., C), for loc and scale (...) and cut points (..., C - 1)."""
    upper = (cuts - loc.unsqueeze(-1)) / scale.unsqueeze(-1)
    log_below, log_above = logsigmoid(upper), logsigmoid(-upper)
    # sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)): nothing cancels, however far out.
    width = (cuts[..., 1:] - cuts[..., :-1]) / scale.unsqueeze(-1)
    middle = log_below[..., 1:] + log_above[..., :-1] + torch.log(-torch.expm1(-width))
    return torch.cat([log_below[..., :1], middle, log_above[..., -1:]], -1)


class LevelChoice(WithChoices):
    """Independent cells that each hold one of their column's scores, of which the ``counted`` ones enter the density.

    Parameters
    ----------
    log_probability : Tensor
        Of each level, normalised, shape (K, n, q, C).
    table : LevelTable
        Of the q columns.
    counted : Tensor
        bool, shape (n, q).
    generator : torch.Generator or None
        Source of the draws.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(
        self, log_probability: Tensor, table: LevelTable, counted: Tensor, generator: torch.Generator | None = None
    ) -> None:
        self.log_probability, self.table, self.counted, self.generator = log_probability, table, counted, generator
        super().__init__(log_probability.shape[:-2], log_probability.shape[-2:-1], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Mean score, shape (K, n, q)."""
        return (self.log_probability.exp() * self.table.scores).sum(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Scores, shape ``sample_shape`` + (K, n, q), without a path derivative."""
        upper = self.log_probability.detach().exp().cumsum(-1)
        noise = uniform(torch.Size(sample_shape) + upper.shape[:-1], upper, self.generator)
        level = (upper[..., :-1] < noise.unsqueeze(-1)).sum(-1)
        return self.table.scores.expand((*level.shape, -1)).gather(-1, level.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the counted cells, shape (K, n), in nats."""
        level = self.table.level_of(value)
        shape = np.broadcast_shapes(level.shape, self.log_probability.shape[:-1])
        log_p = self.log_probability.expand((*shape, -1)).gather(-1, level.expand(shape).unsqueeze(-1)).squeeze(-1)
        return torch.where(self.counted, log_p, torch.zeros_like(log_p)).sum(-1)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`."""
        return self.log_prob(value)


class LevelRows(LevelChoice, CellRows):
    """Independent columns with ordered levels, the :class:`RowDistribution` of :class:`LevelLikelihood`.

    Parameters
    ----------
    loc, scale : Tensor
        Of the logistic, shape (K, n, q).
    table : LevelTable
        Of the q columns.
    generator : torch.Generator or None
        Source of the draws.
    """

    def __init__(self, loc: Tensor, scale: Tensor, table: LevelTable, generator: torch.Generator | None = None) -> None:
        self.loc, self.scale = loc, scale
        everything = torch.ones((), dtype=torch.bool, device=loc.device)
        super().__init__(log_level_probability(loc, scale, table.cuts), table, everything, generator)

    def observed_part(self, observed: Tensor) -> LevelChoice:
        """See :class:`RowDistribution`."""
        return LevelChoice(self.log_probability, self.table, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> LevelChoice:
        """See :class:`RowDistribution`."""
        return LevelChoice(self.log_probability, self.table, ~observed, generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        """See :class:`CellRows`."""
        log_p = self.log_probability.flatten(-3, -2).index_select(-2, cells)
        return (log_p + curve.log_missing_at(self.table.at(cells % self.event_shape[0]).scores)).logsumexp(-1)

    def log_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`CellRows`."""
        return self._inside(cells, low, high)[0].logsumexp(-1)

    def mean_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """See :class:`CellRows`."""
        log_p, scores = self._inside(cells, low, high)
        return (log_p.softmax(-1) * scores).sum(-1)

    def draw_within(self, cells: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
        """See :class:`CellRows`; without a path derivative."""
        log_p, scores = self._inside(cells, low, high)
        upper = log_p.detach().softmax(-1).cumsum(-1)
        level = (upper[..., :-1] < noise.unsqueeze(-1)).sum(-1)
        drawn = scores.expand((*level.shape, -1)).gather(-1, level.unsqueeze(-1)).squeeze(-1)
        # Where rounding leaves the sum below 1 the last level may lie outside.
        return torch.minimum(torch.maximum(drawn, low), high)

    def _inside(self, cells: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities of the levels of some cells, (K, m, C), 0 outside their limits; and scores, (m, C)."""
        scores = self.table.at(cells % self.event_shape[0]).scores
        near = SAME_PLACE * (1 + scores.abs())
        inside = (scores >= low.unsqueeze(-1) - near) & (scores <= high.unsqueeze(-1) + near)
        log_p = self.log_probability.flatten(-3, -2).index_select(-2, cells)
        return log_p.masked_fill(~inside, torch.finfo(log_p.dtype).min / 2), scores

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> LevelChoice:
        """See :class:`RowDistribution`."""
        tilt = masked.curve.log_missing_at(self.table.scores).masked_fill(~masked.active.unsqueeze(-1), 0.0)
        return LevelChoice((self.log_probability + tilt).log_softmax(-1), self.table, ~masked.observed, generator)


class LevelLikelihood(Likelihood):
    r"""p(x|z) of columns with ordered levels.

    Parameters
    ----------
    n_hidden : int
        Width h of what comes in.
    levels : sequence of Levels
        The scores and cut points of each column.
    min_scale : float
        Floor under the logistic's scale, on the model's scale.

    References
    ----------
    McCullagh 1980 (proportional odds); Salimans et al. 2017, arXiv:1701.05517 (the discretised logistic).

    Examples
    --------
    >>> stars = Levels(0, values=(1.0, 2.0, 3.0), scores=(-1.0, 0.0, 1.0), cuts=(-0.5, 0.5))
    >>> rows = LevelLikelihood(4, [stars])(torch.zeros(10, 5, 4))
    >>> rows.observed_part(torch.ones(5, 1, dtype=torch.bool)).log_prob(torch.zeros(5, 1)).shape
    torch.Size([10, 5])
    """

    scores: Tensor
    cuts: Tensor

    def __init__(self, n_hidden: int, levels: Sequence[Levels], min_scale: float = 0.1) -> None:
        super().__init__()
        self.min_scale = min_scale
        self.loc_and_scale = nn.Linear(n_hidden, 2 * len(levels))
        width = max(len(column.scores) for column in levels)
        # A level that a column does not have lies far out, at the score of its last one.
        scores = [[*column.scores, *[column.scores[-1]] * (width - len(column.scores))] for column in levels]
        cuts = [[*column.cuts, *(_FAR * (k + 1) for k in range(width - len(column.scores)))] for column in levels]
        self.register_buffer("scores", torch.tensor(scores), persistent=False)
        self.register_buffer("cuts", torch.tensor(cuts), persistent=False)

    @property
    def n_numbers(self) -> int:
        """How many tensors :meth:`numbers` gives."""
        return 1

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Likelihood`."""
        return (self.loc_and_scale(hidden),)

    def rows(self, *numbers: Tensor) -> LevelRows:
        """See :class:`Likelihood`."""
        loc, raw = numbers[0].chunk(2, -1)
        # A logistic of scale s has the standard deviation 1.8 s: it starts near that of a standardised column.
        scale = 0.55 * (softplus(raw) + self.min_scale)
        return LevelRows(loc, scale, LevelTable(self.scores.to(loc), self.cuts.to(loc)))
