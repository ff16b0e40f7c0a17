"""Tables with features of several kinds: blocks of columns, independent given z."""

from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyro_mnar.data.columns import Layout
from pyro_mnar.model.likelihoods.base import Likelihood, RowDistribution
from pyro_mnar.model.likelihoods.discrete import BernoulliRows, CategoricalRows
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood
from pyro_mnar.numerics.distributions import WithChoices


class Blocks(WithChoices):
    """A distribution of a row made of independent distributions of blocks of its columns.

    Parameters
    ----------
    columns
        one index tensor per block, together 0 .. p-1, each once.
    parts
        one distribution per block, all with the same batch shape.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, columns: Sequence[Tensor], parts: Sequence[TorchDistribution]) -> None:
        self.columns, self.parts = tuple(columns), tuple(parts)
        super().__init__(parts[0].batch_shape, torch.Size([sum(len(c) for c in columns)]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Means, shape (K, n, p)."""
        return self._together([part.mean for part in self.parts])

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape ``sample_shape`` + (K, n, p)."""
        return self._together([part.rsample(torch.Size(sample_shape)) for part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """Sum over the blocks, shape (K, n), in nats."""
        terms = [p.log_prob(value[..., c]) for c, p in zip(self.columns, self.parts, strict=True)]
        return torch.stack(torch.broadcast_tensors(*terms)).sum(0)

    def choice_log_prob(self, value: Tensor) -> Tensor:
        """See :class:`~pyro_mnar.numerics.distributions.WithChoices`."""
        total = torch.zeros(value.shape[:-1], dtype=value.dtype, device=value.device)
        for columns, part in zip(self.columns, self.parts, strict=True):
            if isinstance(part, WithChoices):
                total = total + part.choice_log_prob(value[..., columns])
        return total

    def _together(self, values: Sequence[Tensor]) -> Tensor:
        return torch.cat(tuple(values), -1)[..., torch.cat(self.columns).argsort()]


class Block(NamedTuple):
    """Some columns (their indices) and what they follow given z; ``one_cell`` if they stand for one cell of a table."""

    columns: Tensor
    rows: RowDistribution
    one_cell: bool = False


class MixedRows(Blocks, RowDistribution):
    """Blocks of continuous, binary and categorical columns, the :class:`RowDistribution` of a mixed table."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        super().__init__([b.columns for b in blocks], [b.rows for b in blocks])

    def observed_part(self, observed: Tensor) -> Blocks:
        """See :class:`RowDistribution`."""
        return Blocks(self.columns, [b.rows.observed_part(observed[..., b.columns]) for b in self.blocks])

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> Blocks:
        """See :class:`RowDistribution`."""
        return Blocks(
            self.columns,
            [b.rows.missing_part(x[..., b.columns], observed[..., b.columns], generator) for b in self.blocks],
        )


class MixedLikelihood(Likelihood):
    r"""p(x|z) = prod N(x_j; ...) prod Bernoulli(x_j; ...) prod Categorical(x_group; ...), one factor per variable.

    Parameters
    ----------
    n_hidden
        width h of what comes in.
    layout
        which columns are what; continuous ones standardised, the others 0 and 1.
    scale, min_scale
        as for :class:`GaussianLikelihood`, for the continuous columns.

    Examples
    --------
    >>> from pyro_mnar.data.columns import Group
    >>> layout = Layout(continuous=(0, 3), binary=(4,), groups=(Group((1, 2)),))
    >>> MixedLikelihood(8, layout)(torch.zeros(10, 5, 8)).event_shape
    torch.Size([5])
    """

    def __init__(
        self,
        n_hidden: int,
        layout: Layout,
        scale: Literal["free", "feature", "shared"] = "free",
        min_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.layout = layout
        if layout.continuous:
            self.continuous = GaussianLikelihood(n_hidden, len(layout.continuous), scale, min_scale)
        self.sizes = [len(layout.binary), *(len(group.columns) for group in layout.groups)]
        self.logits = nn.Linear(n_hidden, sum(self.sizes))
        kinds = [layout.continuous, layout.binary, *(group.columns for group in layout.groups)]
        for position, columns in enumerate(kinds):
            self.register_buffer(f"columns_{position}", torch.tensor(columns, dtype=torch.int64), persistent=False)

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Likelihood`."""
        continuous = self.continuous.numbers(hidden) if self.layout.continuous else ()
        return self.logits(hidden), *continuous

    def rows(self, *numbers: Tensor) -> MixedRows:
        """See :class:`Likelihood`."""
        logits, *continuous = numbers
        index = [self.get_buffer(f"columns_{position}") for position in range(2 + len(self.layout.groups))]
        binary, *groups = logits.split(self.sizes, -1)
        blocks = []
        if self.layout.continuous:
            blocks.append(Block(index[0], self.continuous.rows(*continuous)))
        if self.layout.binary:
            blocks.append(Block(index[1], BernoulliRows(binary)))
        for columns, of_group, group in zip(index[2:], groups, self.layout.groups, strict=True):
            blocks.append(Block(columns, CategoricalRows(of_group), group.one_cell))
        return MixedRows(blocks)
