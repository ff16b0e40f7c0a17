"""A check that cannot fail is a defect: faults in the formulas, one at a time, must turn the fast tests red."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mutants import MUTANTS, Mutant
from tests.support.validation import record

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_what_a_mutant_changes_is_there_once(mutant: Mutant) -> None:
    assert (ROOT / "pyro_mnar" / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
    assert (ROOT / "tests" / mutant.tests).exists()


def survives(mutant: Mutant, folder: Path) -> bool:
    """Whether the tests pass on a copy of the package with the fault in it."""
    for name in ("pyro_mnar", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    path = folder / "pyro_mnar" / mutant.file
    path.write_text(path.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
    command = [*(sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-m", "not slow"), f"tests/{mutant.tests}"]
    environment = os.environ | {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout[-2000:]
    return done.returncode == 0


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_no_mutant_survives(tmp_path: Path) -> None:
    # Red for another reason than the fault would count as found: without it the same files must be green.
    sound = {mutant.tests: mutant._replace(new=mutant.old) for mutant in MUTANTS.values()}
    assert all(survives(mutant, tmp_path / f"sound {k}") for k, mutant in enumerate(sound.values()))
    survivors = [name for k, (name, mutant) in enumerate(MUTANTS.items()) if survives(mutant, tmp_path / str(k))]
    figure = f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} killed" + (
        f"; alive: {survivors}" if survivors else ""
    )
    record("faults put into formulas: found by the fast tests", figure, "all", not survivors)
    assert survivors == []
