"""From finished rows to the study's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar.studies.field.masks import MASKS, SEED_CURVES, SEED_MASK
from pyro_mnar.studies.field.picture import draw_winners
from pyro_mnar.studies.field.study import METHODS, REFERENCES, SEED_MODELS
from pyro_mnar.studies.field.tables import NAMES
from pyro_mnar.studies.records import Content, in_order, markdown_table, write_files
from pyro_mnar.studies.study import Record

SCORES = (
    "rmse",
    "mae",
    "crps",
    "bias",
    "cover90",
    "width90",
    "mean_cover95",
    "mean_cover_cells",
    "cover90_many",
    "mean_cover95_many",
    "missing_few",
    "impossible",
    "impossible_draws",
    "seconds",
    "draw_seconds",
)
Line = Mapping[Any, Any]
CELL = ["table", "mask", "method"]
_ORDER = {"table": NAMES, "mask": (*MASKS,), "method": METHODS}
#: RMSE in the first published report on this system, in the order of SEED_CURVES; its masks were not published.
SEED_PUBLISHED: dict[str, tuple[float, ...]] = {
    "mean": (1.546, 1.329, 1.548, 1.460),
    "knn": (1.543, 1.366, 1.290, 1.410),
    "mice": (1.540, 1.247, 1.130, 1.290),
    "ignorable": (1.243, 1.148, 1.113, 1.310),
    "self-masking": (0.770, 1.099, 0.836, 0.950),
    "linear": (1.023, 1.149, 1.018, 1.040),
    "nonlinear": (1.133, 1.128, 0.938, 1.080),
}


def write_tables(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write cells.csv, summary.csv, table.md, winners.png and seed.md, those for which there are rows."""
    lines = frame(records)
    study, seed = lines[lines["mask"] != SEED_MASK], lines[lines["mask"] == SEED_MASK]
    contents: dict[str, Content] = {}
    if len(study):
        means = cells(study)
        contents |= {"cells.csv": means, "summary.csv": summary(study), "table.md": markdown(study)}
        contents["winners.png"] = partial(draw_winners, means)
    if len(seed):
        contents["seed.md"] = seed_markdown(seed)
    return write_files(folder, contents)


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """One line per finished row: its names, its scores, and r, the RMSE divided by the best reference's.

    r is NaN where no reference has run on the same table, mask and seed.
    """
    lines = pd.DataFrame(
        [
            {
                **{name: record.spec[name] for name in (*CELL, "seed")},
                # Rows from before a score was thought of lack it.
                **{name: record.result.get(name) for name in SCORES},
                "missing": record.result["missing"],
            }
            for record in records
        ],
        columns=[*CELL, "seed", *SCORES, "missing"],
    ).astype(dict.fromkeys(SCORES, float))
    of_references = lines["rmse"].where(lines["method"].isin(REFERENCES))
    lines["r"] = lines["rmse"] / of_references.groupby([lines["table"], lines["mask"], lines["seed"]]).transform("min")
    return lines


def cells(lines: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, one line per table, mask and method, in the study's order."""
    groups = lines.groupby(CELL, sort=False)
    means = groups[["r", *SCORES, "missing"]].mean()
    means["n_seeds"] = groups.size()
    return in_order(means.reset_index(), _ORDER)


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """Median and worst r and the mean of every other score, one line per mask and method."""
    groups = lines.groupby(["mask", "method"], sort=False)
    table = groups.agg(r_median=("r", "median"), r_worst=("r", "max"), n_rows=("r", "size"))
    table[list(SCORES)] = groups[list(SCORES)].mean()
    return in_order(table.reset_index(), _ORDER)


def markdown(lines: pd.DataFrame) -> str:
    """Median and worst r, and cover and CRPS: a line per mask, a column per method."""
    table = summary(lines)
    intro = (
        "r: RMSE on the missing cells divided by the best of "
        + ", ".join(REFERENCES)
        + " on the same cells; median over tables and seeds / worst.\nBelow 1: better than the best of them."
    )
    parts = [intro, _grid(table, _pair)]
    for title, name, digits in (
        ("Mean cover of 90 % intervals of the missing cells.", "cover90", 2),
        ("Mean cover of the pooled 95 % intervals of column means.", "mean_cover95", 2),
        (
            "Mean cover of 90 % intervals in columns that keep at least eight different values (rows that have it).",
            "cover90_many",
            2,
        ),
        ("The same of column means.", "mean_cover95_many", 2),
        (
            "Share of the missing cells in the other columns: of most of them no value like the lost ones is left.",
            "missing_few",
            2,
        ),
        ("Mean CRPS, in standard deviations; a method without draws has its mean absolute error.", "crps", 3),
        ("Mean absolute bias of the column means, in standard deviations.", "bias", 3),
        ("Mean seconds of one core for fitting and completing.", "seconds", 1),
    ):
        parts += [title, _grid(table, partial(_number, name=name, digits=digits))]
    return "\n\n".join(parts) + "\n"


def seed_markdown(lines: pd.DataFrame) -> str:
    """RMSE on the seed table, mean over seeds, beside the published figure."""
    found = {key: group.to_numpy() for key, group in lines.groupby(["table", "method"])["rmse"]}
    out = [
        "Soft self-masking of all columns; RMSE in standard deviations of the complete column, mean and standard",
        "deviation over seeds [their number]; in parentheses what was published, for masks that were not.",
        "",
    ]
    table = []
    for method in (*METHODS, *SEED_MODELS):
        shown = []
        for position, name in enumerate(SEED_CURVES):
            published = f" ({SEED_PUBLISHED[method][position]:.3f})" if method in SEED_PUBLISHED else ""
            rmse = found.get((name, method), np.empty(0))
            spread = f" ± {rmse.std(ddof=1):.3f}" if len(rmse) > 1 else ""
            shown.append(f"{rmse.mean():.3f}{spread} [{len(rmse)}]{published}" if len(rmse) else "")
        if any(shown):
            table.append([method, *shown])
    return "\n".join([*out, markdown_table(["method", *SEED_CURVES], table)]) + "\n"


def _grid(table: pd.DataFrame, cell: Callable[[Line], str]) -> str:
    lines: dict[tuple[str, str], Line] = {(line["mask"], line["method"]): line for line in table.to_dict("records")}
    methods = [method for method in METHODS if method in set(table["method"])]
    shown = [
        [mask, *(cell(lines[mask, method]) if (mask, method) in lines else "" for method in methods)] for mask in MASKS
    ]
    return markdown_table(["mask", *methods], [line for line in shown if any(line[1:])])


def _pair(line: Line) -> str:
    median, worst = line["r_median"], line["r_worst"]
    return "" if np.isnan(median) else f"{median:.2f} / {worst:.2f}"


def _number(line: Line, name: str, digits: int) -> str:
    return "" if np.isnan(line[name]) else f"{line[name]:.{digits}f}"
