"""The runner: rows in parallel processes, records, failures, and going on after an interruption."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from pyro_mnar.errors import FileFormatError, InvalidInputError, StudyError
from pyro_mnar.studies.records import append_record, drop_unfinished_line, read_records, write_files
from pyro_mnar.studies.runner import ROWS_FILE, run_study
from pyro_mnar.studies.study import Record, Study, row_key
from tests.support.studies import Task, overlap, run_task
from tests.support.validation import record


def silent() -> Console:
    return Console(file=io.StringIO())


def study(*tasks: Task) -> Study[Task]:
    return Study("test", tasks, run_task)


def test_rows_are_run_recorded_and_not_run_again(tmp_path: Path) -> None:
    out = io.StringIO()
    trace = str(tmp_path / "trace")
    rows = (Task(3, trace=trace), Task(0, "fail", trace), Task(2, "warn", trace), Task(1, "allocate", trace))
    with pytest.raises(StudyError, match=r"(?s)1 of 4 rows.*no result for 0"):
        run_study(study(*rows), tmp_path, data_home=Path("there"), workers=1, console=Console(file=out))
    assert "4/4" in out.getvalue() and "seed=3" in out.getvalue()
    records = read_records(tmp_path / ROWS_FILE)
    assert [r.spec["seed"] for r in records] == [3, 2, 1]
    assert [r.result["square"] for r in records] == [9, 4, 1]
    assert {r.result["data"] for r in records} == {"there"}
    assert all(r.result["process"] != os.getpid() for r in records)
    assert [r.warnings for r in records] == [[], ["UserWarning: look here"], []]
    assert all(r.seconds >= 0 and r.versions["torch"] and r.versions["pyro-mnar"] for r in records)
    # The mark is the row's own: 64 MiB more for the row that takes them.
    assert 40 < records[2].peak_memory_mb - records[1].peak_memory_mb < 90

    finished = study(*rows[:1], *rows[2:])
    quiet = io.StringIO()
    assert run_study(finished, tmp_path, workers=1, console=Console(file=quiet)) == records
    assert quiet.getvalue() == ""

    with pytest.raises(StudyError, match=r"a process .* died"):
        run_study(study(*rows[:1], Task(5, "die", trace)), tmp_path, workers=1, console=silent())
    assert read_records(tmp_path / ROWS_FILE) == records
    assert Path(trace).read_text().split() == ["3", "0", "2", "1", "5"]


def test_rows_run_side_by_side(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    both = Study("overlap", (Task(1, trace=str(marks)), Task(2, trace=str(marks))), overlap)
    assert [r.result for r in run_study(both, tmp_path, workers=2, console=silent())] == [{"together": True}] * 2


@dataclass(frozen=True)
class Odd:
    value: object


def test_rows_must_be_distinct_and_hold_json() -> None:
    with pytest.raises(InvalidInputError, match="twice"):
        study(Task(1), Task(1))
    for value in (object(), float("nan"), {1, 2}):
        with pytest.raises(InvalidInputError, match="JSON cannot"):
            Study("odd", (Odd(value),), run_task)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="frozen dataclass"):
        Study("odd", ({"seed": 1},), run_task)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="at least 1"):
        run_study(study(Task(1)), Path("nowhere"), workers=0)


def test_a_line_cut_off_is_dropped_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / ROWS_FILE
    record = Record({"seed": 1}, {"rmse": 0.1}, 1.0, 2.0, [], {})
    append_record(path, record)
    with path.open("a") as file:
        file.write('{"spec": {"se')
    assert read_records(path) == [record]
    drop_unfinished_line(path)
    append_record(path, replace(record, spec={"seed": 2}))
    assert [r.spec["seed"] for r in read_records(path)] == [1, 2]
    path.write_text("nonsense\n" + path.read_text())
    with pytest.raises(FileFormatError, match="line 1"):
        read_records(path)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "table.md"
    assert write_files(tmp_path, {"table.md": "old"}) == [path]

    def breaks(file: Path) -> None:
        file.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_files(tmp_path, {"table.md": breaks})
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


SCRIPT = """
import sys
from pathlib import Path
from tests.support.studies import Task, run_task
from pyro_mnar.studies.runner import run_study
from pyro_mnar.studies.study import Study

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    trace = str(folder / "trace")
    tasks = (Task(1, trace=trace), Task(2, trace=trace), Task(3, does="wait", trace=trace))
    run_study(Study("test", tasks, run_task), folder, workers=1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path, how: signal.Signals) -> None:
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(root)}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)], env=environment, cwd=root, stderr=subprocess.DEVNULL
    )
    trace = tmp_path / "trace"
    deadline = time.monotonic() + 200
    rows = tmp_path / ROWS_FILE
    # The worker may start on the third row before the parent has written the second.
    while not (trace.exists() and "3" in trace.read_text() and rows.read_text().count("\n") == 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    # The third row would take ten minutes.
    assert process.wait(timeout=60) != 0
    records = read_records(tmp_path / ROWS_FILE)
    assert [r.result["square"] for r in records] == [1, 4]
    if how == signal.SIGINT:
        return
    tasks = (Task(1, trace=str(trace)), Task(2, trace=str(trace)), Task(4, trace=str(trace)))
    resumed = run_study(study(*tasks), tmp_path, workers=1, console=silent())
    assert resumed[:2] == records and resumed[2].result["square"] == 16
    assert trace.read_text().split() == ["1", "2", "3", "4"]


LONG_SCRIPT = """
import sys
from pathlib import Path
from tests.support.studies import Task, run_task
from pyro_mnar.studies.runner import run_study
from pyro_mnar.studies.study import Study

if __name__ == "__main__":
    print("running", flush=True)
    tasks = tuple(Task(seed, does="pause") for seed in range(400))
    run_study(Study("test", tasks, run_task), Path(sys.argv[1]), workers=int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_50_kills_of_a_study(tmp_path: Path) -> None:
    """Each row is there once at the end, and none that was written is lost."""
    root = Path(__file__).resolve().parents[2]
    script, rng, kills, rounds = tmp_path / "script.py", random.Random(0), 0, 0
    script.write_text(LONG_SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(root)}
    while kills < 50:
        folder, rounds, before = tmp_path / str(rounds), rounds + 1, list[Record]()
        command = [sys.executable, str(script), str(folder), str(1 + rounds % 2)]
        while True:
            process = subprocess.Popen(
                command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            assert process.stdout is not None and process.stdout.readline() == "running\n"
            process.stdout.close()
            try:
                assert process.wait(timeout=rng.uniform(0.1, 6.0)) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            # As a next run reads them: without a line that was cut off.
            rows = folder / ROWS_FILE
            if rows.exists():
                drop_unfinished_line(rows)
                found = read_records(rows)
                assert found[: len(before)] == before
                before = found
            if process.returncode == 0:
                break
        assert sorted(row.result["square"] for row in before) == [seed**2 for seed in range(400)]
        assert [path.name for path in folder.iterdir()] == [ROWS_FILE]
    record("kills of a study", f"{kills} kills, each row there once, none lost", "50, nothing lost", True)


def test_a_row_is_known_by_all_its_settings() -> None:
    assert row_key(Task(1)) == '{"does": "square", "seed": 1, "trace": ""}'
    assert row_key(Task(1)) != row_key(Task(1, does="warn"))
