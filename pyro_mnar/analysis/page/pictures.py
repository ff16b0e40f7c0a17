"""The page's pictures: each takes a part of an assessment and gives SVG with a text for those who do not see it."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pyro_mnar.analysis.assess.conclusion import Conclusion
from pyro_mnar.analysis.assess.evidence import HIDES, OPEN, TOLD
from pyro_mnar.analysis.assess.lines import lines_of, numbered
from pyro_mnar.analysis.assess.summary import number, percent
from pyro_mnar.analysis.page.drawing import (
    BOTTOM,
    CHARACTER,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    area,
    axis_below,
    axis_left,
    dot,
    figure,
    line,
    path,
    plain,
    rectangle,
    shortened,
    text,
)

_RIGHT = WIDTH - RIGHT


def histogram_picture(identity: str, name: str, shape: pd.DataFrame) -> Markup:
    """Observed cells in grey, imputed ones in blue on top of them, with whiskers that hold 90 % of the tables."""
    if "label" in shape:
        return _shares_picture(identity, name, shape)
    height = 220.0
    x = Scale(float(shape["left"].min()), float(shape["right"].max()), LEFT, _RIGHT)
    y = Scale(0.0, float((shape["observed"] + shape["high"]).max()) or 1.0, height - BOTTOM, TOP)
    parts = axis_left(y, LEFT, _RIGHT, plain)
    for row in lines_of(shape):
        left, width = x(row.left) + 0.5, x(row.right) - x(row.left) - 1
        tip = _cells_in_words(f"{number(row.left)} to {number(row.right)}", row)
        parts.append(rectangle(left, y(row.observed), width, y(0) - y(row.observed), "observed", tip))
        if row.imputed > 0:
            top = y(row.observed + row.imputed)
            parts.append(rectangle(left, top, width, y(row.observed) - top, "imputed", tip))
            middle = left + width / 2
            parts.append(line(middle, y(row.observed + row.low), middle, y(row.observed + row.high), "whisker", tip))
    parts += axis_below(x, height - BOTTOM, plain, name)
    middles = ((shape["left"] + shape["right"]) / 2).to_numpy()
    observed, imputed = (shape[part].to_numpy() for part in ("observed", "imputed"))
    seen, put_in = (number(cells @ middles / max(cells.sum(), 1e-9)) for cells in (observed, imputed))
    description = (
        f"{observed.sum():,.0f} observed cells, centred near {seen}, and {imputed.sum():,.0f} imputed ones, centred "
        f"near {put_in}. The numbers are in the table below the picture."
    )
    return figure(identity, f"{name}: observed and imputed values", description, parts, height)


def _shares_picture(identity: str, name: str, shape: pd.DataFrame) -> Markup:
    """Bars for labels."""
    shown = shape.assign(all=shape["observed"] + shape["imputed"]).nlargest(12, "all")
    height = 30.0 * len(shown) + BOTTOM + TOP
    x = Scale(0.0, float((shown["observed"] + shown["high"]).max()) or 1.0, 110.0, _RIGHT)
    parts = []
    for place, row in enumerate(lines_of(shown)):
        top = TOP + 30 * place
        tip = _cells_in_words(row.label, row)
        parts.append(text(104, top + 16, shortened(str(row.label), 16), "end", room=102))
        parts.append(rectangle(x(0), top + 2, x(row.observed) - x(0), 20, "observed", tip))
        parts.append(
            rectangle(x(row.observed), top + 2, x(row.observed + row.imputed) - x(row.observed), 20, "imputed", tip)
        )
        parts.append(line(x(row.observed + row.low), top + 12, x(row.observed + row.high), top + 12, "whisker", tip))
    parts += axis_below(x, height - BOTTOM, plain, "rows")
    description = "; ".join(
        f"{r.label}: {r.observed:.0f} observed and {r.imputed:.1f} imputed" for r in lines_of(shown)
    )
    return figure(identity, f"{name}: observed and imputed levels", description, parts, height)


def _cells_in_words(where: str, row: Any) -> str:
    return f"{where}: {row.observed:.0f} observed, {row.imputed:.1f} imputed (90 %: {row.low:.0f} to {row.high:.0f})"


def curve_picture(identity: str, name: str, shape: pd.DataFrame, rate: float, own: bool) -> Markup:
    """The learned chance that a cell is missing, over its value."""
    height = 190.0
    x = Scale(float(shape["value"].min()), float(shape["value"].max()), LEFT, _RIGHT)
    y = Scale(0.0, 1.0, height - BOTTOM, TOP)
    xs = [x(value) for value in shape["value"]]
    parts = axis_left(y, LEFT, _RIGHT, percent)
    parts.append(area(xs, [y(v) for v in shape["low"]], [y(v) for v in shape["high"]], "band"))
    parts.append(path(xs, [y(v) for v in shape["chance"]], "model"))
    parts.append(line(LEFT, y(rate), _RIGHT, y(rate), "mark", f"missing rate {percent(rate)}"))
    parts += axis_below(x, height - BOTTOM, plain, name)
    first, last = float(shape["chance"].iloc[0]), float(shape["chance"].iloc[-1])
    description = (
        f"The chance to be missing goes from {percent(first)} at "
        f"{number(shape['value'].iloc[0])} to {percent(last)} at "
        f"{number(shape['value'].iloc[-1])}; {percent(rate)} of the column are missing (dotted). "
        + ("" if own else "It has no slope of its own: what is seen comes from what the rows have in common.")
    )
    return figure(identity, f"{name}: chance to be missing", description, parts, height)


def evidence_picture(identity: str, found: pd.DataFrame) -> Markup:
    """How sure it is that each column hides its own values."""
    judged = found[found["chance"].notna()].head(30)
    height = 38.0 * len(judged) + BOTTOM + TOP
    x = Scale(0.0, 1.0, 16.0, _RIGHT - 30)
    parts = [line(x(0.5), TOP, x(0.5), height - BOTTOM, "mark")]
    for place, row in enumerate(lines_of(judged)):
        top = TOP + 38 * place
        kind = {HIDES: "imputed", TOLD: "imputed", OPEN: "open"}.get(row.verdict, "observed")
        words = f"{shortened(row.column, 34)}: {row.verdict}, {percent(row.chance)}"
        parts.append(text(x(0), top + 10, words, room=WIDTH - x(0) - 4))
        parts.append(rectangle(x(0), top + 16, x(1) - x(0), 12, "empty"))
        parts.append(rectangle(x(0), top + 16, max(x(row.chance) - x(0), 2.0), 12, kind, percent(row.chance)))
    parts += axis_below(x, height - BOTTOM, percent, "chance that the column hides its own values, by the rule")
    description = "; ".join(f"{row.column}: {percent(row.chance)}, {row.verdict}" for row in lines_of(judged))
    return figure(identity, "Which columns hide their own values", description, parts, height)


def answer_picture(identity: str, c: Conclusion) -> Markup:
    """The quantity under each assumption: a point and its 95 % interval."""
    rows = [("Observed values alone", c.observed_only, c.observed_only, c.observed_only, "data")]
    rows.append(("As fitted: the answer", c.estimate, c.low, c.high, "model"))
    for slope, row in numbered(c.sweep):
        words = "At random (slope 0)" if slope == 0 else f"Slope {slope:+g} per sd"
        rows.append((words, row["estimate"], row["low"], row["high"], "random" if slope == 0 else "other"))
    low, high = min(row[2] for row in rows), max(row[3] for row in rows)
    margin = 0.06 * (high - low) or 1.0
    height = 36.0 * len(rows) + BOTTOM + TOP
    x = Scale(low - margin, high + margin, 16.0, _RIGHT)
    parts = [line(x(c.reference), TOP, x(c.reference), height - BOTTOM, "mark", f"reference {number(c.reference)}")]
    for place, (words, estimate, lowest, highest, kind) in enumerate(rows):
        y = TOP + 36 * place
        tip = f"{words}: {number(estimate)}" + (
            "" if lowest == highest else f" (95 %: {number(lowest)} to {number(highest)})"
        )
        parts.append(text(16, y + 9, tip, room=WIDTH - 20))
        parts.append(line(x(lowest), y + 21, x(highest), y + 21, f"interval {kind}", tip))
        parts.append(dot(x(estimate), y + 21, kind, tip))
    parts += axis_below(x, height - BOTTOM, plain, c.name)
    description = "; ".join(f"{words}: {number(e)}, 95 % {number(lo)} to {number(hi)}" for words, e, lo, hi, _ in rows)
    return figure(identity, f"The {c.name} under other assumptions", description, parts, height)


def shift_picture(identity: str, c: Conclusion) -> Markup:
    """The quantity over a shift of the imputed values; the script moves the cursor."""
    height, delta = 230.0, c.delta
    shifts = delta.index.to_numpy(dtype=float)
    low, high = min(float(delta["low"].min()), c.reference), max(float(delta["high"].max()), c.reference)
    margin = 0.05 * (high - low) or 1.0
    x = Scale(shifts.min(), shifts.max(), LEFT + 8, _RIGHT - 8)
    y = Scale(low - margin, high + margin, height - BOTTOM, TOP)
    xs = [x(shift) for shift in shifts]
    parts = axis_left(y, LEFT + 8, _RIGHT - 8, plain)
    parts.append(area(xs, [y(v) for v in delta["low"]], [y(v) for v in delta["high"]], "band"))
    parts.append(path(xs, [y(v) for v in delta["estimate"]], "model"))
    parts.append(line(LEFT + 8, y(c.reference), _RIGHT - 8, y(c.reference), "mark", f"reference {number(c.reference)}"))
    if np.isfinite(c.tipping):
        parts.append(
            line(
                x(c.tipping),
                TOP,
                x(c.tipping),
                height - BOTTOM,
                "wrong",
                f"the conclusion changes at {number(c.tipping)}",
            )
        )
    places = " ".join(f"{x(s):.1f},{y(e):.1f}" for s, e in zip(shifts, delta["estimate"], strict=True))
    parts.append(
        Markup(
            '<g class="cursor" data-places="{}"><line x1="{x:.1f}" x2="{x:.1f}" y1="{a}" y2="{b}"/>'
            '<circle cx="{x:.1f}" cy="{y:.1f}" r="5"/></g>'
        ).format(places, x=x(0.0), a=TOP, b=height - BOTTOM, y=y(c.estimate))
    )
    parts += axis_below(x, height - BOTTOM, plain, f"missing values of {c.column}, shifted by")
    description = "; ".join(
        f"shifted by {number(s)}: {number(e)}" for s, e in zip(shifts, delta["estimate"], strict=True)
    )
    return figure(identity, f"The {c.name} when the imputed values are shifted", description, parts, height)


def pattern_picture(identity: str, patterns: pd.DataFrame, columns: list[str], most: int = 12) -> Markup:
    """Which columns are missing together: a line per pattern, a column per column that has holes."""
    shown = patterns.head(most)
    holed = columns[:24]
    label = 22.0 + CHARACTER * min(max((len(name) for name in holed), default=1), 24)
    height = label + 20.0 * len(shown) + 12
    width = (WIDTH - 86 - RIGHT) / max(len(holed), 1)
    parts = []
    for place, name in enumerate(holed):
        x = 80 + width * (place + 0.5) + 4
        parts.append(
            Markup('<text transform="translate({:.1f},{:.1f}) rotate(-90)">{}</text>').format(
                x, label - 4, shortened(name, 24)
            )
        )
    for row, pattern in enumerate(lines_of(shown)):
        missing = set(pattern.columns)
        y = label + 20 * row
        parts.append(text(72, y + 14, f"{pattern.rows:,} rows", "end", room=70))
        for place, name in enumerate(holed):
            hidden = name in missing
            kind = "imputed" if hidden else "observed"
            parts.append(
                rectangle(
                    80 + width * place + 1, y + 1, width - 2, 17, kind, f"{name}: {'missing' if hidden else 'observed'}"
                )
            )
    description = "; ".join(f"{p.rows} rows miss {', '.join(p.columns) or 'nothing'}" for p in lines_of(shown))
    return figure(identity, "Which columns are missing together (blue: missing)", description, parts, height)
