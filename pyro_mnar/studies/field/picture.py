"""The picture of the study: where each method wins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from pyro_mnar.analysis.plots import parts
from pyro_mnar.studies.field.masks import MASKS
from pyro_mnar.studies.field.tables import NAMES

#: What fills a tile: the package's colours for its models, others that colour-blind readers tell from them.
GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "auto (this package, told nothing)": (parts.NOT_MIWAE, ("auto",)),
    "self-masking (this package)": (parts.SEVERAL[4], ("self-masking",)),
    "ignorable (MIWAE)": (parts.MIWAE, ("ignorable",)),
    "not-MIWAE as published": (parts.SEVERAL[3], ("not-miwae",)),
    "forests": (parts.SEVERAL[2], ("forest", "miceforest")),
    "mean, KNN, MICE": ("0.75", ("mean", "knn", "mice")),
}
#: A method this little behind the winner is as good.
NEAR = 1.02
#: What a tile has no room for in full.
_SHORT = {"self-masking": "self-mask", "miceforest": "micefor.", "not-miwae": "published"}
#: The first mask of each further kind: with cuts, soft, and what has no one side.
_FAMILIES = ("hard-high", "soft-high", "both-tails")


def draw_winners(cells: pd.DataFrame, path: Path) -> None:
    """A tile per table and mask, in the colour of the method with the smallest RMSE, named in it; below, r of "auto".

    A dot says that "auto" did not win and is within 2 % of the winner. "auto" that was told the directions takes no
    part, since the others were not. ``cells`` holds means over seeds: table, mask, method, rmse and r.
    """
    colours = {method: colour for colour, methods in GROUPS.values() for method in methods}
    tables = [name for name in NAMES if name in set(cells["table"])]
    masks = [name for name in MASKS if name in set(cells["mask"])]
    figure = Figure(figsize=(1.4 + 0.64 * max(len(masks), 10), 1.9 + 0.5 * len(tables)), layout="constrained")
    axes = figure.add_subplot()
    taking_part = cells[cells["method"].isin(colours)]
    for _, group in taking_part.groupby(["table", "mask"]):
        x, y = masks.index(group["mask"].iloc[0]), tables.index(group["table"].iloc[0])
        rmse = group.set_index("method")["rmse"]
        winner = str(rmse.idxmin())
        axes.add_patch(Rectangle((x - 0.48, y - 0.47), 0.96, 0.94, facecolor=colours[winner], edgecolor="none"))
        ink = "white" if winner == "auto" else "black"
        axes.text(x, y - 0.19, _SHORT.get(winner, winner), ha="center", va="center", fontsize=8, color=ink)
        if "auto" in rmse:
            near = "•" if winner != "auto" and rmse["auto"] <= NEAR * rmse.min() else ""
            r = float(group.set_index("method")["r"]["auto"])
            text = "" if np.isnan(r) else f"{r:.2f}{near}"
            axes.text(x, y + 0.2, text, ha="center", va="center", fontsize=10, fontweight="bold", color=ink)
    axes.set(xlim=(-0.5, len(masks) - 0.5), ylim=(len(tables) - 0.5, -0.5))
    axes.set_xticks(range(len(masks)), [mask.replace("-", "\n") for mask in masks], fontsize=8.5)
    axes.set_yticks(range(len(tables)), tables, fontsize=9.5)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _families(axes, masks)
    present = [(label, colour) for label, (colour, methods) in GROUPS.items() if set(methods) & set(cells["method"])]
    handles = [Patch(facecolor=colour, label=label) for label, colour in present]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    axes.set_xlabel(
        "Colour and name: smallest RMSE on the missing cells. •: auto within 2 % of it.\n"
        "Number: RMSE of auto / best of mean, MICE, forests, ignorable.",
        fontsize=9,
    )
    figure.savefig(path, format="png", dpi=110)


def _families(axes: Axes, masks: list[str]) -> None:
    """Lines between the kinds of masks."""
    names = list(MASKS)
    for first in _FAMILIES:
        at = sum(mask in masks for mask in names[: names.index(first)])
        if 0 < at < len(masks):
            axes.axvline(at - 0.5, color="black", linewidth=1.2)
