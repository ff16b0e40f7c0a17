"""Metrics against values worked out by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pyro_mnar.analysis import metrics
from pyro_mnar.errors import InvalidInputError

TRUE = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
IMPUTED = np.array([[1.0, 14.0], [5.0, 20.0], [3.0, 18.0]])
OBSERVED = np.array([[True, False], [False, True], [True, False]])


def test_rmse_by_hand() -> None:
    # Errors of the missing cells: 4, 3, -12; with scales 1 and 4: 1, 3, -3.
    assert metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED) == pytest.approx(np.sqrt(169 / 3), rel=1e-15)
    assert metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1, 4]) == pytest.approx(np.sqrt(19 / 3), rel=1e-15)


def test_observed_cells_do_not_count() -> None:
    changed = np.where(OBSERVED, np.nan, IMPUTED)
    assert metrics.imputation_rmse(TRUE, changed, OBSERVED) == metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED)


def test_intervals_by_hand() -> None:
    lower, upper = TRUE - [[1, 2], [3, 4], [5, 6]], TRUE + [[1, 0], [-1, 4], [5, 6]]
    # Missing cells: (0, 1) covered at its end, (1, 0) not covered, (2, 1) covered.
    assert metrics.interval_coverage(TRUE, lower, upper, OBSERVED) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED[:2], OBSERVED), r"\(2, 2\)"),
        (lambda: metrics.imputation_rmse(TRUE[0], IMPUTED[0], OBSERVED[0]), r"\(2,\)"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED.astype(int)), "bool"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED | True), "no missing cell"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED * np.nan, OBSERVED), "3 of 3"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1.0, 0.0]), "scale"),
        (lambda: metrics.imputation_rmse(TRUE, IMPUTED, OBSERVED, scale=[1.0]), "scale"),
        (lambda: metrics.interval_coverage(TRUE, TRUE + 1, TRUE, OBSERVED), "3 intervals"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        call()
