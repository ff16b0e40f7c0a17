"""The closed forms for whatever kinds of columns a table has, block by block."""

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.model.collapse.discrete import BernoulliMask, CategoricalMask, tilted_bernoulli, tilted_categorical
from pyro_mnar.model.collapse.gaussian import GaussianMask, TiltedGaussian
from pyro_mnar.model.collapse.pixels import PixelMask, TiltedPixels
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import BernoulliRows, Blocks, CategoricalRows, GaussianRows, MixedRows, RowDistribution
from pyro_mnar.model.likelihoods.pixels import TruncatedRows


def can_collapse(rows: RowDistribution, curve: Curve | None) -> bool:
    """Whether the closed forms exist for this pair of likelihood and mechanism."""
    if curve is None:
        return False
    if isinstance(rows, MixedRows):
        return all(can_collapse(block.rows, curve) for block in rows.blocks)
    return isinstance(rows, GaussianRows | BernoulliRows | CategoricalRows | TruncatedRows)


def collapsed_mask(
    rows: RowDistribution, curve: Curve, x: Tensor, observed: Tensor, active: Tensor, one_cell: bool = False
) -> TorchDistribution:
    """p(s | z, x_obs), batch (K, n), event (p,), for the mask that says which cells of ``x`` are seen.

    Parameters
    ----------
    rows : RowDistribution
        p(x | z), batch (K, n).
    curve : Curve
        The mechanism.
    x, observed : Tensor
        The rows, shape (n, p).
    active : Tensor
        bool, shape (p,): the columns that have a mask term.
    one_cell : bool
        The columns are a one-hot group that stands for one cell of the table.

    Raises
    ------
    UnsupportedModelError
        No closed form for these rows.
    """
    if isinstance(rows, MixedRows):
        parts = []
        for b in rows.blocks:
            at = (curve.at(b.columns), x[..., b.columns], observed[..., b.columns], active[b.columns])
            parts.append(collapsed_mask(b.rows, *at, one_cell=b.one_cell))
        return Blocks(rows.columns, parts)
    if isinstance(rows, GaussianRows):
        return GaussianMask(rows, curve, x, observed, active)
    if isinstance(rows, TruncatedRows):
        return PixelMask(rows, curve, x, observed, active)
    if isinstance(rows, BernoulliRows):
        return BernoulliMask(rows, curve, x, observed, active)
    if isinstance(rows, CategoricalRows):
        return CategoricalMask(rows, curve, x, observed, active, one_cell)
    raise UnsupportedModelError(f"{type(rows).__name__} has no closed form of the mask term; use collapse='auto'")


def tilted_rows(
    rows: RowDistribution,
    curve: Curve,
    x: Tensor,
    observed: Tensor,
    active: Tensor,
    generator: torch.Generator | None = None,
    one_cell: bool = False,
) -> TorchDistribution:
    """p(x_mis | z, s, x_obs), batch (K, n), event (p,); values in observed cells mean nothing.

    Parameters and errors as for :func:`collapsed_mask`; ``generator`` is the source of the draws.
    """
    if isinstance(rows, MixedRows):
        parts = []
        for b in rows.blocks:
            at = (curve.at(b.columns), x[..., b.columns], observed[..., b.columns], active[b.columns])
            parts.append(tilted_rows(b.rows, *at, generator=generator, one_cell=b.one_cell))
        return Blocks(rows.columns, parts)
    if isinstance(rows, GaussianRows):
        return TiltedGaussian(rows, curve, observed, active.nonzero()[:, 0], generator)
    if isinstance(rows, TruncatedRows):
        return TiltedPixels(rows, curve, observed, active, generator)
    if isinstance(rows, BernoulliRows):
        return tilted_bernoulli(rows, curve, observed, active, generator)
    if isinstance(rows, CategoricalRows):
        return tilted_categorical(rows, curve, x, observed, active, one_cell, generator)
    raise UnsupportedModelError(f"{type(rows).__name__} has no closed form of the mask term; use collapse='auto'")
