"""From finished rows to the study's tables and its figure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar.studies.records import Content, in_order, markdown_table, write_files
from pyro_mnar.studies.study import Record
from pyro_mnar.studies.uci.design import (
    ABLATION,
    BASELINES,
    DATASETS,
    DEFAULT_ABLATION,
    DEFAULTS,
    DETERMINISTIC,
    MODELS,
)

#: Numbers of others, for orientation beside the study's own: RMSE in standard deviations, lower is better.
SOURCE = "Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, Table 1"
#: By the name of the method in this study, in the order of DATASETS.
_ROWS: dict[str, tuple[float, ...]] = {
    "mean": (1.73, 1.85, 1.83, 1.74, 1.82),
    "mice": (1.41, 1.70, 1.68, 1.41, 1.17),
    "missforest": (1.28, 1.76, 1.64, 1.63, 1.57),
    "miwae": (1.19, 1.66, 1.62, 1.55, 1.20),
    "agnostic": (0.80, 2.63, 1.30, 1.37, 1.10),
    "self-masking": (1.88, 1.26, 1.08, 1.04, 0.74),
    "self-masking-known": (0.74, 1.12, 1.07, 1.04, 0.76),
    "self-masking-known-ppca": (0.57, 1.31, 1.13, 0.99, 0.72),
    "official settings": (0.74, 1.12, 1.07, 1.04, 0.76),
}
PUBLISHED: dict[tuple[str, str], float] = {
    (dataset, method): value
    for method, values in _ROWS.items()
    for dataset, value in zip(DATASETS, values, strict=True)
}
BEST_PUBLISHED = dict(zip(DATASETS, (0.57, 1.12, 1.07, 0.99, 0.72), strict=True))
AIM = dict(zip(DATASETS, (0.45, 0.80, 0.95, 0.85, 0.64), strict=True))
#: A regressor that was shown the true values of the missing cells, 10-fold cross-validation; none for red wine.
FLOOR: dict[str, float | None] = dict(zip(DATASETS, (0.31, 0.18, None, 0.69, 0.61), strict=True))

METHODS = (*BASELINES, *MODELS, *DEFAULTS, "official settings")
SUMMARY_COLUMNS = [
    "dataset",
    "method",
    "rmse_mean",
    "rmse_se",
    "bound_mean",
    "coverage90",
    "seconds_mean",
    "n_seeds",
]


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write summary.csv, table.md, and, where there are rows for them, ablation.csv and distributions.png."""
    methods = summary([r for r in records if r.spec["part"] != "ablation"])
    contents: dict[str, Content] = {"summary.csv": methods, "table.md": markdown(methods)}
    variants = summary([r for r in records if r.spec["part"] == "ablation"])
    if len(variants):
        contents["ablation.csv"] = variants.rename(columns={"method": "variant"})
    histograms = {r.spec["dataset"]: r.result["histograms"] for r in records if r.result.get("histograms") is not None}
    if histograms:
        contents["distributions.png"] = partial(draw_distributions, histograms)
    return write_files(folder, contents, "%.4f")


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """Mean and standard error over seeds, one line per data set and method, in the study's order."""
    lines = [
        {
            "dataset": record.spec["dataset"],
            "method": record.spec["method"],
            "rmse": record.result["rmse"],
            "bound": record.result.get("bound", np.nan),
            "coverage90": record.result.get("coverage90", np.nan),
            "seconds": record.seconds,
        }
        for record in records
    ]
    if not lines:
        return pd.DataFrame(columns=SUMMARY_COLUMNS)
    groups = pd.DataFrame(lines).groupby(["dataset", "method"], sort=False)
    table = groups.agg(
        rmse_mean=("rmse", "mean"),
        rmse_se=("rmse", lambda v: v.std(ddof=1) / np.sqrt(len(v))),
        bound_mean=("bound", "mean"),
        coverage90=("coverage90", "mean"),
        seconds_mean=("seconds", "mean"),
        n_seeds=("rmse", "size"),
    ).reset_index()
    return in_order(table, {"dataset": DATASETS, "method": (*METHODS, *ABLATION, *DEFAULT_ABLATION)})[SUMMARY_COLUMNS]


def markdown(table: pd.DataFrame) -> str:
    """RMSE of every method beside the published number, in parentheses."""
    cells = {(line.dataset, line.method): _cell(line) for line in table.itertuples()}
    present = [dataset for dataset in DATASETS if any(key[0] == dataset for key in cells)]
    lines = []
    for method in METHODS:
        row = [cells.get((dataset, method), "") for dataset in present]
        if any(row):
            shown = [
                _beside(text, PUBLISHED.get((dataset, method))) for text, dataset in zip(row, present, strict=True)
            ]
            lines.append([method, *shown])
    for title, numbers in (("best published", BEST_PUBLISHED), ("aim", AIM), ("told the truth", FLOOR)):
        values = [numbers[dataset] for dataset in present]
        lines.append([title, *("-" if v is None else f"{v:.2f}" for v in values)])
    return (
        "RMSE on the missing cells in standard deviations of the complete column; mean and standard error over seeds;\n"
        f"in parentheses the published number ({SOURCE}).\n\n{markdown_table(['method', *present], lines)}\n"
    )


def _cell(line: Any) -> str:
    if line.method in DETERMINISTIC:
        return f"{line.rmse_mean:.3f}"
    error = "" if line.n_seeds < 2 else f" ± {line.rmse_se:.3f}"
    return f"{line.rmse_mean:.3f}{error} [{line.n_seeds}]"


def _beside(text: str, published: float | None) -> str:
    return text if published is None or not text else f"{text} ({published:.2f})"


def draw_distributions(histograms: dict[str, dict[str, Any]], path: Path) -> None:
    """One panel per masked feature: observed, true missing and imputed values, in sd from the cut."""
    from matplotlib.figure import Figure

    from pyro_mnar.analysis.plots.parts import NOT_MIWAE, OBSERVED, TRUE

    panels = [
        (dataset, feature, counts) for dataset in DATASETS for feature, counts in histograms.get(dataset, {}).items()
    ]
    n_columns = 5
    n_lines = -(-len(panels) // n_columns)
    figure = Figure(figsize=(3.2 * n_columns, 2.1 * n_lines), layout="constrained")
    for position, (dataset, feature, counts) in enumerate(panels):
        axis = figure.add_subplot(n_lines, n_columns, position + 1)
        edges = np.asarray(counts["edges"])
        axis.stairs(counts["observed"], edges, fill=True, color=OBSERVED, label="observed")
        axis.stairs(counts["true"], edges, fill=True, color=TRUE, label="missing: true values")
        axis.stairs(counts["imputed"], edges, color=NOT_MIWAE, linewidth=1.8, label="imputed by not-MIWAE")
        axis.axvline(0.0, color="black", linewidth=0.8, linestyle=":")
        axis.set_title(f"{dataset}: {feature}", fontsize=8)
        # Means are narrower than values: their peak would hide the rest.
        axis.set_ylim(0, 1.3 * max(*counts["observed"], *counts["true"], 1))
        axis.set_yticks([])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
    figure.supxlabel("standard deviations from the cut (the column's mean)", fontsize=9)
    figure.savefig(path, dpi=70)
