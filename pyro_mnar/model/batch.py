"""The rows that a model sees at once."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_mnar.errors import InvalidInputError


class Batch(NamedTuple):
    """Rows of a table on the model's own (standardised) scale.

    Attributes
    ----------
    x
        values, shape (n, p); missing cells hold 0 and are never read as data.
    observed
        bool, shape (n, p); True where the value was observed.
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

    def check(self) -> None:
        """See that mask and values agree.

        Raises
        ------
        InvalidInputError
            Shapes that differ, a cell that is marked as observed but holds no finite number, or a missing one that
            does not hold a finite placeholder (which would spread NaN through products with 0).
        """
        if self.x.shape != self.observed.shape:
            raise InvalidInputError(
                f"x has the shape {tuple(self.x.shape)} and the mask {tuple(self.observed.shape)}; they must be equal"
            )
        bad = ~torch.isfinite(self.x)
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            kind = "observed" if self.observed[row, column] else "missing"
            rule = "mark it as missing" if kind == "observed" else "put 0 there"
            raise InvalidInputError(
                f"the cell in row {row}, column {column} is marked as {kind} but holds {self.x[row, column].item()}; "
                f"{rule}"
            )
