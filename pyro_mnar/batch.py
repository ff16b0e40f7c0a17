"""The rows that a model sees at once."""

from typing import NamedTuple

import torch
from torch import Tensor


class Batch(NamedTuple):
    """Rows of a table on the model's own (standardised) scale.

    Attributes
    ----------
    x
        values, shape (n, p); missing cells hold 0 and are never read as data.
    observed
        bool, shape (n, p); True where the value was seen.
    y
        optional target, shape (n,): class indices (int64) or a standardised real value.
    """

    x: Tensor
    observed: Tensor
    y: Tensor | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.x.shape[0]

    def rows(self, index: Tensor | slice) -> "Batch":
        """The batch that holds the rows of ``index`` only."""
        return Batch(self.x[index], self.observed[index], None if self.y is None else self.y[index])

    def without_target(self) -> "Batch":
        """The same rows with y unknown, as at prediction."""
        return Batch(self.x, self.observed)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Batch":
        """Copy to a device, with floating-point parts in ``dtype``."""
        y = self.y
        if y is not None:
            y = y.to(device, dtype) if y.is_floating_point() else y.to(device)
        return Batch(self.x.to(device, dtype), self.observed.to(device), y)
