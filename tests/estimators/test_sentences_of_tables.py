"""What a report says of columns of 50 tables that took no part in making its rules, half of them missing at random."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import MNARImputer
from pyro_mnar.studies.field.masks import Lost, lose
from tests.support.copulas import copula_table
from tests.support.validation import record

#: Standard deviations of the complete column by which a threshold may be off.
_NEAR = 0.1


def right_sentences(seed: int, mask: str) -> tuple[int, int]:
    """How many columns with holes a default report is right about, and how many there are."""
    complete = copula_table(seed)
    lost = lose(complete.to_numpy(), "copula", mask, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = MNARImputer(random_state=seed).fit(complete.mask(lost.cells)).mechanism_report()
    right = [
        _is_right(complete.iloc[:, j].to_numpy(), lost, j, report.iloc[j]) for j in np.flatnonzero(lost.cells.any(0))
    ]
    return sum(right), len(right)


def _is_right(column: np.ndarray, lost: Lost, j: int, line: pd.Series) -> bool:
    words = str(line["words"])
    if lost.reason[j] == "none":
        return "no evidence" in words
    high = lost.direction[j] > 0
    observed = column[~lost.cells[:, j]]
    cut = observed.max() if high else observed.min()
    near = abs(float(line["threshold"]) - cut) < _NEAR * column.std()
    return f"values {'above' if high else 'below'} " in words and near


def test_the_sentences_of_two_tables_are_right() -> None:
    for mask in ("mcar", "hard-mixed"):
        right, columns = right_sentences(100, mask)
        assert right == columns


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_sentences_of_50_tables_are_right_in_95_of_100_columns() -> None:
    shares, figures = [], []
    for mask in ("mcar", "hard-mixed"):
        right, columns = np.array([right_sentences(seed, mask) for seed in range(25)]).sum(0)
        shares.append(right / columns)
        figures.append(f"{mask} {right} of {columns} columns")
    check = "a report's sentences on 50 tables: no evidence, or side and threshold"
    record(check, "; ".join(figures), "0.95 each", min(shares) >= 0.95)
    assert min(shares) >= 0.95
