"""From finished rows to bias and cover of each method, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binomtest

from pyro_mnar.analysis.plots import parts
from pyro_mnar.studies.records import markdown_table, write_files
from pyro_mnar.studies.selection.study import CASES, METHODS, TRUTH
from pyro_mnar.studies.study import Record

#: Of which bias and cover are told: the mean of the outcome at the covariate's mean, and the slope on the covariate.
QUANTITIES = {"b0": "mean", "b1": "slope"}
NAMED = {
    "likelihood": "textbook, maximum likelihood",
    "normal": "this package, normal errors",
    "student-t held": "this package, t errors, degrees told",
    "student-t": "this package, t errors",
}
#: Standard errors to each side of an interval of 95 %.
_WIDE = 1.96


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write selection.csv, selection.md and selection.png of what the records hold, and give their paths."""
    found = summary(records)
    picture = partial(draw, found)
    return write_files(folder, {"selection.csv": found, "selection.md": markdown(found), "selection.png": picture})


def summary(records: Sequence[Record]) -> pd.DataFrame:
    """One line per case, method and quantity: bias with its standard error, RMSE, and cover with Wilson's interval.

    A set in which the observed information gives no standard error counts as one in which the truth is outside.
    """
    lines = []
    for case in CASES:
        for method in METHODS:
            own = [r.result for r in records if r.spec["case"] == case and r.spec["method"] == method]
            for name, words in QUANTITIES.items() if own else ():
                truth = TRUTH[list(QUANTITIES).index(name)]
                off = np.array([r["estimates"][name] for r in own]) - truth
                error = np.array([r["errors"][name] for r in own], dtype=np.float64)
                spread = float(off.std(ddof=1)) if len(own) > 1 else np.nan
                held = int((np.abs(off) < _WIDE * error).sum())
                likely = binomtest(held, len(own)).proportion_ci(method="wilson")
                lines.append(
                    {
                        "case": case,
                        "method": method,
                        "quantity": words,
                        "sets": len(own),
                        "bias": float(off.mean()),
                        "bias_se": spread / np.sqrt(len(own)),
                        "rmse": float(np.sqrt(np.mean(off**2))),
                        "cover": held / len(own),
                        "cover_low": float(likely.low),
                        "cover_high": float(likely.high),
                        "length": float(np.nanmedian(2 * _WIDE * error)) if np.isfinite(error).any() else np.nan,
                        "without_interval": int(np.isnan(error).sum()),
                    }
                )
    return pd.DataFrame(lines)


def markdown(found: pd.DataFrame) -> str:
    """Bias with its standard error, RMSE, cover and length of the intervals, by case and method."""
    columns = [f"{what} of the {words}" for words in QUANTITIES.values() for what in ("bias", "RMSE", "cover")]
    lines = []
    for (case, method), own in found.groupby(["case", "method"], sort=False):
        cells = [
            f"{line.bias:+.3f} ({line.bias_se:.3f}) | {line.rmse:.3f} | ".replace("nan", "-")
            + f"{line.cover:.2f} ({line.cover_low:.2f} to {line.cover_high:.2f})"
            for line in own.itertuples()
        ]
        lines.append([str(case), NAMED[str(method)], str(own["sets"].iloc[0]), *cells])
    return markdown_table(["errors", "method", "sets", *columns], lines) + "\n"


def draw(found: pd.DataFrame, path: Path) -> None:
    """Bias of each method with two standard errors to each side, and its cover, by Wilson, beside the promised 95 %."""
    cases = [case for case in CASES if case in set(found["case"])]
    figure = Figure(figsize=(9.0, 1.6 + 1.1 * len(cases)), layout="constrained")
    axes = figure.subplots(1, 2 * len(QUANTITIES), sharey=True)
    colours = dict(zip(METHODS, ("0.6", parts.SEVERAL[2], parts.SEVERAL[3], parts.MODEL), strict=True))
    for place, words in enumerate(QUANTITIES.values()):
        left, right = axes[2 * place], axes[2 * place + 1]
        left.axvline(0, color="0.8", lw=1)
        right.axvline(0.95, color="0.8", lw=1)
        for rank, method in enumerate(METHODS):
            own = found[(found["method"] == method) & (found["quantity"] == words)]
            if own.empty:
                continue
            y = np.array([cases.index(case) for case in own["case"]]) + 0.17 * (rank - 1.5)
            style = {"fmt": "o", "markersize": 5, "color": colours[method]}
            left.errorbar(own["bias"], y, xerr=2 * own["bias_se"].fillna(0.0), label=NAMED[method], **style)
            sides = np.abs(own[["cover_low", "cover_high"]].to_numpy().T - own["cover"].to_numpy())
            right.errorbar(own["cover"], y, xerr=sides, **style)
        left.set(xlabel=f"bias of the {words}", yticks=range(len(cases)), yticklabels=cases)
        right.set(xlabel=f"cover, {words}", xlim=(-0.05, 1.05), xticks=[0, 0.5, 0.95])
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.savefig(path, dpi=120, format="png")
