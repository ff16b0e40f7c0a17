"""From finished rows to the study's tables and its picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pyro_mnar.analysis.plots import parts
from pyro_mnar.studies.mixed.masks import MASKS
from pyro_mnar.studies.mixed.study import METHODS, MODELS
from pyro_mnar.studies.mixed.tables import TABLES
from pyro_mnar.studies.records import in_order, markdown_table, write_files
from pyro_mnar.studies.study import Record

#: Scores and the digits that are shown of them.
SCORES = {
    "nrmse": 3,
    "mae": 3,
    "crps": 3,
    "accuracy": 3,
    "log_loss": 3,
    "impossible": 3,
    "impossible_draws": 3,
    "seconds": 1,
    "draw_seconds": 1,
}
TITLES = {"mcar": "completely at random", "mar": "at random", "self-masked": "high numbers, frequent levels"}
#: Marks and colours of the tables, told apart without colour too.
_MARKS = dict(zip(TABLES, ("o", "s", "^", "D", "v"), strict=True))
_COLOURS = dict(zip(TABLES, parts.SEVERAL[:5], strict=True))
#: How far off a method can be in the picture.
_FAR_RATIO, _FAR_LOSS = 1.5, 0.25


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write summary.csv, table.md and methods.png, of what the records hold, and give their paths."""
    means = cells(records)
    picture = partial(draw_methods, means)
    return write_files(folder, {"summary.csv": means, "table.md": markdown(means), "methods.png": picture})


def cells(records: Sequence[Record]) -> pd.DataFrame:
    """Means over seeds, one line per table, mask and method, in the study's order."""
    names = ["table", "mask", "method"]
    lines = pd.DataFrame(
        [
            {**{name: record.spec[name] for name in names}, **{name: record.result[name] for name in SCORES}}
            for record in records
        ],
        columns=[*names, *SCORES],
    ).astype(dict.fromkeys(SCORES, float))
    groups = lines.groupby(names, sort=False)
    means = groups.mean()
    means["n_seeds"] = groups.size()
    return in_order(means.reset_index(), {"table": (*TABLES,), "mask": MASKS, "method": METHODS})


def markdown(means: pd.DataFrame) -> str:
    """A table per mask: means over the tables that every method shown has finished, a line per method."""
    parts = [
        "Numbers: normalised RMSE, MAE and CRPS in standard deviations of the complete column (the CRPS of a method\n"
        "without draws is its MAE), and the share of values that the column cannot hold, in the completed table and\n"
        "in draws. Levels: accuracy and log loss in nats. Seconds of one core. Means over tables and seeds."
    ]
    for mask in MASKS:
        group = means[means["mask"] == mask]
        if len(group):
            shared = set.intersection(*(set(part["table"]) for _, part in group.groupby("method")))
            group = group[group["table"].isin(shared)]
            parts += [f"## {mask}: {TITLES[mask]} ({', '.join(t for t in TABLES if t in shared)})", _lines(group)]
    return "\n\n".join(parts) + "\n"


def _lines(group: pd.DataFrame) -> str:
    lines = []
    average = group.groupby("method")[list(SCORES)].mean()
    for method in METHODS:
        if method in average.index:
            values = average.loc[[method]].to_dict("records")[0]
            shown = ["" if np.isnan(values[name]) else f"{values[name]:.{digits}f}" for name, digits in SCORES.items()]
            lines.append([method, *shown])
    return markdown_table(["method", *SCORES], lines)


def draw_methods(means: pd.DataFrame, path: Path) -> None:
    """A panel per mask, above numbers and below levels: how far each method is from the best, table by table."""
    masks = [mask for mask in MASKS if mask in set(means["mask"])]
    methods = [method for method in METHODS if method in set(means["method"])][::-1]
    figure = Figure(figsize=(11.5, 1.6 + 0.62 * len(methods)), layout="constrained")
    panels = figure.subplots(2, len(masks), squeeze=False, sharex="row", sharey=True)
    for column, mask in enumerate(masks):
        group = means[means["mask"] == mask]
        by_table = group.groupby("table")
        numbers = (group["nrmse"] / by_table["nrmse"].transform("min")).clip(upper=_FAR_RATIO)
        levels = (by_table["accuracy"].transform("max") - group["accuracy"]).clip(upper=_FAR_LOSS)
        for axes, values, best in zip(panels[:, column], (numbers, levels), (1.0, 0.0), strict=True):
            axes.axvspan(best, best * 1.05 if best else 0.01, color="0.92", zorder=0)
            for y, method in enumerate(methods):
                own = values[group["method"] == method]
                colour = parts.MODEL if method in MODELS else "0.25"
                axes.plot([own.mean()], [y], marker="|", markersize=17, markeredgewidth=3.2, color=colour, zorder=2)
                for table, value in zip(group["table"][own.index], own, strict=True):
                    style = {"marker": _MARKS[table], "color": _COLOURS[table]}
                    axes.plot([value], [y], linestyle="", markersize=5.5, alpha=0.85, zorder=3, **style)
            axes.set_yticks(range(len(methods)), methods, fontsize=10)
            axes.set_ylim(-0.6, len(methods) - 0.4)
            axes.grid(axis="y", color="0.9")
            axes.spines[["top", "right"]].set_visible(False)
        panels[0, column].set_title(f"{mask}: {TITLES[mask]}", fontsize=10.5)
        panels[0, column].set_xlabel("numbers: RMSE / the smallest", fontsize=10)
        panels[1, column].set_xlabel("levels: accuracy below the best", fontsize=10)
    for table in TABLES:
        panels[0, 0].plot([], [], marker=_MARKS[table], color=_COLOURS[table], linestyle="", label=table)
    mean = {"marker": "|", "markersize": 13, "markeredgewidth": 3, "linestyle": ""}
    panels[0, 0].plot([], [], color="0.25", label="mean of the tables", **mean)
    figure.suptitle(
        "Blue: this package. Grey band: within 5 % of the best, or one point of accuracy. What is further off than "
        f"{_FAR_RATIO} or {_FAR_LOSS} is at the edge.",
        fontsize=9.5,
    )
    figure.legend(loc="outside lower center", ncols=len(TABLES) + 1, fontsize=10, frameon=False)
    figure.savefig(path, format="png", dpi=100)
