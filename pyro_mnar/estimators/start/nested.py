"""Where the nested mechanism starts: one plan per column, made once, from the evidence that the table holds.

A column that shows a cliff starts from the normal that lost its tail; one that softly misses one side, or of which the
user tells the direction, from a gentle slope of its own; labels that hide themselves from how often each goes missing;
every other column has the code's part alone, and is imputed about as far as it was observed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri

from pyro_mnar.data.columns import ColumnInfo, Layout, LostTail, Support, standardise_column
from pyro_mnar.data.kinds.fit import cut_by_shares, with_atoms
from pyro_mnar.data.transforms import FloatArray, Identity, Tabulated, Transform, WithAtoms
from pyro_mnar.estimators.start.cliff_scale import scale_of_cliff
from pyro_mnar.estimators.start.evidence import find_evidence
from pyro_mnar.estimators.start.label_evidence import LabelEvidence, find_label_evidence
from pyro_mnar.estimators.start.lost_tail import LostTail as FittedTail
from pyro_mnar.estimators.start.lost_tail import ends_in_pile
from pyro_mnar.estimators.start.plan import Start, set_up
from pyro_mnar.estimators.start.rate_shape import probits_of, shape_of_rates
from pyro_mnar.estimators.start.two_thresholds import find_two_thresholds
from pyro_mnar.model.mechanisms import Nested

#: Probits per standard deviation at which a slope without a cliff starts: data pull it up, but where values pile up at
#: zero they do not pull it down from 1, where no zero is ever missing.
SOFT_SLOPE = 0.3
#: Columns, and share of the incomplete ones, that must be cut, and of those that must agree on the side, for the others
#: to follow: two of three say little of the third.
FEWEST, QUORUM, MAJORITY = 3, 0.6, 0.75
#: Shares of the observed range beyond its ends to which imputed values may lie: without evidence, and softly missing.
REACH_AT_RANDOM, REACH_SOFT = 0.1, 0.5
#: Standard deviation of the logarithm of how far lost values reach beyond a cut or a limit, over how far a normal says
#: they do: of some 500 cuts in the columns of eleven tables, less what other columns know of it.
REACH_SPREAD = 0.4
#: The same for a softly missing column: beyond this quantile of what was observed, few values say how it goes on.
SOFT_END, SOFT_SPREAD = 0.8, 0.3


class Finding(NamedTuple):
    """What a column shows of hiding its own values, as it is kept beside a fitted model.

    Attributes
    ----------
    direction : int
        +1 where high values are missing, -1 where low ones are, 0 where nothing is shown, or no direction.
    kind : str
        "cliff", "soft", "labels", "both ends", "middle" or "none"; "given" where the slope was.
    log_odds : float
        Of the direction, on the tables on which the rule was made; infinite where it was told.
    reason : str
        What speaks for it, or against it; empty where there is nothing particular.
    """

    direction: int
    kind: str
    log_odds: float
    reason: str


def start_nested(
    table: FloatArray, layout: Layout, columns: ColumnInfo, given: Nested, seed: int
) -> tuple[Start, tuple[Finding, ...]]:
    """Scales, supports and the mechanism's first state, and what speaks for each column.

    Parameters
    ----------
    table : ndarray
        The model's columns in original units, shape (n, p), NaN = missing.
    layout : Layout
        Their kinds.
    columns : ColumnInfo
        Their scales by what was observed.
    given : Nested
        As the caller gave it; it is not changed.
    seed : int
        Of the search for evidence.

    Examples
    --------
    >>> from pyro_mnar.data.columns import describe
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(800, 1)) + 0.5 * rng.normal(size=(800, 3))
    >>> x[x[:, 0] > 0.3, 0] = np.nan
    >>> start, findings = start_nested(x, Layout((0, 1, 2)), describe(x, ["a", "b", "c"]), Nested(), 0)
    >>> start.mechanism.believed.tolist(), findings[0].kind
    ([True, False, False], 'cliff')
    """
    mechanism = set_up(given, columns)
    known = mechanism.own.sign.cpu().numpy().astype(np.float64)
    ordered = [*(column.column for column in layout.levels), *(column.column for column in layout.atoms)]
    evidence = find_evidence(table, [*layout.continuous, *ordered], known, seed)
    piled = [atoms.column for atoms in layout.atoms]
    findings = _with_quorum(
        [Finding(e.direction, e.kind, float(e.strength), e.reason) for e in evidence],
        table,
        sorted([*layout.continuous, *piled]),
    )
    told = (mechanism.own.slope_is_fixed | (mechanism.own.sign != 0)).nonzero()[:, 0].tolist()
    labels = find_label_evidence(table, layout, told, seed)
    for one in labels:
        for j in one.columns:
            findings[j] = _of_labels(one, findings[j])
    # One slope goes some way with two thresholds, which say more.
    one_sided = [j for j in layout.continuous if findings[j].kind in ("none", "soft") and j not in told]
    parts = {j: evidence[j].parts for j in one_sided}
    middles = {j: standardise_column(np.array(one.middles), j, columns) for j, one in parts.items() if one}
    two_sided = list(find_two_thresholds(parts, middles))
    for two in two_sided:
        side = "at both ends" if two.ends else "in the middle"
        reason = f"the other columns place its missing cells {side} of its range"
        findings[two.column] = Finding(0, "both ends" if two.ends else "middle", two.log_odds, reason)
    p = len(columns.names)
    transforms: list[Transform] = list(columns.transforms or (Identity(),) * p)
    supports = list(columns.supports or (Support(),) * p)
    center, scale = columns.center.copy(), columns.scale.copy()
    slope, threshold, tails = np.zeros(p), np.zeros(p), list[LostTail]()
    # A slope that the caller gave is per standard deviation of the observed values, and stays so.
    given_slope = (mechanism.own.slope_is_fixed & (mechanism.own.fixed_slope != 0)).tolist()
    findings = [
        Finding(0, "given", np.inf, "its slope was given") if held else found
        for found, held in zip(findings, mechanism.own.slope_is_fixed.tolist(), strict=True)
    ]
    for j, found in enumerate(findings):
        if found.kind == "labels":
            continue
        if found.kind == "cliff" and (j in layout.continuous or j in piled):
            transforms[j], tail = _cut(table[:, j], found.direction > 0, transforms[j])
            center[j], scale[j], slope[j] = tail.center, tail.scale, tail.slope
            threshold[j] = (tail.threshold - tail.center) / tail.scale
            tails.append(LostTail(j, float(threshold[j]), found.direction, REACH_SPREAD))
            continue
        if j in layout.continuous or j in ordered:
            supports[j] = within_reach(
                supports[j], table[:, j], REACH_SOFT if found.direction or given_slope[j] else REACH_AT_RANDOM
            )
        if found.direction:
            slope[j] = SOFT_SLOPE * found.direction
            # So that as many cells are missing as were.
            rate = float(np.clip(columns.missing_rate[j], 0.02, 0.98))
            threshold[j] = -float(ndtri(rate)) * np.hypot(1.0, slope[j]) / slope[j]
            if j not in ordered or j in piled:
                tails.append(_soft_tail(j, table[:, j], found.direction, columns))
    mechanism.start_at(*(torch.as_tensor(values) for values in (slope != 0, slope, threshold)))
    levels = {column.column: column for column in layout.levels}
    for one in labels:
        j = one.columns[0]
        if findings[j].kind != "labels":
            continue
        if j in levels:
            # Cut by what the levels are in all cells, not in those that were observed.
            scores, cuts = cut_by_shares(one.n_cells + 0.5)
            levels[j] = levels[j]._replace(scores=scores, cuts=cuts)
            transforms[j] = Tabulated(levels[j].values, scores)
        _start_labels(mechanism, one, np.array(levels[j].scores if j in levels else (0.0, 1.0)))
    for two in two_sided:
        j = two.column
        if two.ends:
            support = columns.supports[j] if columns.supports else Support()
            supports[j] = within_reach(support, table[:, j], REACH_SOFT)
        where = torch.arange(p) == j
        steep, low, high = (torch.full((p,), value) for value in two[2:5])
        mechanism.start_between(where, steep, low, high, where & two.ends)
        mechanism.hold(where)
    scales = columns._replace(center=center, scale=scale, transforms=tuple(transforms), supports=tuple(supports))
    return Start(scales._replace(tails=tuple(tails)), mechanism, tuple(levels.values())), tuple(findings)


def _of_labels(one: LabelEvidence, found: Finding) -> Finding:
    """What counts of two findings: labels that hide themselves say more than a side that is missed."""
    if one.believed:
        direction = int(np.sign(one.rates[1] - one.rates[0])) if len(one.rates) == 2 else 0
        return Finding(
            direction,
            "labels",
            one.log_odds,
            "how often each of its labels goes missing explains its mask better than the other columns do",
        )
    if found.direction:
        return found
    return Finding(0, "none", one.log_odds, found.reason if found.log_odds else "")


def _start_labels(mechanism: Nested, one: LabelEvidence, scores: FloatArray) -> None:
    """Curves through how often each label goes missing; ``scores`` are those of the labels of a single column.

    They stay there: the regression that found them can tell labels that were lost from labels that are rare, a network
    that bends may not.
    """
    p = len(mechanism.believed)
    where, slope, low, high = np.zeros(p, dtype=bool), np.ones(p), np.zeros(p), np.ones(p)
    where[list(one.columns)] = True
    if len(one.columns) > 1:
        # One column for each label, of which the curve at 1 counts.
        probits = probits_of(one.rates)
        steps = probits - probits_of(one.rates @ one.n_cells / one.n_cells.sum())
        steps = np.where(steps < 0, np.minimum(steps, -0.5), np.maximum(steps, 0.5))
        slope[where], low[where] = steps, 1 - probits / steps
        shape = None
    else:
        shape = shape_of_rates(scores, one.rates, one.n_cells)
        slope[where], low[where], high[where] = shape[:3]
    if shape is None or np.isnan(shape.high):
        mechanism.start_at(*(torch.as_tensor(values) for values in (where, slope, low)))
    else:
        ends = where & shape.two_sided
        mechanism.start_between(*(torch.as_tensor(values) for values in (where, slope, low, high, ends)))
    mechanism.hold(torch.as_tensor(where))


def _soft_tail(column: int, values: FloatArray, sign: int, columns: ColumnInfo) -> LostTail:
    """The side of a softly missing column on which few values were observed."""
    end = np.nanquantile(values, SOFT_END if sign > 0 else 1 - SOFT_END, keepdims=True)
    return LostTail(column, float(standardise_column(end, column, columns)[0]), sign, SOFT_SPREAD)


def _cut(column: FloatArray, high: bool, before: Transform) -> tuple[Transform, FittedTail]:
    """Scale and lost tail of a cut column; values that pile up (zeros of an amount) are no part of its normal."""
    atoms = before.values if isinstance(before, WithAtoms) else ()
    rest = column[~np.isin(column, atoms)]
    scale, tail = scale_of_cliff(rest, high)
    return (with_atoms(scale, atoms, rest[~np.isnan(rest)]) if atoms else scale), tail


def _with_quorum(findings: list[Finding], table: FloatArray, continuous: Sequence[int]) -> list[Finding]:
    """The findings, where most columns are cut on one side: the others that may be are then cut there too."""
    incomplete = [j for j in continuous if np.isnan(table[:, j]).any() and not np.isnan(table[:, j]).all()]
    cut = [j for j in incomplete if findings[j].kind == "cliff"]
    side = int(np.sign(sum(findings[j].direction for j in cut)))
    agree = sum(findings[j].direction == side for j in cut)
    if len(cut) < max(FEWEST, QUORUM * len(incomplete)) or agree < MAJORITY * len(cut):
        return findings
    word = "high" if side > 0 else "low"
    reason = f"{len(cut)} of the {len(incomplete)} incomplete columns end abruptly, and their missing values are {word}"
    result = list(findings)
    for j in incomplete:
        column = table[:, j]
        if findings[j].direction in (0, side) and not ends_in_pile(side * column[~np.isnan(column)]):
            result[j] = findings[j] if findings[j].kind == "cliff" else Finding(side, "cliff", 0.0, reason)
    return result


def within_reach(support: Support, column: FloatArray, share: float) -> Support:
    """The part of the support that is no further from the observed values than a share of their range."""
    seen = column[~np.isnan(column)]
    if len(seen) == 0:
        return support
    low, high = float(seen.min()), float(seen.max())
    reach = share * (high - low)
    return support._replace(lowest=max(support.lowest, low - reach), highest=min(support.highest, high + reach))
