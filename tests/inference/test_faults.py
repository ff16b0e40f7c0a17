"""What happens when things go wrong in a fit: kills, full disks, numbers that are not finite, interrupts, threads."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro.distributions import Bernoulli

from pyro_mnar import load, save
from pyro_mnar.errors import FileFormatError, FitDivergedError, InvalidInputError, TrainingWarning
from pyro_mnar.inference import checkpoint as checkpoints
from pyro_mnar.inference.checkpoint import Checkpoint
from pyro_mnar.inference.history import History
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Mechanism, SelfMasking
from tests.support.estimators import MAKERS, small_imputer, table
from tests.support.pairs import small_batch, small_joint
from tests.support.validation import record

ROOT = Path(__file__).parents[2]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
TARGET = np.arange(40) % 2


def script(body: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)]


def weights(joint: Joint) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in joint.state_dict().items()}


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a checkpoint after each step."""
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)


# A fit of 80 small steps that writes after every few, and its final weights in hex.
FIT = """
    import sys
    import torch
    torch.set_num_threads(1)
    import pyro_mnar.inference.checkpoint
    pyro_mnar.inference.checkpoint.SECONDS_BETWEEN = 0.03
    from tests.support.estimators import small_imputer, table
    imputer = small_imputer(max_iter=20, batch_size=8, validation_fraction=0.2, checkpoint_dir=sys.argv[1])
    print("fitting", flush=True)
    imputer.fit(table())
    print("".join(value.numpy().tobytes().hex() for value in imputer.joint_.state_dict().values()))
    print(repr((imputer.history_.bound, imputer.history_.validation_bound, imputer.history_.slope)))
"""


def fit_killed(folder: Path, delays: Iterator[float]) -> tuple[str, int]:
    """Output of a fit that is killed again and again, after ``delays`` seconds, and started again; and the kills."""
    kills = 0
    for delay in delays:
        process = subprocess.Popen(script(FIT, folder), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "fitting\n"
        try:
            out, _ = process.communicate(timeout=delay)
            return out, kills
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
    done = subprocess.run(script(FIT, folder), env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.removeprefix("fitting\n"), kills


def undisturbed() -> str:
    imputer = small_imputer(max_iter=20, batch_size=8, validation_fraction=0.2)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        imputer.fit(table())
    finally:
        torch.set_num_threads(n_threads)
    final = "".join(value.numpy().tobytes().hex() for value in imputer.joint_.state_dict().values())
    history = imputer.history_
    return f"{final}\n{(history.bound, history.validation_bound, history.slope)!r}\n"


def test_a_fit_that_was_killed_ends_at_the_same_weights(tmp_path: Path) -> None:
    killed, kills = fit_killed(tmp_path, iter([0.3]))
    assert kills == 1
    assert killed == undisturbed()
    assert list(tmp_path.glob("fit-*")) == []


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_50_kills(tmp_path: Path) -> None:
    expected = undisturbed()
    generator = np.random.default_rng(0)
    kills = 0
    for round_ in range(100):
        killed, more = fit_killed(tmp_path / f"killed{round_}", iter(generator.uniform(0.01, 0.5, 10)))
        assert killed == expected
        kills += more
        if kills >= 50:
            break
    record("kill -9 in fit, then resume: weights and history", f"{kills} kills, equal bit for bit", ">= 50 kills", True)
    assert kills >= 50


class Stop(Exception):
    """Ends a fit from within, at a step of choice."""


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("kind", ["no held-out rows", "held-out rows", "a mechanism that is sampled", "a target"])
@pytest.mark.parametrize("stop", [0, 1, 7, 14])
def test_a_run_goes_on_from_any_step(kind: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyro_mnar.inference.training import Run
    from pyro_mnar.model.heads import GaussianHead
    from pyro_mnar.model.mechanisms import Linear

    data = small_batch(30, y="real" if kind == "a target" else None, dtype=torch.float32)
    fraction = 0.3 if kind == "held-out rows" else 0.0
    settings = FitSettings(
        max_iter=5, batch_size=8, n_draws=2, validation_fraction=fraction, final_rate=0.1, head_weight_decay=0.1
    )

    def new_joint() -> Joint:
        mechanism = Linear() if kind == "a mechanism that is sampled" else SelfMasking()
        head = None
        if kind == "a target":
            with torch.random.fork_rng():
                torch.manual_seed(3)
                head = GaussianHead(4, (4,), dropout=0.5)
        return small_joint(mechanism, head=head, dtype=torch.float32)

    whole = new_joint()
    expected = fit(whole, data, settings)
    stopped = new_joint()
    step, n_steps = Run.one_step, 0

    def counted(run: Run, batch: Batch) -> None:
        nonlocal n_steps
        if n_steps == stop:
            raise Stop
        n_steps += 1
        step(run, batch)

    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Run, "one_step", counted)
        fit(stopped, data, settings, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == min(stop, 1)
    again = new_joint()
    found = fit(again, data, settings, checkpoint_dir=tmp_path)
    assert weights(again) == weights(whole)
    for name in ("bound", "validation_bound", "slope", "intercept"):
        assert getattr(found, name) == getattr(expected, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("every_step")
def test_another_fit_does_not_take_the_checkpoint(tmp_path: Path) -> None:
    X = table()
    names = set()
    for imputer, rows in (
        (small_imputer(), X),
        (small_imputer(learning_rate=0.1), X),
        (small_imputer(random_state=1), X),
        (small_imputer(hidden_units=(5,)), X),
        (small_imputer(mechanism=SelfMasking(direction="high")), X),
        (small_imputer(), X + 1e-12),
        (small_imputer(), X * 1.5 + np.arange(40)[:, None]),
    ):
        recorded: list[Path] = []
        remove = Checkpoint.remove
        Checkpoint.remove = lambda self, into=recorded: into.append(self.path)  # type: ignore[method-assign,misc]
        try:
            imputer.set_params(training__checkpoint_dir=tmp_path).fit(rows)
        finally:
            Checkpoint.remove = remove  # type: ignore[method-assign]
        names.add(recorded[0])
    # What is fitted is the standardised table in single precision: a shift that it cannot see changes nothing.
    assert len(names) == 6
    assert {path for path in tmp_path.iterdir()} == names


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "run")
    checkpoint.write({"weight": torch.ones(3)}, {"step": 1})
    checkpoint.path.write_bytes(checkpoint.path.read_bytes()[:-5])
    with pytest.raises(FileFormatError, match=r"fit-run.safetensors is damaged .*; delete it to start again"):
        checkpoint.read()


def test_a_checkpoint_needs_a_seed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"'random_state' .* must be a whole number when checkpoint_dir"):
        small_imputer(random_state=None, checkpoint_dir=tmp_path).fit(table())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 64 KiB, or skip where none can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a file system can be mounted by the administrator only")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


def check_full_disk(disk: Path) -> None:
    """A checkpoint and a saved model are there; then nothing more fits."""
    imputer = small_imputer().fit(table())
    save(imputer, disk / "model")
    checkpoint = Checkpoint(disk / "run", "x")
    checkpoint.write({"weight": torch.ones(10)}, {"step": 1})
    before = sorted(path.relative_to(disk) for path in disk.rglob("*"))
    fill(disk)
    with pytest.warns(TrainingWarning, match=r"no checkpoint could be written to .* \(No space left on device\)"):
        checkpoint.write({"weight": torch.zeros(1000)}, {"step": 2})
    found = checkpoint.read()
    assert found is not None
    assert found[1] == {"step": 1}
    with pytest.raises(OSError, match="No space left"):
        save(small_imputer(random_state=1, hidden_units=(64, 64)).fit(table()), disk / "model", overwrite=True)
    assert np.array_equal(load(disk / "model").transform(table()), imputer.transform(table()))
    with pytest.raises(OSError, match="No space left"):
        save(imputer, disk / "second")
    (disk / "filler").unlink()
    assert sorted(path.relative_to(disk) for path in disk.rglob("*")) == before


def test_a_full_disk(small_disk: Path) -> None:
    check_full_disk(small_disk)


@pytest.mark.usefixtures("every_step")
def test_training_goes_on_when_the_disk_is_full(small_disk: Path) -> None:
    (small_disk / "run").mkdir()
    fill(small_disk)
    expected = small_imputer().fit(table())
    with pytest.warns(TrainingWarning, match="training goes on"):
        found = small_imputer(checkpoint_dir=small_disk / "run").fit(table())
    assert weights(found.joint_) == weights(expected.joint_)
    assert list((small_disk / "run").iterdir()) == []


def test_a_limit_on_file_size(tmp_path: Path) -> None:
    """The same fault for those who may not mount: the system refuses to write beyond a limit."""
    code = """
        import resource, signal, sys, warnings
        from pathlib import Path
        import torch
        from pyro_mnar.inference.checkpoint import Checkpoint
        from pyro_mnar.errors import TrainingWarning
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        checkpoint = Checkpoint(sys.argv[1], "x")
        checkpoint.write({"weight": torch.ones(10)}, {"step": 1})
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            checkpoint.write({"weight": torch.zeros(1000)}, {"step": 2})
        assert [w.category for w in caught] == [TrainingWarning], caught
        assert checkpoint.read()[1] == {"step": 1}
        assert [path.name for path in Path(sys.argv[1]).iterdir()] == ["fit-x.safetensors"]
    """
    subprocess.run(script(code, tmp_path), env=ENVIRONMENT, check=True)


class Failing(Mechanism):
    """A mechanism of which some calls in training give NaN, and so do their gradients."""

    def __init__(self, bad_calls: Callable[[int], bool], kind: str = "loss") -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(0.5))
        self.bad_calls = bad_calls
        self.kind = kind
        self.calls = 0

    def forward(self, x: torch.Tensor) -> Bernoulli:
        logits = -self.slope * x
        if self.training:
            bad = self.bad_calls(self.calls)
            self.calls += 1
            if bad and self.kind == "loss":
                logits = logits * torch.nan
            elif bad:
                # Finite, with a gradient that is not: d sqrt(t)/dt at t = 0.
                logits = logits + torch.sqrt(self.slope * 0)
        return Bernoulli(logits=logits, validate_args=False)


def fit_failing(bad_calls: Callable[[int], bool], kind: str, **more: Any) -> tuple[Joint, History, list[str]]:
    joint = small_joint(Failing(bad_calls, kind), dtype=torch.float32)
    history = History()
    settings = FitSettings(max_iter=10, batch_size=8, n_draws=2, **more)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fit(joint, small_batch(32, dtype=torch.float32), settings, history=history)
        finally:
            for parameter in joint.parameters():
                assert torch.isfinite(parameter).all()
            assert not joint.training
            assert joint.generator is None
    return joint, history, [str(w.message) for w in caught]


@pytest.mark.parametrize("kind", ["loss", "gradient"])
class TestNumbersThatAreNotFinite:
    def test_up_to_three_steps_in_a_row_are_skipped(self, kind: str) -> None:
        _, history, messages = fit_failing(lambda call: call in (5, 6, 7, 20), kind)
        assert messages == ["4 of the training steps were skipped, because their loss or gradient was not finite"]
        assert len(history.bound) == 10
        assert np.isfinite(history.bound).all()

    def test_then_the_rate_is_halved_once(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        from pyro_mnar.inference.training import Run

        rates = []
        step = Run.one_step

        def recorded(run: Run, batch: Batch) -> None:
            step(run, batch)
            rates.append(run.optimiser.param_groups[0]["lr"])

        monkeypatch.setattr(Run, "one_step", recorded)
        _, history, messages = fit_failing(lambda call: 4 <= call < 8, kind)
        assert messages[0].startswith("4 of the training steps")
        assert rates == [1e-3] * 7 + [5e-4] * 33
        # The second pass consists of nothing else, and has no bound.
        assert np.isnan(history.bound[1])
        assert np.isfinite(np.delete(history.bound, 1)).all()

    def test_then_it_gives_up(self, kind: str) -> None:
        with pytest.raises(FitDivergedError, match=r"4 steps in a row .* half the learning rate did not help"):
            fit_failing(lambda call: call >= 6, kind)

    def test_it_goes_back_to_where_numbers_were_finite(self, kind: str) -> None:
        before: dict[str, torch.Tensor] = {}

        def bad(call: int) -> bool:
            return call >= 8

        joint = small_joint(Failing(bad, kind), dtype=torch.float32)
        data = small_batch(32, dtype=torch.float32)
        fit(joint, data, FitSettings(max_iter=2, batch_size=8, n_draws=2))
        before = weights(joint)
        other = small_joint(Failing(bad, kind), dtype=torch.float32)
        with pytest.raises(FitDivergedError):
            fit(other, data, FitSettings(max_iter=10, batch_size=8, n_draws=2))
        assert weights(other) == before


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_rate_that_is_far_too_high(make: Any) -> None:
    estimator = make(learning_rate=1e30, max_iter=50, batch_size=10)
    with pytest.raises(FitDivergedError, match="half the learning rate did not help"):
        estimator.fit(table(), TARGET)
    for parameter in estimator.joint_.parameters():
        assert torch.isfinite(parameter).all()


def test_an_interrupt_between_guide_and_model_leaves_a_pair_that_can_be_copied() -> None:
    def interrupt(call: int) -> bool:
        if call == 3:
            raise KeyboardInterrupt
        return False

    joint = small_joint(Failing(interrupt), dtype=torch.float32)
    with pytest.raises(KeyboardInterrupt):
        fit(joint, small_batch(32, dtype=torch.float32), FitSettings(max_iter=10, batch_size=8, n_draws=2))
    assert weights(copy.deepcopy(joint)) == weights(joint)


INTERRUPTED = """
    import signal, sys, threading, time
    import numpy as np
    import torch
    torch.set_num_threads(1)
    from tests.support import estimators
    make = estimators.MAKERS[sys.argv[1]]
    X, y = estimators.table(600, 8), np.arange(600) % 2
    estimator = make(max_iter=10**9, n_draws=20, hidden_units=(64,), validation_fraction=0.1)

    def tell():
        while len(getattr(getattr(estimator, "history_", None), "bound", ())) < 2:
            time.sleep(0.01)
        print("fitting", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    try:
        estimator.fit(X, y)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    best = max(estimator.history_.validation_bound)
    assert estimator.n_iter_ == len(estimator.history_.bound) >= 1
    answer = estimator.transform(X) if hasattr(estimator, "transform") else estimator.predict(X)
    assert np.isfinite(np.asarray(answer, dtype=float)).all()
    assert estimator.joint_.generator is None and not estimator.joint_.training
    # The weights are those of the best pass: they give its bound again.
    from pyro_mnar.data.rows import Rows
    from pyro_mnar.inference.importance import ImportanceBound
    from pyro_mnar.inference.training import FitSettings, held_out_bound, split
    if sys.argv[1] == "imputer":
        generator = torch.Generator().manual_seed(estimator._seed)
        held_out = split(estimator._batch(Rows(X)), 0.1, generator)[1]
        found = held_out_bound(estimator.joint_, held_out, ImportanceBound(20), estimator._seed)
        assert abs(found - best) < 1e-5, (found, best)
    print("usable", flush=True)
"""


@pytest.mark.parametrize(
    "name", [name if name == "imputer" else pytest.param(name, marks=pytest.mark.slow) for name in MAKERS]
)
def test_ctrl_c(name: str) -> None:
    process = subprocess.Popen(
        script(INTERRUPTED, name), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "fitting\n"
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    line = process.stdout.readline()
    seconds = time.monotonic() - start
    out, err = process.communicate(timeout=120)
    assert line == "stopped\n", err
    assert seconds < 5, seconds
    assert out == "usable\n", err


@pytest.mark.parametrize(
    ("make", "mechanism"),
    [*((make, "self-masking") for make in MAKERS.values()), (small_imputer, "linear")],
    ids=[*MAKERS, "linear mechanism"],
)
def test_two_fits_in_two_threads(make: Any, mechanism: str, untouched_generators: Callable[[], Any]) -> None:
    X = table(120)
    y = np.arange(120) % 2

    def fitted(seed: int) -> Any:
        estimator = make(mechanism=mechanism, random_state=seed, max_iter=5, batch_size=30).fit(X, y)
        return weights(estimator.joint_), estimator.history_.bound, estimator.score(X, y)

    expected = [fitted(seed) for seed in range(3)]
    found: dict[int, Any] = {}
    # torch keeps its number of threads for each thread of Python.
    n_threads = torch.get_num_threads()

    def run(seed: int) -> None:
        torch.set_num_threads(n_threads)
        found[seed] = fitted(seed)

    with untouched_generators():
        threads = [threading.Thread(target=run, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for seed in range(3):
        assert found[seed] == expected[seed]


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_a_small_budget_gives_the_same_answers() -> None:
    imputer = small_imputer(n_draws_posterior=200).fit(table())
    whole, part = (imputer.posterior(table(), refine=False) for _ in range(2))
    part._sampler.byte_budget = 20_000
    # Pilot draws of all rows at once would take as much memory as there are rows.
    pieces, (piece,) = list(part._sampler.pilot(100)), whole._sampler.pilot(100)
    assert len(pieces) > 10
    torch.testing.assert_close(torch.cat([draws.log_weights for draws in pieces], 1), piece.log_weights)
    whole.refine(), part.refine()
    np.testing.assert_allclose(part.mean(), whole.mean(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(part.log_evidence, whole.log_evidence, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(part.ess, whole.ess, rtol=1e-10)


def test_memory_that_runs_out() -> None:
    """A process that may not have more memory than this halves its chunks, and gives the same answers."""
    code = """
        import resource
        import numpy as np
        import torch
        torch.set_num_threads(1)
        from tests.support.estimators import small_imputer, table
        X = table(150)
        imputer = small_imputer(n_draws_posterior=1000, hidden_units=(64,)).fit(X)
        expected = imputer.posterior(X, refine=False).mean()
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 80 * 2**20, resource.RLIM_INFINITY))
        posterior = imputer.posterior(X, refine=False)
        posterior.byte_budget = 2**31
        found = posterior.mean()
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
        print("equal")
    """
    done = subprocess.run(script(code), env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "equal\n", done.stderr[-2000:]
