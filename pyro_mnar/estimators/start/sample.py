"""The sample of rows on which the columns of a table are compared, each on a scale of its own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.estimators.start.lost_tail import NO_SPREAD

BoolArray = NDArray[np.bool_]
_MOST_ROWS = 2000
_LEAST_SEEN, _LEAST_MISSING = 30, 10


class Rows(NamedTuple):
    """Rows of a table.

    Attributes
    ----------
    chosen : ndarray
        Which ones, shape (n,).
    scores : ndarray
        Normal quantiles of the ranks, shape (n, p); 0 in missing cells.
    holes : ndarray
        bool, shape (n, p), True = missing.
    """

    chosen: NDArray[np.int64]
    scores: FloatArray
    holes: BoolArray

    def beside(self, columns: Sequence[int]) -> "Rows":
        """The rows in which something is observed besides these columns.

        Few tables hold rows without any value. In one that was put together without them, a row that has nothing else
        has a value here for certain: that says how the rows were chosen, and nothing of what goes missing.
        """
        some = ~np.delete(self.holes, columns, axis=1).all(axis=1)
        return self if some.all() else Rows(self.chosen[some], self.scores[some], self.holes[some])

    def to_judge(self, columns: Sequence[int], values: FloatArray) -> "Rows | None":
        """The rows to judge these columns by: those that hold something else, or all, or None if these are too few too.

        ``values`` are those of the whole table, NaN = missing.
        """
        for rows in (self.beside(columns), self):
            if can_be_judged(values[rows.chosen], rows.holes[:, columns[0]]):
                return rows
        return None

    def others(self, columns: Sequence[int]) -> FloatArray:
        """All columns but these, and their masks, standardised."""
        left_out = [*columns, *(self.holes.shape[1] + j for j in columns)]
        return standardise(np.delete(np.column_stack([self.scores, self.holes]), left_out, axis=1))

    def explanations(self, columns: Sequence[int]) -> list[FloatArray]:
        """What the mask of these columns may depend on instead: the others, their squares too, the complete ones."""
        u = self.others(columns)
        return [u, np.column_stack([u, standardise(u**2)]), self.complete]

    @property
    def complete(self) -> FloatArray:
        """The columns without a missing cell, standardised."""
        return standardise(self.scores[:, ~self.holes.any(axis=0)])


def sample_of_rows(table: FloatArray, seed: int) -> Rows:
    """Some of the rows of a table of shape (n, p), NaN = missing."""
    chosen = np.random.default_rng(seed).permutation(len(table))[:_MOST_ROWS]
    scores = np.column_stack([_normal_scores(column) for column in table[chosen].T])
    return Rows(chosen, scores, np.isnan(table[chosen]))


def can_be_judged(column: FloatArray, missing: BoolArray) -> bool:
    """Whether a column has enough cells of both kinds, and more than one value."""
    seen = column[~np.isnan(column)]
    if missing.sum() < _LEAST_MISSING or (~missing).sum() < _LEAST_SEEN:
        return False
    return float(np.ptp(seen)) > NO_SPREAD * float(np.abs(seen).max())


def standardise(u: FloatArray) -> FloatArray:
    """Columns of mean 0 and standard deviation 1, without those that are constant."""
    spread = u.std(axis=0)
    standard: FloatArray = (u - u.mean(axis=0))[:, spread > 1e-6] / spread[spread > 1e-6]
    return standard


def _normal_scores(column: FloatArray) -> FloatArray:
    scores, seen = np.zeros(len(column)), ~np.isnan(column)
    if seen.any():
        scores[seen] = ndtri((rankdata(column[seen]) - 0.5) / seen.sum())
    return scores
