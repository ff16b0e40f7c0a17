from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pyro_mnar.analysis.comparison import compare, elpd
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.arviz_library import arviz, is_modular
from tests.support.surveys import LOADINGS, NOISE, fitted, imputer, survey

HELD_OUT = 100
# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")


def test_the_wrong_mechanism_is_worse_and_the_true_one_is_not() -> None:
    _, held_out = survey(HELD_OUT)
    models = {"self-masking": fitted(), "ignorable": fitted("ignorable")}
    table = compare(models, held_out)
    assert list(table.index) == ["self-masking", "ignorable"]
    assert table["verdict"].tolist() == ["best", "worse"]
    assert table.loc["self-masking", "difference"] == 0
    assert table["mask_log_score"].is_monotonic_decreasing
    rows = {name: model.posterior(held_out).log_evidence for name, model in models.items()}
    assert table.loc["self-masking", "bound"] == pytest.approx(rows["self-masking"].mean())
    assert table.loc["self-masking", "bound_se"] == pytest.approx(rows["self-masking"].std(ddof=1) / np.sqrt(1000))


def test_few_rows_cannot_tell_two_models_apart() -> None:
    few = compare({"ignorable": fitted("ignorable"), "self-masking": fitted()}, survey(HELD_OUT)[1].iloc[:20])
    assert few["verdict"].tolist() == ["best", "too close to call"]


def test_bounds_are_compared_in_the_units_of_the_first_model() -> None:
    _, holed = survey(0)
    stretched = holed.copy()
    stretched.loc[0, "age"] += 100 * holed["age"].std()
    wide = imputer("ignorable", max_iter=1).fit(stretched)
    table = compare({"first": fitted("ignorable"), "wide": wide}, holed)
    own = wide.posterior(holed).log_evidence - fitted("ignorable").posterior(holed).log_evidence
    seen = holed.notna().to_numpy() @ np.log(wide.columns_.scale / fitted("ignorable").columns_.scale)
    assert table.loc["wide", "difference"] == pytest.approx((own - seen).mean())


def test_no_model_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="models is empty"):
        compare({}, survey(0)[1])


def test_mask_predictions_use_the_other_columns_only() -> None:
    complete, held_out = survey(HELD_OUT, 300)
    table = compare({"self-masking": fitted()}, held_out, n_draws_mask=400)
    # Exact P(s_j = 0 | the columns that are never missing) under the true parameters, by quadrature.
    x = ((complete - [42_000, 900, 45, 4]) / [12_000, 300, 10, 1]).to_numpy()
    cov = LOADINGS @ LOADINGS.T + NOISE**2 * np.eye(4)
    gain = cov[:2, 2:] @ np.linalg.inv(cov[2:, 2:])
    mean, sd = x[:, 2:] @ gain.T, np.sqrt(np.diag(cov[:2, :2] - gain @ cov[2:, :2]))
    nodes = stats.norm.ppf((np.arange(400) + 0.5) / 400)
    chance = (1 / (1 + np.exp(-3 * (mean[..., None] + sd[:, None] * nodes - 0.3)))).mean(-1)
    hidden = held_out.iloc[:, :2].isna().to_numpy()
    exact = np.where(hidden, np.log(chance), np.log1p(-chance)).mean()
    # Knowing the other incomplete column as well can only help, and not by much.
    assert exact - 0.01 < table["mask_log_score"].iloc[0] < exact + 0.1


def test_other_columns_are_refused() -> None:
    _, holed = survey(0)
    other = holed.rename(columns={"income": "wage"})
    model = fitted("ignorable")

    renamed = imputer("ignorable", max_iter=1).fit(other)
    with pytest.raises(InvalidInputError):
        compare({"a": model, "b": renamed}, holed)


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_arviz_ranks_the_models_alike() -> None:
    az = arviz()
    _, held_out = survey(HELD_OUT)
    models = {"ignorable": fitted("ignorable"), "self-masking": fitted()}
    ranked = az.compare(elpd(models, held_out), **({"round_to": "none"} if is_modular(az) else {}))
    table = compare(models, held_out)
    assert list(ranked.index) == list(table.index)
    # The difference to the best model, with a sign of its own in each generation of ArviZ.
    difference = abs(ranked.loc["ignorable", "elpd_diff"]) / len(held_out)
    assert difference == pytest.approx(-table.loc["ignorable", "difference"])
    assert ranked.loc["ignorable", "dse"] / len(held_out) == pytest.approx(
        table.loc["ignorable", "difference_se"], rel=1e-2
    )
    assert ranked.loc["self-masking", "weight"] > 0.6


def test_several_fits_of_a_name_bring_their_spread_into_the_standard_errors() -> None:
    _, held_out = survey(HELD_OUT, 300)
    fits = [imputer("self-masking", max_iter=2, random_state=seed).fit(survey(0)[1]) for seed in range(3)]
    table = compare({"trained": fitted(), "hardly trained": fits}, held_out)
    alone = [compare({"trained": fitted(), "hardly trained": fit}, held_out).loc["hardly trained"] for fit in fits]
    units = np.log(fitted().columns_.scale / fits[0].columns_.scale)
    paired = np.stack([fit.posterior(held_out).log_evidence for fit in fits]) + held_out.notna().to_numpy() @ units
    paired = paired - fitted().posterior(held_out).log_evidence
    of_rows, of_fits = paired.mean(0).std(ddof=1) / np.sqrt(300), paired.mean(1).std(ddof=1) / np.sqrt(3)
    line = table.loc["hardly trained"]
    assert line["difference"] == pytest.approx(paired.mean())
    assert of_fits > 1e-3 and line["difference_se"] == pytest.approx(np.hypot(of_rows, of_fits))
    for score in ("bound", "mask_log_score", "mask_accuracy"):
        assert line[score] == pytest.approx(np.mean([one[score] for one in alone]))
    assert line["unreliable"] == max(one["unreliable"] for one in alone)
    assert table["n_fits"].to_dict() == {"trained": 1, "hardly trained": 3}


def test_the_same_fit_twice_is_as_good_as_once_and_no_fit_is_refused() -> None:
    _, held_out = survey(HELD_OUT, 100)
    once = compare({"a": fitted("ignorable"), "b": fitted()}, held_out)
    twice = compare({"a": [fitted("ignorable")] * 2, "b": (fitted(), fitted())}, held_out)
    pd.testing.assert_frame_equal(once.drop(columns="n_fits"), twice.drop(columns="n_fits"))
    name = "elpd_i" if is_modular(arviz()) else "loo_i"
    single, double = (np.ravel(elpd({"b": fits}, held_out)["b"][name]) for fits in (fitted(), [fitted(), fitted()]))
    assert single == pytest.approx(double) and len(single) == 100
    with pytest.raises(InvalidInputError, match="'b' has no fits"):
        compare({"a": fitted(), "b": []}, held_out)
