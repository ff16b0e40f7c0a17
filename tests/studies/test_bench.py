"""The benchmark's own parts: the loop written by hand is the package's model, and turns are fair."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import pyro_mnar
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.studies.bench import imputers
from pyro_mnar.studies.bench.handwritten import handwritten_loss, handwritten_step
from pyro_mnar.studies.bench.imputers import at_equal_error, monte_carlo_error
from pyro_mnar.studies.bench.measures import Figure, growth
from pyro_mnar.studies.bench.sides import batches, made, package_step, pair, stepper
from pyro_mnar.studies.bench.timing import alternate
from pyro_mnar.studies.bench.versions import compare, factor_table


@pytest.mark.parametrize("collapsed", [True, False])
def test_the_loop_written_by_hand_has_the_same_loss_and_gradient(collapsed: bool) -> None:
    data = made(24, 6)
    joint = pair(data, collapsed).double()
    batch = data.batch.to("cpu", torch.float64)
    with torch.no_grad():
        for parameter in joint.mechanism.parameters():
            parameter += 0.5
    results = []
    with torch.random.fork_rng():
        for by_hand in (True, False):
            joint.zero_grad()
            torch.manual_seed(0)
            if by_hand:
                loss = handwritten_loss(joint, batch, 7, collapsed, joint.active.nonzero()[:, 0])
            else:
                loss = ImportanceBound(7).differentiable_loss(joint.model, joint.guide, batch) / batch.n_rows
            loss.backward()
            results.append([loss.detach(), *[p.grad.clone() for p in joint.parameters() if p.grad is not None]])
    for theirs, ours in zip(*results, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", ["plain", "tuned"])
def test_both_sides_take_steps(kind: str) -> None:
    data = made(40, 4)
    joint = pair(data)
    before = joint.likelihood.loc.weight.clone()
    with torch.random.fork_rng():
        theirs = stepper(handwritten_step(joint, kind, 5, True), data.batch, 16)  # type: ignore[arg-type]
        timing = alternate(stepper(package_step(joint, 5), data.batch, 16), theirs, turns=2)
    assert min(timing) > 0
    assert not torch.equal(before, joint.likelihood.loc.weight)


def test_batches_are_of_one_size_and_a_pass_sees_each_row_once() -> None:
    data = made(20, 4).batch
    stream = batches(data, 6)
    rows = torch.cat([next(stream).x for _ in range(3)])
    assert rows.shape == (18, 4)
    assert len(torch.unique(rows, dim=0)) == 18


def test_growth_is_reported_for_rows_features_and_draws() -> None:
    assert [figure.setting[0] for figure in growth(2)] == ["n", "p", "K"]


def test_an_aim_that_was_not_reached_is_not_met() -> None:
    assert [Figure("", "", 1, 1, "", r, "<= 0.25").met for r in (0.2, 0.3, math.inf)] == ["yes", "no", "no"]
    assert [Figure("", "", 1, 1, "", r, ">= 2").met for r in (2.5, 1.0)] == ["yes", "no"]
    assert Figure("", "", 1, 1, "", 1.0).met == ""


def test_a_checkout_against_itself_takes_as_long_and_errs_as_much() -> None:
    here = Path(pyro_mnar.__file__).parents[1]
    (line,) = compare(here, here, ((60, 3, 0.2),), turns=1).to_dict("records")
    assert line["ours_rmse"] == line["theirs_rmse"] < 1.5
    assert 0.2 < line["ratio"] < 5
    assert line["met"] == "no"


def test_the_table_loses_high_values_and_no_row_whole() -> None:
    complete, holed = factor_table(400, 6)
    lost = np.isnan(holed)
    assert 0.2 < lost.mean() < 0.4 and not lost.all(1).any()
    assert (complete[lost].mean() > complete[~lost].mean() + 0.5) and np.array_equal(holed[~lost], complete[~lost])


def test_the_monte_carlo_error_is_that_of_the_missing_cells_in_standard_deviations() -> None:
    data = made(400, 4)

    def answer(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(data.truth.shape, generator=generator) * 0.3 * data.unit
        return data.truth + torch.where(data.batch.observed, 100 * noise, noise)

    assert monte_carlo_error(answer, data, 30) == pytest.approx(0.3, rel=0.05)


def test_draws_are_those_that_reach_the_error_of_the_other_side() -> None:
    pytest.importorskip("notmiwae_pytorch")
    (figure,) = at_equal_error(made(200, 4), steps=30, n_rows=40, repeats=4, turns=1)
    ours, theirs = re.search(r"error ([\d.]+) with \d+ draws, theirs ([\d.]+)", figure.setting).groups()  # type: ignore[union-attr]
    assert 0 < float(ours) <= float(theirs)
    assert figure.ratio == pytest.approx(figure.ours / figure.theirs)


def test_a_fit_is_timed_that_errs_as_little_as_the_other_imputer(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = factor_table(120, 6)
    monkeypatch.setattr(imputers, "load", lambda name, home: SimpleNamespace(data=pd.DataFrame(table)))
    monkeypatch.setattr(imputers, "PASSES", (1, 60))
    monkeypatch.setattr(imputers, "has_miceforest", lambda: False)
    figures = imputers.time_to_imputers(None, turns=1)
    assert [figure.measure for figure in figures] == ["time to the error of mice", "time to the error of forest"]
    for figure in figures:
        if math.isfinite(figure.ratio):
            target, ours = re.search(r"RMSE ([\d.]+), ours ([\d.]+)", figure.setting).groups()  # type: ignore[union-attr]
            assert float(ours) <= float(target)
        assert figure.theirs > 0
    assert any(math.isfinite(figure.ratio) for figure in figures)
