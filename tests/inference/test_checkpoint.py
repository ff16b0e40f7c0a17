"""The file of a training run: what was changed in it is found, by name, before anything is taken from it."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pyro_mnar.errors import FileFormatError, InvalidInputError
from pyro_mnar.inference import checkpoint as checkpoints
from pyro_mnar.inference.checkpoint import Checkpoint
from pyro_mnar.inference.history import History
from pyro_mnar.inference.training import FitSettings, Run, fit
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.estimators import small_imputer, table
from tests.support.folders import mutate
from tests.support.pairs import small_batch, small_joint
from tests.support.pieces import Pieces

SETTINGS = FitSettings(max_iter=3, batch_size=8, n_draws=2, validation_fraction=0.3)


def new_run() -> Run:
    return Run(
        small_joint(SelfMasking(), dtype=torch.float32), small_batch(30, dtype=torch.float32), SETTINGS, History()
    )


@pytest.fixture
def written(tmp_path: Path) -> Checkpoint:
    """Give the checkpoint of a run after a pass and a step."""
    checkpoint, run = Checkpoint(tmp_path, "0123456789abcdef"), new_run()
    run.one_pass()
    run.order = torch.randperm(run.train.n_rows)
    run.anchor = copy.deepcopy(run.joint.state_dict())
    run.one_step(run.train.rows(run.order[:8]))
    run.step = 1
    checkpoint.write(*run.state())
    return checkpoint


def refused(checkpoint: Checkpoint, because: str = "") -> None:
    """Nothing is taken from the file; the message names it and the way out."""
    taken: list[Any] = []
    with pytest.raises(FileFormatError, match=f"is damaged .*{because}.*; delete it to start again") as raised:
        checkpoint.resume(lambda *state: taken.append(state))
    assert str(checkpoint.path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert taken == []


def test_any_changed_byte_is_found(written: Checkpoint) -> None:
    content = written.path.read_bytes()
    for at in range(0, len(content), 7):
        written.path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        refused(written)
    written.path.write_bytes(content)
    new = new_run()
    written.resume(new.restore)
    assert (new.step, new.history.n_iter) == (1, 1)


def test_an_edited_step_is_found(written: Checkpoint) -> None:
    content = written.path.read_bytes()
    edited = content.replace(b'\\"step\\": ', b'\\"step\\":1', 1)
    assert edited != content
    written.path.write_bytes(edited)
    refused(written, "its content has the sha256")


OTHERS: dict[str, Callable[[Path], Any]] = {
    "a model's weights": lambda path: save_file({"a": torch.ones(3)}, path),
    "with other words": lambda path: save_file({"a": torch.ones(3)}, path, {"run": "{}"}),
    "nothing": lambda path: path.write_bytes(b""),
    "a few bytes": lambda path: path.write_bytes(b"1234"),
    "a text": lambda path: path.write_text("years of work\n" * 100),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "a pickle": lambda path: torch.save({"a": 1}, path),
    "a folder": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a pipe": lambda path: os.mkfifo(path),
}


@pytest.mark.parametrize("make", OTHERS.values(), ids=OTHERS)
def test_what_is_no_checkpoint_is_refused(make: Callable[[Path], Any], tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, "run")
    make(checkpoint.path)
    refused(checkpoint)


def test_the_checkpoint_of_another_run_is_refused(written: Checkpoint) -> None:
    other = Checkpoint(written.path.parent, "fedcba9876543210")
    written.path.rename(other.path)
    refused(other, "'name': '0123456789abcdef'")


def test_another_version_is_refused(written: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "VERSION", "2")
    refused(written, "'version': '1'")


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "no step": lambda tensors, values: values.pop("step"),
    "no time": lambda tensors, values: values.pop("seconds"),
    "no order": lambda tensors, values: tensors.pop("order"),
    "no weight": lambda tensors, values: tensors.pop(next(k for k in tensors if k.startswith("joint."))),
    "a weight of another shape": lambda t, v: t.update({next(k for k in t if k.startswith("joint.")): torch.ones(99)}),
    "a generator that is none": lambda tensors, values: tensors.update(generator=torch.ones(3)),
    "moments of no number": lambda tensors, values: tensors.update({"optimiser.x.step": torch.ones(1)}),
    "a history of no name": lambda tensors, values: tensors.update({"history.__class__": torch.ones(1)}),
    "rows beyond the table": lambda tensors, values: tensors["order"].fill_(99),
    "a step before the first": lambda tensors, values: values.update(step=-1),
    "a weight that is not finite": lambda t, v: t["joint.mechanism.slope_parameter"].fill_(torch.nan),
    "a best state of other weights": lambda tensors, values: tensors.update({"best.more": torch.ones(1)}),
    "a history of three numbers": lambda tensors, values: tensors.update({"history.bound": torch.ones(1, 3)}),
    "a time that is a text": lambda tensors, values: values.update(seconds="long"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_forged_state_is_named(change: Callable[..., Any], written: Checkpoint) -> None:
    found = written.read()
    assert found is not None
    change(*found)
    written.write(*found)
    with pytest.raises(FileFormatError, match=r"is damaged .*; delete it to start again"):
        written.resume(new_run().restore)


def test_a_fit_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    monkeypatch.setattr(Checkpoint, "remove", lambda self: None)
    imputer = small_imputer(checkpoint_dir=tmp_path)
    imputer.fit(table())
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="is damaged"):
        imputer.fit(table())


def test_a_folder_that_is_a_file_is_named_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidInputError, match=r"checkpoint_dir.*file"):
            small_imputer(checkpoint_dir=place, max_iter=10**9).fit(table())
    assert (tmp_path / "file").read_text() == "mine"


def test_it_is_a_safetensors_file(written: Checkpoint) -> None:
    assert "order" in load_file(written.path)
    with safe_open(written.path, framework="pt") as file:
        assert file.metadata()["format"] == checkpoints.FORMAT


def check_mutations(written: Checkpoint, pieces: Pieces) -> None:
    """Change the file in one of the ways in which files break: all refused by name."""
    content = written.path.read_bytes()
    for _, rng in pieces:
        spoiled = content
        while spoiled == content:
            spoiled = mutate(content, rng)
        written.path.write_bytes(spoiled)
        with pieces.limit:
            refused(written)
        pieces.refused += 1
    pieces.record()


def test_200_mutated_checkpoints(written: Checkpoint) -> None:
    check_mutations(written, Pieces("checkpoints, mutated", "", 5000, few=200))


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_5000_mutated_checkpoints(written: Checkpoint) -> None:
    check_mutations(written, Pieces("checkpoints, mutated", "refused by name within 1 s and 64 MB", 5000))


def check_forgeries(written: Checkpoint, pieces: Pieces) -> None:
    """Change a state and sign it again: refused by name, or a run that goes on to its end."""
    found = written.read()
    assert found is not None
    for _, rng in pieces:
        tensors, values = dict(found[0]), dict(found[1])
        for _ in range(rng.randrange(1, 3)):
            if rng.random() < 0.3:
                values[rng.choice(list(values))] = rng.choice([-1, 10**6, 0, None, "x", 1.5, [], True])
            else:
                key = rng.choice(list(tensors))
                other = rng.choice(list(found[0].values()))
                tensors[key] = rng.choice(
                    [other, tensors[key][:1] if tensors[key].ndim else tensors[key], other.float()]
                )
        written.write({key: value.clone() for key, value in tensors.items()}, values)
        new = new_run()
        try:
            with pieces.limit:
                written.resume(new.restore)
        except FileFormatError:
            pieces.refused += 1
            continue
        pieces.accepted += 1
        for _ in range(4):
            if not new.finished:
                new.one_pass()
        assert new.finished
    pieces.record(accepted="went on")


def test_100_forged_checkpoints(written: Checkpoint) -> None:
    check_forgeries(written, Pieces("checkpoints, forged with fitting checksums", "", 5000, few=100))


@pytest.mark.slow
@pytest.mark.timeout(30_000)
def test_5000_forged_checkpoints(written: Checkpoint) -> None:
    check_forgeries(written, Pieces("checkpoints, forged with fitting checksums", "no other error", 5000))


def test_a_whole_fit_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum does not stand in the way of what it protects."""
    monkeypatch.setattr(checkpoints, "SECONDS_BETWEEN", 0.0)
    data = small_batch(30, dtype=torch.float32)
    expected, found = small_joint(SelfMasking(), dtype=torch.float32), small_joint(SelfMasking(), dtype=torch.float32)
    found.load_state_dict(expected.state_dict())
    fit(expected, data, SETTINGS)
    steps = 0

    def stop(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise KeyboardInterrupt

    again = small_joint(SelfMasking(), dtype=torch.float32)
    again.load_state_dict(found.state_dict())
    with pytest.raises(KeyboardInterrupt):
        fit(found, data, SETTINGS, report=stop, checkpoint_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    fit(again, data, SETTINGS, checkpoint_dir=tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(expected.state_dict().values(), again.state_dict().values(), strict=True)
    )
