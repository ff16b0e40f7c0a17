r"""Columns with few ordered values (ordered levels, small counts, settings): a logistic cut into levels.

Level k of a column is what lies between two cut points of a logistic distribution (the proportional-odds model):

    P(x = k | z) = sigmoid((c_{k+1} - m(z)) / s(z)) - sigmoid((c_k - m(z)) / s(z))

with c_0 = -inf and c_C = inf. A cell's value on the model's scale is the score of its level, and the mask term is a sum
over the levels. Where high levels go missing, m and s say how likely levels are that were never observed.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

from pyro_mnar.data.columns import Levels
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.base import CellRows, Cells, Likelihood, MaskedRows, places, within
from pyro_mnar.numerics.distributions import WithChoices
from pyro_mnar.numerics.random_streams import uniform

#: Stands for the end of the line; a cut point that a column does not have.
_FAR = 1e5


class LevelTable:
    """Scores (q, C), on the model's scale, ascending, and the cut points between them, (q, C - 1), of q columns.

    Columns with fewer levels are padded with levels of probability zero.
    """

    def __init__(self, scores: Tensor, cuts: Tensor) -> None:
        self.scores, self.cuts = scores, cuts

    def level_of(self, x: Tensor) -> Tensor:
        """The level in which each cell of ``x`` (..., q) lies, from 0."""
        return (x.unsqueeze(-1) > self.cuts).sum(-1)

    def ends(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """The two cut points between which a level of each column lies; ``level`` of shape (..., q)."""
        end = self.cuts.new_full((len(self.cuts), 1), _FAR)
        points = torch.cat([-end, self.cuts, end * self.scores.shape[-1]], -1)
        column = torch.arange(len(points), device=level.device)
        return points[column, level], points[column, level + 1]

    def at(self, columns: Tensor) -> "LevelTable":
        """That of some columns, which may be named more than once."""
        return LevelTable(self.scores[columns], self.cuts[columns])


def log_level_probability(loc: Tensor, scale: Tensor, cuts: Tensor) -> Tensor:
    """Log P(level | z) of every level, shape (..., C), for loc and scale (...) and cut points (..., C - 1)."""
    upper = (cuts - loc.unsqueeze(-1)) / scale.unsqueeze(-1)
    log_below, log_above = logsigmoid(upper), logsigmoid(-upper)
    middle = log_below[..., 1:] + log_above[..., :-1] + _log_width((cuts[..., 1:] - cuts[..., :-1]) / scale[..., None])
    return torch.cat([log_below[..., :1], middle, log_above[..., -1:]], -1)


def _log_width(width: Tensor) -> Tensor:
    """log(1 - exp(-width)): sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), so nothing cancels."""
    return torch.log(-torch.expm1(-width))


class LevelCells(WithChoices):
    """Some cells of a block of rows that each hold one of their column's scores, independently of each other.

    ``draws`` is K; ``cells`` says which cells of the n flattened rows, as :func:`places` does; others are no part of
    the density.
    """

    def __init__(self, draws: torch.Size, table: LevelTable, cells: Cells, n_rows: int) -> None:
        q = len(table.scores)
        self.cells, self.counted = cells
        self.table, self.row = table.at(self.cells % q), self.cells // q
        super().__init__(torch.Size([*draws, n_rows]), torch.Size([q]), validate_args=False)

    @abstractmethod
    def log_held(self, level: Tensor) -> Tensor:
        """Log probability of a level of each cell, shape (K, m), for ``level`` (..., m)."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of the cells, shape (K, n), in nats."""
        held = self.log_held(self.table.level_of(value.flatten(-2).index_select(-1, self.cells)))
        held = held if self.counted is None else torch.where(self.counted, held, 0.0)
        return held.new_zeros((*held.shape[:-1], self.batch_shape[-1])).index_add(-1, self.row, held)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob(value)


class LevelChoice(LevelCells):
    """Cells of which any level may be drawn; draws and mean of cells that are not named mean nothing.

    ``log_probability`` is that of each level, normalised, shape (K, m, C); other arguments as for :class:`LevelCells`.
    """

    def __init__(
        self,
        log_probability: Tensor,
        table: LevelTable,
        cells: Cells,
        n_rows: int,
        generator: torch.Generator | None = None,
    ) -> None:
        self.log_probability, self.generator = log_probability, generator
        super().__init__(log_probability.shape[:-2], table, cells, n_rows)

    @property
    def mean(self) -> Tensor:
        """Mean score, shape (K, n, q)."""
        return self._in_place((self.log_probability.exp() * self.table.scores).sum(-1))

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Scores, shape ``sample_shape`` + (K, n, q), without a path derivative."""
        # Every cell has its noise, so that a draw does not depend on which others are drawn.
        shape = torch.Size(sample_shape) + self.batch_shape + self.event_shape
        noise = uniform(shape, self.log_probability, self.generator).expand(shape)
        level = _drawn(self.log_probability.detach().exp(), noise.flatten(-2).index_select(-1, self.cells))
        return self._in_place(_chosen(self.table.scores, level))

    def log_held(self, level: Tensor) -> Tensor:
        shape = np.broadcast_shapes(level.shape, self.log_probability.shape[:-1])
        return _chosen(self.log_probability, level.expand(shape))

    def _in_place(self, values: Tensor) -> Tensor:
        """Values (..., m) in their places among the rows, (..., n, q)."""
        rows = values.new_zeros((*values.shape[:-1], self.batch_shape[-1] * self.event_shape[0]))
        return rows.index_copy(-1, self.cells, values).unflatten(-1, (self.batch_shape[-1], self.event_shape[0]))


class HeldLevels(LevelCells):
    """Cells whose level is known: its probability alone, without that of all other levels.

    ``loc`` and ``scale`` are those of the cells' logistics, (K, m); other arguments as for :class:`LevelCells`.
    """

    def __init__(self, loc: Tensor, scale: Tensor, table: LevelTable, cells: Cells, n_rows: int) -> None:
        self.loc, self.scale = loc, scale
        super().__init__(loc.shape[:-1], table, cells, n_rows)

    def log_held(self, level: Tensor) -> Tensor:
        low, high = self.table.ends(level)
        inside = logsigmoid((high - self.loc) / self.scale) + logsigmoid((self.loc - low) / self.scale)
        return inside + _log_width((high - low) / self.scale)


class LevelRows(CellRows, WithChoices):
    """Independent columns with ordered levels, the :class:`RowDistribution` of :class:`LevelLikelihood`.

    ``loc`` and ``scale`` are those of the logistic, shape (K, n, q).
    """

    def __init__(self, loc: Tensor, scale: Tensor, table: LevelTable, generator: torch.Generator | None = None) -> None:
        self.loc, self.scale, self.table, self.generator = loc, scale, table, generator
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def log_probability(self) -> Tensor:
        """Of each level of each cell, shape (K, n, q, C), in nats."""
        return log_level_probability(self.loc, self.scale, self.table.cuts)

    @property
    def mean(self) -> Tensor:
        """Mean score, shape (K, n, q)."""
        return (self.log_probability.exp() * self.table.scores).sum(-1)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Scores, shape ``sample_shape`` + (K, n, q), without a path derivative."""
        return self._choice(self._cells(), self.generator).rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log probability of complete rows, shape (K, n), in nats."""
        return self._held(self._cells()).log_prob(value)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        return self.log_prob(value)

    def observed_part(self, observed: Tensor) -> HeldLevels:
        return self._held(self._cells(observed))

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> LevelChoice:
        return self._choice(self._cells(~observed), generator)

    def log_missing(self, curve: Curve, cells: Tensor) -> Tensor:
        tilt = curve.log_missing_at(self.table.at(cells % self.event_shape[0]).scores)
        return (self._log_probability_of(cells) + tilt).logsumexp(-1)

    def log_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return self._inside(cells, low, high)[0].logsumexp(-1)

    def mean_within(self, cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
        log_p, scores = self._inside(cells, low, high)
        return (log_p.softmax(-1) * scores).sum(-1)

    def draw_within(self, cells: Tensor, low: Tensor, high: Tensor, noise: Tensor) -> Tensor:
        """See :class:`CellRows`; without a path derivative."""
        log_p, scores = self._inside(cells, low, high)
        # Where rounding leaves the sum below 1 the last level may lie outside.
        drawn = _chosen(scores, _drawn(log_p.detach().softmax(-1), noise))
        return torch.minimum(torch.maximum(drawn, low), high)

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> LevelChoice:
        missing = self._cells(~masked.observed)
        cells = missing[0]
        log_p, column = self._log_probability_of(cells), cells % self.event_shape[0]
        tilted, counted = places(masked.own[column])
        if len(tilted):
            curve = masked.curve.of_cells(cells[tilted], self.event_shape[0])
            tilt = curve.log_missing_at(self.table.scores[column[tilted]])
            tilt = tilt if counted is None else torch.where(counted.unsqueeze(-1), tilt, 0.0)
            log_p = log_p.index_copy(-2, tilted, (log_p.index_select(-2, tilted) + tilt).log_softmax(-1))
        return LevelChoice(log_p, self.table, missing, self.batch_shape[-1], generator)

    def _cells(self, chosen: Tensor | None = None) -> Cells:
        """Positions in the flattened rows: of the chosen cells, (n, q), or of all."""
        n, q = self.batch_shape[-1], self.event_shape[0]
        return (torch.arange(n * q, device=self.loc.device), None) if chosen is None else places(chosen.expand(n, q))

    def _held(self, cells: Cells) -> HeldLevels:
        return HeldLevels(*self._logistics(cells[0]), self.table, cells, self.batch_shape[-1])

    def _choice(self, cells: Cells, generator: torch.Generator | None) -> LevelChoice:
        return LevelChoice(self._log_probability_of(cells[0]), self.table, cells, self.batch_shape[-1], generator)

    def _log_probability_of(self, cells: Tensor) -> Tensor:
        """Log probability of the levels of some cells, shape (K, m, C)."""
        return log_level_probability(*self._logistics(cells), self.table.cuts[cells % self.event_shape[0]])

    def _logistics(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """``loc`` and ``scale`` of some cells, shape (K, m)."""
        return self.loc.flatten(-2).index_select(-1, cells), self.scale.flatten(-2).index_select(-1, cells)

    def _inside(self, cells: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Log probabilities of the levels of some cells, (K, m, C), 0 outside their limits; and scores, (m, C)."""
        scores = self.table.at(cells % self.event_shape[0]).scores
        log_p = self._log_probability_of(cells)
        return log_p.masked_fill(~within(scores, low, high), torch.finfo(log_p.dtype).min / 2), scores


def _drawn(probability: Tensor, noise: Tensor) -> Tensor:
    """Levels by the inverse of their distribution function: probabilities (K, m, C), uniforms (..., K, m)."""
    return (probability.cumsum(-1)[..., :-1] < noise.unsqueeze(-1)).sum(-1)


def _chosen(values: Tensor, level: Tensor) -> Tensor:
    """Of values (..., m, C) those of a level of each cell, (..., m)."""
    return values.expand((*level.shape, -1)).gather(-1, level.unsqueeze(-1)).squeeze(-1)


class LevelLikelihood(Likelihood):
    r"""p(x|z) of columns with ordered levels.

    ``min_scale`` is a floor under the logistic's scale, on the model's scale, as the scores and cut points are.

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

    n_numbers = 1
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

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        return (self.loc_and_scale(hidden),)

    def rows(self, *numbers: Tensor) -> LevelRows:
        loc, raw = numbers[0].chunk(2, -1)
        # A logistic of scale s has the standard deviation 1.8 s: it starts near that of a standardised column.
        scale = 0.55 * (softplus(raw) + self.min_scale)
        return LevelRows(loc, scale, LevelTable(self.scores.to(loc), self.cuts.to(loc)))
