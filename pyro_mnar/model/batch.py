"""The rows that a model sees at once."""

from typing import NamedTuple

import torch
from torch import Tensor

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.numerics.truncated_normal import mean_within


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
    limits
        optional, shape (n, p, 2): between which values a cell that was not observed is known to lie, -inf and inf where
        nothing is known.
    beside
        optional, shape (n, 2 q): q columns that the mechanism alone reads, 0 where they are missing, and then 1 where
        they are.
    """

    x: Tensor
    observed: Tensor
    y: Tensor | None = None
    limits: Tensor | None = None
    beside: Tensor | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.x.shape[0]

    def rows(self, index: Tensor | slice) -> "Batch":
        """The batch that holds the rows of ``index`` only."""
        others = (None if part is None else part[index] for part in (self.y, self.limits, self.beside))
        return Batch(self.x[index], self.observed[index], *others)

    def without_target(self) -> "Batch":
        """The same rows with y unknown, as at prediction."""
        return self._replace(y=None)

    @property
    def censored(self) -> Tensor | None:
        """Cells that were not observed but are known to lie within limits, bool, shape (n, p); None without limits."""
        return None if self.limits is None else self.limits.isfinite().any(-1) & ~self.observed

    @property
    def hint(self) -> Tensor | None:
        """What a proposal may take censored cells for, shape (n, p): the mean of N(0, 1) within limits; 0 elsewhere."""
        if self.limits is None or self.censored is None:
            return None
        zero, one = torch.zeros_like(self.x), torch.ones_like(self.x)
        return torch.where(self.censored, mean_within(zero, one, *self.limits.unbind(-1)), zero)

    def to(self, device: torch.device | str, dtype: torch.dtype) -> "Batch":
        """Copy to a device, with floating-point parts in ``dtype``."""
        y = self.y
        if y is not None:
            y = y.to(device, dtype) if y.is_floating_point() else y.to(device)
        limits, beside = (None if part is None else part.to(device, dtype) for part in (self.limits, self.beside))
        return Batch(self.x.to(device, dtype), self.observed.to(device), y, limits, beside)

    def check(self) -> None:
        """See that mask and values agree.

        InvalidInputError where shapes differ, a cell that is marked as observed holds no finite number, or a missing
        one no finite placeholder (which would spread NaN through products with 0).
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
