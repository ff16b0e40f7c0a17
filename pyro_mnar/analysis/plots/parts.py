"""What all pictures share: colours, axes, labels that fit, and legends that hide nothing.

One colour for one thing in every picture of the package, told apart in grey and by colour-blind readers too: greys for
what is known, blue for what the model says, orange for the model that takes values to be missing at random.
"""

import re
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import InvalidInputError

OBSERVED = "0.85"
TRUE = "0.55"
#: Points and lines of the data: the grey of areas is too light for them.
DATA = "0.2"
IMPUTED = NOT_MIWAE = MODEL = "#1f77b4"
MIWAE = "#ff7f0e"
#: What is not to be trusted; marked by its shape too.
WRONG = "#d55e00"
LIMIT = "0.4"
#: Several models beside each other: the first is the model's blue, each has a dash of its own.
SEVERAL = (MODEL, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
DASHES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), ":")

_SIZE = (7.0, 4.0)
#: Width of a character of a label, inches; of one of a legend, and the height of its lines.
CHARACTER = 0.09
_SMALL_CHARACTER, _LINE = 0.07, 0.24


def axes(ax: Axes | None, width: float = _SIZE[0], height: float = _SIZE[1]) -> Axes:
    """The Axes to draw on; new ones are ``width`` by ``height`` inches."""
    return plt.subplots(figsize=(width, height), layout="constrained")[1] if ax is None else ax


def inches(ax: Axes) -> tuple[float, float]:
    """Width and height of the Axes."""
    box = ax.get_window_extent()
    dpi = ax.figure.dpi
    return box.width / dpi, box.height / dpi


def legend(ax: Axes) -> None:
    """A legend above the data, for which the y axis is made longer."""
    entries = ax.get_legend_handles_labels()[1]
    if not entries:
        return
    width, height = inches(ax)
    columns = max(1, min(len(entries), int(width / (_SMALL_CHARACTER * max(map(len, entries)) + 0.6))))
    share = min(0.6, (_LINE * -(-len(entries) // columns) + 0.15) / height)
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / (1 - share))
    # No ticks where there are no data.
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
    ax.set_ylim(low, low + (high - low) / (1 - share))
    ax.legend(loc="upper center", ncols=columns, frameon=False, fontsize="small", borderaxespad=0.3)


def wrapped(name: str, width: int = 24) -> str:
    """A long name on several lines, broken at blanks and after signs such as "_" where it has any.

    Examples
    --------
    >>> print(wrapped("free_sulfur_dioxide in mg per litre", 20))
    free_sulfur_dioxide
    in mg per litre
    >>> print(wrapped("abcdefgh", 5))
    abcde
    fgh
    """
    lines = [""]
    for piece in re.findall(r"[^\s_\-./:;,]*[\s_\-./:;,]*", name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
        while len(lines[-1].rstrip()) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return "\n".join(line.rstrip() for line in lines)


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
