"""What speaks for a column's hiding its own values, and how sure that is."""

import numpy as np
import pandas as pd
from scipy.special import expit

from pyro_mnar.estimators import MNARImputer

#: Log odds from which a column that is not believed to hide itself is called undecided rather than free of it.
UNDECIDED = -2.0
HIDES, TOLD, OPEN, FREE, NOT_JUDGED = "hides itself", "told", "undecided", "no sign of it", "not judged"


def evidence(imputer: MNARImputer) -> pd.DataFrame:
    """One line per column of the table that has holes, the likeliest to hide itself first.

    Parameters
    ----------
    imputer : MNARImputer
        Fitted.

    Returns
    -------
    DataFrame
        column; missing_rate; verdict ("hides itself", "told", "undecided", "no sign of it", "not judged"); direction
        ("high", "low" or ""); chance and log_odds that values hide themselves, by the rule behind ``mechanism="auto"``,
        NaN where it was not asked; threshold (original units; half of the cells are missing there) and slope_per_sd of
        the fitted mechanism, NaN where it has none; kind of what shows it ("cliff", "soft", "labels", "both ends",
        "middle", else ""); words, the sentence of ``mechanism_report``.
    """
    report = imputer.mechanism_report()
    lines = []
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
            verdict, odds = HIDES, found.log_odds
        elif found.log_odds == 0:
            # What has too few cells, or too many labels, has no evidence either way.
            verdict, odds = NOT_JUDGED, np.nan
        else:
            verdict, odds = OPEN if found.log_odds > UNDECIDED else FREE, found.log_odds
        lines.append(
            {
                "column": str(kind.name),
                "missing_rate": rate,
                "verdict": verdict,
                "direction": str(row.get("direction", "") or ""),
                "chance": float(expit(odds)),
                "log_odds": odds,
                "threshold": float(row.get("threshold", np.nan)),
                "slope_per_sd": float(row.get("slope_per_sd", np.nan)),
                "kind": found.kind if verdict == HIDES and found is not None else "",
                "words": str(row["words"]),
            }
        )
    columns = [
        "column",
        "missing_rate",
        "verdict",
        "direction",
        "chance",
        "log_odds",
        "threshold",
        "slope_per_sd",
        "kind",
        "words",
    ]
    order = {HIDES: 0, TOLD: 1, OPEN: 2, FREE: 3, NOT_JUDGED: 4}
    table = pd.DataFrame(lines, columns=columns)
    table["_order"] = table["verdict"].map(order)
    table = table.sort_values(["_order", "missing_rate"], ascending=[True, False], ignore_index=True)
    return table.drop(columns="_order")
