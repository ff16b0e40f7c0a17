"""Whether labels hide themselves: columns of two values, of labels without an order, and of few ordered levels.

Labels have no end, and need no particular shape: how often each of them goes missing is estimated jointly with what the
other columns say of it (:mod:`~pyro_mnar.estimators.start.label_models`), and held against a mask that depends on the
other columns in any other way, on their squares too.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyro_mnar.data.columns import FloatArray, Layout
from pyro_mnar.estimators.start.index_models import mask_evidence
from pyro_mnar.estimators.start.label_models import HiddenLabels, hidden_labels
from pyro_mnar.estimators.start.sample import Rows, sample_of_rows

#: Log odds before anything is looked at, and from which it is believed.
_BEFOREHAND, LABELS_BELIEVED = -3.0, 0.0
#: Labels that are told apart.
_MOST_LABELS = 12
#: Observed cells that each label must have.
_LEAST_OF_LABEL = 2


class LabelEvidence(NamedTuple):
    """What a column of labels shows.

    Attributes
    ----------
    columns : tuple of int
        Its columns in the model: one, or those of the levels of a nominal column.
    log_odds : float
        That its labels hide themselves, over any other way in which the mask depends on the other columns.
    rates : ndarray
        P(missing | label), shape (C,).
    n_cells : ndarray
        About how many cells of the table have each label, shape (C,).
    """

    columns: tuple[int, ...]
    log_odds: float
    rates: FloatArray
    n_cells: FloatArray

    @property
    def believed(self) -> bool:
        """Whether it is taken for shown."""
        return self.log_odds >= LABELS_BELIEVED


def find_label_evidence(
    table: FloatArray, layout: Layout, left_out: Sequence[int] = (), seed: int = 0
) -> list[LabelEvidence]:
    """Look at every column of labels that has missing cells.

    Parameters
    ----------
    table : ndarray
        The model's columns in original units, shape (n, p), NaN = missing.
    layout : Layout
        Their kinds.
    left_out : sequence of int
        Columns that are not to be judged.
    seed : int
        Of the sample of rows.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(800, 7))
    >>> x[:, 6] = x[:, :6].sum(1) > 2
    >>> x[(x[:, 6] == 1) & (rng.random(800) < 0.5), 6] = np.nan
    >>> found = find_label_evidence(x, Layout(continuous=tuple(range(6)), binary=(6,)))
    >>> found[0].believed, found[0].rates.round(1)
    (True, array([0. , 0.5]))
    """
    sample = sample_of_rows(table, seed)
    found = []
    for columns, label, n_labels in _columns_of_labels(table, layout, left_out):
        rows = sample.to_judge(columns, np.where(label < 0, np.nan, label))
        if rows is not None:
            found.append(_judge(rows, columns, label[rows.chosen], n_labels, len(table)))
    return found


def _columns_of_labels(
    table: FloatArray, layout: Layout, left_out: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], NDArray[np.int64], int]]:
    """The columns of each, its labels from 0 (-1 = missing), and how many there are; all of them were observed."""
    one_each: list[tuple[int, tuple[float, ...]]] = [(j, (0.0, 1.0)) for j in layout.binary]
    one_each += [(column.column, column.values) for column in layout.levels]
    found: list[tuple[tuple[int, ...], NDArray[np.int64], int]]
    found = [((j,), _codes(table[:, j], values), len(values)) for j, values in one_each]
    for group in layout.groups:
        if group.one_cell:
            one_hot = table[:, group.columns]
            missing = np.isnan(one_hot).any(axis=1)
            found.append((group.columns, np.where(missing, -1, np.nan_to_num(one_hot).argmax(1)), len(group.columns)))
    for columns, label, n_labels in found:
        counts = np.bincount(label[label >= 0], minlength=n_labels)
        if n_labels <= _MOST_LABELS and counts.min() >= _LEAST_OF_LABEL and not set(columns) & set(left_out):
            yield columns, label, n_labels


def _codes(column: FloatArray, values: Sequence[float]) -> NDArray[np.int64]:
    nearest = np.abs(np.nan_to_num(column)[:, None] - np.asarray(values)).argmin(1)
    return np.where(np.isnan(column), -1, nearest)


def _judge(rows: Rows, columns: tuple[int, ...], label: NDArray[np.int64], n_labels: int, n_rows: int) -> LabelEvidence:
    # Labels that the sample of rows does not hold are no part of the comparison; they hide as much as all do.
    missing = label < 0
    held = np.unique(label[~missing])
    among = np.where(missing, -1, np.searchsorted(held, label))
    log_odds, found = log_odds_of_labels(rows, columns, among, len(held), otherwise_explained(rows, columns))
    rates, shares = np.full(n_labels, float(missing.mean())), np.zeros(n_labels)
    rates[held], shares[held] = found.rates, found.shares
    return LabelEvidence(columns, log_odds, rates, shares * n_rows)


def otherwise_explained(rows: Rows, columns: Sequence[int]) -> float:
    """Evidence, nats, that the mask of some columns depends on the others directly; at least 0."""
    missing = rows.holes[:, columns[0]]
    return max(0.0, *(mask_evidence(v, missing) for v in rows.explanations(columns)))


def log_odds_of_labels(
    rows: Rows, columns: Sequence[int], label: NDArray[np.int64], n_labels: int, otherwise: float
) -> tuple[float, HiddenLabels]:
    """Log odds that labels of some columns hide themselves, and how.

    ``label`` and ``n_labels`` as for :func:`hidden_labels`, ``otherwise`` from :func:`otherwise_explained`.
    """
    found = hidden_labels(rows.others(columns), label, n_labels, otherwise)
    return _BEFOREHAND + found.evidence - otherwise, found
