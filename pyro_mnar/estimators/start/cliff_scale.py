r"""The scale on which a column that lost everything beyond a cut is closest to normal.

Beyond the cut nothing is observed: what is imputed there follows from the scale alone. The plain scale and the
logarithm are compared by how well a normal that ends at the cut explains the values that are there together with HOW
MANY are not. Where high values were lost and the logarithms are wide, the two differ by more than the data can tell: a
logarithm multiplies its error, and the plain scale has too short a tail. The square root lies between.
"""

import numpy as np

from pyro_mnar.data.transforms import LARGEST_LOG, FloatArray, Identity, Log, Transform, YeoJohnson
from pyro_mnar.estimators.start.lost_tail import LostTail, cliff_tail, normal_at_random

#: Standard deviation of the logarithms above which a lost upper tail is not extrapolated on their scale.
WIDE_LOG = 0.5
#: Standard deviations to which the logarithm is followed on the way back.
REACH = 6.0


def scale_of_cliff(column: FloatArray, high: bool) -> tuple[Transform, LostTail]:
    """A transform of the column, and the normal that lost a tail on its scale.

    Parameters
    ----------
    column : ndarray
        Shape (n,), NaN = missing, original units.
    high : bool
        Which values were lost.

    Examples
    --------
    >>> x = np.exp(np.random.default_rng(0).normal(3, 0.3, 2000))
    >>> g, tail = scale_of_cliff(np.where(x > 20, np.nan, x), high=True)
    >>> g.describe(), float(round(tail.center, 1)), float(round(tail.scale, 1))
    ('log', 3.0, 0.3)
    """
    seen = column[~np.isnan(column)]
    plain = cliff_tail(column, high)
    if seen.min() <= 0 or seen.max() / seen.min() < 1 + 1e-6:
        return Identity(), plain
    logs = np.log(column)
    logged = cliff_tail(logs, high)
    # Of the logarithms, in the measure of the plain values.
    by_logs = normal_at_random(logs) + logged.gain - float(np.log(seen).sum())
    advantage = by_logs - (normal_at_random(column) + plain.gain)
    if advantage <= 0:
        return Identity(), plain
    if high and logged.scale > WIDE_LOG:
        # 2 (sqrt(x / unit) - 1), which is Yeo and Johnson's formula above ``unit``.
        unit = float(seen.min()) / 2
        root = YeoJohnson(0.5, unit, unit)
        return root, cliff_tail(root.forward(column), high)
    return Log(-LARGEST_LOG, float(min(logged.center + REACH * logged.scale, LARGEST_LOG / 2))), logged
