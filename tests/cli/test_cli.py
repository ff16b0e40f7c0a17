"""The command line: what it writes, and one clear line for every fault."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from pyro_mnar.cli import app


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, with survey.csv in it; high incomes are missing."""
    generator = np.random.default_rng(0)
    age = generator.integers(20, 70, 80)
    income = 1000.0 + 30.0 * age + generator.normal(0, 300, 80)
    shown = ["" if value > 2500 else f"{value:.2f}" for value in income]
    rows = [f"{a},{i},p{n:03d}" for n, (a, i) in enumerate(zip(age, shown, strict=True))]
    (tmp_path / "survey.csv").write_text("\n".join(["age,income,person", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch):
    """Run the command line in this process; torch's thread count, which it sets, is put back."""
    n_threads = torch.get_num_threads()
    yield lambda *arguments: CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    torch.set_num_threads(n_threads)


QUICK = ("--max-iter", "2", "--n-draws", "20")
SURVEY = ("impute", "survey.csv", "--out", "completed.csv", "--exclude", "person", *QUICK)


def read_cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_impute_fills_the_holes_and_nothing_else(folder: Path, run) -> None:
    result = run(*SURVEY, "--direction", "income=high", "--report", "mechanism.csv")
    assert result.exit_code == 0, result.stderr
    before, after = read_cells(folder / "survey.csv"), read_cells(folder / "completed.csv")
    assert len(before) == len(after)
    n_filled = 0
    for old, new in zip(before, after, strict=True):
        for old_cell, new_cell in zip(old, new, strict=True):
            if old_cell:
                assert new_cell == old_cell
            else:
                assert np.isfinite(float(new_cell))
                n_filled += 1
    assert f"Imputed {n_filled} cells in 1 of 2 columns" in result.stdout
    assert "income: values above" in result.stdout and "age" not in result.stdout
    report = pd.read_csv(folder / "mechanism.csv").set_index("feature")
    assert report.loc["income", "direction"] == "high"
    assert np.isnan(report.loc["age", "slope"])


def test_the_same_random_state_writes_the_same_file(folder: Path, run) -> None:
    texts = []
    for name, seed in (("a.csv", "1"), ("b.csv", "1"), ("c.csv", "2")):
        assert (
            run("impute", "survey.csv", "--out", name, "--exclude", "person", "--random-state", seed, *QUICK).exit_code
            == 0
        )
        texts.append((folder / name).read_text())
    assert texts[0] == texts[1] != texts[2]


def test_strategies_give_three_tables(folder: Path, run) -> None:
    texts = set()
    for strategy in ("mean", "median", "sample"):
        assert run(*SURVEY, "--force", "--strategy", strategy).exit_code == 0
        texts.add((folder / "completed.csv").read_text())
    assert len(texts) == 3


def test_other_separators_and_signs_of_missing(folder: Path, run) -> None:
    (folder / "other.csv").write_text('a;b\n1;-999\n2;"3"\n3;?\n4;5\n', encoding="utf-8-sig")
    options = ("--sep", ";", "--na-values", "-999", "--na-values", "?")
    assert run("impute", "other.csv", "--out", "out.csv", *options, *QUICK).exit_code == 0
    lines = (folder / "out.csv").read_text().splitlines()
    assert lines[0] == "\ufeffa;b" and lines[2] == "2;3" and "-999" not in lines[1] and "?" not in lines[3]


def test_a_table_without_missing_cells_is_copied(folder: Path, run) -> None:
    (folder / "full.csv").write_bytes(b"a,b\r\n1,x\r\n")
    result = run("impute", "full.csv", "--out", "copy.csv", "--exclude", "b")
    assert result.exit_code == 0
    assert (folder / "copy.csv").read_bytes() == b"a,b\r\n1,x\r\n"
    assert "copy" in result.stdout


@pytest.mark.parametrize("hole", ["1", ""])
def test_a_sign_of_missing_that_is_not_known_is_an_error_whatever_else_is_missing(folder: Path, run, hole: str) -> None:
    (folder / "signs.csv").write_text(f"a,b\n{hole},2\n3,?\n4,5\n")
    result = run("impute", "signs.csv", "--out", "o.csv", *QUICK)
    assert result.exit_code == 1 and "column 'b' holds '?' in line 3, which is not a finite number" in result.stderr
    assert not (folder / "o.csv").exists()
    assert run("impute", "signs.csv", "--out", "o.csv", "--na-values", "?", *QUICK).exit_code == 0


def test_an_end_of_line_within_a_cell_stays_within_it(folder: Path, run) -> None:
    (folder / "odd.csv").write_bytes(b'a,"b\rc"\n1,"2\r"\n,"3"\n"4\n",5\n')
    result = run("impute", "odd.csv", "--out", "o.csv", *QUICK)
    assert result.exit_code == 0, result.stderr
    rows = read_cells(folder / "o.csv")
    assert [rows[0], rows[1], rows[2][1:], rows[3]] == [["a", "b\rc"], ["1", "2\r"], ["3"], ["4\n", "5"]]


def test_holes_outside_the_model_alone_make_a_copy(folder: Path, run) -> None:
    (folder / "full.csv").write_text("a,b\n1,\n2,x\n")
    result = run("impute", "full.csv", "--out", "copy.csv", "--exclude", "b")
    assert result.exit_code == 0 and "is a copy" in result.stdout
    assert (folder / "copy.csv").read_bytes() == (folder / "full.csv").read_bytes()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("command", ["impute", "transform"])
def test_ends_of_lines_and_a_byte_order_mark_are_kept(folder: Path, run, end: bytes, mark: bytes, command: str) -> None:
    content = mark + end.join([b"a,b", b"1,2", b",3.50", b'"4",5e0', b"6,7", b""])
    (folder / "lines.csv").write_bytes(content)
    if command == "transform":
        assert run("fit", "lines.csv", "--out", "model", "--max-iter", "2").exit_code == 0
        done = run("transform", "model", "lines.csv", "--out", "o.csv", "--n-draws", "20")
    else:
        done = run("impute", "lines.csv", "--out", "o.csv", *QUICK)
    assert done.exit_code == 0, done.stderr
    found = (folder / "o.csv").read_bytes()
    lines = found.split(end)
    assert found.startswith(mark + b"a,b" + end) and found.count(b"\xef\xbb\xbf") == len(mark) // 3
    assert found.count(b"\n") == content.count(b"\n") and found.count(b"\r") == content.count(b"\r")
    assert [lines[1], lines[3], lines[4], lines[5]] == [b"1,2", b"4,5e0", b"6,7", b""]
    assert lines[2].endswith(b",3.50") and float(lines[2].split(b",")[0]) > 0


def customers(folder: Path) -> pd.DataFrame:
    """Write a table of text, days, counts and amounts with holes, and give it."""
    generator = np.random.default_rng(0)
    n = 120
    frame = pd.DataFrame(
        {
            "name": [f"p{k:03d}" for k in range(n)],
            "city": generator.choice(["Lima", "Oslo", "Rome"], n),
            "visits": generator.poisson(1.5, n).astype(str),
            "spend": np.where(generator.random(n) < 0.5, 0, generator.exponential(30, n).round(2)).astype(str),
            "since": (pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 300, n), "D")).astype(str),
            "answer": generator.choice(["no", "some", "much"], n),
            "zip": generator.choice(["0150", "0250", "0350"], n),
        }
    )
    frame = frame.mask(generator.random(frame.shape) < 0.15, "")
    frame.to_csv(folder / "customers.csv", index=False)
    return frame


TYPES = ("--types", "answer=ordinal(no|some|much)", "--types", "zip=nominal")


def test_text_days_and_counts_need_no_preparation(folder: Path, run) -> None:
    given = customers(folder)
    result = run("impute", "customers.csv", "--out", "completed.csv", "--mechanism", "ignorable", *TYPES, *QUICK)
    assert result.exit_code == 0, result.stderr
    completed = pd.read_csv(folder / "completed.csv", dtype=str, keep_default_na=False)
    seen = given != ""
    assert completed.where(seen, "").equals(given)
    # A name is not made up, everything else is there.
    assert completed["name"].equals(given["name"]) and (completed.drop(columns="name") != "").all(axis=None)
    assert (
        completed["city"].isin(["Lima", "Oslo", "Rome"]).all() and completed["zip"].isin(["0150", "0250", "0350"]).all()
    )
    assert completed["answer"].isin(["no", "some", "much"]).all()
    assert (
        completed["visits"].str.fullmatch(r"\d+").all() and completed["since"].str.fullmatch(r"\d{4}-\d\d-\d\d").all()
    )
    assert (completed["spend"].astype(float) >= 0).all()
    n_filled = int((~seen).drop(columns="name").sum().sum())
    assert f"Imputed {n_filled} cells in 6 of 7 columns" in result.stdout


def test_a_saved_model_reads_other_rows_as_it_read_its_own(folder: Path, run) -> None:
    given = customers(folder)
    fitted = run("fit", "customers.csv", "--out", "model", "--mechanism", "ignorable", *TYPES, "--max-iter", "2")
    assert fitted.exit_code == 0, fitted.stderr
    # Three rows whose codes alone do not show that they are labels.
    given.iloc[:3].assign(zip=["0150", "", "0250"]).to_csv(folder / "three.csv", index=False)
    result = run("transform", "model", "three.csv", "--out", "o.csv", "--n-draws", "20")
    assert result.exit_code == 0, result.stderr
    completed = pd.read_csv(folder / "o.csv", dtype=str, keep_default_na=False)
    assert completed["zip"].isin(["0150", "0250", "0350"]).all() and completed["zip"][0] == "0150"


FAULTS = {
    "text among numbers": (("impute", "mark.csv", "--out", "o.csv"), "column 'b' holds '?' in line 3"),
    "no day": (("impute", "days.csv", "--out", "o.csv"), "column 'a' holds '2024-13-01' in line 3, which is no day"),
    "kind of an unknown column": ((*SURVEY, "--types", "agee=count"), "unknown column 'agee'"),
    "no kind": ((*SURVEY, "--types", "age=cuont"), "the kind 'cuont' cannot be read; give one of"),
    "kind twice": ((*SURVEY, "--types", "age=count", "--types", "age=count"), "'age' twice"),
    "impossible kind": ((*SURVEY, "--types", "income=bounded(0, 1)"), "declares column 'income' as Bounded"),
    "empty file": (("impute", "empty.csv", "--out", "o.csv"), "empty.csv is empty"),
    "header only": (("impute", "header.csv", "--out", "o.csv"), "no rows"),
    "missing file": (("impute", "nowhere.csv", "--out", "o.csv"), "nowhere.csv: No such file"),
    "a folder as data": (("impute", ".", "--out", "o.csv"), "Is a directory"),
    "no such folder for the output": (("impute", "survey.csv", "--out", "no/o.csv"), "no is not a folder; make it fir"),
    "a device as output": (("impute", "survey.csv", "--out", "/dev/null"), "not a file"),
    "output exists": (("impute", "survey.csv", "--out", "twice.csv"), "--force"),
    "one path for both": ((*SURVEY, "--report", "completed.csv"), "give two paths"),
    "binary file": (("impute", "binary.csv", "--out", "o.csv"), "not UTF-8"),
    "wrong separator": (("impute", "semicolon.csv", "--out", "o.csv"), "--sep ';'"),
    "uneven line": (("impute", "uneven.csv", "--out", "o.csv"), "line 3 has 3 cells, the header 2"),
    "open quote": (("impute", "quote.csv", "--out", "o.csv"), "cannot be read"),
    "name twice": (("impute", "twice.csv", "--out", "o.csv"), "column 'a' more than once"),
    "infinite": (("impute", "infinite.csv", "--out", "o.csv"), "'inf' in line 3"),
    "long separator": (("impute", "survey.csv", "--out", "o.csv", "--sep", "::"), "one character"),
    "unknown excluded column": ((*SURVEY, "--exclude", "agee"), "unknown column 'agee'"),
    "nothing left": ((*SURVEY, "--exclude", "age", "--exclude", "income"), "no column"),
    "direction of an unknown column": ((*SURVEY, "--direction", "incom=high"), "unknown column 'incom'"),
    "direction unreadable": ((*SURVEY, "--direction", "income=up"), "cannot be read"),
    "direction twice": ((*SURVEY, "--direction", "income=low", "--direction", "income=high"), "twice"),
    "direction without self-masking": ((*SURVEY, "--mechanism", "linear", "--direction", "high"), "self-masking"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_gives_one_clear_line_and_leaves_nothing_behind(folder: Path, run, case: str) -> None:
    arguments, expected = FAULTS[case]
    (folder / "empty.csv").write_text("")
    (folder / "header.csv").write_text("a,b\n")
    (folder / "binary.csv").write_bytes(b"a,b\n\xff\xfe\x00,1\n")
    (folder / "semicolon.csv").write_text("a;b\n1;\n")
    (folder / "uneven.csv").write_text("a,b\n1,\n1,2,3\n")
    (folder / "quote.csv").write_text('a,b\n1,"\n')
    (folder / "twice.csv").write_text("a,a\n1,\n")
    (folder / "infinite.csv").write_text("a,b\n1,2\ninf,\n3,4\n")
    (folder / "mark.csv").write_text("a,b\n1,2\n,?\n3,4\n")
    (folder / "days.csv").write_text("a,b\n2024-12-01,2\n2024-13-01,\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    result = run(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("pyro-mnar: ") and result.stderr.count("\n") == 1
    assert expected in result.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


INPUTS = {
    "the table": ("survey.csv", "survey.csv"),
    "through a folder": ("survey.csv", "sub/../survey.csv"),
    "absolute": ("survey.csv", "{folder}/survey.csv"),
    "through a link": ("survey.csv", "link.csv"),
    "a link as data": ("link.csv", "survey.csv"),
    "through a link to the folder": ("survey.csv", "here/survey.csv"),
    "a second name": ("survey.csv", "hard.csv"),
    "another case": ("survey.csv", "Survey.CSV"),
}


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize("case", INPUTS)
def test_no_output_is_an_input(folder: Path, run, case: str, option: str) -> None:
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to("survey.csv")
    (folder / "here").symlink_to(".", target_is_directory=True)
    os.link(folder / "survey.csv", folder / "hard.csv")
    before = (folder / "survey.csv").read_bytes()
    data, given = (text.format(folder=folder) for text in INPUTS[case])
    more = ("--out", "o.csv") if option == "--report" else ()
    result = run("impute", data, "--exclude", "person", *QUICK, "--force", *more, option, given)
    assert result.exit_code == 1
    assert "which is read; give the output a path of its own" in result.stderr
    assert (folder / "survey.csv").read_bytes() == before
    assert not (folder / "o.csv").exists()


def test_two_outputs_that_differ_in_case_alone(folder: Path, run) -> None:
    result = run(*SURVEY, "--report", "./Completed.csv", "--force")
    assert result.exit_code == 1 and "give two paths" in result.stderr


def test_force_replaces_the_file(folder: Path, run) -> None:
    (folder / "completed.csv").write_text("old")
    assert run(*SURVEY).exit_code == 1
    assert (folder / "completed.csv").read_text() == "old"
    assert run(*SURVEY, "--force").exit_code == 0
    assert (folder / "completed.csv").read_text().startswith("age,income,person")


def test_an_unexpected_error_is_one_line_too(folder: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of all things\nhere")

    monkeypatch.setattr("pyro_mnar.estimators.MNARImputer.fit", broken)
    result = run(*SURVEY)
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert "unexpected ZeroDivisionError: of all things here" in result.stderr
    assert not (folder / "completed.csv").exists()


def test_a_full_disk_leaves_the_old_file(folder: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (folder / "completed.csv").write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    result = run(*SURVEY, "--force")
    assert result.exit_code == 1 and "No space left on device" in result.stderr
    assert (folder / "completed.csv").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["completed.csv", "survey.csv"]


def test_ctrl_c_ends_at_once_without_a_traceback(folder: Path) -> None:
    code = "from pyro_mnar.cli import app; print('ready', flush=True); app()"
    command = [sys.executable, "-c", code, *SURVEY[:6], "--max-iter", "1000000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    # However long Python takes to start on a busy machine.
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(6)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "pyro-mnar: interrupted; unfinished files were removed\n"
    assert [path.name for path in folder.iterdir()] == ["survey.csv"]


def test_help_and_version(run) -> None:
    for arguments in (["--help"], ["impute", "--help"], ["demo", "--help"]):
        result = run(*arguments)
        assert result.exit_code == 0 and "Usage" in result.stdout
    assert run("--version").stdout.startswith("pyro-mnar ")


def test_the_command_line_answers_without_loading_torch() -> None:
    check = "import sys, pyro_mnar.cli; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    root = str(Path(__file__).resolve().parents[2])
    assert subprocess.run([sys.executable, "-c", check], cwd=root, timeout=60).returncode == 0
