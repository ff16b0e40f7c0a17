"""The fitted mechanism as a table that a statistician can read, in numbers and in words."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from pyro_mnar.data.columns import ColumnInfo, FloatArray
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.kinds.schema import Schema
from pyro_mnar.data.transforms import Identity, Tabulated, Transform
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.estimators.precision import CurveErrors
from pyro_mnar.estimators.sentences import (
    WEAK,
    percent,
    words_for_atom,
    words_for_curve,
    words_for_dates,
    words_for_ends,
    words_for_labels,
    words_for_latent,
    words_for_levels,
    words_for_observed,
    words_for_row,
    words_for_tails,
)
from pyro_mnar.estimators.start.nested import Finding
from pyro_mnar.model.curve import NO_GAP, Curve, logistic_slope
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import MixedLikelihood
from pyro_mnar.model.mechanisms import Fixed

#: Most values of its row that a cell's sentence names.
_MOST_REASONS = 3


class Column(NamedTuple):
    """One column of the table as the model has it: what it is, the first of its model columns, and its transform."""

    kind: ColumnKind
    start: int
    transform: Transform

    @property
    def labels(self) -> list[str]:
        """Names of its levels, where it has some."""
        if self.kind.labels:
            return [str(label) for label in self.kind.labels]
        if isinstance(self.transform, Tabulated):
            return [f"{value:g}" for value in self.transform.values]
        return ["False", "True"] if self.kind.holds == "boolean" else ["0", "1"]


class _Line(NamedTuple):
    """What is said of a column: slope in logits per original unit, and per standard deviation; threshold."""

    words: str
    slope: float = np.nan
    slope_per_sd: float = np.nan
    threshold: float = np.nan


def mechanism_table(
    joint: Joint,
    schema: Schema,
    columns: ColumnInfo,
    x: torch.Tensor,
    findings: Sequence[Finding] = (),
    errors: CurveErrors | None = None,
) -> pd.DataFrame:
    """One row per column of the table, original units; see :meth:`pyro_mnar.estimators.MNARImputer.mechanism_report`.

    ``x`` are complete rows over which sensitivities are averaged, shape (n, p), standardised; ``findings`` say what
    each of the p columns shows, for the nested mechanism; ``errors`` are of slopes and thresholds, where they are asked
    for.
    """
    transforms = columns.transforms or (Identity(),) * len(columns.names)
    found = [Column(schema.columns[j], start, transforms[start]) for j, start in schema.starts().items()]
    rates = columns.missing_rate[[column.start for column in found]]
    mechanism, together = joint.mechanism, {j: block for block in joint.mechanism.blocks for j in block}
    # A block has the mask term of its first column.
    firsts = [together.get(column.start, [column.start])[0] for column in found]
    has_term = joint.active.cpu().numpy()[firsts] & joint.has_mask_term
    curve = mechanism.curve() if joint.has_mask_term else None
    given = isinstance(mechanism, Fixed) and mechanism.by_own_value and joint.has_mask_term and curve is None
    of_row = None
    if joint.has_mask_term and curve is None and not given:
        of_row = sensitivity_matrix(joint, columns, x).to_numpy()
    asked = bool(findings) and curve is not None and curve.flat is not None
    lines, evidence = [], []
    for column, first, rate, term in zip(found, firsts, rates, has_term, strict=True):
        finding = findings[column.start] if asked else None
        evidence.append(finding.kind if finding and term else _evidence_without_term(column, columns))
        if not term:
            lines.append(_Line(_without_term(column, columns)))
        elif curve is not None:
            line = _of_curve(column, curve, columns, _others(column, found, together), finding)
            lines.append(line._replace(words=_with_the_rest(line.words, column, first, curve, joint, columns)))
        elif of_row is not None:
            reasons = _reasons(column, found, of_row[column.start])
            lines.append(_Line(words_for_row(column.kind.name, reasons, rate)))
        else:
            assert isinstance(mechanism, Fixed)
            lines.append(_as_given(column, mechanism, columns))
    table = pd.DataFrame({"feature": [str(column.kind.name) for column in found], "missing_rate": rates})
    if curve is not None or given:
        for name in ("slope", "slope_per_sd", "threshold"):
            table[name] = [getattr(line, name) for line in lines]
        if errors is not None and curve is not None:
            pairs = list(zip(found, lines, strict=True))
            table["slope_per_sd_se"] = [_slope_error(column, line, curve, errors) for column, line in pairs]
            table["threshold_se"] = [_threshold_error(column, line, columns, errors) for column, line in pairs]
        sides = np.sign(table["slope_per_sd"].fillna(0.0)).astype(int)
        table["direction"] = [("low", "", "high")[side + 1] for side in sides]
    table["words"] = [line.words for line in lines]
    return table.assign(evidence=evidence) if asked else table


def _of_curve(
    column: Column, curve: Curve, columns: ColumnInfo, others: Sequence[str], finding: Finding | None
) -> _Line:
    """What the curve says of one column, or that its own value has no part in it; ``others`` go missing with it."""
    kind, start, _ = column
    rate = float(columns.missing_rate[start])
    flat = curve.flat is not None and bool(curve.flat[start : start + kind.width].all())
    line = _Line(words_for_latent(kind.name, others, rate)) if flat else _line(column, curve, columns)
    return line if finding is None else line._replace(words=_with_reason(kind, line.words, finding, rate, flat))


def _with_the_rest(words: str, column: Column, first: int, curve: Curve, joint: Joint, columns: ColumnInfo) -> str:
    """A column's sentence, with what of the observed cells matters beside its own value, and its errors' tails."""
    weights = joint.mechanism.observed_weights
    if weights is not None:
        logits = logistic_slope(weights[first], curve.link).detach().double().cpu().numpy()
        words = words_for_observed(words, *observed_reasons(logits, columns))
    freedom = joint.likelihood.freedom if isinstance(joint.likelihood, MixedLikelihood) else {}
    return words_for_tails(words, freedom[column.start]) if column.start in freedom else words


def _others(column: Column, every: Sequence[Column], together: Mapping[int, Sequence[int]]) -> list[str]:
    """Names of the columns of the table that go missing together with this one."""
    block = together.get(column.start, ())
    return [str(other.kind.name) for other in every if other.start in block and other is not column]


def observed_reasons(weights: FloatArray, columns: ColumnInfo) -> tuple[list[str], list[str]]:
    """What of the observed cells makes a cell go missing, the strongest first; and all columns that could.

    ``weights`` are logits per standard deviation, then where cells are missing themselves, shape (2 (p + q),), 0 for
    others: of p columns of the model and q beside it.

    Examples
    --------
    >>> columns = ColumnInfo(("age", "city=Lima", "city=Oslo"), np.zeros(3), np.ones(3), np.zeros(3))
    >>> observed_reasons(np.array([0.5, 1.0, -1.0, 0.0, 0.0, 0.0]), columns)
    (['city is Lima (+1)', 'city is Oslo (-1)', 'age is high (+0.5 per sd)'], ['age', 'city'])
    """
    names = [*columns.names, *(() if columns.beside is None else columns.beside.names)]
    prefixes = [name.rpartition("=")[0] for name in names]
    several = [bool(prefix) and prefixes.count(prefix) > 1 for prefix in prefixes]
    own = [prefix if group else name for name, prefix, group in zip(names, prefixes, several, strict=True)]
    values, missing = weights[: len(names)].copy(), weights[len(names) :]
    for prefix in {prefix for prefix, group in zip(prefixes, several, strict=True) if group}:
        levels = [j for j, other in enumerate(prefixes) if other == prefix]
        # Only differences between levels mean something beside the intercept.
        values[levels] -= values[levels].mean()
    found: dict[str, float] = {}
    for j, (name, value) in enumerate(zip(names, values, strict=True)):
        side = f"is {name.rpartition('=')[2]}" if several[j] else "is high" if value > 0 else "is low"
        found[f"{own[j]} {side} ({value:+.2g}{'' if several[j] else ' per sd'})"] = value
        gone = sum(missing[k] for k in range(len(names)) if own[k] == own[j])
        found[f"{own[j]} is missing ({gone:+.2g})"] = gone
    strong = sorted((reason for reason, value in found.items() if abs(value) >= WEAK), key=lambda r: -abs(found[r]))
    return strong[:_MOST_REASONS], list(dict.fromkeys(own[j] for j in np.flatnonzero(weights[: len(names)])))


def _line(column: Column, curve: Curve, columns: ColumnInfo) -> _Line:
    """What the curve says of one column."""
    kind, start, g = column
    own = curve.at(torch.arange(start, start + kind.width, device=curve.slope.device))
    link, rate, name = curve.link, float(columns.missing_rate[start]), str(kind.name)
    if kind.kind == "nominal":
        words = words_for_labels(name, column.labels, _missing_at(own, np.ones(kind.width)), rate)
        return _Line(words)
    per_sd = float(logistic_slope(own.slope, link).detach().double().reshape(-1)[0])
    if kind.kind in ("binary", "one-hot"):
        words = words_for_labels(name, column.labels, _missing_at(own, np.array([0.0, 1.0])), rate)
        return _Line(words, per_sd, per_sd)
    two_ends = own.gap is not None and own.ends is not None and float(own.gap.detach().reshape(-1)[0]) < NO_GAP
    if two_ends and isinstance(g, Tabulated):
        missing = _missing_at(own, np.array(g.scores))
        return _Line(words_for_labels(name, column.labels, missing, rate))
    if two_ends:
        return _Line(_words_for_ends(column, own, columns))
    slope, intercept = (float(value.detach().double().reshape(-1)[0]) for value in (own.slope, own.intercept))
    with np.errstate(divide="ignore", invalid="ignore"):
        standard = np.float64(-intercept) / slope
        threshold = float(g.inverse(np.asarray(standard * columns.scale[start] + columns.center[start])))
    if isinstance(g, Tabulated):
        # Levels: what the logit changes from one unit to the next on average.
        per_unit = per_sd * (g.scores[-1] - g.scores[0]) / (g.values[-1] - g.values[0])
        words = words_for_levels(kind, column.labels, _missing_at(own, np.array(g.scores)), per_sd, rate)
        return _Line(words, per_unit, per_sd, np.nan if kind.labels else threshold)
    scale = _scale_at(threshold, column, columns)
    return _of_number(column, per_sd / scale, per_sd, threshold, columns)


def _as_given(column: Column, mechanism: Fixed, columns: ColumnInfo) -> _Line:
    """What a known mechanism says of one column: what it was given, in original units."""
    kind, start, g = column
    own = slice(start, start + kind.width)
    slope, threshold = (value.expand(len(columns.names))[own].numpy() for value in mechanism.given())
    logits, rate = logistic_slope(torch.as_tensor(slope), mechanism.link).numpy(), float(columns.missing_rate[start])

    def missing(values: FloatArray) -> FloatArray:
        curve = Curve(torch.as_tensor(slope), torch.as_tensor(-slope * threshold), mechanism.link)
        return np.asarray(curve.log_missing(torch.as_tensor(values)).exp().numpy())

    if kind.kind == "nominal":
        words = words_for_labels(kind.name, column.labels, missing(np.ones(kind.width)), rate)
        return _Line(words)
    if kind.kind in ("binary", "one-hot"):
        codes = columns.codes[start] if columns.codes and columns.codes[start] else (0.0, 1.0)
        words = words_for_labels(kind.name, column.labels, missing(np.array(codes)), rate)
        return _Line(words, float(logits[0]), float(logits[0]) * (codes[1] - codes[0]), float(threshold[0]))
    if isinstance(g, Tabulated):
        per_sd = float(logits[0]) * (g.values[-1] - g.values[0]) / (g.scores[-1] - g.scores[0])
        words = words_for_levels(kind, column.labels, missing(np.array(g.values)), per_sd, rate)
        return _Line(words, float(logits[0]), per_sd, float(threshold[0]))
    per_sd = float(logits[0]) * _scale_at(float(threshold[0]), column, columns)
    return _of_number(column, float(logits[0]), per_sd, float(threshold[0]), columns)


def _scale_at(threshold: float, column: Column, columns: ColumnInfo) -> float:
    """A standard deviation in original units; where a transform bends the scale, that where half are missing."""
    unit = float(columns.scale[column.start])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        scale = unit * float(np.exp(-column.transform.log_derivative(np.asarray(threshold))))
    return scale if np.isfinite(scale) and scale > 0 else unit


def _of_number(column: Column, slope: float, per_sd: float, threshold: float, columns: ColumnInfo) -> _Line:
    """What is said of a number or a date."""
    kind, start, g = column
    rate, scale = float(columns.missing_rate[start]), _scale_at(threshold, column, columns)
    center = float(g.inverse(np.asarray(columns.center[start])))
    if kind.kind in ("date", "duration"):
        words = words_for_dates(kind, per_sd, threshold, center, scale, rate)
    else:
        words = words_for_atom(kind, g, per_sd, threshold, rate) or words_for_curve(
            str(kind.name), per_sd, threshold, center, scale, rate
        )
    return _Line(words, slope, per_sd, threshold)


def _slope_error(column: Column, line: _Line, curve: Curve, errors: CurveErrors) -> float:
    if np.isnan(line.slope_per_sd):
        return np.nan
    return float(logistic_slope(torch.as_tensor(errors.slope[column.start]), curve.link))


def _threshold_error(column: Column, line: _Line, columns: ColumnInfo, errors: CurveErrors) -> float:
    """Of the threshold, original units."""
    if np.isnan(line.threshold):
        return np.nan
    per_unit = np.exp(column.transform.log_derivative(np.asarray(line.threshold)))
    return float(errors.threshold[column.start] * columns.scale[column.start] / per_unit)


def _words_for_ends(column: Column, own: Curve, columns: ColumnInfo) -> str:
    """The sentence of a column with two thresholds."""
    kind, start, g = column
    assert own.gap is not None and own.ends is not None
    numbers = (own.slope, own.intercept, own.gap)
    slope, intercept, gap = (float(value.detach().double().reshape(-1)[0]) for value in numbers)
    center, scale = columns.center[start], columns.scale[start]
    standard = np.array([-intercept, gap - intercept]) / slope
    low, high = (float(end) for end in g.inverse(standard * scale + center))
    per_sd = float(logistic_slope(own.slope, own.link).detach().reshape(-1)[0])
    unit = float(abs(high - low) / max(standard[1] - standard[0], 1e-9)) or 1.0
    rate = float(columns.missing_rate[start])
    return words_for_ends(str(kind.name), per_sd, low, high, unit, rate, bool(own.ends.reshape(-1)[0]))


def _missing_at(curve: Curve, values: FloatArray) -> FloatArray:
    """P(missing) at values on the model's scale, shape (V,)."""
    with torch.no_grad():
        log_missing = curve.log_missing(torch.as_tensor(values).to(curve.slope))
    return np.asarray(log_missing.double().exp().cpu().numpy())


def _with_reason(kind: ColumnKind, words: str, finding: Finding, rate: float, flat: bool) -> str:
    """The sentence of a column under the nested mechanism: what was found, and what speaks for it."""
    if finding.kind == "told":
        return words
    if not flat:
        return f"{words}: {finding.reason or 'its direction was given'}"
    because = f": {finding.reason}" if finding.reason else ""
    return (
        f"{kind.name}: no evidence that its values are missing because of themselves ({percent(rate)} missing)"
        f"{because}; imputed from what its rows have in common"
    )


def sensitivity_matrix(joint: Joint, columns: ColumnInfo, x: torch.Tensor) -> pd.DataFrame:
    """What :meth:`pyro_mnar.estimators.MNARImputer.mechanism_sensitivity` gives, averaged over complete rows ``x``."""
    if not joint.has_mask_term:
        raise UnsupportedModelError(
            "this model has no mechanism p(s|x); fit with mechanism='linear', 'nonlinear' or 'self-masking'"
        )
    x = x.detach().to(next(joint.parameters()), copy=True).requires_grad_(True)
    with torch.enable_grad():
        logits = -joint.mechanism(x).logits
        rows = [torch.autograd.grad(logits[:, j].sum(), x, retain_graph=True)[0].mean(0) for j in range(x.shape[1])]
    matrix = torch.stack(rows).double().cpu().numpy()
    matrix[~joint.active.cpu().numpy()] = np.nan
    return pd.DataFrame(matrix, index=list(columns.names), columns=list(columns.names))


def drawn_rows(joint: Joint, n_rows: int, seed: int) -> torch.Tensor:
    """Complete rows drawn from the model, shape (n, p), standardised; torch's own generator is left alone."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        prior = joint.prior(next(joint.parameters())).expand(torch.Size((n_rows,)))
        rows: torch.Tensor = joint.rows_given_code(prior())()
    return rows


def _reasons(column: Column, every: Sequence[Column], slopes: FloatArray) -> list[str]:
    """The values of its row that make a cell go missing, the strongest first."""
    of_position = {other.start + level: (other, level) for other in every for level in range(max(other.kind.width, 1))}
    order = [int(k) for k in np.argsort(-np.abs(slopes)) if abs(slopes[k]) >= WEAK][:_MOST_REASONS]
    reasons = []
    for k in order:
        other, level = of_position[k]
        name = "its own value" if other is column else str(other.kind.name)
        if other.kind.kind == "nominal":
            state = f"{'' if slopes[k] > 0 else 'not '}{other.labels[level]}"
        elif other.kind.kind == "binary" and (other.kind.labels or other.kind.holds == "boolean"):
            state = other.labels[int(slopes[k] > 0)]
        else:
            state = "high" if slopes[k] > 0 else "low"
        reasons.append(f"{name} is {state} ({slopes[k]:+.2g} per sd)")
    return reasons


def _without_term(column: Column, columns: ColumnInfo) -> str:
    """The sentence of a column that has no mask term: complete, censored, or missing at random."""
    name, rate = column.kind.name, float(columns.missing_rate[column.start])
    share = _share_within_limits(column, columns)
    if share > 0:
        others = f"; {percent(rate - share)} missing without limits, taken as at random" if rate > share else ""
        return f"{name}: of {percent(share)} of its values limits are known, and they are imputed within these{others}"
    if rate == 0:
        return f"{name}: never missing in training"
    return f"{name}: no mechanism in the model ({percent(rate)} missing)"


def _evidence_without_term(column: Column, columns: ColumnInfo) -> str:
    if _share_within_limits(column, columns) > 0:
        return "limits"
    return "complete" if columns.missing_rate[column.start] == 0 else "ignorable"


def _share_within_limits(column: Column, columns: ColumnInfo) -> float:
    return columns.within_limits[column.start] if columns.within_limits else 0.0
