"""An interrupt at any moment of a fit: what is told of a pass and the weights that were kept belong together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from pyro_mnar.inference import training
from pyro_mnar.inference.history import History
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.interrupts import interrupts_wait
from pyro_mnar.inference.training import FitSettings, fit, held_out_bound, split
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.pairs import small_batch, small_joint

SETTINGS = FitSettings(max_iter=6, batch_size=8, n_draws=2, validation_fraction=0.3, learning_rate=0.02)


class Bell(list[Any]):
    """A list at which Ctrl-C is pressed when it gets an entry."""

    def append(self, item: Any) -> None:
        super().append(item)
        if len(self) == 3:
            signal.raise_signal(signal.SIGINT)


def press_after(function: Callable[..., Any], calls: int) -> Callable[..., Any]:
    """The function, and Ctrl-C after so many calls of it."""
    count = 0

    def pressed(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        result = function(*args, **kwargs)
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return result

    return pressed


def check_kept(joint: Joint, history: History) -> None:
    """Every list has an entry per pass, and the weights are those of the best bound that is told."""
    n_passes = {len(entries) for name, entries in vars(history).items() if name != "shared_curve"}
    assert n_passes == {history.n_iter}
    assert joint.generator is None and not joint.training
    if history.n_iter:
        generator = torch.Generator().manual_seed(SETTINGS.seed)
        held_out = split(small_batch(30, dtype=torch.float32), SETTINGS.validation_fraction, generator)[1]
        assert held_out is not None
        found = held_out_bound(joint, held_out, ImportanceBound(SETTINGS.n_draws), SETTINGS.seed)
        assert found == max(history.validation_bound)


def interrupted(history: History) -> Joint:
    joint = small_joint(SelfMasking(), dtype=torch.float32)
    with pytest.raises(KeyboardInterrupt):
        fit(joint, small_batch(30, dtype=torch.float32), SETTINGS, history=history)
    return joint


@pytest.mark.parametrize("name", ["bound", "slope", "intercept", "validation_bound", "seconds"])
def test_ctrl_c_while_a_pass_is_put_down(name: str) -> None:
    history = History()
    setattr(history, name, Bell())
    check_kept(interrupted(history), history)
    assert history.n_iter == 3


@pytest.mark.parametrize("calls", [1, 2, 3, 4])
@pytest.mark.parametrize("moment", ["held_out_bound", "curve_numbers", "all_finite"])
def test_an_interrupt_between_the_parts_of_a_pass(moment: str, calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, moment, press_after(getattr(training, moment), calls))
    history = History()
    check_kept(interrupted(history), history)


@pytest.mark.parametrize("calls", range(1, 8))
def test_an_interrupt_while_weights_are_copied(calls: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "weights_of", press_after(training.weights_of, calls))
    history = History()
    check_kept(interrupted(history), history)


def test_a_second_ctrl_c_waits_for_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    load = Joint.load_state_dict

    def impatient(joint: Joint, *args: Any, **kwargs: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return load(joint, *args, **kwargs)

    monkeypatch.setattr(Joint, "load_state_dict", impatient)
    history = History()
    history.seconds = Bell()
    check_kept(interrupted(history), history)


def test_other_threads_and_other_handlers_are_left_alone() -> None:
    handler = signal.getsignal(signal.SIGINT)
    done: list[bool] = []

    def work() -> None:
        with interrupts_wait():
            done.append(signal.getsignal(signal.SIGINT) is handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with pytest.raises(ZeroDivisionError), interrupts_wait():
        done.append(signal.getsignal(signal.SIGINT) is not handler)
        raise ZeroDivisionError
    assert done == [True, True]
    assert signal.getsignal(signal.SIGINT) is handler
