"""SVG by hand: what all pictures of the page share.

Drawn here and not by a charting library, because a page made of a few kilobytes of SVG opens from a mail, prints,
follows the page's colours by day and night, and can be read aloud; a bundled library weighs one to four megabytes, and
none of that is easier with it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 460.0, 58.0, 14.0, 12.0, 37.0
#: Width of a character where windows are narrow, in which letters are larger beside the drawing.
CHARACTER = 8.4


class Scale(NamedTuple):
    """From values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where the value is."""
        span = self.high - self.low or 1.0
        return self.start + (float(value) - self.low) / span * (self.end - self.start)


def figure(identity: str, title: str, description: str, body: Sequence[Markup], height: float) -> Markup:
    """A picture, 460 wide, with its name and a text of what can be seen; ``identity`` is its id on the page."""
    return Markup(
        '<svg viewBox="0 0 {w:.0f} {h:.0f}" role="img" aria-labelledby="{i}-t {i}-d"><title id="{i}-t">{t}</title>'
        '<desc id="{i}-d">{d}</desc>{body}</svg>'
    ).format(w=WIDTH, h=height, i=identity, t=title, d=description, body=Markup("").join(body))


def rectangle(x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> Markup:
    """A bar; ``kind`` is its class, ``tip`` what a pointer on it shows."""
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}">{}</rect>').format(
        x, y, max(width, 0.0), max(height, 0.0), kind, tip_of(tip)
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str, tip: str = "") -> Markup:
    """A straight line."""
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}">{}</line>').format(
        x1, y1, x2, y2, kind, tip_of(tip)
    )


def dot(x: float, y: float, kind: str, tip: str = "") -> Markup:
    """A point."""
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4.5" class="{}">{}</circle>').format(x, y, kind, tip_of(tip))


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "", room: float = 0.0) -> Markup:
    """Words; ``anchor`` is start, middle or end; letters are drawn closer where ``room`` may not do."""
    close = Markup(' textLength="{:.0f}" lengthAdjust="spacingAndGlyphs"').format(room)
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}"{}>{}</text>').format(
        x, y, anchor, kind, close if 0 < room < CHARACTER * len(words) else Markup(""), words
    )


def path(xs: Sequence[float], ys: Sequence[float], kind: str) -> Markup:
    """A line through points."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return Markup('<polyline points="{}" class="{}"/>').format(points, kind)


def area(xs: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> Markup:
    """A band."""
    there = [f"{x:.1f},{y:.1f}" for x, y in zip(xs, high, strict=True)]
    back = [f"{x:.1f},{y:.1f}" for x, y in reversed(list(zip(xs, low, strict=True)))]
    return Markup('<polygon points="{}" class="{}"/>').format(" ".join([*there, *back]), kind)


def tip_of(tip: str) -> Markup:
    """What a pointer shows."""
    return Markup("<title>{}</title>").format(tip) if tip else Markup("")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers within a range."""
    found = MaxNLocator(most).tick_values(low, high)
    return [float(value) for value in found if low - 1e-9 * (high - low) <= value <= high + 1e-9 * (high - low)]


def axis_below(scale: Scale, y: float, words: Callable[[float], str], label: str) -> list[Markup]:
    """An axis at the bottom, with its numbers and its name."""
    parts = [line(scale.start, y, scale.end, y, "axis")]
    for value in ticks(scale.low, scale.high):
        number = words(value)
        half = CHARACTER * len(number) / 2
        place = min(max(scale(value), half), WIDTH - half)
        parts += [line(scale(value), y, scale(value), y + 4, "axis"), text(place, y + 17, number, "middle")]
    middle = (scale.start + scale.end) / 2
    room = 2 * min(middle, WIDTH - middle) - 4
    return [*parts, text(middle, y + 33, shortened(label, 60), "middle", "name", room)]


def axis_left(scale: Scale, x: float, right: float, words: Callable[[float], str]) -> list[Markup]:
    """An axis on the left, with faint lines across."""
    parts = []
    for value in ticks(min(scale.low, scale.high), max(scale.low, scale.high), 4):
        parts += [
            line(x, scale(value), right, scale(value), "grid"),
            text(x - 6, scale(value) + 4, words(value), "end", room=x - 8),
        ]
    return parts


def shortened(words: str, most: int) -> str:
    """Words that fit; the page names the column in full elsewhere."""
    return words if len(words) <= most else words[: most - 1] + "…"


def plain(value: float) -> str:
    """A number on an axis, such as 1,500 or 0.25."""
    return f"{value:,.0f}" if abs(value) >= 1000 or value == np.rint(value) else f"{value:.4g}"
