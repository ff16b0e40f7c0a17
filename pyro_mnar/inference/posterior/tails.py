"""How far lost tails reach is known up to a factor: draws that carry this uncertainty."""

import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo


def with_uncertain_tails(x: Tensor, columns: ColumnInfo, seed: int) -> Tensor:
    """Draws with another reach of the lost tails in each: one factor per draw and column, the same for all rows.

    Factors are log-normal with mean 1, so that means on the model's scale stay.

    Parameters
    ----------
    x : Tensor
        Model's scale, shape (m, n, p): the first axis counts draws.
    columns : ColumnInfo
        With the tails and their uncertainty.
    seed : int
        Of the factors.

    Examples
    --------
    >>> import numpy as np
    >>> from pyro_mnar.data.columns import LostTail
    >>> tail = LostTail(column=0, end=0.0, sign=1, spread=0.5)
    >>> columns = ColumnInfo(("a",), np.zeros(1), np.ones(1), np.zeros(1), tails=(tail,))
    >>> with_uncertain_tails(torch.full((2, 1, 1), -1.0), columns, 0).flatten().tolist()
    [-1.0, -1.0]
    >>> with_uncertain_tails(torch.ones(3, 1, 1), columns, 0).unique().numel()
    3
    """
    if not columns.tails:
        return x
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(x), len(columns.tails), dtype=x.dtype, generator=generator).to(x.device)
    result = x.clone()
    for tail, normal in zip(columns.tails, noise.unbind(-1), strict=True):
        excess = x[..., tail.column] - tail.end
        factor = (tail.spread * normal - tail.spread**2 / 2).exp()[:, None]
        result[..., tail.column] = torch.where(tail.sign * excess > 0, tail.end + factor * excess, x[..., tail.column])
    return result
