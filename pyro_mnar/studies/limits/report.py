"""From finished rows to the study's table and picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pyro_mnar.analysis.plots import parts
from pyro_mnar.studies.limits.study import CASES, METHODS
from pyro_mnar.studies.records import markdown_table, write_files
from pyro_mnar.studies.study import Record

SCORES = ("rmse", "crps", "cover", "bias_mean", "bias_slope", "seconds")
NAMED = {
    "half": "limit / 2",
    "root2": "limit / sqrt(2)",
    "ros": "order statistics",
    "lognormal": "log-normal, maximum likelihood",
    "censored": "this package, Censored",
}
_COLOURS = ("0.75", "0.5", *parts.SEVERAL[2:4], parts.MODEL)


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write cells.csv, table.md and errors.png of what the records hold, and give their paths."""
    means = cells(records)
    picture = partial(draw_errors, means)
    return write_files(folder, {"cells.csv": means, "table.md": markdown(means), "errors.png": picture})


def cells(records: Sequence[Record]) -> pd.DataFrame:
    """Means over seeds, one line per column, quantile and method."""
    lines = pd.DataFrame([{**record.spec, **record.result} for record in records])
    lines = lines.astype({score: float for score in SCORES})
    grouped = lines.groupby(["case", "quantile", "method"])
    means = grouped[list(SCORES)].mean().reset_index()
    return means.assign(n_seeds=grouped["seed"].nunique().to_numpy())


def markdown(means: pd.DataFrame) -> str:
    """A table of means over columns and quantiles of each method, then RMSE by column and quantile."""
    methods = [method for method in METHODS if method in set(means["method"])]
    head = ["method", "RMSE (sd)", "CRPS (sd)", "cover of 90 %", "bias of mean (sd)", "bias of slope", "seconds"]
    lines = []
    for method in methods:
        own = means[means["method"] == method]
        size = own.assign(bias_mean=own["bias_mean"].abs(), bias_slope=own["bias_slope"].abs())[list(SCORES)].mean()
        cover = "-" if np.isnan(size["cover"]) else f"{size['cover']:.2f}"
        lines.append(
            [
                NAMED[method],
                f"{size['rmse']:.3f}",
                f"{size['crps']:.3f}",
                cover,
                f"{size['bias_mean']:.3f}",
                f"{100 * size['bias_slope']:.1f} %",
                f"{size['seconds']:.1f}",
            ]
        )
    table = means.pivot_table(index=["case", "quantile"], columns="method", values="rmse").reset_index()
    errors = []
    for line in table.to_dict("records"):
        best = np.nanmin([line[method] for method in methods])
        shown = [f"**{line[m]:.3f}**" if line[m] == best else f"{line[m]:.3f}" for m in methods]
        errors.append([f"{line['case']}, {line['quantile']}", *shown])
    parts = [
        markdown_table(head, lines),
        "RMSE on the censored cells, standard deviations of the column:",
        markdown_table(["column, quantile", *(NAMED[method] for method in methods)], errors),
    ]
    return "\n\n".join(parts) + "\n"


def draw_errors(means: pd.DataFrame, path: Path) -> None:
    """RMSE of each method on each column, over the quantile at which the limit lies."""
    cases = [case for case in CASES if case in set(means["case"])]
    figure = Figure(figsize=(2.6 * len(cases) + 0.6, 3.0), layout="constrained")
    axes = figure.subplots(1, len(cases), squeeze=False)[0]
    for ax, case in zip(axes, cases, strict=True):
        for method, colour in zip(METHODS, _COLOURS, strict=True):
            own = means[(means["case"] == case) & (means["method"] == method)].sort_values("quantile")
            ax.plot(own["quantile"], own["rmse"], "o-", color=colour, label=NAMED[method], markersize=4)
        ax.set(title=case, xlabel="quantile of the limit", ylim=(0, None))
    axes[0].set_ylabel("RMSE below the limit (sd)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120, format="png")
