"""What the workflow promises: a wrong mechanism is exposed, and the sweep covers the truth at the true slope."""

from __future__ import annotations

import pandas as pd
import pytest

from pyro_mnar.analysis import checks as ppc
from pyro_mnar.analysis.comparison import compare
from pyro_mnar.analysis.sensitivity import sweep
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.surveys import NAMES, SLOPE, UNIT, imputer, survey
from tests.support.validation import record, record_table

# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")

N_SETS = 20


def verdicts(seed: int) -> pd.DataFrame:
    """Whether the checks, or the comparison on new rows, object to the wrong and to the right mechanism."""
    _, holed = survey(seed)
    _, held_out = survey(1000 + seed)
    models = {name: imputer(name, seed).fit(holed) for name in ("ignorable", "self-masking")}
    ranking = compare(models, held_out)
    lines = [
        {
            "seed": seed,
            "mechanism": name,
            "right": name == "self-masking",
            "smallest_p_adjusted": (checks := ppc.check(model, holed, random_state=seed))["p_adjusted"].min(),
            "checks_flagged": int(checks["flagged"].sum()),
            "difference": ranking.loc[name, "difference"],
            "difference_se": ranking.loc[name, "difference_se"],
            "verdict": ranking.loc[name, "verdict"],
        }
        for name, model in models.items()
    ]
    table = pd.DataFrame(lines)
    table["flagged"] = (table["checks_flagged"] > 0) | (table["verdict"] == "worse")
    return table


def mean_income(table: pd.DataFrame) -> tuple[float, float]:
    return table["income"].mean(), table["income"].var() / len(table)


def interval_at_the_true_slope(seed: int, n: int = 500, n_imputations: int = 5) -> dict[str, float | bool]:
    """The sweep's interval for the mean income where the slope is the true one, and the truth."""
    _, holed = survey(seed, n)
    model = imputer(SelfMasking(link="logistic"), seed, batch_size=250)
    slope = SLOPE * holed["income"].std() / UNIT[0]
    line = sweep(model, holed, mean_income, NAMES[0], [slope], n_imputations=n_imputations, random_state=seed).iloc[0]
    truth = 42_000.0
    return {
        "seed": seed,
        "estimate": line["estimate"],
        "low": line["low"],
        "high": line["high"],
        "truth": truth,
        "covered": bool(line["low"] <= truth <= line["high"]),
    }


@pytest.mark.parametrize("seed", [0, 1])
def test_a_wrong_mechanism_is_exposed_and_the_right_one_is_not(seed: int) -> None:
    table = verdicts(seed)
    assert (table["flagged"] == ~table["right"]).all()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_mechanisms_are_judged_rightly_in_twenty_sets() -> None:
    table = pd.concat([verdicts(seed) for seed in range(N_SETS)], ignore_index=True)
    record_table("mechanisms", table)
    wrong, right = table[~table["right"]], table[table["right"]]
    record(
        "ignorable on self-masked data: sets in which it is flagged",
        f"{wrong['flagged'].sum()} of {N_SETS}",
        "20 of 20",
        bool(wrong["flagged"].all()),
    )
    record(
        "the right mechanism: sets in which it is flagged",
        f"{right['flagged'].sum()} of {N_SETS}",
        "0 of 20",
        not right["flagged"].any(),
    )
    assert wrong["flagged"].all() and not right["flagged"].any()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_sweep_covers_the_truth_at_the_true_slope() -> None:
    table = pd.DataFrame([interval_at_the_true_slope(seed) for seed in range(N_SETS)])
    record_table("sweep", table)
    covered = int(table["covered"].sum())
    record(
        "sensitivity sweep: intervals at the true slope that cover", f"{covered} of {N_SETS}", ">= 18", covered >= 18
    )
    assert covered >= 18
    # The intervals are not merely wide.
    assert (table["high"] - table["low"]).mean() < 0.5 * UNIT[0]
