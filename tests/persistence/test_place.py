"""Where a model is saved: nothing of anyone else's is touched, and one valid model is there at any moment."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from pyro_mnar import MNARImputer
from pyro_mnar.data import atomic
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.persistence import check_place, load, save
from pyro_mnar.persistence.files import CHECKSUM, FORMAT, MANIFEST, VERSION
from tests.support.estimators import small_imputer
from tests.support.folders import FRAME, same, weights_of
from tests.support.validation import record

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def two() -> tuple[MNARImputer, MNARImputer]:
    """Give two models that answer differently."""
    return small_imputer().fit(FRAME), small_imputer(random_state=1, hidden_units=(5,)).fit(FRAME)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(small_imputer(), tmp_path / "model")
    imputer = small_imputer().fit(FRAME)
    imputer.note = "mine"
    with pytest.raises(InvalidInputError, match=r"\['note'\]"):
        save(imputer, tmp_path / "model")

    class Other(MNARImputer):
        pass

    with pytest.raises(InvalidInputError, match="Other cannot be saved"):
        save(Other(max_iter=1, random_state=0).fit(FRAME), tmp_path / "model")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "change", [{"hidden_units": (7,)}, {"latent_dim": 1}, {"training__n_draws": 0}, {"mechanism": "linear"}]
)
def test_what_could_not_be_loaded_again_is_not_saved(change: dict[str, Any], tmp_path: Path, two: Any) -> None:
    save(two[1], tmp_path / "model")
    changed = small_imputer().fit(FRAME).set_params(**change)
    for place in ("new", "model"):
        with pytest.raises(InvalidInputError, match=r"could not be loaded again .* changed after the fit\?"):
            save(changed, tmp_path / place, overwrite=True)
    assert names(tmp_path) == ["model"]
    assert same(load(tmp_path / "model"), two[1])


def test_nothing_is_overwritten_by_accident(tmp_path: Path, two: Any) -> None:
    imputer, other = two
    save(imputer, tmp_path / "model")
    with pytest.raises(InvalidInputError, match="exists; give another place, or overwrite=True"):
        save(other, tmp_path / "model")
    assert same(load(tmp_path / "model"), imputer)
    save(other, tmp_path / "model", overwrite=True)
    assert same(load(tmp_path / "model"), other)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("years of work")
    with pytest.raises(InvalidInputError, match="is not a saved estimator that this version reads, so it is not rep"):
        save(other, tmp_path / "thesis", overwrite=True)
    with pytest.raises(InvalidInputError, match="no is not a folder; make it first"):
        save(other, tmp_path / "no" / "model")
    (tmp_path / "empty").mkdir()
    save(other, tmp_path / "empty")
    assert same(load(tmp_path / "empty"), other)
    assert names(tmp_path) == ["empty", "model", "thesis"]


STRANGERS = {
    "a web app": '{"name": "My app", "start_url": "."}',
    "a browser extension": '{"manifest_version": 3, "version": "1.0"}',
    "no JSON": "manifest",
    "a list": "[1]",
    "another format": json.dumps({"format": "other.estimator", "version": 1}),
    "a format without a version": json.dumps({"format": FORMAT}),
    "a newer version": json.dumps({"format": FORMAT, "version": VERSION + 1}),
    "nothing": "",
}


@pytest.mark.parametrize("text", STRANGERS.values(), ids=STRANGERS)
def test_a_manifest_of_something_else_is_not_replaced(text: str, tmp_path: Path, two: Any) -> None:
    (tmp_path / "app" / "icons").mkdir(parents=True)
    (tmp_path / "app" / MANIFEST).write_text(text)
    (tmp_path / "app" / "icons" / "icon.svg").write_text("<svg/>")
    for act in (lambda: check_place(tmp_path / "app", True), lambda: save(two[0], tmp_path / "app", overwrite=True)):
        with pytest.raises(InvalidInputError, match="is not a saved estimator that this version reads"):
            act()
    assert (tmp_path / "app" / MANIFEST).read_text() == text
    assert (tmp_path / "app" / "icons" / "icon.svg").read_text() == "<svg/>"


@pytest.mark.parametrize("version", ["v1-imputer", "v2-imputer"])
def test_only_the_files_of_the_model_are_replaced(version: str, tmp_path: Path, two: Any) -> None:
    folder = Path(shutil.copytree(GOLDEN / version / "model", tmp_path / "model"))
    old = weights_of(folder).name
    (folder / "notes").mkdir()
    mine = {"README.md": b"why", "notes/a": b"", "weights-0123456789abcdef.safetensors": b"of mine", ".hidden": b"1"}
    for name, content in mine.items():
        (folder / name).write_bytes(content)
    save(two[0], folder, overwrite=True)
    assert {name: (folder / name).read_bytes() for name in mine} == mine
    assert not (folder / old).exists()
    assert len(names(folder)) == 3 + len(mine)
    assert same(load(folder), two[0])
    assert len((folder / CHECKSUM).read_text().splitlines()) == 1


def test_weights_of_the_first_format_that_are_not_the_models_stay(tmp_path: Path, two: Any) -> None:
    folder = Path(shutil.copytree(GOLDEN / "v1-imputer" / "model", tmp_path / "model"))
    (folder / "weights.safetensors").write_bytes(b"of mine")
    save(two[0], folder, overwrite=True)
    assert (folder / "weights.safetensors").read_bytes() == b"of mine"


def test_a_link_stays_a_link(tmp_path: Path, two: Any) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "model").symlink_to(tmp_path / "disk" / "model", target_is_directory=True)
    for imputer in two:
        save(imputer, tmp_path / "model", overwrite=True)
        assert (tmp_path / "model").is_symlink()
        assert names(tmp_path) == ["disk", "model"]
        assert same(load(tmp_path / "disk" / "model"), imputer)
    assert names(tmp_path / "disk") == ["model"]


def test_the_checksum_is_one_that_standard_tools_read(tmp_path: Path, two: Any) -> None:
    for imputer in two:
        save(imputer, tmp_path / "model", overwrite=True)
        subprocess.run(["sha256sum", "--strict", "-c", CHECKSUM], cwd=tmp_path / "model", check=True)


def test_files_keep_the_rights_that_they_had(tmp_path: Path, two: Any) -> None:
    save(two[0], tmp_path / "model")
    for path in (tmp_path / "model").iterdir():
        path.chmod(0o640)
    save(two[1], tmp_path / "model", overwrite=True)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o640}


def killed_at(step: int, act: Callable[[], Any]) -> bool:
    """Act in a process that dies, without a word, before its ``step``-th change to the disk; whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks beside threads, from Python 3.12 on
        child = os.fork()
    if child == 0:
        left = step
        try:
            for module, name in ((os, "replace"), (os, "rename"), (os, "fsync"), (os, "unlink"), (os, "mkdir")):
                plain = getattr(module, name)

                def counted(*args: Any, plain: Any = plain, **kwargs: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0:
                        os._exit(77)
                    return plain(*args, **kwargs)

                setattr(module, name, counted)
            act()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 77)
    return os.waitstatus_to_exitcode(status) == 77


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_kill_at_any_step_leaves_one_valid_model(through_a_link: bool, tmp_path: Path, two: Any) -> None:
    place = tmp_path / "model"
    if through_a_link:
        (tmp_path / "disk").mkdir()
        place.symlink_to(tmp_path / "disk" / "model")
    save(two[0], place)
    steps, old_ones, killed = 0, 0, True
    while killed:
        killed = killed_at(steps, lambda: save(two[1], place, overwrite=True))
        found = load(place)
        is_old = same(found, two[0])
        assert is_old or same(found, two[1])
        old_ones += is_old
        save(two[0], place, overwrite=True)
        assert len(names(place)) == 3
        steps += 1
    assert steps > 10
    assert 5 < old_ones < steps


def test_a_kill_while_a_model_is_replaced_by_itself(tmp_path: Path, two: Any) -> None:
    save(two[0], tmp_path / "model")
    again = load(tmp_path / "model")
    steps = 0
    while killed_at(steps, lambda: save(again, tmp_path / "model", overwrite=True)):
        assert load(tmp_path / "model").random_state == 0
        steps += 1
    assert steps > 10


def test_a_kill_at_any_step_of_a_first_save_leaves_a_model_or_none(tmp_path: Path, two: Any) -> None:
    steps, killed = 0, True
    while killed:
        killed = killed_at(steps, lambda: save(two[0], tmp_path / "model"))
        if (tmp_path / "model").exists():
            assert same(load(tmp_path / "model"), two[0])
            shutil.rmtree(tmp_path / "model")
        save(two[1], tmp_path / "other", overwrite=True)
        assert names(tmp_path) == ["other"]
        steps += 1
    assert steps > 5


def test_what_the_dead_left_is_swept_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    here, other = atomic._MACHINE, "00000000"
    left = {
        f".pyro_mnar-{here}-{int(dead.stdout)}-0123456789ab-a.csv": False,
        f".pyro_mnar-{here}-{os.getpid()}-0123456789ab-a.csv": False,
        f".pyro_mnar-{here}-{os.getppid()}-0123456789ab-a.csv": True,
        f".pyro_mnar-{other}-{int(dead.stdout)}-0123456789ab-a.csv": True,
        ".pyro_mnar-mine": True,
        ".a-0123456789ab.csv": True,
    }
    for name in left:
        (tmp_path / name).write_text("x")
    (tmp_path / f".pyro_mnar-{here}-{int(dead.stdout)}-0123456789ab-model").mkdir()
    old = tmp_path / f".pyro_mnar-{other}-1-0123456789ab-b.csv"
    old.write_text("x")
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    with atomic.replacing(tmp_path / "b.csv") as file, atomic.replacing(tmp_path / "c.csv") as second:
        file.write_text("b")
        second.write_text("c")
    assert names(tmp_path) == sorted(["b.csv", "c.csv", *(name for name, stays in left.items() if stays)])


SAVES = """
    import sys
    import torch
    torch.set_num_threads(1)
    from pyro_mnar.persistence import load, save
    both = [load(sys.argv[1]), load(sys.argv[2])]
    print("saving", flush=True)
    while True:
        for model in both:
            save(model, sys.argv[3], overwrite=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_100_kills_while_a_model_is_replaced(tmp_path: Path, two: Any) -> None:
    """Kill writers at moments of the clock, not of the code; every third time two of them write at once."""
    rng = random.Random(0)
    for k, model in enumerate(two):
        save(model, tmp_path / f"model{k}")
    save(two[0], tmp_path / "place")
    command = [sys.executable, "-c", textwrap.dedent(SAVES), *(tmp_path / n for n in ("model0", "model1", "place"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    old_ones = 0
    for kill in range(100):
        count = 2 if kill % 3 == 0 else 1
        writers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(count)]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"saving\n"
        time.sleep(rng.uniform(0.0, 0.15))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        found = load(tmp_path / "place")
        is_old = same(found, two[0])
        assert is_old or same(found, two[1])
        old_ones += is_old
    save(two[0], tmp_path / "place", overwrite=True)
    assert len(names(tmp_path / "place")) == 3
    assert 0 < old_ones < 100
    figure = f"100 kills, each left one valid model ({old_ones} times the first of two), and no file beside it"
    record("kill -9 in save over a saved model", figure, "100 kills, nothing lost", True)


def test_a_reader_meets_one_model_or_the_other(tmp_path: Path, two: Any) -> None:
    for k, model in enumerate(two):
        save(model, tmp_path / f"model{k}")
    save(two[0], tmp_path / "place")
    command = [sys.executable, "-c", textwrap.dedent(SAVES), *(tmp_path / n for n in ("model0", "model1", "place"))]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"saving\n"
            seeds = set()
            n_loads, end = 0, time.monotonic() + 60.0
            while n_loads < 20 or (seeds != {0, 1} and time.monotonic() < end):
                n_loads += 1
                seeds.add(load(tmp_path / "place").random_state)
        finally:
            writer.kill()
    assert seeds == {0, 1}
    assert np.isfinite(load(tmp_path / "place").transform(FRAME)).all(axis=None)
