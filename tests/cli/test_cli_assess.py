"""The command that goes from a file to a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.datasets.household import make_household_survey
from pyro_mnar.studies import environment
from tests.support.assessments import SMALL, short_fits


def test_assess_writes_a_page_and_the_completed_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr(environment, "limit_threads", threads.append)
    survey, _ = make_household_survey(100)
    data, out = tmp_path / "survey.csv", tmp_path / "out"
    survey.to_csv(data, index=False)
    command = ["assess", str(data), "--out", str(out), "--quantity", "income", "--exclude", "person"]
    with short_fits(SMALL._replace(slopes=(0.0,))):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 0, result.stderr
        assert threads == [1]
        said = [line.rstrip() for line in result.stdout.splitlines()]
        assert {"What was found", "What rests on assumption", "What to ask who knows the data"} <= set(said)
        assert said[-1].startswith("The page:")
        names = (
            "report.html completed.csv intervals.csv evidence.csv rows.csv checks.csv shifts.csv slopes.csv summary.txt"
        )
        assert set(names.split()) <= {path.name for path in out.iterdir()}
        completed, lines = (out / "completed.csv").read_text().splitlines(), data.read_text().splitlines()
        assert completed[0] == lines[0] and ",," not in "".join(completed) and len(completed) == len(lines)
    for folder, message in (
        (data, "is a file; give a folder"),
        (tmp_path, "holds survey.csv, which is read; give a folder of its own"),
    ):
        wrong = CliRunner().invoke(app, ["assess", str(data), "--out", str(folder)])
        assert wrong.exit_code == 1 and message in wrong.stderr and wrong.stderr.count("\n") == 1
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    wrong = CliRunner().invoke(app, ["assess", str(data), "--out", str(tmp_path / "full")])
    assert wrong.exit_code == 1 and "holds other files" in wrong.stderr
