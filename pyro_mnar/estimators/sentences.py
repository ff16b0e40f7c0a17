"""One sentence per column about why its cells are missing, in the words of its kind: numbers, levels, labels, dates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.transforms import Transform, WithAtoms

#: Logits per standard deviation under which a value is said not to matter: the odds change by less than a quarter.
WEAK = 0.2
#: Logits per standard deviation under which no threshold is named.
_MILD = 0.5
#: Observed standard deviations from the observed mean beyond which a threshold is called out of range.
_FAR = 4.0
#: Logits per standard deviation from which a curve is a cut: within a tenth of that nearly none go to nearly all.
ABRUPT = 40.0
#: Degrees of freedom from which a t is called normal: its 99.5 % point is a twentieth further out.
_NORMAL = 40.0
#: Levels that are named one by one.
_NAMED = 3


def words_for_ends(
    name: str, slope_per_sd: float, low: float, high: float, scale: float, missing_rate: float, ends: bool
) -> str:
    """One sentence about a cell that goes missing at both ends, or in the middle.

    Examples
    --------
    >>> words_for_ends("dose", 4.0, 2.04, 9.98, 3.0, 0.41, ends=True)
    'dose: values below 2.04 and above 9.98 are likely missing (slope 4 per sd; 41 % missing)'
    """
    first, last = readable(low, scale), readable(high, scale)
    where = f"values below {first} and above {last}" if ends else f"values between {first} and {last}"
    return f"{name}: {where} are likely missing {_numbers(slope_per_sd, missing_rate)}"


def words_for_curve(
    name: str, slope_per_sd: float, threshold: float, center: float, scale: float, missing_rate: float
) -> str:
    """One sentence about a number that goes missing by its own value.

    Examples
    --------
    >>> words_for_curve("income", 3.1, 52_310.0, 41_000.0, 14_000.0, 0.41)
    'income: values above 52,300 are likely missing (slope 3.1 per sd; 41 % missing)'
    >>> words_for_curve("age", 0.1, 300.0, 50.0, 10.0, 0.2)
    'age: missing whatever its value (slope 0.1 per sd; 20 % missing)'
    >>> words_for_curve("bmi", -1.0, 2.0, 25.0, 4.0, 0.03)
    'bmi: low values are missing more often than high ones (slope -1 per sd; 3 % missing)'
    >>> words_for_curve("income", 130.0, 52_310.0, 41_000.0, 14_000.0, 0.41)
    'income: values above 52,300 are likely missing (an abrupt cut; 41 % missing)'
    """
    what = _beyond_reach(slope_per_sd, abs(threshold - center) / scale)
    if not what:
        what = f"values {_side(slope_per_sd)} {readable(threshold, scale)} are likely missing"
    return f"{name}: {what} {_numbers(slope_per_sd, missing_rate)}"


def words_for_dates(
    kind: ColumnKind, slope_per_sd: float, threshold: float, center: float, scale: float, missing_rate: float
) -> str:
    """One sentence about a date, or a duration, that goes missing by its own value; in days, dates since 1970.

    Examples
    --------
    >>> words_for_dates(ColumnKind("since", "date", ""), 3.0, 18_751.3, 18_700.0, 100.0, 0.3)
    'since: dates after 2021-05-04 are likely missing (slope 3 per sd; 30 % missing)'
    >>> words_for_dates(ColumnKind("stay", "duration", ""), -3.0, 2.5, 3.0, 1.0, 0.3)
    'stay: durations below 2.5 days are likely missing (slope -3 per sd; 30 % missing)'
    """
    ends = ("early", "late") if kind.kind == "date" else ("short", "long")
    what = _beyond_reach(slope_per_sd, abs(threshold - center) / scale, ends, f"{kind.kind}s")
    if not what and kind.kind == "date":
        stamp = pd.Timestamp(0) + pd.to_timedelta(threshold, "D")
        at = stamp.strftime("%Y-%m-%d" if scale > 1 else "%Y-%m-%d %H:%M")
        what = f"dates {'after' if slope_per_sd > 0 else 'before'} {at} are likely missing"
    elif not what:
        what = f"durations {_side(slope_per_sd)} {readable(threshold, scale)} days are likely missing"
    return f"{kind.name}: {what} {_numbers(slope_per_sd, missing_rate)}"


def words_for_atom(
    kind: ColumnKind, g: Transform, slope_per_sd: float, threshold: float, missing_rate: float
) -> str | None:
    """The sentence where half of the cells are missing between an atom at an end and the rest; None elsewhere.

    The threshold is in original units; ``g`` is the column's transform.

    Examples
    --------
    >>> from pyro_mnar.data.transforms import Log
    >>> spend = ColumnKind("spend", "semicontinuous", "", atoms=(0.0,))
    >>> words_for_atom(spend, WithAtoms(Log(), low=((0.0, -3.0), (1.0, 0.0))), -4.0, 0.2, 0.3)
    'spend: the value 0 is likely missing (slope -4 per sd; 30 % missing)'
    """
    if not isinstance(g, WithAtoms) or abs(slope_per_sd) < _MILD:
        return None
    for knots, below in ((g.low, True), (g.high, False)):
        if not knots or not knots[0][0] < threshold < knots[-1][0]:
            continue
        atoms = [value for value, _ in (knots[:-1] if below else knots[1:])]
        if below == (slope_per_sd < 0):
            several = f"the values {listed([f'{value:g}' for value in atoms])} are"
            what = several if len(atoms) > 1 else f"the value {atoms[0]:g} is"
        else:
            what = f"values {'above' if below else 'below'} {atoms[-1 if below else 0]:g} are"
        return f"{kind.name}: {what} likely missing {_numbers(slope_per_sd, missing_rate)}"
    return None


def words_for_levels(
    kind: ColumnKind, labels: Sequence[str], missing: FloatArray, slope_per_sd: float, missing_rate: float
) -> str:
    """One sentence about a column of ordered levels, counts or settings; ``missing`` is P(missing | level), shape (C,).

    Examples
    --------
    >>> stars = ColumnKind("satisfaction", "ordinal", "")
    >>> words_for_levels(stars, ["1", "2", "3", "4", "5"], np.array([0.01, 0.05, 0.3, 0.6, 0.9]), 2.0, 0.4)
    'satisfaction: levels 4 and 5 are likely missing (slope 2 per sd; 40 % missing)'
    >>> children = ColumnKind("children", "count", "")
    >>> words_for_levels(children, ["0", "1", "2", "3"], np.array([0.9, 0.6, 0.3, 0.1]), -2.0, 0.4)
    'children: values up to 1 are likely missing (slope -2 per sd; 40 % missing)'
    """
    likely = missing > 0.5
    no_threshold = bool(likely.all() or not likely.any())
    noun = "levels" if kind.kind == "ordinal" else "values"
    what = _beyond_reach(slope_per_sd, np.inf if no_threshold else 0.0, noun=noun)
    if not what:
        named = [label for label, chosen in zip(labels, likely, strict=True) if chosen]
        if kind.kind != "ordinal":
            what = f"values {f'from {named[0]} on' if slope_per_sd > 0 else f'up to {named[-1]}'} are likely missing"
        elif len(named) == 1:
            what = f"level {named[0]} is likely missing"
        else:
            several = listed(named) if len(named) <= _NAMED else f"{named[0]} to {named[-1]}"
            what = f"levels {several} are likely missing"
    return f"{kind.name}: {what} {_numbers(slope_per_sd, missing_rate)}"


def words_for_labels(name: object, labels: Sequence[str], missing: FloatArray, missing_rate: float) -> str:
    """One sentence about labels without an order, and about columns of two values; ``missing`` is P(missing | level).

    Examples
    --------
    >>> words_for_labels("sex", ["female", "male"], np.array([0.45, 0.12]), 0.3)
    'sex: female is missing more often than male (45 % against 12 %; 30 % missing)'
    >>> words_for_labels("city", ["Lima", "Oslo", "Rome"], np.array([0.1, 0.9, 0.6]), 0.4)
    'city: Oslo and Rome are likely missing (10 % of Lima, 90 % of Oslo, 60 % of Rome; 40 % missing)'
    >>> words_for_labels("city", ["Lima", "Oslo", "Rome"], np.array([0.3, 0.31, 0.3]), 0.3)
    'city: missing whatever its level (30 % missing)'
    """
    rate = f"{percent(missing_rate)} missing"
    with np.errstate(divide="ignore"):
        odds = np.log(missing) - np.log1p(-missing)
    order = np.argsort(-missing, kind="stable")
    most, least = int(order[0]), int(order[-1])
    if not odds[most] - odds[least] >= WEAK:
        return f"{name}: missing whatever its {'value' if len(labels) == 2 else 'level'} ({rate})"
    if len(labels) == 2:
        shares = f"{percent(missing[most])} against {percent(missing[least])}"
        return f"{name}: {labels[most]} is missing more often than {labels[least]} ({shares}; {rate})"
    likely = [label for label, share in zip(labels, missing, strict=True) if share > 0.5]
    if not likely or len(likely) == len(labels):
        ends = f"{percent(missing[most])} against {percent(missing[least])}"
        return f"{name}: {labels[most]} is missing most often and {labels[least]} least ({ends}; {rate})"
    shown = [int(j) for j in (range(len(labels)) if len(labels) <= 2 * _NAMED else (*order[:_NAMED], least))]
    shares = ", ".join(f"{percent(missing[j])} of {labels[j]}" for j in shown)
    if len(likely) > 2 * _NAMED:
        likely = [*(labels[j] for j in order[:_NAMED]), f"{len(likely) - _NAMED} more levels"]
    return f"{name}: {listed(likely)} {'are' if len(likely) > 1 else 'is'} likely missing ({shares}; {rate})"


def words_for_row(name: object, reasons: Sequence[str], missing_rate: float) -> str:
    """One sentence about a cell that goes missing by any value of its row.

    Examples
    --------
    >>> words_for_row("income", ["age is high (+1.2 per sd)", "sex is male (-0.4 per sd)"], 0.2)
    'income: likelier missing where age is high (+1.2 per sd), sex is male (-0.4 per sd); 20 % missing'
    """
    rate = f"{percent(missing_rate)} missing"
    if not reasons:
        return f"{name}: missing whatever the values ({rate})"
    return f"{name}: likelier missing where {', '.join(reasons)}; {rate}"


def words_for_latent(name: object, others: Sequence[str], missing_rate: float) -> str:
    """One sentence about a cell whose own value has no part in its being missing.

    Examples
    --------
    >>> words_for_latent("q3", [], 0.2)
    'q3: missing by what its row has in common, whatever its value (20 % missing)'
    >>> words_for_latent("q3", ["q1", "q2"], 0.2)
    'q3: goes missing together with q1 and q2, by what its row has in common (20 % missing)'
    """
    rate = f"({percent(missing_rate)} missing)"
    if others:
        return f"{name}: goes missing together with {listed(others)}, by what its row has in common {rate}"
    return f"{name}: missing by what its row has in common, whatever its value {rate}"


def words_for_observed(words: str, reasons: Sequence[str], named: Sequence[str]) -> str:
    """A sentence about a cell's own value, with what else its being missing depends on.

    Examples
    --------
    >>> words_for_observed("income: values above 52 are likely missing", ["mode is phone (+1)"], ["age", "mode"])
    'income: values above 52 are likely missing; likelier where mode is phone (+1)'
    >>> words_for_observed("income: missing whatever its value", [], ["age", "mode"])
    'income: missing whatever its value; age and mode do not matter'
    """
    if reasons:
        return f"{words}; likelier where {', '.join(reasons)}"
    return f"{words}; {listed(named)} {'do' if len(named) > 1 else 'does'} not matter" if named else words


def words_for_tails(words: str, freedom: float) -> str:
    """A sentence about a cell's own value, with the tails of the column's errors.

    Examples
    --------
    >>> words_for_tails("income: values above 52 are likely missing", 3.21)
    'income: values above 52 are likely missing; errors with the tails of a t of 3.2 degrees of freedom'
    >>> words_for_tails("income: values above 52 are likely missing", 99.0)
    'income: values above 52 are likely missing; errors as good as normal'
    """
    tails = f"with the tails of a t of {freedom:.2g} degrees of freedom" if freedom < _NORMAL else "as good as normal"
    return f"{words}; errors {tails}"


def readable(value: float, scale: float) -> str:
    """A number rounded to about a hundredth of ``scale``, with separators for thousands.

    Examples
    --------
    >>> readable(52_310.0, 14_000.0), readable(0.123456, 1.0), readable(-7.0, 30.0)
    ('52,300', '0.12', '-7')
    """
    if not np.isfinite(value):
        return str(value)
    decimals = 2 - int(np.floor(np.log10(scale))) if scale > 0 else 2
    rounded = round(float(value), decimals)
    if abs(rounded) >= 1e15 or decimals > 6:
        return f"{rounded:.3g}"
    text = f"{rounded:,.{max(decimals, 0)}f}"
    return text.rstrip("0").rstrip(".") if decimals > 0 else text


def percent(rate: float) -> str:
    """A share in words.

    Examples
    --------
    >>> percent(0.204), percent(0.001)
    ('20 %', 'under 1 %')
    """
    return "under 1 %" if 0 < rate < 0.005 else f"{100 * rate:.0f} %"


def _beyond_reach(
    slope_per_sd: float, distance: float, ends: tuple[str, str] = ("low", "high"), noun: str = "values"
) -> str:
    """What is said where no threshold is named: a slope that is gentle, or a threshold far out; empty elsewhere."""
    if abs(slope_per_sd) < WEAK:
        return "missing whatever its value"
    if abs(slope_per_sd) < _MILD or distance > _FAR:
        more, less = ends[::-1] if slope_per_sd > 0 else ends
        how = "slightly more" if abs(slope_per_sd) < _MILD else "more"
        return f"{more} {noun} are missing {how} often than {less} ones"
    return ""


def _side(slope: float) -> str:
    return "above" if slope > 0 else "below"


def _numbers(slope_per_sd: float, missing_rate: float) -> str:
    how = "an abrupt cut" if abs(slope_per_sd) >= ABRUPT else f"slope {slope_per_sd:.2g} per sd"
    return f"({how}; {percent(missing_rate)} missing)"


def listed(words: Sequence[str]) -> str:
    """Words in a sentence, with "and" before the last."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
