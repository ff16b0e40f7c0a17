"""An assessment in plain sentences: what was found, what rests on assumption, and what to ask whom."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pyro_mnar.analysis.assess.conclusion import Conclusion
from pyro_mnar.analysis.assess.evidence import FREE, HIDES, NOT_JUDGED, OPEN, TOLD
from pyro_mnar.analysis.assess.lines import at_zero, lines_of
from pyro_mnar.data.signs import in_words, signs_of_missing
from pyro_mnar.estimators.sentences import listed

#: Dependences of masks that are told; those from this p-value on are none.
_MOST, _CLEAR = 4, 0.01
#: Columns that a sentence names.
_NAMED = 6
#: Kinds of evidence that name values rather than a side.
_WITHOUT_SIDE = ("labels", "both ends", "middle")


class Summary(NamedTuple):
    """Sentences in three parts."""

    found: list[str]
    assumed: list[str]
    ask: list[str]

    def __str__(self) -> str:
        """The three parts, a sentence a line."""
        parts = zip(("What was found", "What rests on assumption", "What to ask who knows the data"), self, strict=True)
        return "\n\n".join("\n".join([title, *(f"  - {line}" for line in lines)]) for title, lines in parts if lines)


def summarise(
    X: pd.DataFrame,
    profile: pd.DataFrame,
    masks: pd.DataFrame,
    found: pd.DataFrame,
    checks: pd.DataFrame,
    rows: pd.DataFrame,
    conclusion: Conclusion | None,
) -> Summary:
    """The sentences of an assessment; the arguments are its parts."""
    return Summary(
        [
            *_of_answer(conclusion),
            *_of_evidence(found),
            *_of_masks(masks),
            *_of_checks(checks, rows),
            *_of_holes(X, profile),
        ],
        _assumed(found, conclusion),
        [*_of_signs(X), *_to_ask(profile, masks, found)],
    )


def number(value: float) -> str:
    """A number as people write it.

    Examples
    --------
    >>> number(2935.55), number(0.12345), number(12.0), number(1234567.0)
    ('2,936', '0.123', '12', '1,234,567')
    """
    if not np.isfinite(value):
        return "unknown"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def estimated(estimate: float, low: float, high: float) -> str:
    """An estimate with its interval."""
    return f"{number(estimate)} (95 % interval {number(low)} to {number(high)})"


def odds(log_odds: float) -> str:
    """Log odds as people say them.

    Examples
    --------
    >>> odds(2.8), odds(-1.4), odds(0.1), odds(-9.0)
    ('about 16 to 1 for it', 'about 4.1 to 1 against it', 'about even', 'more than 100 to 1 against it')
    """
    if not np.isfinite(log_odds):
        return "certain, since it was told"
    ratio, side = np.exp(min(abs(log_odds), 10.0)), "for it" if log_odds > 0 else "against it"
    if ratio < 1.25:
        return "about even"
    return f"about {ratio:.2g} to 1 {side}" if ratio < 100 else f"more than 100 to 1 {side}"


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence, no more than six of them."""
    return listed(names if len(names) <= _NAMED else [*names[:_NAMED], f"{len(names) - _NAMED} more"])


def _of_holes(X: pd.DataFrame, profile: pd.DataFrame) -> list[str]:
    holed = profile[profile["missing"] > 0]
    passed = profile.loc[profile["kind"] == "identifier", "column"].tolist()
    text = (
        f"The table has {len(X):,} rows and {len(profile)} columns; "
        f"{len(holed)} {'column has' if len(holed) == 1 else 'columns have'} holes, "
        f"{profile['missing'].sum():,} cells in all ({percent(profile['missing'].sum() / X.size)})."
    )
    if passed:
        text += (
            f" {some_of(passed)} {'is a name' if len(passed) == 1 else 'are names'}, "
            f"and passed through as {'it is' if len(passed) == 1 else 'they are'}."
        )
    return [text]


def percent(share: float) -> str:
    """A share in percent.

    Examples
    --------
    >>> percent(0.234), percent(0.002), percent(0.999)
    ('23 %', '0.2 %', '99.9 %')
    """
    return f"{100 * share:.0f} %" if 0.01 <= share <= 0.99 or share in (0, 1) else f"{100 * share:.1f} %"


def _of_evidence(found: pd.DataFrame) -> list[str]:
    lines = []
    for row in lines_of(found[found["verdict"].isin([HIDES, TOLD])]):
        where = _where(row.threshold, row.direction)
        how = "as you told" if row.verdict == TOLD else f"the odds are {odds(row.log_odds)}, {percent(row.chance)}"
        if row.kind in _WITHOUT_SIDE:
            lines.append(f"{row.column} hides some of its own values ({how}): {_what_is_missing(row)}.")
            continue
        lines.append(
            f"{row.column} hides its own {row.direction or 'extreme'} "
            f"values{where} ({how}); {percent(row.missing_rate)} of it is missing."
        )
    for row in lines_of(found[found["verdict"] == OPEN]):
        lines.append(
            f"Whether {row.column} hides its own values cannot be told "
            f"from this table (the odds are {odds(row.log_odds)}); "
            f"{percent(row.missing_rate)} of it is missing, and it was imputed as if "
            + ("it did." if row.imputed_so else "it did not.")
        )
    free = found.loc[found["verdict"] == FREE, "column"].tolist()
    if free:
        lines.append(
            f"Nothing in the table points to {some_of(free)} hiding {'its' if len(free) == 1 else 'their'} own values."
        )
    other = found.loc[found["verdict"] == NOT_JUDGED, "column"].tolist()
    if other:
        lines.append(
            f"{some_of(other)} could not be judged: "
            f"{'it has' if len(other) == 1 else 'they have'} too few holes or too many labels."
        )
    return lines


def _what_is_missing(row: Any) -> str:
    """The part of a column's sentence that says which of its values are missing."""
    return str(row.words.removeprefix(f"{row.column}: ").rpartition(": ")[0])


def _where(threshold: float, direction: str) -> str:
    if not np.isfinite(threshold):
        return ""
    return f", those {'above' if direction == 'high' else 'below'} about {number(threshold)}"


def clear(masks: pd.DataFrame) -> pd.DataFrame:
    """The dependences of masks that are no chance findings, the strongest for each column."""
    sure = masks[masks["p_adjusted"] < _CLEAR]
    order = (sure["chance"] - 0.5).abs().sort_values(ascending=False, kind="stable").index
    return sure.loc[order].drop_duplicates("column")


def _of_masks(masks: pd.DataFrame) -> list[str]:
    lines = []
    for row in lines_of(clear(masks).head(_MOST)):
        higher, chance = row.chance > 0.5, max(row.chance, 1 - row.chance)
        if row.other.endswith(" is missing"):
            lines.append(f"{row.column} is missing {'more' if higher else 'less'} often where {row.other}.")
        else:
            lines.append(
                f"Where {row.column} is missing, {row.other} is {'higher' if higher else 'lower'} "
                f"(in {percent(chance)} of pairs of a row with and one without it)."
            )
    return lines


def _of_checks(checks: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    flagged = checks[checks["flagged"]]
    if len(checks) == 0:
        lines = []
    elif len(flagged) == 0:
        lines = [f"Tables simulated from the fit look like this one in all {len(checks)} respects that were checked."]
    else:
        names = list(dict.fromkeys(flagged["column"]))
        lines = [
            f"Tables simulated from the fit differ from this one in {len(flagged)} of {len(checks)} respects, of "
            f"{some_of(names)}: look at these columns before you rely on them."
        ]
    bad = int((~rows["reliable"]).sum())
    if bad == 0:
        return [
            *lines,
            "The imputations of all rows can be trusted as far as the model can be (their weights are even).",
        ]
    told = f"{bad:,} of {len(rows):,} rows have imputations that cannot be trusted; they are listed."
    left = int((~rows["reliable"] & ~rows["refined"]).sum())
    if left:
        told += (
            f" For {left:,} of them the budget did not reach: a larger one (--budget standard, in Python "
            "budget='standard') spends more draws on such rows."
        )
    return [*lines, told]


def _of_answer(conclusion: Conclusion | None) -> list[str]:
    if conclusion is None:
        return []
    return [
        f"The {conclusion.name} is {estimated(conclusion.estimate, conclusion.low, conclusion.high)} with the missing "
        f"values imputed, and {number(conclusion.observed_only)} among the observed ones alone."
    ]


def _assumed(found: pd.DataFrame, conclusion: Conclusion | None) -> list[str]:
    lines = [
        "No table can show how its missing values differ from its "
        "observed ones: every mechanism that hides values has a "
        "counterpart that does not and fits the observed cells as well. What follows is an assumption, not a finding."
    ]
    hiding = found.loc[found["imputed_so"] & (found["kind"] != "labels"), "column"].tolist()
    if hiding:
        lines.append(
            f"How {some_of(hiding)} {'goes' if len(hiding) == 1 else 'go'} "
            f"on where nothing was observed rests on the model's shape alone."
        )
    if conclusion is None or not conclusion.column:
        return lines
    column, swept = conclusion.column, conclusion.sweep
    if len(swept):
        values = swept["estimate"]
        lines.append(
            f"The {conclusion.name} would be {number(at_zero(swept))} "
            f"if {column} were missing at random, and "
            f"between {number(values.min())} and {number(values.max())} over the assumptions that were tried "
            f"(slopes {swept.index.min():g} to {swept.index.max():g}). These are smaller fits with the slope held, and "
            "the answer's own fit found its slope by itself: compare them with each other rather than with the answer."
        )
    delta = conclusion.delta
    if len(delta) > 1:
        step = float(delta.index.max())
        change = float(delta["estimate"].iloc[-1]) - at_zero(delta)
        lines.append(
            f"If the missing values of {column} were {number(step)} higher than "
            f"imputed, the {conclusion.name} would change by {number(change)}."
        )
    lines.append(_tipping(conclusion))
    return lines


def _tipping(c: Conclusion) -> str:
    """Where the conclusion changes."""
    told = number(c.reference) + (" (the value of the observed ones)" if c.reference == c.observed_only else "")
    side = "above" if c.low > c.reference else "below" if c.high < c.reference else ""
    now = f"That it lies {side} {told}" if side else f"That it may lie on either side of {told}"
    if np.isfinite(c.tipping):
        way = "higher" if c.tipping > 0 else "lower"
        return f"{now} holds until the missing values are about {number(abs(c.tipping))} {way} than imputed."
    return (
        f"{now} holds for every shift of the missing values by up to {number(float(c.delta.index.max()))}, up or down."
    )


def _of_signs(X: pd.DataFrame) -> list[str]:
    signs = signs_of_missing(X)
    if not signs:
        return []
    replaced = f"df.replace({signs[0].sign!r}, float('nan'))"
    return [
        f"Does {in_words(signs[:_MOST])} mean that the value is missing? It was taken for a value. If so: "
        f"--na-values {str(signs[0].sign)!r}, in Python {replaced}."
    ]


def _to_ask(profile: pd.DataFrame, masks: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    lines = []
    for row in lines_of(found[found["kind"] != ""]):
        if row.kind in _WITHOUT_SIDE:
            lines.append(
                f"Can it be that of {row.column} {_what_is_missing(row)}? If not, say so: in Python "
                f"mechanism={{{row.column!r}: 'ignorable', 'default': 'auto'}}."
            )
            continue
        where = _where(row.threshold, row.direction).removeprefix(", those ")
        lines.append(
            f"Are values of {row.column} {where or 'that are ' + row.direction} "
            f"not recorded, or not stated? If so, say it: "
            f"--direction {row.column}={row.direction}, in Python "
            f"mechanism=Nested(direction={{{row.column!r}: {row.direction!r}}})."
        )
    kinds = profile.set_index("column")["kind"].to_dict()
    for row in lines_of(found[(found["verdict"] == OPEN) & ~found["imputed_so"]]):
        if kinds.get(row.column) == "nominal":
            lines.append(f"Would anyone keep back some values of {row.column} rather than others?")
            continue
        lines.append(
            f"Would anyone keep back high, or low, values of {row.column}? "
            f"If so, say which: --direction {row.column}=high, in "
            f"Python mechanism=Nested(direction={{{row.column!r}: 'high'}})."
        )
    known = found.set_index("column")["verdict"].to_dict()
    for row in lines_of(clear(masks).head(_MOST)):
        if known.get(row.column) not in (HIDES, TOLD):
            lines.append(f"Why is {row.column} missing more often where {_reason(row.other, row.chance)}?")
    guessed = profile[profile["why"] != "declared"]
    some = ", ".join(f"{row.column}: {row.kind}" for row in lines_of(guessed.head(6)))
    lines.append(
        f"Are the columns what they were taken for ({some}{', ...' if len(guessed) > 6 else ''})? "
        f"If not: --types COLUMN=KIND, in Python types={{...}}."
    )
    return lines


def _reason(other: str, chance: float) -> str:
    if other.endswith(" is missing"):
        return other if chance > 0.5 else other.replace(" is missing", " is not missing")
    return f"{other} is {'high' if chance > 0.5 else 'low'}"
