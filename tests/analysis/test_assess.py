from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyro_mnar.mechanisms import Censored, Nested

import pyro_mnar
from pyro_mnar import Assessment, MNARImputer, assess, sensitivity
from pyro_mnar.analysis.assess import run, summary
from pyro_mnar.analysis.assess.answers import answers
from pyro_mnar.analysis.assess.conclusion import Named, named_quantity, numbers_of, swept_mechanism, varied_column
from pyro_mnar.datasets.household import make_household_survey
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.inference.posterior.refine import Refinement
from tests.support.assessments import SMALL, short_fits

SURVEY, COMPLETE = make_household_survey(240)


@pytest.fixture(scope="module")
def assessment() -> Assessment:
    with short_fits():
        return assess(SURVEY, "income", title="survey.csv")


def test_everything_is_in_it(assessment: Assessment) -> None:
    holed = SURVEY.columns[SURVEY.isna().any()]
    assert (
        set(assessment.evidence["column"])
        == set(assessment.histograms)
        == set(assessment.cells["column"])
        == set(holed)
    )
    assert assessment.profile["column"].tolist() == list(SURVEY.columns)
    assert assessment.patterns["rows"].sum() == len(SURVEY) == len(assessment.rows)
    assert len(assessment.cells) == SURVEY.isna().sum().sum()
    assert len(assessment.tables) == SMALL.n_imputations
    for table in [assessment.completed, *assessment.tables]:
        assert not table.isna().any().any()
        assert ((table == SURVEY) | SURVEY.isna()).all().all()
    assert set(assessment.completed["region"]) <= set(["North", "East", "South", "West"])
    c = assessment.conclusion
    assert c is not None and (c.name, c.column) == ("mean of income", "income")
    assert c.low < c.estimate < c.high and c.observed_only == pytest.approx(SURVEY["income"].mean())
    assert c.estimate == pytest.approx(np.mean([table["income"].mean() for table in assessment.tables]))
    assert set(np.abs(c.sweep.index)) == set(SMALL.slopes) and 0.0 in c.delta.index


def test_the_column_that_hides_itself_is_found_and_how_sure_it_is(assessment: Assessment) -> None:
    first = assessment.evidence.iloc[0]
    assert (first["column"], first["verdict"], first["direction"]) == ("income", "hides itself", "high")
    assert 0.5 < first["chance"] < 1 and first["threshold"] == pytest.approx(3600, rel=0.05)
    others = assessment.evidence[1:]
    assert (others["verdict"] != "hides itself").all() and list(assessment.curves) == ["income"]
    said = str(assessment)
    assert "income hides its own high values, those above about 3," in said and "--direction income=high" in said
    for title in ("What was found", "What rests on assumption", "What to ask who knows the data"):
        assert title in said


def test_what_a_mask_depends_on_is_found(assessment: Assessment) -> None:
    masks = assessment.masks
    top = masks[masks["column"] == "satisfaction_percent"].iloc[0]
    assert top["other"] == "age" and top["chance"] > 0.7 and top["p_adjusted"] < 1e-6
    rent = masks[masks["column"] == "rent"]
    assert (rent["p_adjusted"] > 0.01).all()


def test_an_interrupted_one_goes_on_and_ends_the_same(
    assessment: Assessment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyro_mnar.analysis.assess import conclusion

    whole, left = conclusion.sweep, [1]

    def once(*given: object, **more: object) -> object:
        if not left:
            raise KeyboardInterrupt
        left.pop()
        return whole(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(conclusion, "sweep", once)
    with short_fits() as fits, pytest.raises(KeyboardInterrupt):
        assess(SURVEY, "income", title="survey.csv", folder=tmp_path)
    assert len(fits) == 1 + SMALL.refits
    monkeypatch.setattr(conclusion, "sweep", whole)
    with short_fits() as fits:
        again = assess(SURVEY, "income", title="survey.csv", folder=tmp_path)
    assert len(fits) == SMALL.refits
    # And without an interruption, and without a folder: the same seed gives the same.
    pd.testing.assert_frame_equal(again.completed, assessment.completed)
    pd.testing.assert_frame_equal(again.cells, assessment.cells)
    assert again.conclusion is not None and assessment.conclusion is not None
    pd.testing.assert_frame_equal(again.conclusion.sweep, assessment.conclusion.sweep)
    assert str(again) == str(assessment)


def test_a_quantity_is_a_mean_a_share_a_function_or_found(assessment: Assessment) -> None:
    found, numbers = assessment.evidence, numbers_of(assessment.imputer)
    assert numbers == [name for name in SURVEY.columns if name not in ("person", "region")]

    def asked(quantity: object) -> tuple[str, float, str | None]:
        named = named_quantity(quantity, SURVEY, found, numbers)  # type: ignore[arg-type]
        assert named is not None
        answer = named.of(COMPLETE)
        return named.name, answer if np.ndim(answer) == 0 else answer[0], varied_column(None, named, found, numbers)

    assert asked("rent") == ("mean of rent", COMPLETE["rent"].mean(), "rent")
    # What has no holes, or no numbers, rests on the column that is likeliest to hide itself.
    assert asked("age") == ("mean of age", COMPLETE["age"].mean(), "income")
    assert asked("region=West") == ("share of region=West", (COMPLETE["region"] == "West").mean(), "income")
    assert asked(lambda table: table["rent"].median()) == ("quantity", COMPLETE["rent"].median(), "income")
    assert asked(None) == ("mean of income", COMPLETE["income"].mean(), "income")
    with pytest.raises(InvalidInputError, match="without a mean; give region=LEVEL"):
        asked("region")
    with pytest.raises(InvalidInputError, match="vary is 'age'; the columns of numbers that have holes, and no"):
        varied_column("age", Named("age", len, None), found, numbers)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X": [[1.0, np.nan]]}, "X is of type list; give a pandas DataFrame"),
        ({"X": COMPLETE}, "no cell of X is missing"),
        ({"quantity": 3}, "quantity is 3, a int; it must be a column"),
        ({"quantity": "wage"}, "quantity is 'wage', which is no column"),
        ({"budget": "cheap"}, "budget is 'cheap'; it must be one of quick, standard, thorough"),
        ({"random_state": -1}, "random_state is -1"),
        ({"X": pd.concat([SURVEY, SURVEY[["age"]]], axis=1)}, "X has the column 'age' more than once"),
    ],
)
def test_bad_input_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        assess(given.pop("X", SURVEY), **given)  # type: ignore[arg-type]


def test_labels_that_hide_themselves_are_named_and_asked_about(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 6))
    table = pd.DataFrame(x, columns=list("uvwxyz")).assign(member=np.where(x.sum(1) > 0, "yes", "no"))
    table.loc[(table["member"] == "yes") & (rng.random(500) < 0.7), "member"] = None
    with short_fits():
        found = assess(table)
    assert "member hides some of its own values (the odds are more than 100 to 1 for it" in str(found)
    assert "): yes is missing more often than no (" in str(found)
    assert "Can it be that of member yes is missing more often than no (" in str(found)
    assert "say so: in Python mechanism={'member': 'ignorable', 'default': 'auto'}." in str(found)
    assert "yes is missing more often" in found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")


def test_where_no_column_has_numbers_there_is_no_conclusion(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["x", "y", "z", None] * 20, "b": ["u", "v", "w", "w"] * 20})
    with short_fits():
        found = assess(table)
    assert found.conclusion is None and "Nothing in the table points to a hiding its own values" in str(found)
    assert found.to_html(tmp_path / "page.html").stat().st_size > 1000


def test_what_was_told_is_called_told() -> None:
    with short_fits(SMALL._replace(slopes=())):
        found = assess(SURVEY, "age", mechanism=Nested(direction={"rent": "low"}))
    c = found.conclusion
    assert c is not None and len(c.sweep) == 0 and c.estimate == pytest.approx(SURVEY["age"].mean())
    line = found.evidence.set_index("column").loc["rent"]
    assert (line["verdict"], line["direction"]) == ("told", "low")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_can_answer_within_a_minute_what_the_mean_income_is() -> None:
    """A messy table of 800 rows; a minute of two cores, which other work may share."""
    survey, complete = make_household_survey(800)
    before = time.process_time()
    found = assess(survey, "income", budget="quick")
    assert time.process_time() - before < 120
    c = found.conclusion
    assert c is not None and c.low < complete["income"].mean() < c.high
    assert c.observed_only < 0.85 * complete["income"].mean()
    assert c.sweep.loc[0.0, "estimate"] < c.estimate
    assert found.evidence.loc[0, "column"] == "income" and found.evidence.loc[0, "verdict"] == "hides itself"


def test_it_is_a_public_name() -> None:
    assert {"assess", "Assessment"} <= set(pyro_mnar.__all__)


def test_nothing_is_drawn_for_rows_without_holes(assessment: Assessment) -> None:
    whole = SURVEY.notna().all(axis=1)
    assert 0 < whole.sum() < len(SURVEY)
    rows = assessment.rows
    assert rows.loc[whole, "reliable"].all() and rows.loc[whole, ["effective_draws", "pareto_k"]].isna().all().all()
    assert rows.loc[~whole, "effective_draws"].notna().all()
    pd.testing.assert_frame_equal(assessment.completed[whole], SURVEY[whole], check_dtype=False)
    assert all(table[whole].equals(assessment.tables[0][whole]) for table in assessment.tables)


def blood_tests() -> pd.DataFrame:
    """crp, of which a laboratory says "<0.5" where it is low, and a fever that ten did not have measured."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=120)
    crp = [round(float(value), 3) if value >= 0.5 else "<0.5" for value in np.exp(z)]
    blood = pd.DataFrame({"crp": pd.Series(crp, dtype=object), "fever": 37 + 0.5 * z + 0.3 * rng.normal(size=120)})
    blood.loc[:9, "fever"] = np.nan
    return blood


LABORATORY = {"crp": Censored(), "default": "ignorable"}


def test_cells_within_limits_are_drawn_in_rows_that_miss_nothing_else() -> None:
    blood = blood_tests()
    imputer = MNARImputer(LABORATORY, max_iter=2, n_draws_posterior=100, random_state=0).fit(blood)
    found = answers(imputer, blood, 100, 2)
    below = (blood["crp"] == "<0.5").to_numpy()
    for table in (found.completed, *found.tables):
        assert not table.isna().to_numpy().any() and (table["crp"].to_numpy(dtype=float)[below] <= 0.5).all()
    assert found.rows.loc[below, "effective_draws"].notna().all()
    cells = found.cells[found.cells["column"] == "crp"]
    assert cells["row"].tolist() == [str(row) for row in blood.index[below]]
    assert (cells[["value", "low", "median", "high"]].astype(float) <= 0.5).all().all()
    assert found.histograms["crp"]["observed"].sum() == (~below).sum()
    assert found.histograms["crp"]["imputed"].sum() == pytest.approx(below.sum())


@pytest.mark.parametrize("quantity", ["fever", "crp", lambda table: table["crp"].astype(float).median()])
def test_limits_in_texts_go_all_the_way_to_the_conclusion(quantity: object, tmp_path: Path) -> None:
    blood = blood_tests()
    with short_fits():
        found = assess(blood, quantity, mechanism=LABORATORY)  # type: ignore[arg-type]
    c, crp = found.conclusion, pd.to_numeric(blood["crp"], errors="coerce")
    # Why crp's cells are missing is known, and fever's is varied.
    assert c is not None and c.column == "fever" and len(c.sweep) == 3 and len(c.delta) == 9
    known = {"fever": blood["fever"].mean(), "crp": crp[10:].mean()}
    expected = known[quantity] if isinstance(quantity, str) else crp[10:].median()
    assert c.observed_only == pytest.approx(expected)
    moved = [abs(float(c.delta["estimate"].iloc[place]) - c.estimate) for place in (0, -1)]
    assert (min(moved) > 0.01) if quantity == "fever" else (moved == [0.0, 0.0])
    page = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "crp" in page
    with pytest.raises(InvalidInputError, match=r"vary is 'crp'; .* no limits that explain them, are \['fever'\]"):
        assess(blood, "fever", vary="crp", mechanism=LABORATORY)


def test_what_was_told_of_columns_holds_while_another_is_varied() -> None:
    told = Nested(direction={"rent": "low"})
    assert swept_mechanism(told, "income") is told and swept_mechanism("auto", "income") == "auto"
    assert swept_mechanism(LABORATORY, "fever") is LABORATORY and swept_mechanism("self-masking", "fever") == "auto"
    # Neither limits nor a block leave a slope to vary.
    assert swept_mechanism("censored", "fever") is None and swept_mechanism(LABORATORY, "crp") is None
    assert swept_mechanism({("fever", "crp"): "latent"}, "fever") is None


def test_a_block_of_questions_is_shifted_but_has_no_slope() -> None:
    table = SURVEY[["age", "income"]].assign(rent=SURVEY["rent"].where(SURVEY["income"].notna()))
    table["income"] = table["income"].where(table["rent"].notna())
    with short_fits():
        c = assess(table, "income", mechanism={("income", "rent"): "latent"}).conclusion
    assert c is not None and c.column == "income" and len(c.sweep) == 0 and len(c.delta) == 9


def test_a_quantity_rests_on_nothing_where_no_number_is_missing() -> None:
    table = pd.DataFrame({"a": ["x", "y", "z", None] * 20, "b": np.sin(np.arange(80) % 7)})
    with short_fits():
        c = assess(table, "b").conclusion
    assert c is not None and (c.column, len(c.sweep), c.delta.index.tolist()) == ("", 0, [0.0])
    assert (c.estimate, c.observed_only) == pytest.approx((table["b"].mean(), table["b"].mean()))
    assert np.isnan(c.tipping) and c.low < c.estimate < c.high


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_where_many_rows_are_uneven_the_worst_are_refined_and_the_others_counted() -> None:
    imputer = MNARImputer("ignorable", max_iter=2, n_draws_posterior=100, random_state=0).fit(SURVEY)
    plain, effort = answers(imputer, SURVEY, 100, 2, most_refined=0).rows, Refinement(10, 10, 5, 0.1, (50,), 150, 1)
    found = answers(imputer, SURVEY, 100, 2, most_refined=4, refinement=effort).rows
    again = answers(imputer, SURVEY, 100, 2, most_refined=4, refinement=effort).rows
    # Of 100 draws that are not all the same no 100 are effective: where 44 are, three times as many are drawn.
    holed = SURVEY.isna().any(axis=1)
    read = imputer._check(SURVEY[holed], reset=False)
    first = pd.Series(imputer._posterior(read, 100, single=True, independent=True).ess, SURVEY.index[holed])
    same, more = first[first < 43.3].index, first[first > 43.4].index
    assert len(same) > 4 and len(more) > 4
    np.testing.assert_allclose(plain.loc[same, "effective_draws"], first[same], rtol=1e-4)
    assert (plain.loc[more, "effective_draws"] > 1.2 * first[more]).mean() > 0.9 and plain.loc[more, "reliable"].any()
    bad = ~plain["reliable"]
    assert not plain["refined"].any() and bad.sum() > 4
    assert set(found.index[found["refined"]]) == set(plain.loc[bad, "effective_draws"].nsmallest(4).index)
    pd.testing.assert_frame_equal(found, again)
    others = ~found["refined"]
    pd.testing.assert_frame_equal(found[others], plain[others])
    left = int((~found["reliable"] & others).sum())
    said = summary._of_checks(pd.DataFrame({"flagged": []}, dtype=bool), found)[-1]
    assert left == bad.sum() - 4 and f"For {left} of them the budget did not reach" in said
    assert (
        "budget did not reach"
        not in summary._of_checks(pd.DataFrame({"flagged": []}, dtype=bool), found.assign(refined=True))[-1]
    )


def test_what_is_done_on_fewer_rows_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (run, sensitivity):
        monkeypatch.setattr(module, "MOST_ROWS_OF_BOUND", 60)
    with short_fits(SMALL._replace(most_rows=90, slopes=(0.0,))):
        found = assess(SURVEY, "income")
    page = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    for line in (
        "the checks and comparisons are made on 90 of the 240 rows, drawn at random",
        "the bounds of fits under other assumptions are means over 60 of the 240 rows, drawn at random",
    ):
        assert line in found.notes and line in page
    assert len(found.tables[0]) == len(found.rows) == 240
