"""What is said of long work: to whom, from when on, and in which words."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from pyro_mnar.inference import progress as module
from pyro_mnar.inference.progress import progress, training_report
from tests.support.estimators import small_imputer, table


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still until it is moved, before a terminal."""
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "_console", lambda: Console(file=sys.stderr, force_terminal=True, width=120))
    return now


def work(now: list[float], seconds: float, show: bool | None = None) -> None:
    with progress(show) as report:
        report(1, 2, "counting rows")
        now[0] += seconds
        report(2, 2, "counting rows")


def test_two_seconds_pass_in_silence(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 1.9)
    assert capsys.readouterr() == ("", "")
    work(clock, 2.1)
    shown = capsys.readouterr()
    assert shown.out == "" and "counting rows" in shown.err and "100%" in shown.err


def test_it_is_silent_where_nobody_looks_or_wants_it(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work(clock, 60, show=False)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(module, "can_be_shown", lambda: False)
    work(clock, 60)
    assert capsys.readouterr().err == ""
    work(clock, 0, show=True)
    assert "counting rows" in capsys.readouterr().err
    # Into a file goes the last state.
    monkeypatch.undo()
    work([0.0], 0, show=True)
    assert "counting rows" in capsys.readouterr().err


def test_work_within_work_is_shown_below_it_and_silent_where_that_is(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    with progress() as report:
        clock[0] += 3
        report(0, 2, "the whole")
        with progress() as inner:
            inner(1, 4, "a part")
    shown = capsys.readouterr().err
    assert "the whole" in shown and "a part" in shown
    with progress(False), progress(True) as inner:
        inner(1, 4, "a part")
    assert capsys.readouterr().err == ""
    # The state is put back after an error.
    with pytest.raises(ValueError, match="stop"), progress(False):
        raise ValueError("stop")
    work(clock, 3)
    assert "counting rows" in capsys.readouterr().err


def test_two_threads_do_not_get_into_each_others_way(clock: list[float]) -> None:
    failed: list[BaseException] = []

    def one() -> None:
        try:
            for _ in range(20):
                work(clock, 3, show=True)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_training_says_passes_and_for_who_wants_it_the_bound() -> None:
    said: list[tuple[float, float, str]] = []
    for with_bound in (False, True):
        told = training_report(lambda *what: said.append(what), with_bound)
        told(2, 1200, -3.14159, -4.0)
    assert said[0] == (2, 1200, "training the model, pass 2 of 1,200")
    assert said[1][2].endswith("bound -3.142 nats/row, held out -4.000")


def test_a_fit_and_its_answers_say_what_they_do(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moves = iter(np.arange(0.0, 1e6, 30.0))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(moves))))
    imputer = small_imputer().fit(table())
    assert "training the model, pass" in capsys.readouterr().err
    imputer.posterior(table(), n_draws=50, refine=False).mean()
    assert "asking the model about 40 rows, 50 draws each" in " ".join(capsys.readouterr().err.split())
    silent = imputer.set_params(verbose=False)
    silent.posterior(table(), n_draws=50, refine=False).mean()
    assert capsys.readouterr().err == ""
