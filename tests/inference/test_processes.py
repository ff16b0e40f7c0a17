"""Several processes train what one does: the same weights and bound, a named error when one ends, and no guard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pyro_mnar.errors import InvalidInputError, LostProcessError, UnsupportedModelError
from pyro_mnar.inference import checkpoint, processes
from pyro_mnar.inference.history import History
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.processes import check_devices
from pyro_mnar.inference.team import Team
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.heads import GaussianHead
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Linear, SelfMasking
from pyro_mnar.numerics.random_streams import PartNoise
from tests.support.estimators import small_imputer, table
from tests.support.pairs import small_batch, small_joint

ROOT = Path(__file__).parents[2]
fabric = pytest.importorskip("lightning_fabric", reason="the extra 'parallel' is not installed")
pytestmark = pytest.mark.timeout(300)


def nobody() -> str:
    return "nobody is there"


def head() -> GaussianHead:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return GaussianHead(4, (4,), dropout=0.5)


#: Closed form; and all that is drawn beside z: missing cells, several per code, and a head's dropout.
KINDS: dict[str, Callable[[], tuple[Joint, Batch]]] = {
    "collapsed": lambda: (small_joint(SelfMasking()), small_batch(53)),
    "drawn": lambda: (small_joint(Linear(), head=head(), n_inner=2), small_batch(53, y="real")),
    "tilted": lambda: (small_joint(SelfMasking(), head=head()), small_batch(53, y="real")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_parts_of_a_batch_have_the_noise_of_the_whole(kind: str) -> None:
    joint, batch = KINDS[kind]()
    bound = ImportanceBound(5)

    def row_bounds(noise: torch.Generator, rows: Batch) -> torch.Tensor:
        joint.generator = noise
        return bound.row_bounds(joint.model, joint.guide, rows)

    whole_noise = torch.Generator().manual_seed(1)
    whole, found = row_bounds(whole_noise, batch), []
    for rank in range(3):
        noise = PartNoise(torch.device("cpu"))
        noise.manual_seed(1)
        rows, weight = Team(rank, 3, nobody).own_rows(batch, noise)
        assert weight == 1
        found.append(row_bounds(noise, rows))
        assert torch.equal(noise.get_state(), whole_noise.get_state())
    torch.testing.assert_close(torch.cat(found), whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n_rows", [1, 2, 7, 20])
def test_each_row_is_one_processs(size: int, n_rows: int) -> None:
    batch, noise = small_batch(n_rows), PartNoise(torch.device("cpu"))
    shares = [Team(rank, size, nobody).own_rows(batch, noise) for rank in range(size)]
    assert all(rows.n_rows > 0 for rows, _ in shares)
    assert torch.equal(torch.cat([rows.x for rows, weight in shares if weight]), batch.x)
    counts = [rows.n_rows if weight else 0 for rows, weight in shares]
    assert max(counts) - min(counts) <= 1


def test_two_processes_train_as_one() -> None:
    """The last batch of each pass has one row, so that one process has none of its own."""
    settings = FitSettings(4, 14, 5, gradient="dreg", validation_fraction=0.2, decoder_weight_decay=1.0)
    found = []
    for devices in (1, 2):
        joint, rows = KINDS["collapsed"]()
        threads, before = torch.get_num_threads(), dict(os.environ)
        history = fit(joint, rows, settings, devices=devices)
        assert torch.get_num_threads() == threads and not torch.distributed.is_initialized()
        assert {key: os.environ.get(key) for key in ("MASTER_PORT", "LOCAL_RANK")} == {
            key: before.get(key) for key in ("MASTER_PORT", "LOCAL_RANK")
        }
        found.append((joint.state_dict(), torch.tensor([history.bound, history.validation_bound])))
    assert 53 - int(0.2 * 53) == 3 * 14 + 1
    torch.testing.assert_close(found[1], found[0], rtol=1e-5, atol=1e-9)


def children() -> list[int]:
    """Processes that this one has started."""
    task = Path(f"/proc/self/task/{threading.main_thread().native_id}/children")
    return [int(number) for number in task.read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
def test_a_killed_process_is_named_and_the_run_goes_on_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the proof that the number of processes may change: what two began one ends."""
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    settings = FitSettings(8, 14, 5)
    whole, rows = KINDS["collapsed"]()
    expected = fit(whole, rows, settings)
    stopped, history, before = KINDS["collapsed"]()[0], History(), set(children())

    def kill(done: int, *_: Any) -> None:
        if done == 3:
            (other,) = set(children()) - before  # other tests of this process may have left some
            os.kill(other, signal.SIGKILL)

    with pytest.raises(LostProcessError, match="process 1 of 2 was ended by the signal SIGKILL"):
        fit(stopped, rows, settings, kill, history, tmp_path, devices=2)
    assert 3 <= history.n_iter < 8 and set(children()) <= before and not torch.distributed.is_initialized()
    assert all(weight.isfinite().all() for weight in stopped.state_dict().values())
    again = KINDS["collapsed"]()[0]
    passes: list[int] = []
    found = fit(again, rows, settings, lambda done, *_: passes.append(done), checkpoint_dir=tmp_path)
    assert passes[0] >= 3 and list(tmp_path.iterdir()) == []
    torch.testing.assert_close(again.state_dict(), whole.state_dict(), rtol=1e-5, atol=1e-9)
    assert found.bound == pytest.approx(expected.bound, rel=1e-5)


class Explodes:
    """Cannot be made in another process."""

    def __reduce__(self) -> Any:
        return exec, ("raise ValueError('not here')",)


def test_a_process_that_cannot_start_says_why() -> None:
    joint, rows = KINDS["collapsed"]()
    joint.mechanism.note = Explodes()  # type: ignore[assignment]
    joint.__deepcopy__ = lambda _: joint  # type: ignore[operator, method-assign, assignment]
    with pytest.raises(LostProcessError, match="process 1 of 2 ended: ValueError: not here"):
        fit(joint, rows, FitSettings(2), devices=2)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (0, r"'devices' .* int in the range \[1, inf\)"),
        (-1, "'devices'"),
        (1.5, "'devices'"),
        ("2", "'devices'"),
        (None, "'devices'"),
    ],
)
def test_a_number_that_is_none_is_named_before_training(devices: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        small_imputer(devices=devices, max_iter=10**9).fit(table())


def test_devices_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInputError, match="devices is 2, and device is 'cuda:0'; several need 'cpu' or 'cuda'"):
        check_devices(2, torch.device("cuda:0"))
    with pytest.raises(InvalidInputError, match=rf"devices is 999, but {torch.cuda.device_count()} GPUs are here"):
        check_devices(999, torch.device("cuda"))
    joint, rows = KINDS["collapsed"]()
    limits = torch.full((*rows.x.shape, 2), torch.inf)
    with pytest.raises(UnsupportedModelError, match="limits are trained in one process"):
        fit(joint, rows._replace(limits=limits), FitSettings(1), devices=2)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'pyro-mnar\[parallel\]'"):
        small_imputer(devices=2, max_iter=10**9).fit(table())
    monkeypatch.setattr(processes, "needed", None)
    small_imputer(devices=1).fit(table())


def test_a_fabric_that_cannot_train_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    two = fabric.Fabric(accelerator="cpu", devices=2, strategy="ddp")
    with pytest.raises(InvalidInputError, match=r"devices is a Fabric, which is not launched; call its launch\(\)"):
        small_imputer(devices=two, max_iter=10**9).fit(table())
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with pytest.raises(InvalidInputError, match=r"torch\.distributed runs already in this process"):
        small_imputer(devices=2, max_iter=10**9).fit(table())
    half = fabric.Fabric(accelerator="cpu", devices=2, strategy="ddp", precision="bf16-mixed")
    with pytest.raises(InvalidInputError, match="precision 'bf16-mixed'; models are trained with strategy='ddp'"):
        small_imputer(devices=half, max_iter=10**9).fit(table())
    alone = small_imputer(devices=fabric.Fabric(accelerator="cpu", devices=1)).fit(table())
    assert alone.history_.bound == small_imputer().fit(table()).history_.bound


def run(code: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    path = folder / f"script-{environment.get('LOCAL_RANK', '')}.py"
    path.write_text(textwrap.dedent(code))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-W", "error::pyro_mnar.errors.MNARWarning", str(path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def printed(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=250)
    assert process.returncode == 0, errors
    assert errors == ""
    return out.strip()


#: No guard, a mechanism that only this script knows, and a table on the disk: the weights are those of one process.
SCRIPT = """
    import torch
    from pyro_mnar import MNARImputer
    from pyro_mnar.estimators.settings import TrainingSettings
    from pyro_mnar.mechanisms import SelfMasking
    from tests.support.estimators import small_imputer, table
    import pandas as pd

    class Own(SelfMasking):
        def forward(self, x):
            return super().forward(x)

    table = pd.DataFrame(table(300), columns=list("abcd"))
    table.to_parquet("table.parquet")
    found = []
    for devices, given in ((1, table), (2, "table.parquet")):
        imputer = small_imputer(mechanism=Own(), devices=devices, batch_size=64, max_iter=6, n_draws=5).fit(given)
        weights = torch.cat([weight.flatten() for weight in imputer.joint_.state_dict().values()])
        found.append((weights, imputer.history_.bound, imputer.transform(table)))
    (one, bound, completed), (two, again, also) = found
    assert (one - two).norm() < 1e-5 * one.norm(), (one - two).norm() / one.norm()
    assert all(abs(a / b - 1) < 1e-5 for a, b in zip(again, bound))
    assert abs(completed - also).max().max() < 1e-4
    print("the same")
"""


def test_a_script_without_a_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert printed(run(SCRIPT, tmp_path)) == "the same"


#: What `torchrun` starts: every process runs the script, and hands over the Fabric that it is part of.
MEMBER = """
    import logging
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    from lightning_fabric import Fabric
    from sklearn.base import clone
    from pyro_mnar.errors import InvalidInputError
    from tests.support.estimators import small_imputer, table
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric.launch()
    imputer = small_imputer(devices=fabric, batch_size=16, max_iter=3).fit(table())
    print(*imputer.history_.bound)
    imputer.set_params(random_state=fabric.global_rank)
    try:
        imputer.fit(table())
    except InvalidInputError as error:
        print(error)
"""


def test_processes_that_are_there_already(tmp_path: Path) -> None:
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(processes._free_port())}
    members = [run(MEMBER, tmp_path, LOCAL_RANK=str(rank), **address) for rank in range(2)]
    first, second = (printed(member).splitlines() for member in members)
    alone = small_imputer(batch_size=16, max_iter=3).fit(table()).history_.bound
    assert [float(value) for value in first[0].split()] == pytest.approx(alone, rel=1e-5)
    assert first[0] == second[0]
    assert first[1].startswith("the 2 processes have different tables, settings or first weights")
    assert first[1] == second[1]
