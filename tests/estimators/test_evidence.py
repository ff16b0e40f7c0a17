"""What a column is said to hide: nothing where values are lost at random, the right side where they hide themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from scipy.stats import beta, norm
from sklearn.datasets import load_breast_cancer

from pyro_mnar import MNARImputer
from pyro_mnar.data.columns import Layout, Support, describe
from pyro_mnar.data.transforms import Identity, Log
from pyro_mnar.datasets import make_mixed_survey
from pyro_mnar.estimators.start.cliff_scale import scale_of_cliff
from pyro_mnar.estimators.start.evidence import find_evidence
from pyro_mnar.estimators.start.lost_tail import cliff_tail
from pyro_mnar.estimators.start.nested import Finding, start_nested
from pyro_mnar.model.mechanisms import Nested

N, P = 1000, 6
UNKNOWN = np.zeros(P)


def correlated(seed: int) -> np.ndarray:
    """Normal columns that share two factors; the last is a percentage with a natural end at 100."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(N, 2)) @ rng.normal(size=(2, P)) + 0.7 * rng.normal(size=(N, P))
    x[:, -1] = np.minimum(100.0, 85 + 20 * x[:, -1] / x[:, -1].std())
    return x


def directions(table: np.ndarray) -> list[int]:
    return [e.direction for e in find_evidence(table, range(P), UNKNOWN, seed=0)]


def found_in(frame: pd.DataFrame) -> list[Finding]:
    """What each column of a table shows, as the imputer keeps it; it is hardly trained."""
    imputer = MNARImputer(max_iter=1, random_state=0).fit(frame)
    assert imputer.findings_ is not None
    return [imputer.findings_[start] for start in imputer._schema.starts().values()]


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_values_are_lost_completely_at_random(seed: int) -> None:
    x = correlated(seed)
    lost = np.random.default_rng(seed).random(x.shape) < 0.3
    assert directions(np.where(lost, np.nan, x)) == [0] * P


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_found_where_the_loss_depends_on_other_columns(seed: int) -> None:
    x = correlated(seed)
    rng = np.random.default_rng(seed)
    table, z = x.copy(), (x - x.mean(0)) / x.std(0)
    for j in range(2, P):
        table[rng.random(N) < expit(2 * z[:, :2] @ rng.normal(size=2) - 0.8), j] = np.nan
    assert directions(table) == [0] * P


def test_one_column_that_softly_hides_its_values_is_found_among_others_lost_at_random() -> None:
    right = 0
    for seed in range(8):
        survey, _ = make_mixed_survey(500, random_state=seed)
        findings = dict(zip(survey.columns, found_in(survey), strict=True))
        right += (findings["income"].direction, findings["income"].kind) == (1, "soft")
        assert all(found.kind == "none" for name, found in findings.items() if name != "income")
    assert right >= 7


def test_parts_say_which_side_is_missed_and_nothing_where_the_mask_is_another_columns() -> None:
    x = correlated(1)
    z, rng = (x - x.mean(0)) / x.std(0), np.random.default_rng(1)
    itself = np.where((rng.random(N) < expit(3 * (z[:, 0] - 0.5)))[:, None] & (np.arange(P) == 0), np.nan, x)
    found = find_evidence(itself, range(P), UNKNOWN)[0]
    assert found.parts is not None and found.support is not None
    assert found.parts.side > 0.5 and found.parts.rates[-1] > 3 * found.parts.rates[0]
    assert sum(found.parts.n_cells) == pytest.approx(N, rel=1e-3) and np.all(np.diff(found.parts.middles) > 0)
    another = np.where((rng.random(N) < expit(3 * (z[:, 1] - 0.5)))[:, None] & (np.arange(P) == 0), np.nan, x)
    others = find_evidence(another, range(P), UNKNOWN)[0]
    assert others.support is not None and others.support.parts < -4 < found.support.parts
    at_random = np.where((rng.random(N) < 0.3)[:, None] & (np.arange(P) == 0), np.nan, x)
    assert find_evidence(at_random, range(P), UNKNOWN)[0].parts is None


def test_parts_are_not_looked_at_in_wide_tables_whose_columns_are_judged_all_the_same() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 80)) + 0.5 * rng.normal(size=(200, 80))
    lost = (x > np.quantile(x, 0.6, axis=0)) & (np.arange(80) < 40)
    # A third of them is judged here; all are predictors.
    found = find_evidence(np.where(lost, np.nan, x), range(0, 60, 3), np.zeros(80))
    assert [found[j].kind for j in range(0, 60, 3)] == ["cliff"] * 14 + ["none"] * 6
    assert all(one.parts is None for one in found)


@pytest.mark.parametrize("side", [1, -1])
def test_cliffs_are_found_on_their_side_and_no_other_column_is_accused(side: int) -> None:
    x = correlated(0)
    table, rng = x.copy(), np.random.default_rng(0)
    for j in (0, 1, 2):
        table[side * x[:, j] > side * np.quantile(x[:, j], 0.5 + 0.1 * side), j] = np.nan
    table[rng.random(N) < 0.3, 4] = np.nan
    found = find_evidence(table, range(P), UNKNOWN, seed=0)
    assert [e.direction for e in found[:3]] == [side] * 3
    assert [e.kind for e in found[:3]] == ["cliff"] * 3
    assert found[4].direction == 0 and found[4].kind == "none"
    assert found[3].support is None  # a complete column is not judged


def test_soft_self_masking_of_all_columns_is_found_on_the_right_side() -> None:
    x = correlated(1)[:, : P - 1]
    z = (x - x.mean(0)) / x.std(0)
    lost = np.random.default_rng(0).random(x.shape) < expit(3 * (z - 0.7))
    found = [e.direction for e in find_evidence(np.where(lost, np.nan, x), range(P - 1), np.zeros(P - 1), seed=0)]
    assert found.count(1) >= 4 and -1 not in found


@pytest.mark.parametrize("kept", [True, False], ids=["one-value-put-back", "row-left-out"])
def test_a_table_without_empty_rows_does_not_hide_what_hides_itself(kept: bool) -> None:
    # A row that holds nothing else has a value for certain: that is how the rows were chosen, not how cells are lost.
    x, rng = correlated(1)[:, :4], np.random.default_rng(0)
    z = (x - x.mean(0)) / x.std(0)
    lost = rng.random(x.shape) < expit(2.5 * (z + 0.4))
    empty = np.flatnonzero(lost.all(1))
    assert len(empty) > 100
    table = np.where(lost, np.nan, x)
    if kept:
        back = rng.integers(4, size=len(empty))
        table[empty, back] = x[empty, back]
    else:
        table = np.delete(table, empty, axis=0)
    assert [e.direction for e in find_evidence(table, range(4), np.zeros(4), seed=0)] == [1] * 4


def test_zeros_of_a_column_that_softly_hides_its_high_values_go_missing_too() -> None:
    # In a second peak of the likelihood no zero is ever missing: whatever is missing is then far too high.
    rng = np.random.default_rng([7, 0])
    x = rng.normal(size=(800, 2)) @ rng.normal(size=(2, 6)) + 0.6 * rng.normal(size=(800, 6))
    x = x / x.std(0)
    x[:, :3] = np.maximum(x[:, :3] - [-0.3, 0.0, 0.4], 0)
    z = (x - x.mean(0)) / x.std(0)
    lost = rng.random(x.shape) < expit(z - 0.7)
    table = pd.DataFrame(np.where(lost, np.nan, x), columns=list("abcdef"))
    imputer = MNARImputer(random_state=0).fit(table)
    assert imputer.findings_ is not None and imputer.findings_[2].kind == "soft"
    wrong = (imputer.transform(table).to_numpy() - x) / x.std(0)
    assert np.sqrt((wrong[:, 2][lost[:, 2]] ** 2).mean()) < 1.5


@pytest.mark.parametrize("seed", [1, 3])
def test_columns_that_complete_ones_predict_well_are_left_at_random(seed: int) -> None:
    # What predicts a value here is what decides the mask: two and five of the five incomplete columns were accused.
    rng = np.random.default_rng(seed)
    x = np.exp(0.5 * (rng.normal(size=(N, 1)) + 0.25 * rng.normal(size=(N, 7))))
    z, table = (x - x.mean(0)) / x.std(0), x.copy()
    for j in range(2, 7):
        table[rng.random(N) < expit(2.5 * z[:, :2].mean(1) * rng.choice([-1, 1]) - 1), j] = np.nan
    found = find_evidence(table, range(7), np.zeros(7), seed=0)
    assert [e.direction for e in found] == [0] * 7
    assert all(e.support is not None and e.support.skill > 0.8 for e in found[2:])


def test_a_direction_that_is_told_is_kept() -> None:
    x = correlated(2)
    lost = np.random.default_rng(0).random(x.shape) < 0.3
    known = np.array([1.0, -1.0, 0, 0, 0, 0])
    found = find_evidence(np.where(lost, np.nan, x), range(P), known, seed=0)
    assert [e.direction for e in found[:2]] == [1, -1] and "given" in found[0].reason


def test_a_direction_that_is_told_of_columns_lost_together_finds_the_cut() -> None:
    # No row says anything of either column where the other one is not missing too.
    x = correlated(2)[:, :2]
    x[x[:, 0] > np.quantile(x[:, 0], 0.6)] = np.nan
    for width in (1, 2):
        found = find_evidence(x[:, :width], range(width), np.array([1.0, 0.0])[:width], seed=0)
        assert (found[0].direction, found[0].kind) == (1, "cliff")


def test_the_same_seed_finds_the_same() -> None:
    x = correlated(3)
    table = np.where(x > np.quantile(x, 0.6, axis=0), np.nan, x)
    assert find_evidence(table, range(P), UNKNOWN, 7) == find_evidence(table, range(P), UNKNOWN, 7)


def test_a_cut_column_is_extrapolated_on_the_scale_that_explains_it() -> None:
    rng = np.random.default_rng(0)
    plain, logged = rng.normal(20, 3, 3000), np.exp(rng.normal(1, 0.4, 3000))
    for column, kind in ((plain, Identity), (logged, Log)):
        cut = np.quantile(column, 0.6)
        g, tail = scale_of_cliff(np.where(column > cut, np.nan, column), high=True)
        assert isinstance(g, kind)
        assert tail.lost_mean == pytest.approx(g.forward(column[column > cut]).mean(), abs=0.25 * tail.scale)


def test_a_wide_logarithm_is_not_followed_upwards() -> None:
    column = np.exp(np.random.default_rng(0).normal(0, 1.2, 3000))
    cut = np.quantile(column, 0.6)
    g, _ = scale_of_cliff(np.where(column > cut, np.nan, column), high=True)
    assert g.describe() == "Yeo-Johnson, power 0.5"
    x = np.array([0.01, 0.3, 1.0, 40.0])
    np.testing.assert_allclose(g.inverse(g.forward(x)), x)
    low, _ = scale_of_cliff(np.where(column < cut, np.nan, column), high=False)
    assert isinstance(low, Log)


def test_the_normal_beyond_a_cliff_loses_as_many_as_are_missing() -> None:
    column = np.random.default_rng(0).normal(5, 2, 4000)
    tail = cliff_tail(np.where(column < 4, np.nan, column), high=False)
    assert (tail.center, tail.scale, tail.threshold) == pytest.approx((5, 2, 4), abs=0.15)
    assert tail.slope < 0 and tail.gain > 3


def test_columns_without_evidence_are_imputed_about_as_far_as_they_were_observed() -> None:
    x = correlated(0)
    table = x.copy()
    table[x[:, 0] > np.quantile(x[:, 0], 0.6), 0] = np.nan
    table[np.random.default_rng(0).random(N) < 0.3, 1] = np.nan
    columns = describe(table, [f"c{j}" for j in range(P)])._replace(supports=(Support(),) * P)
    start, findings = start_nested(table, Layout(tuple(range(P))), columns, Nested(), seed=0)
    assert [finding.kind for finding in findings[:2]] == ["cliff", "none"]
    assert start.mechanism.curve().slope[0] > 10 and start.mechanism.curve().slope[1] == 0
    assert start.columns.supports[0].highest == np.inf
    seen = table[~np.isnan(table[:, 1]), 1]
    assert seen.max() < start.columns.supports[1].highest < seen.max() + 0.2 * np.ptp(seen)


def test_a_soft_start_loses_as_many_cells_as_are_missing() -> None:
    x = correlated(0)
    table = np.where(np.random.default_rng(0).random(x.shape) < 0.2, np.nan, x)
    columns = describe(table, [f"c{j}" for j in range(P)])._replace(supports=(Support(),) * P)
    start, _ = start_nested(table, Layout(tuple(range(P))), columns, Nested({"c0": "high"}), seed=0)
    draws = np.random.default_rng(1).normal(size=(20_000, P))

    missing = start.mechanism.curve().log_missing(torch.as_tensor(draws, dtype=torch.float32)).exp().mean(0).detach()
    assert float(missing[0]) == pytest.approx(0.2, abs=0.02)


def test_a_cut_of_amounts_beside_zeros_is_found_and_extrapolated_without_the_zeros() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=N)
    amounts = np.where(z + 0.5 * rng.normal(size=N) < 0, 0.0, np.exp(3 + 0.5 * z + 0.2 * rng.normal(size=N)))
    x = np.column_stack([amounts, *(z + 0.5 * rng.normal(size=N) for _ in range(4))])
    cut = np.quantile(amounts, 0.75)
    table = np.where((np.arange(5) == 0) & (x > cut), np.nan, x)
    evidence = find_evidence(table, range(5), np.zeros(5), seed=0)
    assert (evidence[0].direction, evidence[0].kind) == (1, "cliff")

    frame = pd.DataFrame(table, columns=[*"abcde"])
    imputer = MNARImputer(max_iter=20, n_draws_posterior=90, random_state=0).fit(frame)
    assert imputer.schema_["kind"][0] == "semicontinuous"
    completed = imputer.transform(frame)["a"].to_numpy()
    lost = np.isnan(table[:, 0])
    # Beyond the cut the positive amounts go on; with the zeros among them they would end too early.
    assert completed[lost].min() > 0.9 * cut
    assert np.mean(completed[lost]) == pytest.approx(amounts[lost].mean(), rel=0.25)


def test_how_far_a_lost_tail_reaches_is_uncertain_and_the_same_for_all_rows() -> None:
    x = correlated(0)
    cut = np.quantile(x[:, 0], 0.6)
    table = pd.DataFrame(np.where((np.arange(P) == 0) & (x > cut), np.nan, x), columns=[*"abcdef"])
    imputer = MNARImputer(max_iter=20, n_draws_posterior=90, random_state=0).fit(table)
    assert [tail.column for tail in imputer.columns_.tails] == [0]
    lost = table["a"].isna().to_numpy()
    with_tail = np.stack([t["a"] for t in imputer.multiple_impute(table, 40)])[:, lost]
    wide = imputer.posterior(table, 400, refine=False).quantile([0.05, 0.95])[:, lost, 0]
    means = imputer.posterior(table).mean()

    imputer.columns_ = imputer.columns_._replace(tails=())
    without = np.stack([t["a"] for t in imputer.multiple_impute(table, 40)])[:, lost]
    narrow = imputer.posterior(table, 400, refine=False).quantile([0.05, 0.95])[:, lost, 0]
    # Means of single cells stay; what all rows share makes the column's mean uncertain.
    np.testing.assert_array_equal(means, imputer.posterior(table).mean())
    excess = without.mean() - cut
    assert with_tail.mean() == pytest.approx(without.mean(), abs=0.25 * excess)
    assert with_tail.mean(1).std() > 0.2 * excess > 5 * without.mean(1).std()
    assert np.mean(np.diff(wide, axis=0)) > 1.1 * np.mean(np.diff(narrow, axis=0))


def test_natural_ends_are_no_cuts_where_complete_columns_explain_the_mask() -> None:
    """Percentages, lost at random given three complete columns: 0.7 of the mask's evidence was enough for a cut."""
    rng = np.random.default_rng(6)
    z = rng.normal(size=(1000, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=(1000, 6))
    x = 100 * beta.ppf(norm.cdf(z / z.std(0)), 2, 2)
    lost = rng.random((1000, 3)) < expit(3 * ((z / z.std(0))[:, 3:] @ rng.normal(size=(3, 3))) - 1)
    x[:, :3][lost] = np.nan
    found = find_evidence(x, range(6), np.zeros(6))
    assert [e.direction for e in found] == [0] * 6 and found[2].support is not None
    # The end looks like a cut, and most of the mask agrees with it.
    assert 0.7 < found[2].support.hidden < 0.9 and found[2].support.complete > 0.98


def test_soft_slopes_of_skewed_columns_are_not_taken_for_cuts() -> None:
    x = load_breast_cancer().data[:, :12]
    z = (x - x.mean(0)) / x.std(0)
    lost = np.random.default_rng(0).random(x.shape) < expit(3 * (z - 0.7))
    found = find_evidence(np.where(lost, np.nan, x), range(12), np.zeros(12), seed=0)
    assert [e.kind for e in found].count("soft") >= 10 and "cliff" not in [e.kind for e in found]
    assert -1 not in [e.direction for e in found]


def test_the_tail_of_a_softly_missing_column_is_uncertain_too() -> None:
    x = correlated(1)[:, : P - 1]
    z = (x - x.mean(0)) / x.std(0)
    table = np.where(np.random.default_rng(0).random(x.shape) < expit(3 * (z - 0.7)), np.nan, x)
    columns = describe(table, [f"c{j}" for j in range(P - 1)])._replace(supports=(Support(),) * (P - 1))
    start, findings = start_nested(table, Layout(tuple(range(P - 1))), columns, Nested(), seed=0)
    soft = [j for j, finding in enumerate(findings) if finding.kind == "soft"]
    assert [tail.column for tail in start.columns.tails] == soft and len(soft) >= 4
    tail = start.columns.tails[0]
    observed = (table[:, soft[0]] - columns.center[soft[0]]) / columns.scale[soft[0]]
    assert np.mean(observed[~np.isnan(observed)] > tail.end) == pytest.approx(0.2, abs=0.01)
