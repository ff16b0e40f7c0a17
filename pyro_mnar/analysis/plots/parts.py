"""What all pictures share: colours, axes, labels that fit, and legends that hide nothing.

One colour for one thing in every picture of the package, told apart in grey and by colour-blind readers too: greys for
what is known, blue for what the model says, orange for the model that takes values to be missing at random.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from sklearn.utils.validation import check_is_fitted

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.data.arguments import instance_only
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.foreign import shown as written
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator

OBSERVED = "0.85"
TRUE = "0.55"
#: Points and lines of the data: the grey of areas is too light for them.
DATA = "0.2"
IMPUTED = NOT_MIWAE = MODEL = "#1f77b4"
MIWAE = "#ff7f0e"
#: What is not to be trusted; marked by its shape too.
WRONG = "#d55e00"
LIMIT = "0.4"
#: The same for pictures of one's own beside the package's.
COLOURS = {"observed": OBSERVED, "true": TRUE, "imputed": IMPUTED, "MIWAE": MIWAE, "not-MIWAE": NOT_MIWAE}
#: Several models beside each other: the first is the model's blue, each has a dash of its own.
SEVERAL = (MODEL, "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
DASHES = ("-", "--", "-.", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), ":")

_SIZE = (7.0, 4.0)
#: Width of a character of a label, inches; of one of a legend, and the height of its lines.
CHARACTER = 0.09
_SMALL_CHARACTER, _LINE = 0.07, 0.24


def axes(ax: Axes | None, width: float = _SIZE[0], height: float = _SIZE[1]) -> Axes:
    """The Axes to draw on; new ones are ``width`` by ``height`` inches. InvalidInputError: neither Axes nor None."""
    if ax is not None:
        instance_only("ax", ax, Axes, "None, or the Axes to draw on")
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
    """Index of a column that is given by name or by index; InvalidInputError where there is no such column."""
    if isinstance(column, str) and column in names:
        return list(names).index(column)
    if isinstance(column, int | np.integer) and not isinstance(column, bool) and 0 <= column < len(names):
        return int(column)
    raise InvalidInputError(f"{written(column)} is not a column; the columns are {list(names)}")


class Shown(NamedTuple):
    """A column of the table as pictures show it: numbers, or levels by their place."""

    name: str
    #: Those of the model's columns that stand for it.
    columns: list[int]
    #: Names of its levels; None for numbers.
    labels: list[str] | None
    #: What the model's columns hold at each level, original units, shape (C, len(columns)); (0, 1) for numbers.
    levels: FloatArray
    ordered: bool = True

    def values(self, table: FloatArray) -> FloatArray:
        """Numbers, or the places of levels, of tables (..., p): shape (...), NaN where missing."""
        own = table[..., self.columns]
        if self.labels is None:
            return own[..., 0]
        nearest = np.abs(own[..., None, :] - self.levels).sum(-1).argmin(-1)
        return np.where(np.isnan(own).any(-1), np.nan, nearest)


def shown(estimator: JointEstimator, column: str | int) -> Shown:
    """How a column of the table is shown, given by its name, or a column of the model by its name or index.

    InvalidInputError where there is no such column.
    """
    check_estimator(estimator)
    check_is_fitted(estimator)
    schema, info = estimator._schema, estimator.columns_
    kinds = {str(kind.name): kind for kind in schema.columns if kind.modelled}
    if isinstance(column, str) and column in kinds and kinds[column].kind == "nominal":
        own = [j for j, owner in enumerate(schema.owners()) if owner == column]
        return Shown(column, own, [str(label) for label in kinds[column].labels], np.eye(len(own)), False)
    j = position(column, info.names)
    of = kinds.get(info.names[j])
    labels = [str(label) for label in of.labels] if of is not None else []
    if j in estimator.layout_.discrete:
        two = ["False", "True"] if of is not None and of.holds == "boolean" else ["0", "1"]
        return Shown(info.names[j], [j], labels or two, np.array([[0.0], [1.0]]))
    for levels in estimator.layout_.levels:
        if levels.column == j:
            names = labels or [f"{value:g}" for value in levels.values]
            return Shown(info.names[j], [j], names, np.array(levels.values)[:, None])
    return Shown(info.names[j], [j], None, np.zeros((0, 1)))


def counts_of(codes: FloatArray, n_levels: int) -> FloatArray:
    """How many of these places of levels are each level, shape (C,); NaN is none."""
    found = np.bincount(codes[~np.isnan(codes)].astype(int), minlength=n_levels)
    return found.astype(float)


def name_levels(ax: Axes, labels: Sequence[str], axis: str = "x") -> None:
    """The levels' names at their places, no more than there is room for."""
    width, height = inches(ax)
    longest = max(map(len, labels))
    room = width / (CHARACTER * (longest + 1)) if axis == "x" else height / 0.25
    step = max(1, int(np.ceil(len(labels) / max(room, 1.0))))
    set_ticks = ax.set_xticks if axis == "x" else ax.set_yticks
    set_ticks(range(0, len(labels), step), [wrapped(label, 16) for label in labels[::step]])


def named(ax: Axes, of: Shown, ylabel: str) -> Axes:
    """The Axes with a legend, and with the names of a column and of its levels below."""
    ax.set(xlabel=wrapped(of.name, 60), ylabel=ylabel)
    legend(ax)
    if of.labels is not None:
        name_levels(ax, of.labels)
    return ax


def bins(*samples: FloatArray, most: int = 40) -> list[float]:
    """Edges that all samples share, so that their histograms can be compared."""
    values = np.concatenate([np.asarray(sample, dtype=float).ravel() for sample in samples])
    edges = np.histogram_bin_edges(values, bins="auto")
    few = len(edges) <= most + 1
    return [float(edge) for edge in (edges if few else np.linspace(values.min(), values.max(), most + 1))]
