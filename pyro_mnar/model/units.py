"""Rows on the model's scale in the units of the user's table, for mechanisms that are stated there."""

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, FloatArray, original


def in_original_units(x: Tensor, columns: ColumnInfo) -> Tensor:
    """Values (..., p) of the model's scale in original units, float64; two values of any coding as these values.

    Examples
    --------
    >>> from pyro_mnar.data.transforms import Log
    >>> columns = ColumnInfo(("a",), np.zeros(1), np.ones(1), np.zeros(1), (Log(),))
    >>> x = torch.zeros(1, requires_grad=True)
    >>> in_original_units(x, columns).sum().backward()
    >>> x.grad
    tensor([1.])
    """
    given = original(x.detach().double().cpu().numpy(), columns)
    # MPS alone has no double precision.
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    values = torch.as_tensor(_with_codes(given, columns)).to(x.device, dtype)
    if not x.requires_grad:
        return values
    # The value with the derivative beside it; how that changes is left out.
    slope = torch.as_tensor(_derivative(given, columns)).to(x.device, dtype)
    return values + slope * (x - x.detach()).to(dtype)


def _with_codes(values: FloatArray, columns: ColumnInfo) -> FloatArray:
    """Columns of two numbers as these numbers."""
    result = values.copy()
    for j, codes in enumerate(columns.codes):
        if codes:
            result[..., j] = codes[0] + (codes[1] - codes[0]) * values[..., j]
    return result


@np.errstate(divide="ignore", over="ignore", invalid="ignore")
def _derivative(values: FloatArray, columns: ColumnInfo) -> FloatArray:
    """Of original values by x; 0 where they are levels or atoms, and where they are cut to the support."""
    slope = np.broadcast_to(columns.scale, values.shape).copy()
    for j, g in columns.transformed:
        inside = np.exp(-g.log_derivative(values[..., j]))
        slope[..., j] *= np.where(g.is_mass(values[..., j]) | ~np.isfinite(inside), 0.0, inside)
    for j, support in enumerate(columns.supports):
        slope[..., j] *= (values[..., j] > support.lowest) & (values[..., j] < support.highest)
    for j, codes in enumerate(columns.codes):
        slope[..., j] *= codes[1] - codes[0] if codes else 1.0
    return slope
