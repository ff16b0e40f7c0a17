"""The field study: its masks, its scores, its tables and picture, and its quick form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.studies.field import FIELD
from pyro_mnar.studies.field.masks import MASKS, lose, standardised
from pyro_mnar.studies.field.methods import BASELINES, MICE_DRAWS, baseline
from pyro_mnar.studies.field.report import SCORES, cells, frame, summary, write_tables
from pyro_mnar.studies.field.scores import covers_where_told, draw_scores, point_scores
from pyro_mnar.studies.field.study import MODELS, run_row
from pyro_mnar.studies.field.tables import NAMES, complete_table
from pyro_mnar.studies.parts import TableRow, has_miceforest
from pyro_mnar.studies.study import Record, row_settings


def normals(n: int = 2000, p: int = 6) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 1)) + rng.normal(size=(n, p))


def record(table: str, mask: str, method: str, rmse: float, seed: int = 0) -> Record:
    result = dict.fromkeys(SCORES, 0.5) | {"rmse": rmse, "missing": 0.3, "cover90": None}
    return Record(row_settings(TableRow(table, mask, method, seed)), result, 1.0, 1.0, [], {})


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_loses_about_a_third_and_says_why(mask: str) -> None:
    x = normals()
    lost = lose(x, "normals", mask, 0)
    assert 0.13 < lost.cells.mean() < 0.4
    again, other = lose(x, "normals", mask, 0), lose(x, "normals", mask, 1)
    assert (again.cells == lost.cells).all() and (other.cells != lost.cells).any()
    assert (lose(x, "others", mask, 0).cells != lost.cells).any()
    z = standardised(x)
    for j, (reason, direction) in enumerate(zip(lost.reason, lost.direction, strict=True)):
        gone, left = z[lost.cells[:, j], j], z[~lost.cells[:, j], j]
        if reason == "cliff":
            assert (direction * gone).min() > (direction * left).max()
        if reason == "soft":
            assert direction * (gone.mean() - left.mean()) > 0.5
        if reason == "both":
            assert direction == 0 and gone.std() > 1.2 * left.std()
    if mask in ("mcar", "mar", "muzellec"):
        assert set(lost.reason) == {"none"}
    everywhere = ("mcar", "muzellec", "soft-high", "soft-low", "soft-mixed", "both-tails")
    assert lost.cells.any(0).all() == (mask in everywhere)


def test_what_is_lost_at_random_depends_on_complete_columns_alone() -> None:
    x = normals()
    cells_lost = lose(x, "normals", "mar", 0).cells
    complete = ~cells_lost.any(0)
    assert complete.sum() == 2
    j = int(np.flatnonzero(~complete)[0])
    design = np.column_stack([standardised(x)[:, complete], standardised(x)[:, j], np.ones(len(x))])
    weights = np.linalg.lstsq(design, cells_lost[:, j].astype(float), rcond=None)[0]
    assert abs(weights[2]) < 0.05 < np.abs(weights[:2]).max()


def test_the_seed_table_has_the_published_rates(data_folder: Path) -> None:
    rates = {"banknote": 0.618, "concrete": 0.503, "breast": 0.436, "white": 0.446}
    means = {"banknote": 1.546, "concrete": 1.329, "breast": 1.548, "white": 1.460}
    for table, rate in rates.items():
        x = complete_table(table, data_folder, inputs_only=True)
        lost = lose(x.to_numpy(), table, "seed", 0).cells
        # Of four columns, a row in six lost everything and got one value back.
        assert lost.mean() == pytest.approx(rate, abs=0.04 if table == "banknote" else 0.02)
        assert not lost.all(1).any()
        found = run_row(TableRow(table, "seed", "mean", 0), data_folder)["rmse"]
        assert found == pytest.approx(means[table], abs=0.1)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no mask 'rain'"):
        lose(normals(), "normals", "rain", 0)
    with pytest.raises(InvalidInputError, match="no curve"):
        lose(normals(), "normals", "seed", 0)
    with pytest.raises(InvalidInputError, match="methods holds 'magic'"):
        FIELD.rows({"methods": ["magic"]})
    with pytest.raises(InvalidInputError, match="no row"):
        FIELD.rows({"tables": ["airfoil"], "masks": ["seed"]})


def test_the_parts_make_the_whole() -> None:
    every = FIELD.rows({"methods": [*BASELINES, *MODELS]})
    assert len(set(map(str, every))) == len(every)
    chosen = {"tables": ["concrete"], "masks": ["mcar", "mar"], "methods": ["auto", "ignorable"]}
    one = FIELD.rows(chosen, seeds=[0])
    assert {(row.mask, row.method) for row in one} == {(m, a) for m in ("mcar", "mar") for a in ("auto", "ignorable")}
    assert all(row in every for row in one)
    assert {row.table for row in every} == set(NAMES)
    assert not [row for row in every if row.method == "auto-told" and row.mask == "mcar"]


def test_scores_of_known_draws() -> None:
    rng = np.random.default_rng(1)
    n, m = 4000, 100
    complete = rng.normal(5.0, 2.0, size=(n, 1))
    observed = np.zeros((n, 1), dtype=bool)
    observed[: n // 2] = True
    draws = np.where(observed, complete, rng.normal(5.0, 2.0, size=(m, n, 1)))
    point = np.where(observed, complete, 5.0)
    points = point_scores(complete, point, observed)
    assert points["rmse"] == pytest.approx(1.0, abs=0.04) and points["mae"] == pytest.approx(0.798, abs=0.03)
    scores = draw_scores(complete, draws, observed, points["mae"])
    # Known: the CRPS of a standard normal forecast that is right is 1/sqrt(pi), its 90 % interval is 3.29 wide.
    assert scores["crps"] == pytest.approx(0.564, abs=0.02)
    assert scores["cover90"] == pytest.approx(0.9, abs=0.02) and scores["width90"] == pytest.approx(3.29, abs=0.1)
    assert scores["mean_cover95"] == 1.0
    few = draw_scores(complete, draws[:20], observed, None)
    assert few["cover90"] == pytest.approx(0.9, abs=0.02) and few["crps"] == pytest.approx(scores["crps"], abs=0.01)
    assert draw_scores(complete, draws[:5], observed, None)["cover90"] is None
    moved = draw_scores(complete, np.where(observed, complete, draws + 1.0), observed, None)
    assert moved["mean_cover95"] == moved["mean_cover_cells"] == 0.0 and moved["crps"] > 0.6
    without = draw_scores(complete, None, observed, 0.8)
    assert without["crps"] == 0.8 and without["cover90"] is None


def test_cover_is_told_apart_in_columns_that_keep_too_few_values_to_judge() -> None:
    """Of three levels the uppermost is lost whole: no draw can be right there, and every one is in the other column."""
    rng = np.random.default_rng(0)
    complete = np.column_stack([rng.normal(size=400), rng.integers(3, size=400)]).astype(float)
    observed = np.column_stack([complete[:, 0] < 1.0, complete[:, 1] < 2.0])
    draws = np.repeat(np.where(observed, complete, [0.0, 1.0])[None], 99, axis=0)
    draws[:, ~observed[:, 0], 0] = np.linspace(0.0, 9.0, 99)[:, None]
    scores = covers_where_told(complete, draws, observed)
    n_lost = (~observed).sum(0)
    assert scores["cover90_many"] == 1.0 and draw_scores(complete, draws, observed, None)["cover90"] < 0.6
    assert scores["missing_few"] == n_lost[1] / n_lost.sum()
    assert covers_where_told(complete, None, observed)["cover90_many"] is None
    of_few = covers_where_told(complete[:, 1:], draws[:, :, 1:], observed[:, 1:])
    assert of_few["missing_few"] == 1.0 and of_few["mean_cover95_many"] is None


def test_negative_values_are_impossible_where_there_are_none() -> None:
    complete = np.array([[1.0, -1.0], [2.0, 1.0]])
    filled = np.array([[-1.0, -1.0], [2.0, -3.0]])
    observed = np.array([[False, True], [True, False]])
    assert point_scores(complete, filled, observed)["impossible"] == 0.5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", [name for name in BASELINES if name != "miceforest"])
def test_a_baseline_completes_a_table(name: str) -> None:
    x = pd.DataFrame(normals(200, 4) * [1, 10, 100, 1000], columns=list("abcd"))
    holed = x.mask(lose(x.to_numpy(), "normals", "mcar", 0).cells)
    imputed = baseline(name, holed, 0)
    seen = holed.notna().to_numpy()
    assert np.isfinite(imputed.point).all() and np.allclose(imputed.point[seen], x.to_numpy()[seen])
    assert (imputed.draws is not None) == (name == "mice")
    if imputed.draws is not None:
        assert imputed.draws.shape == (MICE_DRAWS, 200, 4) and imputed.draws[:, ~seen].std(0).min() > 0


@pytest.mark.skipif(not has_miceforest(), reason="the extra 'bench' is not installed")
@pytest.mark.filterwarnings("ignore")
def test_miceforest_completes_a_table() -> None:
    x = pd.DataFrame(normals(150, 3), columns=["a [1]", "b{2}", "c"])
    holed = x.mask(lose(x.to_numpy(), "normals", "mcar", 0).cells)
    imputed = baseline("miceforest", holed, 0)
    assert imputed.draws is not None and np.isfinite(imputed.draws).all()


def test_r_is_the_error_beside_the_best_reference() -> None:
    lines = frame(
        [
            record("red", "mcar", "mean", 1.0),
            record("red", "mcar", "mice", 0.8),
            record("red", "mcar", "knn", 0.4),
            record("red", "mcar", "auto", 0.6),
            record("red", "mcar", "auto", 0.7, seed=1),
        ]
    )
    assert lines["r"].tolist()[:4] == pytest.approx([1.25, 1.0, 0.5, 0.75]) and np.isnan(lines["r"][4])
    assert summary(lines).set_index("method").loc["auto", "r_worst"] == pytest.approx(0.75)
    assert cells(lines)["method"].tolist() == ["mean", "knn", "mice", "auto"]


def test_tables_and_picture_are_written(tmp_path: Path) -> None:
    records = [
        record("red", mask, method, 1.0) for mask in ("mcar", "soft-low") for method in ("mice", "auto", "forest")
    ]
    records += [record("white", "seed", "self-masking", 0.9)]
    written = write_tables(records, tmp_path)
    assert {path.name for path in written} == {"cells.csv", "summary.csv", "table.md", "winners.png", "seed.md"}
    assert "| mcar | 1.00 / 1.00 | 1.00 / 1.00 | 1.00 / 1.00 |" in (tmp_path / "table.md").read_text()
    assert "0.900 [1] (0.950)" in (tmp_path / "seed.md").read_text()
    assert (tmp_path / "winners.png").stat().st_size > 5_000


def test_a_part_runs_and_goes_on(tmp_path: Path, data_folder: Path) -> None:
    one, other = (
        FIELD.reproduce(
            tmp_path,
            {"tables": ["health"], "masks": ["mcar"], "methods": methods},
            quick=True,
            data_home=data_folder,
            workers=1,
        )
        for methods in (["mean"], ["knn", "ignorable"])
    )
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3
    assert "| mask | mean | knn | ignorable |" in (tmp_path / "table.md").read_text()
    assert tmp_path / "winners.png" in other and one == other


def test_the_command_takes_parts_and_names_what_it_does_not_know(tmp_path: Path) -> None:
    for words, message in (
        (["field", "--tables", "red, zoo"], "tables holds 'zoo'"),
        (["field", "--seeds", "one"], "seeds are 'one'"),
        (["mixed", "--masks", "mcar,rain"], "masks holds 'rain'"),
    ):
        result = CliRunner().invoke(app, ["reproduce", *words, "--out", str(tmp_path)])
        assert result.exit_code == 1 and message in " ".join(result.output.split())


@pytest.mark.slow
def test_the_quick_form_runs(tmp_path: Path, data_folder: Path) -> None:
    FIELD.reproduce(tmp_path, {}, quick=True, data_home=data_folder, workers=2)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(FIELD.rows({}, quick=True))
