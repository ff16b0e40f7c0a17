"""What one column of a table is, as plain values that can be saved, and the words for it."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pyro_mnar.data.columns import Support

KindName = Literal[
    "continuous",
    "bounded",
    "semicontinuous",
    "count",
    "discrete",
    "ordinal",
    "nominal",
    "binary",
    "one-hot",
    "date",
    "duration",
    "constant",
    "identifier",
    "empty",
]

#: Any number.
OPEN = Support()
#: Kinds that the model does not have.
LEFT_OUT = ("identifier", "empty")


@dataclass(frozen=True)
class ColumnKind:
    """One column of the user's table.

    Attributes
    ----------
    name : object
        Its name.
    kind : str
        What it is.
    why : str
        What shows that.
    support : Support
        Which values it can have, in the units of the table that the model reads: codes for labels, days for dates.
    labels : tuple
        The label of each code, for columns that are read as codes; empty for others.
    pooled : tuple
        Labels that are read as the last code, beside its own: rare ones.
    levels : tuple of float
        Values of a column of ordered levels (codes for labels), ascending; empty for other kinds.
    atoms : tuple of float
        Values that have a probability of their own.
    holds : str
        What its cells are in the user's table: "number", "boolean", "label", "date" or "duration".
    declared : bool
        Whether the user said so.
    """

    name: Any
    kind: KindName
    why: str
    support: Support = OPEN
    labels: tuple[Any, ...] = ()
    pooled: tuple[Any, ...] = ()
    levels: tuple[float, ...] = ()
    atoms: tuple[float, ...] = ()
    holds: str = "number"
    declared: bool = False

    @property
    def modelled(self) -> bool:
        """Whether the model has it."""
        return self.kind not in LEFT_OUT

    @property
    def width(self) -> int:
        """How many of the model's columns stand for it."""
        if not self.modelled:
            return 0
        return len(self.labels) if self.kind == "nominal" else 1

    def support_in_words(self) -> str:
        """Which values it can have.

        Examples
        --------
        >>> ColumnKind("n", "count", "", Support(0.0, whole=True)).support_in_words()
        'whole numbers >= 0'
        >>> ColumnKind("x", "bounded", "", Support(0.0, 100.0)).support_in_words()
        'numbers from 0 to 100'
        """
        if self.kind in LEFT_OUT:
            return "as it is"
        if self.labels:
            return _listed([str(label) for label in (*self.labels, *self.pooled)])
        if self.kind in ("discrete", "ordinal"):
            return _listed([f"{value:g}" for value in self.levels])
        if self.kind in ("one-hot", "binary"):
            return "0, 1"
        if self.kind in ("date", "duration"):
            return "any " + self.kind + (", whole days" if self.support.whole else "")
        what = "whole numbers" if self.support.whole else "numbers"
        low, high = self.support.lowest, self.support.highest
        if low == high:
            return f"{low:g}"
        if np.isfinite(low) and np.isfinite(high):
            return f"{what} from {low:g} to {high:g}"
        if np.isfinite(low):
            return f"{what} >= {low:g}"
        return f"{what} <= {high:g}" if np.isfinite(high) else f"any {what}"


def _listed(words: list[str], most: int = 8) -> str:
    return ", ".join(words) if len(words) <= most else ", ".join(words[: most - 1]) + f", ... ({len(words)} levels)"
