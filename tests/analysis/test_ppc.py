from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pandas as pd
import pytest

from pyro_mnar.analysis.checks import check, jointly_missing, shift_where_missing, summarise
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.mask_at_random import fit_mask_at_random
from pyro_mnar.estimators.replicates import LabelColumn, Replicates, simulate
from tests.support.estimators import small_imputer
from tests.support.surveys import NAMES, fitted, survey

# The fits are quick ones; a few rows with uneven weights are expected.
pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")


def test_shift_and_joint_missingness_by_hand() -> None:
    values = np.array([[[1.0, 10.0], [2.0, 20.0], [3.0, 40.0], [9.0, 9.0]]])
    observed = np.array([[[True, True], [True, True], [False, True], [False, False]]])
    assert jointly_missing(observed)[0].tolist() == [[0.5, 0.25], [0.25, 0.25]]
    shift = shift_where_missing(values, observed)[0]
    assert shift[0, 1] == 40.0 - 15.0
    assert np.isnan(shift[1, 0])  # Column 0 is never seen where column 1 is missing.


def test_simulated_tables_follow_the_model() -> None:
    model, (_, holed) = fitted(), survey(0)
    simulated = simulate(model, holed, n_tables=50)
    assert simulated.values.shape == simulated.observed.shape == (50, 1000, 4)
    assert simulated.codes.shape == (50, 1000, 2)
    assert simulated.observed[..., 2:].all()
    # The mask is drawn from the simulated values: P(s = 0 | x) of the fitted curve, column by column.
    income, missing = simulated.values[..., 0], ~simulated.observed[..., 0]
    line = model.mechanism_report().iloc[0]
    expected = 1 / (1 + np.exp(-line["slope"] * (income - line["threshold"])))
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        chosen = (expected >= low) & (expected < high)
        error = np.sqrt(0.25 / chosen.sum())
        assert missing[chosen].mean() == pytest.approx(expected[chosen].mean(), abs=4 * error)


def test_simulation_leaves_the_generators_alone_and_repeats(
    untouched_generators: Callable[[], AbstractContextManager[None]],
) -> None:
    model, (_, holed) = fitted(), survey(0)
    with untouched_generators():
        first = simulate(model, holed, n_tables=3, random_state=1)
    again, other = (simulate(model, holed, n_tables=3, random_state=seed) for seed in (1, 2))
    assert np.array_equal(first.values, again.values) and np.array_equal(first.observed, again.observed)
    assert not np.array_equal(first.values, other.values)


def test_posterior_codes_stay_with_their_rows() -> None:
    model, (complete, holed) = fitted(), survey(0)
    simulated = simulate(model, holed, n_tables=20, codes="posterior")
    age = np.corrcoef(simulated.values[..., 2].mean(0), complete["age"])[0, 1]
    assert age > 0.8
    new = simulate(model, holed, n_tables=20, codes="prior")
    assert abs(np.corrcoef(new.values[..., 2].mean(0), complete["age"])[0, 1]) < 0.2


def test_a_table_of_the_model_itself_passes_and_an_altered_one_does_not() -> None:
    model, (_, holed) = fitted(), survey(0)
    simulated = simulate(model, holed, n_tables=200)

    def beside_the_others(i: int) -> Replicates:
        own = np.where(simulated.observed[i], simulated.values[i], np.nan)
        others = [np.delete(part, i, 0) for part in (simulated.values, simulated.observed, simulated.codes)]
        return Replicates(simulated.names, own, *others, simulated.target)

    # Each is wrong once in a hundred tables.
    assert sum(summarise(beside_the_others(i))["flagged"].any() for i in range(20)) <= 1
    rest = beside_the_others(1)
    own = rest.table
    altered = own.copy()
    altered[:400, 0] = np.nan
    lines = summarise(rest._replace(table=altered)).set_index(["check", "column"]).sort_index()
    assert lines.loc[("missing rate", "income"), "flagged"].all()
    assert not lines.loc[("mean", "rooms"), "flagged"].any()
    shifted = own + np.array([0.0, 0.0, 3.0, 0.0])
    lines = summarise(rest._replace(table=shifted)).set_index(["check", "column"]).sort_index()
    assert lines.loc[("distance", "age"), "flagged"].all() and lines.loc[("mean", "age"), "flagged"].all()


def test_p_values_are_uniform_when_the_model_is_right() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(301, 100, 2))
    observed = generator.random(values.shape) < 0.7
    names, none = ("a", "b"), np.zeros((1, 1, 1))
    p_values, smallest = [], []
    for table in range(100):
        keep = np.arange(301) != table
        own = np.where(observed[table], values[table], np.nan)
        lines = summarise(Replicates(names, own, values[keep], observed[keep], none, None))
        p_values.append(lines.set_index("check")["p_value"].loc[["missing rate", "mean", "distance"]].to_numpy())
        smallest.append(lines["p_adjusted"].min())
    share = (np.array(p_values) < 0.2).mean(0)
    assert (np.abs(share - 0.2) < 4 * np.sqrt(0.16 / 100)).all()
    # The adjustment holds the chance of ANY line below 0.2 at 0.2.
    assert abs((np.array(smallest) < 0.2).mean() - 0.2) < 4 * np.sqrt(0.16 / 100)


def test_known_values_are_checked_too() -> None:
    complete, holed = survey(0)
    right = check(fitted(), holed, known=complete, n_tables=200).set_index(["check", "column"]).sort_index()
    wrong = check(fitted("ignorable"), holed, known=complete, n_tables=200).set_index(["check", "column"]).sort_index()
    line = ("missing against itself", "income")
    truth = complete["income"][holed["income"].isna()].mean() - holed["income"].mean()
    assert right.loc[line, "observed"].item() == pytest.approx(truth)
    assert not right.loc[line, "flagged"].item() and wrong.loc[line, "flagged"].item()
    with pytest.raises(InvalidInputError, match="known has shape"):
        check(fitted(), holed, known=complete.iloc[:5])


def test_a_table_without_holes_has_only_values_to_check() -> None:
    complete, _ = survey(0)
    lines = check(fitted(), complete[NAMES], n_tables=20)
    assert set(lines["check"]) == {"mean", "standard deviation", "skewness", "distance"}


def labelled(n: int = 300) -> pd.DataFrame:
    """A number, two labels, and a city that is missing more often where the number is high."""
    generator = np.random.default_rng(0)
    size = generator.normal(size=n)
    city = np.array(["Lima", "Oslo", "Rome"])[np.clip(np.rint(1 + size + generator.normal(size=n)), 0, 2).astype(int)]
    table = pd.DataFrame({"size": size, "city": city, "owner": np.where(generator.random(n) < 0.3, "yes", "no")})
    table["city"] = table["city"].mask(generator.random(n) < 1 / (1 + np.exp(2 - size)))
    table["owner"] = table["owner"].mask(generator.random(n) < 0.2)
    return table


def test_a_column_of_labels_has_one_line_that_names_its_worst_level() -> None:
    table = labelled()
    model = small_imputer(mechanism="ignorable", max_iter=20).fit(table)
    lines = check(model, table, n_tables=60)
    assert list(lines[["check", "column", "other"]].itertuples(index=False, name=None)) == [
        ("missing rate", "city", ""),
        ("missing rate", "owner", ""),
        ("jointly missing", "city", "owner"),
        ("missing against", "city", "size"),
        ("missing against", "city", "owner"),
        ("missing against", "owner", "size"),
        ("missing against", "owner", "city"),
        *((name, "size", "") for name in ("mean", "standard deviation", "skewness", "distance")),
        ("share", "city", ""),
        ("share", "owner", ""),
    ]
    of = lines.set_index(["check", "column", "other"])
    assert of.loc[("share", "owner", ""), "level"] == "yes"
    assert of.loc[("share", "owner", ""), "observed"] == pytest.approx((table["owner"].dropna() == "yes").mean())
    assert of.loc[("missing against", "city", "owner"), "level"] == "yes"
    assert set(of.loc[["missing rate", "mean", "distance"], "level"]) == {""}
    level = of.loc[("share", "city", ""), "level"]
    assert of.loc[("share", "city", ""), "observed"] == pytest.approx((table["city"].dropna() == level).mean())
    level = of.loc[("missing against", "owner", "city"), "level"]
    found, gone = (table["city"] == level).where(table["city"].notna()), table["owner"].isna()
    shift = found[gone].dropna().mean() - found[~gone].dropna().mean()
    assert of.loc[("missing against", "owner", "city"), "observed"] == pytest.approx(shift)


def test_the_worst_level_is_the_farthest_and_its_p_value_is_that_of_the_farthest() -> None:
    generator = np.random.default_rng(1)
    n, tables = 400, 300
    codes = generator.choice(3, size=(tables + 1, n), p=[0.2, 0.3, 0.5])
    values = np.concatenate([np.eye(3)[codes], generator.normal(size=(tables + 1, n, 1))], -1)
    observed = np.ones(values.shape, bool)
    observed[..., :3] = generator.random((tables + 1, n, 1)) < 0.8
    names, labels = ("c=a", "c=b", "c=d", "x"), (LabelColumn("c", (0, 1, 2), ("a", "b", "d")),)

    def lines_of(own: np.ndarray) -> pd.DataFrame:
        drawn = values[1:], observed[1:], np.zeros((1, 1, 1))
        lines = summarise(Replicates(names, own, *drawn, None, labels=labels))
        return lines.set_index(["check", "column"]).sort_index()

    own = np.where(observed[0], values[0], np.nan)
    line = lines_of(own).loc[("share", "c")]
    shares = (values[1:, :, :3] * observed[1:, :, :1]).sum(1) / observed[1:, :, 0].sum(1)[:, None]
    spread = shares.std(0)
    drawn_far = np.abs((shares - shares.mean(0)) / spread)
    far = np.abs((np.nanmean(own[:, :3], 0) - shares.mean(0)) / spread)
    assert line["level"] == "abd"[far.argmax()]
    expected = (1 + (drawn_far.max(1) >= far.max()).sum()) / (1 + tables)
    assert line["p_value"] == pytest.approx(expected) and not line["flagged"]
    # Cells of one label that became another's: nothing but their shares shows it.
    moved = own.copy()
    rows = np.flatnonzero(own[:, 2] == 1)[:80]
    moved[rows, :3] = [1, 0, 0]
    after = lines_of(moved)
    assert after.loc[("share", "c"), "flagged"] and after.loc[("share", "c"), "level"] in ("a", "d")
    assert not after.loc[[("missing rate", "c"), ("mean", "x"), ("distance", "x")], "flagged"].any()


def test_labels_are_known_by_a_table_of_them() -> None:
    complete = labelled().assign(city=lambda t: t["city"].fillna("Oslo"))
    table = labelled()
    model = small_imputer(mechanism="ignorable", max_iter=20).fit(table)
    lines = check(model, table, known=complete, n_tables=150).set_index(["check", "column"]).sort_index()
    (line,) = lines.loc[[("missing against itself", "city")]].to_dict("records")
    shares = complete["city"][table["city"].isna()].value_counts(normalize=True)
    assert line["level"] == "Oslo" and line["flagged"]
    assert line["observed"] == pytest.approx(shares["Oslo"] - (table["city"].dropna() == "Oslo").mean())


def test_bad_arguments_are_named() -> None:
    _, holed = survey(0)
    with pytest.raises(InvalidInputError, match="n_tables is 0"):
        simulate(fitted(), holed, n_tables=0)
    with pytest.raises(InvalidInputError, match="codes is 'both'"):
        simulate(fitted(), holed, codes="both")  # type: ignore[arg-type]


def test_the_mask_at_random_follows_the_complete_columns() -> None:
    generator = np.random.default_rng(0)
    age = generator.normal(50, 10, size=4000)
    chance = 1 / (1 + np.exp(-(age - 55) / 5))
    income = np.where(generator.random(4000) < chance, np.nan, 1.0)
    model = fit_mask_at_random(pd.DataFrame({"income": income, "age": age}).to_numpy())
    grid = np.array([[0.0, 40.0], [0.0, 55.0], [0.0, 70.0]])
    truth = 1 - 1 / (1 + np.exp(-(grid[:, 1] - 55) / 5))
    np.testing.assert_allclose(model.probability_observed(grid)[:, 0], truth, atol=0.04)
    assert (model.probability_observed(grid)[:, 1] > 0.999).all()
