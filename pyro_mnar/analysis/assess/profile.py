"""A table before any model: its columns, which cells are missing together, and what goes with their being missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, mannwhitneyu

from pyro_mnar.data.columns import FloatArray

#: Cells of each side below which nothing is said of a dependence.
_LEAST = 10


def holes(X: pd.DataFrame, schema: pd.DataFrame) -> pd.DataFrame:
    """One line per column: what it is, how much of it is missing, and what its observed values are.

    ``schema`` is the fitted imputer's ``schema_``. Columns: column, kind, why, missing (cells), missing_rate, and of
    the observed values low, median and high (the smallest, the middle and the largest), or levels (the most frequent
    ones with their shares) for text.
    """
    lines = []
    for (name, column), kind, why in zip(X.items(), schema["kind"], schema["why"], strict=True):
        line: dict[str, Any] = {"column": str(name), "kind": kind, "why": why}
        line |= {"missing": int(column.isna().sum()), "missing_rate": float(column.isna().mean())}
        seen = column.dropna()
        low = median = high = levels = ""
        if kind in ("nominal", "binary", "ordinal") or (
            str(seen.dtype) == "object" and kind not in ("identifier", "empty")
        ):
            counts = seen.astype(str).value_counts(normalize=True)
            levels = ", ".join(f"{level} {100 * share:.0f} %" for level, share in counts.head(4).items())
            levels += f" and {len(counts) - 4} more" if len(counts) > 4 else ""
        elif kind not in ("identifier", "empty") and len(seen):
            ordered = seen.sort_values()
            low, median, high = (_shown(ordered.iloc[place]) for place in (0, len(ordered) // 2, -1))
        lines.append({**line, "low": low, "median": median, "high": high, "levels": levels})
    return pd.DataFrame(lines)


def _shown(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{float(value):,.6g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)


def patterns(X: pd.DataFrame) -> pd.DataFrame:
    """Which columns are missing together, the most frequent combination first.

    Columns: missing (names, with commas between them; empty for whole rows), rows, share, and columns, the names as a
    tuple.
    """
    hidden = X.isna()
    kinds, counts = np.unique(hidden.to_numpy(), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    names = [str(name) for name in X.columns]
    missing = [tuple(n for n, h in zip(names, kinds[i], strict=True) if h) for i in order]
    return pd.DataFrame(
        {
            "missing": [", ".join(which) for which in missing],
            "rows": counts[order],
            "share": counts[order] / len(X),
            "columns": missing,
        }
    )


def mask_dependences(table: FloatArray, names: Sequence[str], owners: Sequence[str]) -> pd.DataFrame:
    """What goes with a column's being missing: the values of the other columns, and whether those are missing.

    ``table`` holds the model's columns, shape (n, p), NaN = missing, ``names`` theirs, and ``owners`` those of the
    table's columns that they belong to.

    Returns
    -------
    DataFrame
        column; other; chance, that a row without ``column`` has a higher value of ``other`` than a row with it (0.5: no
        difference); p_value (Mann-Whitney) and p_adjusted (Benjamini and Hochberg, over all lines); sorted by
        p_value, then by the size of the difference. A line "other is missing" is about the other column's mask.

    Examples
    --------
    >>> x = np.column_stack([np.where(np.arange(60) > 29, np.nan, 1.0), np.arange(60.0)])
    >>> found = mask_dependences(x, ["a", "b"], ["a", "b"])
    >>> found["column"][0], found["other"][0], float(found["chance"][0])
    ('a', 'b', 1.0)
    """
    hidden, lines, done = np.isnan(table), [], set()
    for j, column in enumerate(owners):
        if column in done or not hidden[:, j].any():
            continue
        done.add(column)
        others = [(names[k], table[:, k]) for k, owner in enumerate(owners) if owner != column]
        first = {owner: k for k, owner in reversed(list(enumerate(owners))) if owner != column}
        others += [(f"{owner} is missing", hidden[:, k].astype(float)) for owner, k in first.items()]
        for other, values in others:
            without, with_it = values[hidden[:, j]], values[~hidden[:, j]]
            without, with_it = without[~np.isnan(without)], with_it[~np.isnan(with_it)]
            if min(len(without), len(with_it)) < _LEAST or np.ptp(np.concatenate([without, with_it])) == 0:
                continue
            test = mannwhitneyu(without, with_it)
            chance = float(test.statistic) / (len(without) * len(with_it))
            lines.append({"column": column, "other": other, "chance": chance, "p_value": float(test.pvalue)})
    found = pd.DataFrame(lines, columns=["column", "other", "chance", "p_value"])
    found["p_adjusted"] = false_discovery_control(found["p_value"]) if len(found) else []
    found["size"] = (found["chance"] - 0.5).abs()
    return found.sort_values(["p_value", "size"], ascending=[True, False], ignore_index=True).drop(columns="size")
