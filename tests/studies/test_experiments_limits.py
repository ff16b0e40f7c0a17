"""The study of detection limits: laboratories, methods, scores, table and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.studies.limits.methods import Filled, fill, order_statistics
from pyro_mnar.studies.limits.report import SCORES, cells, write_tables
from pyro_mnar.studies.limits.study import CASES, METHODS, LimitsRow, laboratories, limits_rows, scores
from pyro_mnar.studies.study import Record, row_settings


def lognormal(n: int = 2000) -> np.ndarray:
    return np.exp(np.random.default_rng(0).normal(1.0, 0.7, size=n))


def test_two_laboratories_hide_what_lies_below_limits_of_their_own() -> None:
    limit = laboratories(lognormal(), 0.4, 0)
    assert len(np.unique(limit)) == 2
    assert (lognormal() < limit).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("method", ["half", "root2", "ros", "lognormal"])
def test_methods_without_a_model_give_one_value_below_each_limit(method: str) -> None:
    truth = lognormal()
    limit = laboratories(truth, 0.4, 0)
    hidden = truth < limit
    filled = fill(method, pd.DataFrame({"x": np.where(hidden, np.nan, truth)}), "x", limit, 0)
    assert filled.point.shape == (hidden.sum(),) and bool((filled.point > 0).all())
    found = scores(truth, hidden, filled, truth**0.5)
    # A log-normal column is what the latter two assume.
    if method in ("ros", "lognormal"):
        assert abs(found["bias_mean"] or 0.0) < 0.02
    if method == "lognormal":
        assert bool((filled.point < limit[hidden]).all()) and found["cover"] == pytest.approx(0.9, abs=0.04)


def test_order_statistics_find_the_distribution_of_what_is_hidden() -> None:
    truth = lognormal()
    low = truth < np.quantile(truth, 0.4)
    filled = order_statistics(truth[~low], np.full(low.sum(), np.quantile(truth, 0.4)))
    np.testing.assert_allclose(np.log(filled).mean(), np.log(truth[low]).mean(), atol=0.05)


def test_scores_of_the_truth_are_zero_and_draws_cover() -> None:
    truth = lognormal(300)
    hidden = truth < 2
    found = scores(truth, hidden, Filled(truth[hidden]), truth)
    assert found["rmse"] == found["crps"] == 0.0 and found["cover"] is None
    assert found["bias_mean"] == pytest.approx(0.0, abs=1e-12)


def test_table_and_picture_of_what_is_finished(tmp_path: Path) -> None:
    records = [
        Record(row_settings(row), dict.fromkeys(SCORES, 0.5) | {"cover": None}, 1.0, 1.0, [], {})
        for row in limits_rows()
        if row.case in ("cement", "airfoil") and row.seed < 2
    ]
    written = write_tables(records, tmp_path)
    assert [path.name for path in written] == ["cells.csv", "table.md", "errors.png"]
    assert all(path.stat().st_size > 0 for path in written)
    assert set(cells(records)["n_seeds"]) == {2}
    assert "| cement, 0.2 |" in (tmp_path / "table.md").read_text()
    assert LimitsRow("cement", 0.2, METHODS[0], 0) in limits_rows() and set(CASES) >= {"cement", "airfoil"}
