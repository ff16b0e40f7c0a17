"""The page itself: an assessment put into its template."""

from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from pyro_mnar import __version__
from pyro_mnar.analysis.assess.evidence import HIDES, OPEN, TOLD
from pyro_mnar.analysis.assess.findings import Findings
from pyro_mnar.analysis.assess.lines import at_zero, numbered
from pyro_mnar.analysis.assess.summary import estimated, number, odds, percent
from pyro_mnar.analysis.page import pictures

#: Lines of a table that are shown; files and the object have them all.
_MOST_ROWS, _MOST_CHECKS, _MOST_MASKS, _MOST_PATTERNS = 100, 40, 20, 12
#: Columns with pictures of their own.
_MOST_COLUMNS = 60


def page(assessment: Findings) -> str:
    """The page of an assessment as text: one HTML document that needs nothing else."""
    a, c = assessment, assessment.conclusion
    columns = _columns(a)
    holed = a.profile.loc[a.profile["missing"] > 0, "column"].tolist()
    bad = a.rows[~a.rows["reliable"]]
    return _template().render(
        a=a,
        c=c,
        version=__version__,
        columns=columns,
        more_columns=len(a.histograms) - len(columns),
        evidence_picture=pictures.evidence_picture("evidence-p", a.evidence)
        if a.evidence["chance"].notna().any()
        else "",
        pattern_picture=pictures.pattern_picture("pattern-p", a.patterns, holed, _MOST_PATTERNS),
        answer_picture=pictures.answer_picture("answer-p", c) if c is not None else "",
        shift_picture=pictures.shift_picture("shift-p", c) if c is not None and len(c.delta) > 1 else "",
        shifts=_shifts(a),
        slopes=_slopes(a),
        most_patterns=_MOST_PATTERNS,
        masks=a.masks[a.masks["p_adjusted"] < 0.01].head(_MOST_MASKS),
        bad_rows=bad.head(_MOST_ROWS),
        n_bad=len(bad),
        checks=a.checks.sort_values("p_adjusted", kind="stable").head(_MOST_CHECKS) if len(a.checks) else a.checks,
        n_flagged=int(a.checks["flagged"].sum()) if len(a.checks) else 0,
        style=Markup(_text("page.css")),
        script=Markup(_text("page.js")),
    )


def _text(name: str) -> str:
    return (files("pyro_mnar.analysis.page") / "templates" / name).read_text(encoding="utf-8")


def tied(words: str) -> str:
    """Words in which no number is parted from its sign of percent, and no option from its dashes.

    Examples
    --------
    >>> tied("24 % of it") == "24\u00a0% of it"
    True
    """
    return words.replace(" %", "\u00a0%").replace("--", "\u2060-\u2060-\u2060")


def cell(value: Any, kind: str) -> str:
    """A table's cell in words; ``kind`` is the column's: a share, a p-value, or another."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, int | float | np.number):
        return str(value)
    if not np.isfinite(value):
        return "" if np.isnan(value) else str(value)
    if kind in ("missing_rate", "chance", "share", "mask_accuracy"):
        return percent(float(value)).replace(" %", "\u00a0%")
    if kind == "p_adjusted":
        return "under 0.001" if value < 0.001 else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int | np.integer) else number(float(value))


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "percent": percent, "odds": odds, "tied": tied, "cell": cell}
    return environment.from_string(_text("page.html.j2"))


def _columns(a: Findings) -> list[dict[str, Any]]:
    """A column's part of the page, for each that has one."""
    found = a.evidence.set_index("column")
    kinds = a.profile.set_index("column")["kind"].to_dict()
    result = []
    for place, name in enumerate([name for name in a.evidence["column"] if name in a.histograms][:_MOST_COLUMNS]):
        line = found.loc[name]
        anchor, verdict = f"column-{place}", str(line["verdict"])
        checks = a.checks[(a.checks["column"] == name) & (a.checks["other"] == "")] if len(a.checks) else a.checks
        shape = a.histograms[name]
        curve = None
        if name in a.curves:
            own = bool(line["imputed_so"])
            curve = pictures.curve_picture(f"{anchor}-c", name, a.curves[name], float(line["missing_rate"]), own)
        result.append(
            {
                "anchor": anchor,
                "name": name,
                "verdict": verdict,
                "strong": verdict in (HIDES, TOLD, OPEN),
                "words": str(line["words"]),
                "sure": _sure(line),
                "kind": str(kinds[name]),
                "rate": percent(float(line["missing_rate"])),
                "histogram": pictures.histogram_picture(f"{anchor}-h", name, shape),
                "shape": shape,
                "curve": curve,
                "checks": checks,
                "n_flagged": int(checks["flagged"].sum()) if len(checks) else 0,
                "interval": _interval(a, name),
            }
        )
    return result


def _sure(line: "pd.Series[Any]") -> str:
    """How sure it is, in a sentence."""
    log_odds = float(line["log_odds"])
    if np.isnan(log_odds):
        return "This column was not judged: it has no order, too few holes, or too few different values."
    if np.isinf(log_odds):
        return "You told that it hides its own values; this was not looked for."
    return (
        f"The odds that it hides its own values are {odds(log_odds)} "
        f"({percent(float(line['chance']))}). They come from a "
        "rule made on public tables whose masks were known: a guide, and no proof."
    )


def _interval(a: Findings, name: str) -> str:
    """How wide the intervals of the cells are, typically, in a sentence."""
    cells = a.cells[a.cells["column"] == name]
    if cells["chance"].notna().all():
        return (
            f"The likeliest level has a chance of {percent(float(cells['chance'].median()))} "
            f"in the middle one of its missing cells."
        )
    low, high = (pd.to_numeric(cells[end], errors="coerce") for end in ("low", "high"))
    width = (high - low).dropna()
    return (
        f"The 90 % interval of a missing cell is {number(float(width.median()))} wide in the middle."
        if len(width)
        else ""
    )


def _shifts(a: Findings) -> list[dict[str, Any]]:
    """What the slider shows, one entry per place."""
    c = a.conclusion
    if c is None or len(c.delta) < 2:
        return []
    return [
        {
            "shift": float(shift),
            "words": (
                f"If the missing values of {c.column} were "
                + (
                    "as imputed"
                    if shift == 0
                    else f"{number(abs(float(shift)))} {'higher' if shift > 0 else 'lower'} than imputed"
                )
                + f", the {c.name} would be {estimated(row['estimate'], row['low'], row['high'])}."
            ),
        }
        for shift, row in numbered(c.delta)
    ]


def _slopes(a: Findings) -> list[dict[str, str]]:
    """What the buttons show, one entry per assumption."""
    c = a.conclusion
    if c is None or not len(c.sweep):
        return []
    spread = float(a.X[c.column].astype(float).std())
    at_random = at_zero(c.sweep)
    found = []
    for slope, row in numbered(c.sweep):
        value = f"the {c.name} would be {estimated(row['estimate'], row['low'], row['high'])}"
        if slope == 0:
            found.append({"label": "at random", "words": f"If {c.column} were missing at random, {value}."})
            continue
        times = f"{np.exp(abs(float(slope))):.2g}"
        end = "higher" if slope > 0 else "lower"
        found.append(
            {
                "label": f"{end} ones, {times}-fold",
                "words": (
                    f"If a value of {c.column} that is {number(spread)} "
                    f"{end} (one standard deviation of the observed ones) had "
                    f"{times} times the odds to be missing, {value}: "
                    f"{number(row['estimate'] - at_random)} from that at random."
                ),
            }
        )
    return found
