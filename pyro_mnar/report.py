"""The fitted mechanism as a table that a statistician can read."""

import numpy as np
import pandas as pd

from pyro_mnar.columns import ColumnInfo
from pyro_mnar.joint import Joint
from pyro_mnar.mechanisms import logistic_slope


def mechanism_table(joint: Joint, columns: ColumnInfo) -> pd.DataFrame:
    """One row per column, original units; see :meth:`pyro_mnar.estimators.MNARImputer.mechanism_report`."""
    table = pd.DataFrame({"feature": list(columns.names), "missing_rate": columns.missing_rate})
    curve = joint.mechanism.curve() if joint.has_mask_term else None
    if curve is None:
        return table
    p = len(columns.names)
    per_sd = np.broadcast_to(logistic_slope(curve.slope, curve.link).detach().double().cpu().numpy(), (p,)).copy()
    slope = np.broadcast_to(curve.slope.detach().double().cpu().numpy(), (p,))
    intercept = np.broadcast_to(curve.intercept.detach().double().cpu().numpy(), (p,))
    with np.errstate(divide="ignore", invalid="ignore"):
        threshold = -intercept / slope * columns.scale + columns.center
    has_term = joint.active.cpu().numpy()
    table["slope"] = np.where(has_term, per_sd / columns.scale, np.nan)
    table["slope_per_sd"] = np.where(has_term, per_sd, np.nan)
    table["threshold"] = np.where(has_term, threshold, np.nan)
    table["direction"] = np.where(has_term, np.where(per_sd > 0, "high", "low"), "")
    return table
