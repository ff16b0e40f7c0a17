"""Tables with features of several kinds: blocks of columns, independent given z."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor, nn

from pyro_mnar.data.columns import Layout
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods.atoms import AtomLikelihood
from pyro_mnar.model.likelihoods.base import Likelihood, MaskedRows, RowDistribution
from pyro_mnar.model.likelihoods.bernoulli import BernoulliRows
from pyro_mnar.model.likelihoods.categorical import CategoricalRows
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood
from pyro_mnar.model.likelihoods.levels import LevelLikelihood
from pyro_mnar.model.likelihoods.student import StudentLikelihood, StudentRows
from pyro_mnar.numerics.distributions import WithChoices


class Blocks(WithChoices):
    """A distribution of a row made of independent distributions of blocks of its columns, all of one batch shape.

    ``columns`` has one index tensor per block, together 0 .. p-1, each once.
    """

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
    """Blocks of columns of several kinds, the :class:`RowDistribution` of a mixed table."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self.blocks = tuple(blocks)
        super().__init__([b.columns for b in blocks], [b.rows for b in blocks])

    @property
    def has_mask_term(self) -> bool:
        return all(block.rows.has_mask_term for block in self.blocks)

    def observed_part(self, observed: Tensor) -> Blocks:
        return Blocks(self.columns, [b.rows.observed_part(observed[..., b.columns]) for b in self.blocks])

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> Blocks:
        return Blocks(
            self.columns,
            [b.rows.missing_part(x[..., b.columns], observed[..., b.columns], generator) for b in self.blocks],
        )

    def mask_term(self, masked: MaskedRows) -> Blocks:
        parts = [b.rows.mask_term(masked.block(b.columns, b.one_cell)) for b in self.blocks]
        return Blocks(self.columns, parts)

    def mask_given_values(self, plain: Bernoulli, curve: Curve, x: Tensor) -> Bernoulli:
        logits = plain.logits
        for block in self.blocks:
            if isinstance(block.rows, StudentRows):
                own = block.rows.mask_given_values(plain, curve.at(block.columns), x[..., block.columns])
                logits = logits.index_copy(-1, block.columns, own.logits)
        return Bernoulli(logits=logits, validate_args=False)

    def missing_given_mask(self, masked: MaskedRows, generator: torch.Generator | None = None) -> Blocks:
        parts = [b.rows.missing_given_mask(masked.block(b.columns, b.one_cell), generator) for b in self.blocks]
        return Blocks(self.columns, parts)


class MixedLikelihood(Likelihood):
    r"""p(x|z) = one factor per variable, each of the kind that its column has.

    ``layout`` says which columns are what, all on the model's scale. ``scale`` and ``min_scale`` are as for
    :class:`GaussianLikelihood`, for the continuous columns; the floor holds for levels and atoms too. ``student`` are
    the continuous columns that have Student's t errors (:class:`StudentLikelihood`), and their degrees of freedom, NaN
    where they are learned.

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
        scale: Literal["free", "shared"] = "free",
        min_scale: float = 0.1,
        student: Mapping[int, float] | None = None,
    ) -> None:
        super().__init__()
        student = student or {}
        # In this order: that of the parts.
        normal = [j for j in layout.continuous if j not in student]
        self.of_numbers = {
            "continuous": normal,
            "student": list(student),
            "levels": [column.column for column in layout.levels],
            "atoms": [column.column for column in layout.atoms],
        }
        self.layout = layout
        if normal:
            self.continuous = GaussianLikelihood(n_hidden, len(normal), scale, min_scale)
        if student:
            self.student = StudentLikelihood(n_hidden, len(student), scale, min_scale, list(student.values()))
        if layout.levels:
            self.levels = LevelLikelihood(n_hidden, layout.levels, min_scale)
        if layout.atoms:
            self.atoms = AtomLikelihood(n_hidden, layout.atoms, min_scale)
        self.sizes = [len(layout.binary), *(len(group.columns) for group in layout.groups)]
        self.logits = nn.Linear(n_hidden, sum(self.sizes)) if sum(self.sizes) else None
        kinds = {
            **self.of_numbers,
            "binary": layout.binary,
            **{f"group_{i}": group.columns for i, group in enumerate(layout.groups)},
        }
        for kind, columns in kinds.items():
            index = torch.tensor(columns, dtype=torch.int64)
            self.register_buffer(f"columns_{kind}", index, persistent=False)

    @property
    def freedom(self) -> dict[int, float]:
        """Degrees of freedom of the columns with Student's t errors."""
        of_columns = self.of_numbers["student"]
        return dict(zip(of_columns, self.student.freedom.tolist(), strict=True)) if of_columns else {}

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        found = [number for part in self._parts() for number in part.numbers(hidden)]
        return (*found, hidden[..., :0] if self.logits is None else self.logits(hidden))

    def rows(self, *numbers: Tensor) -> MixedRows:
        *rest, logits = numbers
        blocks = []
        for kind, part in zip(self._kinds(), self._parts(), strict=True):
            own, rest = rest[: part.n_numbers], rest[part.n_numbers :]
            blocks.append(Block(self.get_buffer(f"columns_{kind}"), part.rows(*own)))
        binary, *groups = logits.split(self.sizes, -1)
        if self.layout.binary:
            blocks.append(Block(self.get_buffer("columns_binary"), BernoulliRows(binary)))
        for i, (of_group, group) in enumerate(zip(groups, self.layout.groups, strict=True)):
            blocks.append(Block(self.get_buffer(f"columns_group_{i}"), CategoricalRows(of_group), group.one_cell))
        return MixedRows(blocks)

    def _kinds(self) -> list[str]:
        return [kind for kind, columns in self.of_numbers.items() if columns]

    def _parts(self) -> list[GaussianLikelihood | StudentLikelihood | LevelLikelihood | AtomLikelihood]:
        return [getattr(self, kind) for kind in self._kinds()]
