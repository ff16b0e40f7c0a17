"""The demo: what it writes, what it says, and how it ends when it cannot go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.errors import StudyError
from pyro_mnar.studies import demo

#: Small enough for a test; the four features of the figure are in the half that loses values.
COLUMNS = [*demo.SHOWN, "mean area", "worst radius", "worst texture", "worst area", "worst symmetry", "area error"]


@pytest.fixture
def small_table(monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    table = demo.complete_table().loc[:99, COLUMNS]
    monkeypatch.setattr(demo, "complete_table", lambda: table)
    return table


def test_what_it_writes_and_says(tmp_path: Path, small_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(holed: pd.DataFrame, settings: demo.DemoSettings) -> Iterator[demo.Outcome]:
        return (demo.impute_with(method, holed, settings) for method in reversed(demo.METHODS))

    # Fresh processes would load torch each; the tests below have them.
    monkeypatch.setattr(demo, "_side_by_side", one_by_one)
    folder = tmp_path / "results" / "demo"
    result = CliRunner().invoke(app, ["demo", "--out", str(folder), "--max-iter", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(demo.FILES)
    summary = pd.read_csv(folder / "summary.csv")
    assert list(summary) == ["method", "rmse", "seconds"] and tuple(summary["method"]) == demo.METHODS
    holed = self_mask(small_table, columns="first-half")
    observed = holed.notna().to_numpy()
    error = (small_table - holed.mean()) / small_table.std(ddof=0)
    assert summary.loc[0, "rmse"] == pytest.approx(np.sqrt((error.to_numpy()[~observed] ** 2).mean()), abs=1e-4)
    mechanism = pd.read_csv(folder / "mechanism.csv")
    assert mechanism.groupby("model").size().to_dict() == {demo.KNOWN: 5, demo.UNKNOWN: 5}
    np.testing.assert_allclose(mechanism["true_threshold"][:5], small_table[COLUMNS[:5]].mean(), rtol=1e-5)
    assert (folder / "distributions.png").read_bytes().startswith(b"\x89PNG")
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["estimator"]["max_iter"] == 1 and settings["estimator"]["start"] == "cliff"
    assert "torch" in settings["versions"]
    for method in demo.METHODS:
        assert method in result.stdout
    assert "mean texture" in result.stdout and "threshold" in result.stdout


def test_the_holes_are_those_of_the_published_protocol() -> None:
    table = demo.complete_table()
    assert table.shape == (569, 30)
    observed = self_mask(table, columns="first-half").notna().to_numpy()
    assert observed[:, 15:].all()
    np.testing.assert_array_equal(observed[:, :15], (table <= table.mean()).to_numpy()[:, :15])


def test_an_output_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "file" / "demo")], catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1 and "Not a directory" in result.stderr


def dies(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_processes_side_by_side_give_what_they_give_one_by_one(small_table: pd.DataFrame) -> None:
    holed = self_mask(small_table, columns="first-half")
    settings = demo.DemoSettings(max_iter=1, workers=2)
    outcomes = {outcome.method: outcome for outcome in demo._side_by_side(holed, settings)}
    assert outcomes.keys() == set(demo.METHODS)
    for method in (demo.MEAN, demo.KNOWN):
        expected = demo.impute_with(method, holed, settings).completed
        pd.testing.assert_frame_equal(outcomes[method].completed, expected, rtol=1e-4)


@pytest.mark.slow
def test_a_process_that_dies_is_an_error_by_name(
    tmp_path: Path, small_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "impute_with", dies)
    with pytest.raises(StudyError, match="out of memory"):
        demo.run(demo.DemoSettings(workers=1), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_and_its_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from pyro_mnar.cli import app; app()", "demo", "--out", str(tmp_path / "demo")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    # A session of its own, so that the interrupt reaches the whole group as it does from a terminal.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    time.sleep(8)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.rstrip().endswith("pyro-mnar: interrupted; unfinished files were removed")
    assert "Traceback" not in errors
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("processes of the demo are left")
    assert not any((tmp_path / "demo").glob("*"))
