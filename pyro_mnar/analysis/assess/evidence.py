"""What speaks for a column's hiding its own values, and how sure that is."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from pyro_mnar.estimators import MNARImputer

#: Log odds from which a column is said to hide itself (3 to 1), and from which it is called undecided rather than free
#: of it.
SURE, UNDECIDED = 1.1, -2.0
HIDES, TOLD, OPEN, FREE, NOT_JUDGED = "hides itself", "told", "undecided", "no sign of it", "not judged"


def evidence(imputer: MNARImputer) -> pd.DataFrame:
    """One line per column of the table that has holes, the likeliest to hide itself first.

    Returns
    -------
    DataFrame
        column; missing_rate; verdict ("hides itself", "told", "undecided", "no sign of it", "not judged"); imputed_so,
        whether its cells were imputed as missing because of their own values, which undecided ones are where that is
        the likelier of both; direction ("high", "low" or ""); chance and log_odds that values hide themselves, by the
        rule behind ``mechanism="auto"``, NaN where it was not asked; threshold (original units; half of the cells are
        missing there) and slope_per_sd of the fitted mechanism, NaN where it has none; kind of what speaks for it
        ("cliff", "soft", "labels", "both ends", "middle", else ""); words, the sentence of ``mechanism_report``.
    """
    report = imputer.mechanism_report()
    lines: list[dict[str, Any]] = []
    for place, (j, start) in enumerate(imputer._schema.starts().items()):
        row, kind = report.iloc[place], imputer._schema.columns[j]
        rate = float(row["missing_rate"])
        if rate == 0:
            continue
        found = imputer.findings_[start] if imputer.findings_ else None
        if found is None:
            verdict, odds = TOLD if row.get("direction") else NOT_JUDGED, np.nan
        elif np.isinf(found.log_odds):
            verdict, odds = TOLD, np.inf
        elif found.kind != "none":
            verdict, odds = HIDES if found.log_odds >= SURE else OPEN, found.log_odds
        elif found.log_odds == 0:
            # What has too few cells, or too many labels, has no evidence either way.
            verdict, odds = NOT_JUDGED, np.nan
        else:
            verdict, odds = OPEN if found.log_odds > UNDECIDED else FREE, found.log_odds
        spoken_for = found.kind if found is not None and verdict in (HIDES, OPEN) and found.kind != "none" else ""
        lines.append(
            {
                "column": str(kind.name),
                "missing_rate": rate,
                "verdict": verdict,
                "imputed_so": verdict == TOLD or spoken_for != "",
                "direction": str(row.get("direction", "") or ""),
                "chance": float(expit(odds)),
                "log_odds": odds,
                "threshold": float(row.get("threshold", np.nan)),
                "slope_per_sd": float(row.get("slope_per_sd", np.nan)),
                "kind": spoken_for,
                "words": str(row["words"]),
            }
        )
    columns = [
        "column",
        "missing_rate",
        "verdict",
        "imputed_so",
        "direction",
        "chance",
        "log_odds",
        "threshold",
        "slope_per_sd",
        "kind",
        "words",
    ]
    order = (HIDES, TOLD, OPEN, FREE, NOT_JUDGED)
    # Of columns with one verdict those with the most holes first; of undecided ones the likeliest.
    lines.sort(key=lambda line: line["chance" if line["verdict"] == OPEN else "missing_rate"], reverse=True)
    lines.sort(key=lambda line: order.index(line["verdict"]))
    return pd.DataFrame(lines, columns=columns).astype({"imputed_so": bool})
