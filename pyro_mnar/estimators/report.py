"""The fitted mechanism as a table that a statistician can read, in numbers and in words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from pyro import poutine

from pyro_mnar.data.columns import ColumnInfo, FloatArray
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.estimators.start.nested import Finding
from pyro_mnar.model.curve import logistic_slope
from pyro_mnar.model.joint import Joint

#: Logits per standard deviation under which a value is said not to matter: the odds change by less than a quarter.
_WEAK = 0.2
#: Logits per standard deviation under which no threshold is named.
_MILD = 0.5
#: Observed standard deviations from the observed mean beyond which a threshold is called out of range.
_FAR = 4.0


def mechanism_table(
    joint: Joint, columns: ColumnInfo, x: torch.Tensor, findings: Sequence[Finding] = ()
) -> pd.DataFrame:
    """One row per column, original units; see :meth:`pyro_mnar.estimators.MNARImputer.mechanism_report`.

    Parameters
    ----------
    joint : Joint
        The fitted pair.
    columns : ColumnInfo
        Of the training table.
    x : Tensor
        Complete rows over which the sensitivities are averaged, shape (n, p), standardised.
    findings : sequence of Finding
        What each column shows, p of them, for the nested mechanism.

    Returns
    -------
    DataFrame
    """
    table = pd.DataFrame({"feature": list(columns.names), "missing_rate": columns.missing_rate})
    if not joint.has_mask_term:
        table["words"] = [
            f"{name}: no mechanism in the model ({_percent(rate)} missing)" if rate > 0 else _complete(name)
            for name, rate in zip(columns.names, columns.missing_rate, strict=True)
        ]
        return table
    has_term = joint.active.cpu().numpy()
    curve = joint.mechanism.curve()
    if curve is None:
        matrix = sensitivity_matrix(joint, columns, x).to_numpy()
        table["words"] = [
            _words_for_row(j, columns, matrix[j]) if has_term[j] else _complete(columns.names[j])
            for j in range(len(columns.names))
        ]
        return table
    p = len(columns.names)
    per_sd = np.broadcast_to(logistic_slope(curve.slope, curve.link).detach().double().cpu().numpy(), (p,)).copy()
    slope = np.broadcast_to(curve.slope.detach().double().cpu().numpy(), (p,))
    intercept = np.broadcast_to(curve.intercept.detach().double().cpu().numpy(), (p,))
    with np.errstate(divide="ignore", invalid="ignore"):
        standard = -intercept / slope
    threshold = standard * columns.scale + columns.center
    center, scale = columns.center.copy(), columns.scale.copy()
    # In original units, where a transform bends the scale: its unit is that where half of the cells are missing.
    for j, g in columns.transformed:
        threshold[j], center[j] = g.inverse(threshold[j]), g.inverse(center[j])
        scale[j] *= np.exp(-g.log_derivative(threshold[j]))
    table["slope"] = np.where(has_term, per_sd / scale, np.nan)
    table["slope_per_sd"] = np.where(has_term, per_sd, np.nan)
    table["threshold"] = np.where(has_term, threshold, np.nan)
    table["direction"] = np.where(has_term, np.array(["low", "", "high"])[np.sign(per_sd).astype(int) + 1], "")
    table["words"] = [
        words_for_curve(columns.names[j], per_sd[j], threshold[j], center[j], scale[j], columns.missing_rate[j])
        if has_term[j]
        else _complete(columns.names[j])
        for j in range(p)
    ]
    if findings and curve.flat is not None:
        flat = curve.flat.cpu().numpy() & has_term
        table.loc[flat, ["slope", "slope_per_sd", "threshold"]] = np.nan
        table.loc[flat, "direction"] = ""
        table["evidence"] = [finding.kind if has_term[j] else "complete" for j, finding in enumerate(findings)]
        table["words"] = [
            _with_reason(columns.names[j], words, findings[j], columns.missing_rate[j], bool(flat[j]))
            if has_term[j]
            else words
            for j, words in enumerate(table["words"])
        ]
    return table


def _with_reason(name: str, words: str, finding: Finding, rate: float, flat: bool) -> str:
    """The sentence of a column under the nested mechanism: what was found, and what speaks for it."""
    if not flat:
        return f"{words}: {finding.reason}"
    return (
        f"{name}: no evidence that its values are missing because of themselves ({_percent(rate)} missing): "
        f"{finding.reason}; imputed from what its rows have in common"
    )


def sensitivity_matrix(joint: Joint, columns: ColumnInfo, x: torch.Tensor) -> pd.DataFrame:
    r"""Mean over the rows of d logit P(s_j = 0 | x) / d x_l, in logits per standard deviation of column l.

    Parameters
    ----------
    joint : Joint
        The fitted pair, with a mechanism.
    columns : ColumnInfo
        Of the training table.
    x : Tensor
        Complete rows, shape (n, p), standardised.

    Returns
    -------
    DataFrame
        Shape (p, p): one row per column j whose cell goes missing, one column per column l whose value matters;
        positive where high values of l make j go missing. NaN in the rows of columns that were complete in training.

    Raises
    ------
    UnsupportedModelError
        The model has no mechanism.
    """
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
        rows: torch.Tensor = poutine.trace(joint.generate).get_trace(n_rows).nodes["x"]["value"]
    return rows


def words_for_curve(
    name: str, slope_per_sd: float, threshold: float, center: float, scale: float, missing_rate: float
) -> str:
    """One sentence about a cell that goes missing by its own value.

    Examples
    --------
    >>> words_for_curve("income", 3.1, 52_310.0, 41_000.0, 14_000.0, 0.41)
    'income: values above 52,300 are likely missing (slope 3.1 per sd; 41 % missing)'
    >>> words_for_curve("age", 0.1, 300.0, 50.0, 10.0, 0.2)
    'age: missing whatever its value (slope 0.1 per sd; 20 % missing)'
    >>> words_for_curve("bmi", -1.0, 2.0, 25.0, 4.0, 0.03)
    'bmi: low values are missing more often than high ones (slope -1 per sd; 3 % missing)'
    """
    if abs(slope_per_sd) < _WEAK:
        what = "missing whatever its value"
    elif abs(slope_per_sd) < _MILD or abs(threshold - center) > _FAR * scale:
        ends = ("high", "low") if slope_per_sd > 0 else ("low", "high")
        how = "slightly more" if abs(slope_per_sd) < _MILD else "more"
        what = f"{ends[0]} values are missing {how} often than {ends[1]} ones"
    else:
        side = "above" if slope_per_sd > 0 else "below"
        what = f"values {side} {readable(threshold, scale)} are likely missing"
    return f"{name}: {what} (slope {slope_per_sd:.2g} per sd; {_percent(missing_rate)} missing)"


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


def _words_for_row(j: int, columns: ColumnInfo, slopes: FloatArray, most: int = 3) -> str:
    """One sentence about a cell that goes missing by any value of its row."""
    order: Sequence[int] = [int(k) for k in np.argsort(-np.abs(slopes)) if abs(slopes[k]) >= _WEAK][:most]
    rate = f"{_percent(columns.missing_rate[j])} missing"
    if not order:
        return f"{columns.names[j]}: missing whatever the values ({rate})"
    reasons = [
        f"{'its own value' if k == j else columns.names[k]} is {'high' if slopes[k] > 0 else 'low'} "
        f"({slopes[k]:+.2g} per sd)"
        for k in order
    ]
    return f"{columns.names[j]}: likelier missing where {', '.join(reasons)}; {rate}"


def _complete(name: str) -> str:
    return f"{name}: never missing in training"


def _percent(rate: float) -> str:
    return "under 1 %" if 0 < rate < 0.005 else f"{100 * rate:.0f} %"
