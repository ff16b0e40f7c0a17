"""What the plots share."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError

OBSERVED = "tab:blue"
IMPUTED = "tab:orange"
TRUE = "black"
MODEL = "tab:gray"
WRONG = "tab:red"


def axes(ax: Axes | None) -> Axes:
    """The Axes to draw on."""
    return plt.subplots(layout="constrained")[1] if ax is None else ax


def position(column: str | int, names: Sequence[str]) -> int:
    """Index of a column that is given by name or by index.

    Raises
    ------
    InvalidInputError
        There is no such column.

    Examples
    --------
    >>> position("age", ("income", "age")), position(0, ("income", "age"))
    (1, 0)
    """
    if isinstance(column, str) and column in names:
        return list(names).index(column)
    if isinstance(column, int | np.integer) and 0 <= column < len(names):
        return int(column)
    raise InvalidInputError(f"{column!r} is not a column; the columns are {list(names)}")


def bins(*samples: FloatArray, most: int = 40) -> list[float]:
    """Edges that all samples share, so that their histograms can be compared."""
    values = np.concatenate([np.asarray(sample, dtype=float).ravel() for sample in samples])
    edges = np.histogram_bin_edges(values, bins="auto")
    few = len(edges) <= most + 1
    return [float(edge) for edge in (edges if few else np.linspace(values.min(), values.max(), most + 1))]
