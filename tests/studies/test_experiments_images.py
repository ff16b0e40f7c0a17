"""The image study on a handful of patches: every method's row, and what is written from the rows."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.studies.images import ImageRow, image_study, write_results
from pyro_mnar.studies.images.rows import (
    LEARNED,
    MEAN,
    MIWAE,
    ORACLE_CONSTANT,
    ORACLE_PIXEL,
    SIMPLE,
    TRUE_B,
    TRUE_W,
    clip,
    load,
    run_row,
)
from pyro_mnar.studies.study import Record, row_settings


@pytest.fixture(scope="module")
def records() -> list[Record]:
    study = image_study("photo patches", quick=True)
    return [
        Record(row_settings(row), json.loads(json.dumps(study.run_row(row, None))), 1.0, 100.0, [], {})
        for row in (replace(row, max_iter=2) for row in study.rows)
    ]


def test_clipping_follows_its_curve() -> None:
    images = np.full((40, 100, 100), 0.76)
    p_lost = 1 / (1 + np.exp(TRUE_W * (0.76 - TRUE_B)))
    assert abs((~clip(images, np.random.default_rng(0)).observed).mean() - p_lost) < 4 * 0.5 / 400_000**0.5


def test_same_seed_same_clipping_for_every_method_and_enough_is_left() -> None:
    rows = [replace(row, size=16) for row in image_study("photo patches", quick=True).rows[:2]]
    (train, test), (again, _) = (load(row, None) for row in rows)
    assert np.array_equal(train.observed, again.observed)
    assert len(test.images) == 32 and test.observed.mean((1, 2)).min() >= rows[0].min_seen
    assert not np.array_equal(load(replace(rows[0], seed=1), None)[0].observed, train.observed)


def test_rows_of_the_full_study_differ_and_cover_three_seeds() -> None:
    rows = image_study("celeba").rows
    assert {row.seed for row in rows} == {0, 1, 2}
    assert {row.method for row in rows} > {MIWAE, LEARNED, *SIMPLE}
    assert all(row.data == "celeba" for row in rows)


def test_rows_hold_what_the_tables_need(records: list[Record]) -> None:
    by_method = {record.spec["method"]: record.result for record in records}
    for method, result in by_method.items():
        assert np.isfinite(result["rmse"]) and sum(result["imputed_counts"]) == result["n_missing"]
        assert ("bound" in result) == (method not in SIMPLE)
    path = by_method[LEARNED]["path"]
    assert abs(path["W"][0] + 1) < 0.3 and abs(path["b"][0] - 0.5) < 0.15
    assert by_method[ORACLE_PIXEL]["rmse"] <= by_method[ORACLE_CONSTANT]["rmse"] < by_method[MEAN]["rmse"]
    assert by_method[LEARNED]["rmse"] < by_method[MIWAE]["rmse"]


def test_results_are_written_from_the_records(records: list[Record], tmp_path: Path) -> None:
    table = write_results(records, tmp_path)
    written = pd.read_csv(tmp_path / "summary.csv")
    assert list(written.columns[:10]) == [
        *("data", "method", "rmse_mean", "rmse_se", "W", "b", "bound", "seconds", "device", "n_seeds")
    ]
    assert len(table) == len(records)
    for name in ("mechanism.png", "histograms.png", "grid.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert "W and b learned" in (tmp_path / "README.md").read_text()
    assert len(json.loads((tmp_path / "settings.json").read_text())) == len(records)


def test_no_picture_of_a_face_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "celeba"
    folder.mkdir()
    random = np.random.default_rng(0)
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        lines = []
        for k in range(40):
            file = BytesIO()
            Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file, "PNG")
            archive.writestr(f"img_align_celeba/{k:06d}.jpg", file.getvalue())
            lines.append(f"{k:06d}.jpg {2 if k % 4 == 0 else 0}")
    (folder / "list_eval_partition.txt").write_text("\n".join(lines))
    row = replace(image_study("celeba", quick=True).rows[0], n_train=None, n_test=None, max_iter=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
        result = run_row(row, folder)
    assert "pictures" not in result and "W" in result


@pytest.mark.parametrize("wrong", [{"data": "svhn"}, {"method": "magic"}])
def test_unknown_names(wrong: dict[str, str]) -> None:
    row = replace(ImageRow("photo patches", LEARNED, 0, size=16, n_train=20, n_test=4), **wrong)
    with pytest.raises(InvalidInputError, match="it must be"):
        run_row(row, None)


def test_the_command_without_the_data_says_where_to_get_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["reproduce", "celeba", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert result.exit_code != 0 and "not downloaded for you" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
