"""Figures of the image study, drawn from the records of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pyro_mnar.analysis.plots import parts
from pyro_mnar.studies.images.rows import BINS, KNOWN, LEARNED, MIWAE, TRUE_B, TRUE_W, UNSIGNED
from pyro_mnar.studies.study import Record

COLOURS = {MIWAE: parts.MIWAE, LEARNED: parts.NOT_MIWAE, KNOWN: parts.SEVERAL[2], UNSIGNED: parts.SEVERAL[3]}


def draw_path(records: list[Record], file: Path) -> None:
    """W and b over the steps of training, one line per seed, with the truth dashed."""
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for record in records:
        path, method = record.result.get("path"), record.spec["method"]
        if path is None:
            continue
        label = f"{method.removeprefix('not-MIWAE, ')}, seed {record.spec['seed']}"
        style = {"color": COLOURS[method], "lw": 1.2, "alpha": 0.5 + 0.25 * (record.spec["seed"] % 3)}
        axes[0].plot(path["step"], path["W"], label=label, **style)
        axes[1].plot(path["step"], path["b"], **style)
    for axis, truth, name in zip(axes, (TRUE_W, TRUE_B), ("W", "b"), strict=True):
        axis.axhline(truth, color="k", ls="--", lw=1)
        axis.set(xscale="log", xlabel="training step", ylabel=name)
    # A slope near 0 has its threshold anywhere.
    axes[1].set_ylim(0.3, 1.7)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8, frameon=False)
    figure.savefig(file, dpi=110)


def draw_histograms(records: list[Record], file: Path) -> None:
    """True and imputed values of the missing pixels, over all seeds."""
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True)
    run = {record.spec["method"] for record in records}
    truth = _counts(records, LEARNED, "true_counts")
    for axis, methods in zip(axes, ((MIWAE, LEARNED), (LEARNED, KNOWN)), strict=True):
        axis.stairs(truth / truth.sum(), BINS, fill=True, color=parts.TRUE, label="true values")
        for method in (method for method in methods if method in run):
            counts = _counts(records, method, "imputed_counts")
            axis.stairs(counts / counts.sum(), BINS, color=COLOURS[method], lw=1.6, label=method)
        axis.axvline(TRUE_B, color="k", ls=":", lw=1)
        axis.set(xlabel="grey value of missing pixels", xlim=(0.2, 1.1))
        axis.legend(fontsize=8, frameon=False, loc="upper left")
    axes[0].set_ylabel("share of missing pixels")
    figure.savefig(file, dpi=110)


def draw_grid(records: list[Record], file: Path) -> None:
    """Original, clipped, and imputed by MIWAE and not-MIWAE."""
    kept = {r.spec["method"]: r.result["pictures"] for r in records if "pictures" in r.result}
    original, seen = (np.array(kept[LEARNED][name]) for name in ("original", "seen"))
    columns = {
        "original": original,
        "clipped": np.where(seen, original, np.nan),
        "MIWAE": np.array(kept[MIWAE]["completed"]),
        "not-MIWAE": np.array(kept[LEARNED]["completed"]),
    }
    figure = Figure(figsize=(1.1 * len(original) + 1.0, 1.15 * len(columns)), layout="constrained")
    axes = figure.subplots(len(columns), len(original), squeeze=False)
    for line, (name, images) in zip(axes, columns.items(), strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.set_facecolor("#d7301f")
            axis.imshow(image, cmap="gray", vmin=0, vmax=255)
            axis.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=9)
    figure.savefig(file, dpi=110)


def _counts(records: list[Record], method: str, name: str) -> np.ndarray:
    return np.sum([r.result[name] for r in records if r.spec["method"] == method], axis=0)
