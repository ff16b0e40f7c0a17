"""A look at what is given back: imputed values that lie where no value was ever observed are said by name."""

import warnings
from collections.abc import Sequence

import numpy as np

from pyro_mnar.data.columns import ColumnInfo, FloatArray
from pyro_mnar.data.transforms import Identity
from pyro_mnar.errors import ImputationWarning

#: Standard deviations of the observed values, transformed, beyond their ends from which an imputed value is far off.
FAR = 5.0
#: Share of a column's imputed values from which it is worth a word.
LEAST_SHARE = 0.01
#: Columns that are named.
_NAMED = 3


def warn_far(table: FloatArray, completed: FloatArray, columns: ColumnInfo, judged: Sequence[int]) -> None:
    """Warn of columns of which many imputed values lie far beyond what was observed.

    ``table`` is that of the model's columns before, shape (n, p), original units, NaN = missing, ``completed`` after;
    ``judged`` are positions of columns that hold numbers. Of a column more than 1 % are many, and far is more than five
    standard deviations of its observed values beyond the smallest or largest, on the scale on which it is modelled.

    Examples
    --------
    >>> info = ColumnInfo(("a",), np.zeros(1), np.ones(1), np.zeros(1))
    >>> before = np.array([[0.0], [1.0], [np.nan]])
    >>> with warnings.catch_warnings(record=True) as found:
    ...     warnings.simplefilter("always")
    ...     warn_far(before, np.array([[0.0], [1.0], [9.0]]), info, [0])
    >>> len(found)
    1
    """
    found = []
    for j in judged:
        missing = np.isnan(table[:, j])
        seen, imputed = table[~missing, j], completed[missing, j]
        g = columns.transforms[j] if columns.transforms else Identity()
        known, new = g.forward(seen), g.forward(imputed)
        # New values beyond an open end, such as zeros of a logarithm, have no place on this scale.
        known = known[np.isfinite(known)]
        if not len(new) or len(known) < 2 or known.std() == 0:
            continue
        reach, width = FAR * known.std(), seen.max() - seen.min()
        above = (new > known.max() + reach) & (imputed > seen.max() + width)
        far = above | ((new < known.min() - reach) & (imputed < seen.min() - width))
        if far.mean() > LEAST_SHARE:
            worst = imputed[far][np.argmax(np.abs(imputed[far] - seen.mean()))]
            ends = f"{seen.min():.4g} to {seen.max():.4g}"
            share = f"{far.mean():.0%} of its imputed values, as {worst:.4g}"
            found.append(f"{columns.names[j]!r} ({share}; observed {ends})")
    if found:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        warnings.warn(
            f"imputed values lie far beyond what was observed in {', '.join(found[:_NAMED])}{more}: no data speak for "
            "them, only the mechanism that was assumed; compare mechanism='auto' or 'ignorable', or give the column's "
            "bounds in types",
            ImputationWarning,
            stacklevel=4,
        )
