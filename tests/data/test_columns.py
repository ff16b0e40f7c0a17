"""Which columns are of which kind, and what the estimators do with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyro_mnar.kinds import OneHot

from pyro_mnar import load, save
from pyro_mnar.data.columns import ColumnInfo, Group, Layout, Support, describe, most_likely, possible
from pyro_mnar.errors import DataWarning, InvalidInputError
from tests.support.estimators import small_imputer


def people(n: int = 60, seed: int = 0) -> pd.DataFrame:
    """Income, a 0/1 column, and one variable as three one-hot columns, with holes everywhere."""
    generator = np.random.default_rng(seed)
    region = generator.integers(3, size=n)
    frame = pd.DataFrame(
        {
            "north": region == 0,
            "income": generator.normal(30 + 5 * region, 8),
            "owner": generator.integers(2, size=n),
            "south": region == 1,
            "west": region == 2,
        }
    ).astype(float)
    return frame.mask(generator.random(frame.shape) < 0.25)


REGION = ["north", "south", "west"]
GROUP = {"region": OneHot(REGION)}


def test_discrete_columns_are_not_standardised() -> None:
    info = describe(np.array([[0.0, 4.0], [1.0, 8.0]]), ["a", "b"], [0])
    assert info.center.tolist() == [0.0, 6.0] and info.scale.tolist() == [1.0, 2.0]


def test_the_likeliest_value() -> None:
    probability = np.array([[0.4, 3.0, 0.9, 0.35, 0.25], [0.2, 1.0, 0.1, 0.3, 0.5]])
    layout = Layout((1,), (2,), (Group((0, 3, 4)),))
    assert most_likely(probability, layout).tolist() == [[1.0, 3.0, 1.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 1.0]]
    assert probability[0, 0] == 0.4


def test_completed_rows_hold_values_that_exist() -> None:
    frame = people()
    completed = small_imputer(types=GROUP).fit_transform(frame)
    assert completed["owner"].isin([0, 1]).all()
    assert (completed[REGION].sum(axis=1) == 1).all() and completed[REGION].isin([0, 1]).all(axis=None)
    seen = frame.notna()
    assert (completed.where(seen) == frame).where(seen, True).all(axis=None)


def test_probabilities_on_request() -> None:
    frame = people()
    completed = small_imputer(types=GROUP, discrete_output="probability").fit_transform(frame)
    assert completed[REGION].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)
    assert not completed["owner"].isin([0, 1]).all()


def test_positions_and_names_say_the_same() -> None:
    frame = people()
    by_name = small_imputer(types=GROUP).fit(frame)
    by_position = small_imputer(types={"region": OneHot([0, 3, 4])}).fit(frame.to_numpy())
    np.testing.assert_allclose(by_name.transform(frame), by_position.transform(frame.to_numpy()), rtol=1e-5)


def test_a_binary_column_can_be_called_continuous() -> None:
    imputer = small_imputer(types="continuous").fit(people())
    assert imputer.layout_.binary == () and len(imputer.layout_.continuous) == 5


def test_a_group_whose_columns_have_no_one_is_named() -> None:
    with pytest.raises(InvalidInputError, match="ones in the categorical group"):
        small_imputer(types={"pair": OneHot(["north", "owner"])}).fit(people())


def test_a_value_that_a_binary_column_never_had_is_named() -> None:
    imputer = small_imputer().fit(people())
    other = people()
    other.loc[7, "owner"] = 2.0
    with pytest.raises(InvalidInputError, match=r"'owner' holds 2 in row 7"):
        imputer.transform(other)


def test_a_category_that_hides_itself_is_found_by_elimination() -> None:
    generator = np.random.default_rng(0)
    region = generator.choice(3, size=800, p=[0.6, 0.25, 0.15])
    frame = pd.DataFrame({name: (region == k).astype(float) for k, name in enumerate("abc")})
    frame["x"] = generator.normal(region)
    complete = frame.copy()
    hidden = (frame[["c"]] == 1) | (generator.random((800, 1)) < 0.1)
    frame["c"] = frame["c"].mask(hidden["c"])
    imputer = small_imputer(types={"letter": OneHot(["a", "b", "c"])}, max_iter=20, learning_rate=1e-2).fit(frame)
    completed = imputer.transform(frame)
    # Where a and b are seen to be 0, c is 1; where one of them is 1, c is 0.
    np.testing.assert_array_equal(completed["c"], complete["c"])


def with_region(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """A number and a pandas categorical column whose rarest category is often missing."""
    generator = np.random.default_rng(seed)
    region = generator.choice(3, size=n, p=[0.5, 0.3, 0.2])
    frame = pd.DataFrame({"income": generator.normal(30 + 12 * region, 4)})
    frame["region"] = pd.Categorical.from_codes(region, ["north", "south", "west"])
    lost = (region == 2) & (generator.random(n) < 0.7)
    return frame.assign(region=frame["region"].where(~lost))


def test_a_categorical_column_is_one_variable() -> None:
    frame = with_region()
    imputer = small_imputer(mechanism="self-masking", max_iter=60, learning_rate=1e-2, batch_size=32).fit(frame)
    assert imputer.columns_.names == ("income", "region=north", "region=south", "region=west")
    assert imputer.layout_ == Layout((0,), (), (Group((1, 2, 3), True),))
    assert imputer.joint_.active.tolist() == [False, True, False, False]
    completed = imputer.transform(frame)
    assert completed["region"].dtype == frame["region"].dtype and completed["region"].notna().all()
    seen = frame["region"].notna()
    assert (completed["region"][seen] == frame["region"][seen]).all()
    # Only one category goes missing, and incomes say so too.
    assert (completed["region"][~seen] == "west").mean() > 0.9
    assert completed["income"].equals(frame["income"])


def test_categories_are_matched_by_label() -> None:
    frame = with_region()
    imputer = small_imputer().fit(frame)
    other = frame.assign(region=frame["region"].cat.reorder_categories(["west", "north", "south"]))
    expected, found = imputer.transform(frame)["region"], imputer.transform(other)["region"]
    assert expected.astype(object).equals(found.astype(object))
    with pytest.warns(DataWarning, match="'region' holds 'east' in row 0, a level that it did not have"):
        told = imputer.transform(frame.assign(region=pd.Categorical(["east", None] * (len(frame) // 2))))["region"]
    assert (told[::2] == "east").all() and told[1::2].isin(["north", "south", "west"]).all()


def test_saved_categories_come_back(tmp_path: Path) -> None:
    imputer = small_imputer().fit(with_region())
    save(imputer, tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").transform(with_region()), imputer.transform(with_region()))


def test_whole_numbers_at_an_end_that_is_none_are_whole() -> None:
    support = Support(-0.5, 3403.5, True)
    info = ColumnInfo(("n",), np.zeros(1), np.ones(1), np.zeros(1), supports=(support,))
    assert possible(np.array([[9000.0], [3403.4], [12.2], [-7.0]]), info)[:, 0].tolist() == [3403.0, 3403.0, 12.0, 0.0]
