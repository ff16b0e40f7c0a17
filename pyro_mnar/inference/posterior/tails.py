"""How far lost tails reach is known up to a factor: draws that carry this uncertainty."""

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, Support, standardise_column


def with_uncertain_tails(
    x: Tensor, columns: ColumnInfo, seed: int, limits: Tensor | None = None, rows: Tensor | None = None
) -> Tensor:
    """Draws with another reach of the lost tails in each: one factor per draw and column, the same for all rows.

    Factors are log-normal with mean 1, so that means on the model's scale stay. The draws have the shape (m, n, p), on
    the model's scale; the rows are those numbered ``rows`` of the whole table, all of them for None, and ``limits``,
    (N, p, 2), are those of the whole table's cells of which no more is known.

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
    if limits is not None:
        limits = (limits if rows is None else limits[rows]).to(x)
    result = x.clone()
    for tail, normal in zip(columns.tails, noise.unbind(-1), strict=True):
        values, j = x[..., tail.column], tail.column
        factor = (tail.spread * normal - tail.spread**2 / 2).exp()[:, None]
        if tail.end is not None:
            excess = values - tail.end
            result[..., j] = torch.where(tail.sign * excess > 0, tail.end + factor * excess, values)
        elif limits is not None:
            last, end = limits[:, j].unbind(-1) if tail.sign < 0 else limits[:, j].flip(-1).unbind(-1)
            open_ended = end.isfinite() & (tail.sign * last >= _reach(columns, j, tail.sign))
            stretched = end + factor * (values - end)
            within = torch.minimum(stretched, last) if tail.sign > 0 else torch.maximum(stretched, last)
            result[..., j] = torch.where(open_ended, within, result[..., j])
    return result


def _reach(columns: ColumnInfo, column: int, sign: int) -> float:
    """How far out values of a column can lie on one side, less what single precision cannot tell: limits end there."""
    support = columns.supports[column] if columns.supports else Support()
    end = np.array([support.highest if sign > 0 else support.lowest])
    if np.isfinite(end[0]):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            end = standardise_column(end, column, columns)
    reach = sign * float(end[0])
    return reach - 1e-4 * (1 + abs(reach)) if np.isfinite(reach) else reach
