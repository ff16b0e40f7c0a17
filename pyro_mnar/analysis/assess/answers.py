"""What the fitted model puts into the holes, cell by cell, and how far it can be trusted, row by row."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pyro_mnar.analysis.curves import missing_probability
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.posterior.refine import Refinement
from pyro_mnar.inference.posterior.reliability import MIN_ESS

#: Draws of each missing cell behind intervals and bands, and bytes that they may take.
DRAWS, _MOST_BYTES = 100, 5e8
LEVEL = 0.9
#: Rows from which the other values of a curve are taken.
_CURVE_ROWS = 200
_BINS = 30
#: Effective draws that more draws are to promise: some more than a row needs to be reliable.
_PROMISE = 1.3 * MIN_ESS


@dataclass(frozen=True)
class Answers:
    """Imputations with what can be said of them; see :class:`~pyro_mnar.analysis.assess.assessment.Assessment`."""

    completed: pd.DataFrame
    tables: list[pd.DataFrame]
    cells: pd.DataFrame
    rows: pd.DataFrame
    histograms: dict[str, pd.DataFrame]
    curves: dict[str, pd.DataFrame]


def answers(
    imputer: MNARImputer,
    X: pd.DataFrame,
    n_draws: int,
    n_tables: int,
    most_refined: int | None = None,
    refinement: Refinement | None = None,
) -> Answers:
    """Impute the table that the imputer was fitted to, shape (n, p), and keep the draws' shapes.

    Rows have ``n_draws`` importance draws, up to three times as many where that promises to be enough; others with
    uneven weights get a proposal of their own, on which ``refinement`` is spent: at most ``most_refined`` of them,
    those with the fewest effective draws. ``n_tables`` completed tables are kept.
    """
    everywhere = imputer.table(X)
    # Cells that are only known to lie within limits are drawn too; those of columns without a model have a row here.
    holed = np.asarray(X.isna().to_numpy().any(axis=1) | np.isnan(everywhere).any(axis=1))
    some = X[holed]
    read = imputer._check(some, reset=False)
    # With noise of each row's own, the weights of the means serve the draws too.
    posterior = imputer._posterior(read, n_draws, single=True, independent=True)
    with warnings.catch_warnings():
        # Of rows that are refined afterwards.
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        posterior.mean()
        with_more_draws(posterior, n_draws).mean()
    chosen = uneven(posterior, most_refined)
    posterior.refine(chosen, refinement)
    mean = posterior.mean()
    size = 8.0 * len(some) * len(imputer.columns_.names)
    n_kept = int(np.clip(_MOST_BYTES / size, n_tables, DRAWS))
    draws = posterior.sample(n_kept)
    ends = np.quantile(draws, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], axis=0)
    completed, low, middle, high = imputer.completed_tables(X, _in_place(everywhere, holed, np.stack([mean, *ends])))
    tables = imputer.completed_tables(X, _in_place(everywhere, holed, draws[:n_tables]))
    schema = imputer._schema
    values = np.stack([schema.contract(imputer._tidied(read, draw)) for draw in draws])
    known = schema.contract(everywhere)
    cells, histograms, curves = [], {}, {}
    starts = schema.starts()
    for place, (j, start) in enumerate(starts.items()):
        kind, name = schema.columns[j], X.columns[j]
        # Cells within limits are among them: they may stand there as texts.
        hidden = np.isnan(everywhere[:, start])
        if not hidden.any():
            continue
        drawn = values[:, hidden[holed], place]
        seen = np.where(hidden, np.nan, known[:, place])
        labels = [str(label) for label in kind.labels] or None
        line = pd.DataFrame({"row": X.index[hidden].astype(str), "column": str(name)})
        line["value"] = completed[name][hidden].astype(str).to_numpy()
        if labels:
            line["low"] = line["median"] = line["high"] = ""
            line["chance"] = np.max([(drawn == code).mean(0) for code in range(len(labels))], axis=0)
        else:
            for word, table in (("low", low), ("median", middle), ("high", high)):
                line[word] = table[name][hidden].astype(str).to_numpy()
            line["chance"] = np.nan
        cells.append(line)
        histograms[str(name)] = histogram(seen[~np.isnan(seen)], drawn, labels)
        if not labels and _has_own_slope(imputer, start):
            curves[str(name)] = curve(imputer, X, start, np.concatenate([seen[~np.isnan(seen)], drawn.ravel()]))
    rows = pd.DataFrame({"missing": X.isna().sum(axis=1).to_numpy()}, index=X.index)
    rows = rows.assign(effective_draws=np.nan, pareto_k=np.nan, reliable=True, refined=False)
    found_of_rows = {"effective_draws": posterior.ess, "pareto_k": posterior.pareto_k, "reliable": posterior.reliable}
    for name, of_rows in (found_of_rows | {"refined": chosen}).items():
        rows.loc[holed, name] = of_rows
    columns = ["row", "column", "value", "low", "median", "high", "chance"]
    found = pd.concat(cells, ignore_index=True)[columns] if cells else pd.DataFrame(columns=columns)
    return Answers(completed, tables, found, rows, histograms, curves)


def with_more_draws(posterior: Posterior, n_draws: int) -> Posterior:
    """Give rows that are not reliable two or three times ``n_draws``, where these promise to be enough."""
    bad, wanted = ~posterior.reliable, np.ceil(_PROMISE / np.maximum(posterior.ess, 1e-9))
    for times in (2, 3):
        posterior.more_draws(times * n_draws, bad & (np.maximum(wanted, 2) == times))
    return posterior


def uneven(posterior: Posterior, most: int | None) -> BoolArray:
    """The rows that are not reliable, bool, shape (n,): of more than ``most`` those with the fewest effective draws."""
    bad = ~posterior.reliable
    worst = np.argsort(np.where(bad, posterior.ess, np.inf), kind="stable")[:most]
    return np.asarray(bad & np.isin(np.arange(len(bad)), worst))


def _in_place(everywhere: FloatArray, holed: BoolArray, draws: FloatArray) -> FloatArray:
    """Values of the rows with holes among those of all rows, shape (m, n, columns of the model)."""
    result = np.repeat(everywhere[None], len(draws), axis=0)
    result[:, holed] = draws
    return result


def _has_own_slope(imputer: MNARImputer, j: int) -> bool:
    """Whether the model lets the value of column j matter for its being missing."""
    if not imputer.joint_.has_mask_term or not bool(imputer.joint_.active[j]):
        return False
    curve = imputer.joint_.mechanism.curve()
    return curve is None or curve.flat is None or not bool(curve.flat[j])


def histogram(seen: FloatArray, drawn: FloatArray, labels: list[str] | None) -> pd.DataFrame:
    """Cells per bin, or label: observed; imputed, the mean over completed tables; low and high, which hold 90 %.

    ``seen`` are observed values, ``drawn`` imputed ones, shape (m, cells): codes where there are labels.
    """
    together = np.concatenate([seen, drawn.ravel()])
    if labels:
        edges = np.arange(len(labels) + 1) - 0.5
    else:
        whole = bool((together == np.rint(together)).all())
        # A few far draws would leave no room for the others: what lies beyond belongs to the last bar.
        low, high = (float(end) for end in np.quantile(drawn, [0.002, 0.998]))
        low, high = min(low, float(seen.min())), max(high, float(seen.max()))
        seen, drawn = seen.clip(low, high), drawn.clip(low, high)
        if whole:
            low, high = float(np.floor(low)), float(np.ceil(high))
        if whole and high - low < _BINS:
            edges = np.arange(low, high + 2) - 0.5
        else:
            n_bins = int(np.clip(len(np.histogram_bin_edges(seen, "auto")) - 1, 10, _BINS))
            # Bars of whole numbers hold as many of them each.
            step = max(1.0, np.ceil((high - low) / n_bins)) if whole else (high - low) / n_bins or 1.0
            edges = low + step * np.arange(n_bins + 1) - (0.5 if whole else 0.0)
            edges = edges[: int(np.searchsorted(edges, high)) + 1]
            edges[-1] = max(edges[-1], high)
    counts = np.stack([np.histogram(draw, edges)[0] for draw in drawn])
    shape = {
        "observed": np.histogram(seen, edges)[0],
        "imputed": counts.mean(0),
        "low": np.quantile(counts, 0.05, axis=0),
        "high": np.quantile(counts, 0.95, axis=0),
    }
    if labels:
        return pd.DataFrame({"label": labels, **shape})
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], **shape})


def curve(imputer: MNARImputer, X: pd.DataFrame, j: int, values: FloatArray) -> pd.DataFrame:
    """The learned chance that a cell of column j is missing, over its values in original units.

    ``chance`` is the mean over rows; low and high hold 90 % of the rows, where their other values matter.
    """
    rows = X.iloc[np.unique(np.linspace(0, len(X) - 1, min(len(X), _CURVE_ROWS)).astype(int))]
    posterior = imputer.posterior(rows, 100, refine=False)
    grid = np.linspace(values.min(), values.max(), 80)
    chances = missing_probability(imputer, posterior, len(rows), [j], grid)
    low, high = np.quantile(chances, [0.05, 0.95], axis=0)
    return pd.DataFrame({"value": grid, "chance": chances.mean(0), "low": low, "high": high})
