"""The benchmark's own parts: the loop written by hand is the package's model, and turns are fair."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import pyro_mnar
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.studies.bench.handwritten import handwritten_loss, handwritten_step
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
