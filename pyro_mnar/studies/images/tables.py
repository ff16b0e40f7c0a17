"""The image study's results on disk: summary, figures, settings and a page that explains them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

from pyro_mnar.studies.images.figures import draw_grid, draw_histograms, draw_path
from pyro_mnar.studies.images.rows import (
    BINS,
    KNN,
    KNOWN,
    LEARNED,
    MEAN,
    MIWAE,
    ONE,
    ORACLE_CONSTANT,
    ORACLE_PIXEL,
    SIMPLE,
    TRUE_B,
    TRUE_W,
    UNSIGNED,
    image_study,
)
from pyro_mnar.studies.records import Content, markdown_table, write_files
from pyro_mnar.studies.runner import run_study
from pyro_mnar.studies.study import Record

FACES = (
    "No image is shown or kept here: CelebA's terms are non-commercial research, without copies. Published for 2,000 "
    "images, with the mechanism started at the truth (Ipsen, Mattei & Frellsen 2021): mean 0.466, KNN 0.350, not-MIWAE "
    "0.093."
)
#: The edge of the histograms' bins below the clipping point, at which half of the pixels are lost.
CUT = 0.74
ORDER = (MEAN, ONE, KNN, ORACLE_CONSTANT, ORACLE_PIXEL, MIWAE, LEARNED, UNSIGNED, KNOWN)


def reproduce_images(
    data: str,
    folder: Path,
    *,
    data_home: Path | None = None,
    quick: bool = False,
    workers: int | None = None,
    console: Console | None = None,
) -> pd.DataFrame:
    """Run the study on ``data`` ("celeba" or "photo patches"), write everything, and give what ``summary.csv`` holds.

    Finished rows are kept. ``data_home`` is the folder with CelebA; ``quick`` runs all methods on a handful of images,
    in seconds: to see that it works, not to judge; ``workers`` is the number of processes (None: one per processor).
    """
    records = run_study(image_study(data, quick), folder, data_home=data_home, workers=workers, console=console)
    return write_results(records, folder)


def write_results(records: list[Record], folder: Path) -> pd.DataFrame:
    """Summary, settings, figures and README.md, from the records alone; some rows may be missing yet."""
    table = summary(records)
    settings = [
        {**record.spec, "seconds": record.seconds, "peak_memory_mb": record.peak_memory_mb, "versions": record.versions}
        for record in records
    ]
    pictures = {MIWAE, LEARNED} <= {record.spec["method"] for record in records if "pictures" in record.result}
    contents: dict[str, Content] = {
        "summary.csv": table,
        "settings.json": json.dumps(settings, indent=1) + "\n",
        "mechanism.png": partial(draw_path, records),
        "histograms.png": partial(draw_histograms, records),
        "README.md": page(records, table, pictures),
    }
    if pictures:
        contents["grid.png"] = partial(draw_grid, records)
    write_files(folder, contents, "%.5g")
    return table


def summary(records: list[Record]) -> pd.DataFrame:
    """One line per method: means over the seeds, ranges of W and b, standard error of the RMSE; bounds in nats."""
    lines = []
    methods = [method for method in ORDER if any(record.spec["method"] == method for record in records)]
    for method in methods:
        mine = [record for record in records if record.spec["method"] == method]
        # What a method does not have is NaN.
        columns = ["rmse", "W", "b", "bound", "bias", "rmse_twice_the_draws"]
        rows = pd.DataFrame([record.result for record in mine]).reindex(columns=[*columns, "device"])
        means = rows[columns].mean()
        line = {
            "data": mine[0].spec["data"],
            "method": method,
            "rmse_mean": means["rmse"],
            "rmse_se": rows["rmse"].sem(),
            "W": means["W"],
            "b": means["b"],
            "bound": means["bound"],
            "seconds": np.mean([record.seconds for record in mine]),
            "device": rows["device"][0],
            "n_seeds": len(mine),
            "bias": means["bias"],
            "rmse_twice_the_draws": means["rmse_twice_the_draws"],
            "peak_memory_mb": max(record.peak_memory_mb for record in mine),
        }
        for name in ("W", "b"):
            line[f"{name}_low"], line[f"{name}_high"] = rows[name].min(), rows[name].max()
        lines.append(line)
    return pd.DataFrame(lines)


def page(records: list[Record], table: pd.DataFrame, pictures: bool) -> str:
    """README.md of the results."""
    first = next(record for record in records if record.spec["method"] == LEARNED)
    spec, shape = first.spec, f"{first.spec['size']} x {first.spec['size']}"
    faces = spec["data"] == "celeba"
    command = "pyro-mnar reproduce celeba --data FOLDER" if faces else "pyro-mnar reproduce images"
    by_seed = {
        method: {r.spec["seed"]: r.result["rmse"] for r in records if r.spec["method"] == method}
        for method in (LEARNED, KNOWN)
    }
    both = sorted(set(by_seed[LEARNED]) & set(by_seed[KNOWN]))
    found, told = (sum(by_seed[method][seed] for seed in both) for method in (LEARNED, KNOWN))
    lines = [
        f"# Clipped images: {'CelebA' if faces else 'patches of two photographs'}, {shape}, grey",
        "",
        f"Written by `{command}`. Bright pixels are lost: P(observed) = sigmoid(W (x - b)) with W = {TRUE_W:g}, "
        f"b = {TRUE_B:g}, the same for every pixel; {100 * first.result['missing_rate']:.1f} % of the test pixels are "
        "missing. W and b start from a neutral value (W = -1 and b = 0.5, or W = 0 where the direction is unknown too) "
        "and are learned with the images, first beside networks that are then thrown away. The error is over the "
        "missing pixels of the test part, in units of the range [0, 1]. Two rules are told the true values of those "
        "pixels, for orientation.",
        "",
    ]
    cells = []
    for _, line in table.iterrows():
        error = f"{line['rmse_mean']:.4f}" + ("" if np.isnan(line["rmse_se"]) else f" ({line['rmse_se']:.4f})")
        known = line["method"] == KNOWN
        w = f"{TRUE_W:g} (told)" if known else _range(line["W_low"], line["W_high"], ".1f")
        b = f"{TRUE_B:g} (told)" if known else _range(line["b_low"], line["b_high"], ".3f")
        bound = "" if np.isnan(line["bound"]) else f"{line['bound']:.1f}"
        bias, seconds = f"{round(line['bias'], 4) + 0.0:+.4f}", f"{line['seconds']:.0f}"
        cells.append([line["method"], error, bias, w, b, bound, seconds, str(line["n_seeds"])])
    head = ["method", "RMSE (s.e.)", "bias", "W", "b", "bound, nats per image", "seconds", "seeds"]
    lines.append(markdown_table(head, cells))
    passes = {str(r.spec["method"]): r.spec["max_iter"] for r in records if r.spec["method"] not in SIMPLE}
    above = {
        name: share_above(records, LEARNED, counts)
        for name, counts in (("true", "true_counts"), ("imputed", "imputed_counts"))
    }
    change = max(
        abs(r.result["rmse_twice_the_draws"] / r.result["rmse"] - 1) for r in records if r.spec["method"] not in SIMPLE
    )
    lines.append("")
    if both:
        lines.append(
            f"* Learning W and b changes the RMSE by {100 * (found / told - 1):+.1f} % against being told them (mean "
            f"over the {len(both)} seeds for which both were run)."
        )
    lines += [
        f"* Twice the importance draws ({2 * spec['n_draws_posterior']} instead of {spec['n_draws_posterior']}) change "
        f"the RMSE of a deep row by at most {100 * change:.2f} %.",
        f"* Of the missing values {100 * above['true']:.1f} % are above {CUT:g} in truth, and "
        f"{100 * above['imputed']:.1f} % as imputed with W and b learned.",
        f"* Passes over the training part: {', '.join(f'{method} {n}' for method, n in passes.items())}.",
        "* The bound of MIWAE is of x_obs alone, those of not-MIWAE are of x_obs and the mask: they do not compare.",
        f"* KNN looks among {spec['n_donors']} training images. Largest memory of a row: "
        f"{table['peak_memory_mb'].max() / 1024:.1f} GiB. Seconds are of one thread, loading and imputing included.",
        "",
        "`mechanism.png`: W and b over training, with a jump where the networks begin anew; `histograms.png`: true and "
        "imputed values of the missing pixels; `settings.json`: settings, seconds and versions; `rows.jsonl`: "
        "the rows as they finished.",
        "",
        "![W and b over training](mechanism.png)",
        "",
        "![Values of the missing pixels](histograms.png)",
    ]
    if pictures:
        lines += ["", "![Original, clipped, imputed](grid.png)"]
    lines += ["", _parameters(spec), ""]
    if faces:
        lines[4:4] = [FACES, ""]
    return "\n".join(lines)


def share_above(records: list[Record], method: str, counts: str) -> float:
    """Share of a method's histogram above :data:`CUT`, over its seeds."""
    total = np.sum([r.result[counts] for r in records if r.spec["method"] == method], axis=0)
    return float(total[BINS[:-1] > CUT - 1e-6].sum() / total.sum())


def _range(low: float, high: float, form: str) -> str:
    if np.isnan(low):
        return ""
    return f"{low:{form}}" if low == high else f"{low:{form}} to {high:{form}}"


def _parameters(spec: dict[str, object]) -> str:
    words = ", ".join(
        f"{name} {value}" for name, value in spec.items() if name not in ("data", "method", "seed", "max_iter")
    )
    return f"Settings of the deep methods: {words}."
