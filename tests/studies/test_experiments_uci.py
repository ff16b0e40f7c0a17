"""The UCI study: its protocol, its tables and figure, and its quick form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyro_mnar import MNARImputer
from pyro_mnar.model.mechanisms import SelfMasking
from pyro_mnar.studies.study import Record, row_settings
from pyro_mnar.studies.uci.design import UCIRow, quick_rows, study_rows
from pyro_mnar.studies.uci.row import decoder_means, masked_table, run_row
from pyro_mnar.studies.uci.study import reproduce_uci
from pyro_mnar.studies.uci.tables import summary, write_tables


def record(method: str, seed: int, rmse: float, part: str = "methods") -> Record:
    histogram = {"a": {"edges": [-1.0, 0.0, 1.0], "observed": [3, 0], "true": [0, 2], "imputed": [0, 2]}}
    result = {"rmse": rmse, "bound": -1.0, "coverage90": 0.9, "histograms": histogram}
    return Record(row_settings(UCIRow("banknote", method, seed, part)), result, 2.0, 1.0, [], {})  # type: ignore[arg-type]


def test_the_protocol_is_the_published_one() -> None:
    masked = masked_table("breast_cancer")
    lost = masked.complete > masked.complete.mean(0)
    lost[:, 15:] = False
    assert ((~masked.observed) == lost).all()
    # The published figure for the mean is 1.82.
    assert run_row(UCIRow("breast_cancer", "mean", 0), None)["rmse"] == pytest.approx(1.82, abs=0.005)


def test_the_authors_average_leaves_out_what_the_mask_says() -> None:
    x = np.random.default_rng(0).normal(size=(150, 1)) + 0.7 * np.random.default_rng(1).normal(size=(150, 3))
    x[:, :1][x[:, :1] > 0.3] = np.nan
    known = SelfMasking(direction="high")
    imputer = MNARImputer(known, hidden_units=(8,), max_iter=30, n_draws_posterior=99, random_state=0).fit(x)
    means, again = (decoder_means(imputer, x, 50, seed=3) for _ in range(2))
    hidden = np.isnan(x)
    assert np.array_equal(means[~hidden], x[~hidden]) and np.array_equal(means, again)
    # High values go missing: decoder means are too low.
    assert (imputer.transform(x) - means)[hidden].mean() > 0.05


def test_means_and_standard_errors_over_seeds() -> None:
    table = summary([record("miwae", 0, 1.0), record("miwae", 1, 2.0), record("mean", 0, 3.0)])
    assert list(table["method"]) == ["mean", "miwae"]
    assert table.loc[1, ["rmse_mean", "rmse_se", "n_seeds"]].tolist() == pytest.approx([1.5, 0.5, 2])


def test_tables_and_figure_are_written(tmp_path: Path) -> None:
    written = write_tables([record("default", 0, 0.5), record("base", 0, 0.6, "ablation")], tmp_path)
    assert {path.name for path in written} == {"summary.csv", "table.md", "ablation.csv", "distributions.png"}
    assert all(path.stat().st_size > 0 for path in written)
    assert "| default | 0.500 [1] |" in (tmp_path / "table.md").read_text()
    assert "| best published | 0.57 |" in (tmp_path / "table.md").read_text()


def test_the_study_has_every_method_on_every_data_set() -> None:
    rows = study_rows()
    keys = {(row.dataset, row.method) for row in rows if row.part == "methods"}
    assert len(keys) == 5 * 14
    assert len({row.seed for row in rows}) == 5


@pytest.mark.slow
def test_the_quick_form_runs(tmp_path: Path, data_folder: Path) -> None:
    home = data_folder / "uci" if (data_folder / "uci").is_dir() else data_folder
    reproduce_uci(tmp_path, quick=True, data_home=home, workers=2)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == len(quick_rows())
    assert (tmp_path / "table.md").exists()
