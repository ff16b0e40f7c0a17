"""Workers that were forked while torch had threads are told so; others, and those of joblib and DataLoader, work."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parents[2]

START = """
    import os, sys, time
    import numpy as np
    import torch
    torch.set_num_threads(1)
    from pyro_mnar.errors import ForkedProcessError
    from tests.support.estimators import small_imputer, table
    X = table()

    def use_threads():
        torch.set_num_threads(2)
        torch.ones(1_000_000).tanh().sum()

    def answer_of_child(work):
        read, write = os.pipe()
        if (child := os.fork()) == 0:
            os.write(write, work().encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            found = pipe.read()
        os.waitpid(child, 0)
        return found

    def fit():
        try:
            return repr(small_imputer().fit(X).transform(X).sum())
        except ForkedProcessError as error:
            return str(error)
"""


def run(body: str) -> str:
    code = textwrap.dedent(START) + textwrap.dedent(body)
    # Threads that have nothing to do sleep at once: a machine may be busy.
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=250, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_forked_worker_is_told() -> None:
    found = run(
        """
        imputer, alone_before = small_imputer().fit(X), fit()
        use_threads()

        def ask():
            try:
                return repr(imputer.posterior(X).mean().sum())
            except ForkedProcessError as error:
                return str(error)

        def alone():
            torch.set_num_threads(1)
            return fit()

        print(answer_of_child(fit))
        print(answer_of_child(ask))
        print(answer_of_child(alone) == alone_before)
        print(answer_of_child(lambda: answer_of_child(ask)))
        """
    ).splitlines()
    for line in (found[0], found[1], found[3]):
        assert "forked from one in which torch had started threads" in line
        assert "torch.set_num_threads(1)" in line and "spawn" in line and "loky" in line
    assert found[2] == "True"


def test_a_worker_that_was_forked_before_works() -> None:
    assert run("print(answer_of_child(fit) == fit())") == "True\n"


def test_joblib_and_a_loader_of_torch_work() -> None:
    found = run(
        """
        from joblib import Parallel, delayed
        from torch.utils.data import DataLoader, Dataset

        class Completed(Dataset):
            def __init__(self, imputer): self.imputer = imputer
            def __len__(self): return 3
            def __getitem__(self, i): return self.imputer.transform(X[i : i + 1])[0]

        imputer = small_imputer().fit(X)
        use_threads()
        answers = Parallel(n_jobs=2)(delayed(imputer.transform)(X) for _ in range(2))
        print(all(np.allclose(answer, imputer.transform(X), rtol=1e-5) for answer in answers))
        rows = np.vstack(list(DataLoader(Completed(imputer), num_workers=1)))
        print(np.allclose(rows, imputer.transform(X[:3]), rtol=1e-5))
        """
    )
    assert found == "True\nTrue\n"
