"""What is said of long work: to whom, from when on, and in which words."""

from __future__ import annotations

import logging
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from pyro_mnar.inference import progress as module
from pyro_mnar.inference.progress import progress, training_report
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.estimators import small_imputer, table
from tests.support.pairs import small_batch, small_joint


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


@pytest.mark.parametrize(
    ("pace", "lines"),
    [
        (0.5, []),
        (8.0, ["about 80 seconds (counting rows)"]),
        (5e3, ["about 83 minutes (a part)", "about 13.9 hours (counting rows)"]),
    ],
)
def test_work_of_more_than_a_minute_says_so_beforehand(
    pace: float,
    lines: list[str],
    clock: list[float],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="pyro_mnar")
    for show in (None, False):
        with progress(show) as report:
            for done in range(5):
                report(done, 10, "counting rows")
                # What stands within does not say it again.
                with progress() as inner:
                    inner(0, 1, "a part")
                    clock[0] += pace
                    inner(1, 1, "a part")
        shown = capsys.readouterr().err
        said = [record.getMessage() for record in caplog.records]
        caplog.clear()
        assert said == [f"this takes {line}; Ctrl-C stops it" for line in lines]
        assert shown.count("this takes") == (len(lines) if show is None else 0)


def test_the_first_seconds_say_it_and_where_work_began_does_not_matter(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pyro_mnar")
    with progress(False) as report:
        # Resumed at 900 of 1,000: a hundred are left.
        for done in range(900, 1000, 5):
            report(done, 1000, "rows")
            clock[0] += 3
    assert caplog.records == []
    with progress(False) as report:
        report(0, 1000, "rows")
        clock[0] += 1
        report(1, 1000, "rows")
        assert caplog.records == []
        clock[0] += 1
        report(2, 1000, "rows")
    assert [record.getMessage() for record in caplog.records] == ["this takes about 17 minutes (rows); Ctrl-C stops it"]


def test_a_long_pass_tells_how_far_it_is() -> None:
    told: list[float] = []
    settings = FitSettings(max_iter=2, batch_size=1, n_draws=2)
    joint = small_joint(SelfMasking(), dtype=torch.float32)
    fit(joint, small_batch(120, dtype=torch.float32), settings, lambda done, *_: told.append(done))
    np.testing.assert_allclose(told, [50 / 120, 100 / 120, 1, 1 + 50 / 120, 1 + 100 / 120, 2])


def test_training_says_passes_and_for_who_wants_it_the_bound() -> None:
    said: list[tuple[float, float, str]] = []
    for with_bound in (False, True):
        told = training_report(lambda *what: said.append(what), with_bound)
        told(2, 1200, -3.14159, -4.0)
    training_report(lambda *what: said.append(what), True)(0.25, 1200, None, None)
    assert said[2] == (0.25, 1200, "training the model, pass 1 of 1,200")
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
