from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from pyro_mnar.analysis.pooling import pool
from pyro_mnar.analysis.sensitivity import delta_adjustment, sweep, tipping_point
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.surveys import UNIT, imputer, survey

# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")


def mean_income(table: pd.DataFrame) -> tuple[float, float]:
    return table["income"].mean(), table["income"].var() / len(table)


def test_the_sweep_moves_the_mean_towards_the_truth() -> None:
    complete, holed = survey(0, 500)
    model = imputer(SelfMasking(link="logistic", direction={"spending": "high"}), batch_size=250)
    before = clone(model).get_params()
    table = sweep(model, holed, mean_income, "income", slopes=(0.0, 2.5), n_imputations=3)
    assert list(table.columns) == ["estimate", "standard_error", "low", "high", "fraction_missing", "bound"]
    assert table.index.name == "slope of income (logits per sd)" and table.index.tolist() == [0.0, 2.5]
    truth = complete["income"].mean()
    assert table.loc[0.0, "high"] < truth
    assert table.loc[0.0, "estimate"] < table.loc[2.5, "estimate"]
    assert table.loc[2.5, "low"] < truth < table.loc[2.5, "high"]
    assert table.loc[2.5, "bound"] > table.loc[0.0, "bound"]
    assert str(model.get_params()) == str(before) and not hasattr(model, "joint_")


def test_a_quantity_without_a_variance_gets_one_by_the_bootstrap() -> None:
    complete, holed = survey(0, 400)
    completed = [holed.fillna(holed.mean() + shift * UNIT) for shift in (0.9, 1.0, 1.1)]
    given, estimated = (
        delta_adjustment(completed, holed, quantity, "income", [0.0])
        for quantity in (mean_income, lambda table: mean_income(table)[0])
    )
    np.testing.assert_allclose(estimated["estimate"], given["estimate"])
    np.testing.assert_allclose(estimated["standard_error"], given["standard_error"], rtol=0.15)
    assert len(complete) == 400


def test_delta_moves_imputed_cells_only_and_pools_by_rubin() -> None:
    _, holed = survey(0, 300)
    completed = [holed.fillna(holed.mean() + shift) for shift in (0.0, 500.0, 900.0)]
    table = delta_adjustment(completed, holed, mean_income, "income", [0.0, 1000.0])
    answers = np.array([mean_income(t) for t in completed])
    pooled = pool(answers[:, 0], answers[:, 1])
    np.testing.assert_allclose(table.loc[0.0, ["estimate", "low", "high"]], [pooled.estimate, pooled.low, pooled.high])
    rate = holed["income"].isna().mean()
    assert table.loc[1000.0, "estimate"] - table.loc[0.0, "estimate"] == pytest.approx(1000 * rate)
    both = delta_adjustment(
        completed, holed, lambda t: (t.sum(axis=1).mean(), 1.0), {"income": 1.0, "age": 2.0}, [0, 1]
    )
    assert both.loc[1.0, "estimate"] - both.loc[0.0, "estimate"] == pytest.approx(rate)  # Age has no hole.


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        ([1.0, 0.5, -0.5], [2.0, 1.5, 0.5], 1.5),
        ([-2.0, -2.0, -1.0], [-1.0, 1.0, 2.0], 0.5),
        ([-1.0, -0.5, 0.5], [1.0, 1.5, 2.5], 1.5),
        ([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], float("nan")),
        ([1.0, -3.0, -3.0], [3.0, -1.0, -1.0], 0.25),
    ],
)
def test_tipping_point(low: list[float], high: list[float], expected: float) -> None:
    table = pd.DataFrame({"low": low, "high": high}, index=[0.0, 1.0, 2.0])
    np.testing.assert_allclose(tipping_point(table), expected)
    shifted = table + 7.0
    np.testing.assert_allclose(tipping_point(shifted, reference=7.0), expected)


def test_bad_arguments_are_named() -> None:
    _, holed = survey(0, 50)
    with pytest.raises(InvalidInputError, match="'wage' is not a column"):
        sweep(imputer(), holed, mean_income, "wage")
    with pytest.raises(InvalidInputError, match="n_imputations is 1"):
        sweep(imputer(), holed, mean_income, "income", n_imputations=1)
    with pytest.raises(InvalidInputError, match="'wage' is not a column"):
        delta_adjustment([holed, holed], holed, mean_income, "wage", [0.0])
    with pytest.raises(InvalidInputError, match="at least 2"):
        delta_adjustment([holed], holed, mean_income, "income", [0.0])
    with pytest.raises(InvalidInputError, match="shape"):
        delta_adjustment([holed, holed.iloc[:3]], holed, mean_income, "income", [0.0])
