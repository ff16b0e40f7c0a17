"""Fitting the pair: what is recorded, when it stops, which weights are kept, and what it leaves behind."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch

from pyro_mnar.errors import FitDivergedError
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import FitSettings, fit, held_out_bound, make_optimiser, split
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import SelfMasking
from tests.support.pairs import small_batch, small_joint


def pair() -> Joint:
    return small_joint(SelfMasking(), dtype=torch.float32)


def data(n: int = 60) -> Any:
    return small_batch(n, dtype=torch.float32)


def state(joint: Joint) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in joint.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_history_has_one_entry_per_pass_and_the_bound_rises() -> None:
    joint = pair()
    calls: list[tuple[int, int, float, float | None]] = []
    settings = FitSettings(30, batch_size=20, n_draws=5, learning_rate=1e-2, validation_fraction=0.2)
    history = fit(joint, data(), settings, lambda *arguments: calls.append(arguments))
    assert history.n_iter == len(history.validation_bound) == len(history.seconds) == 30
    assert len(history.slope) == len(history.intercept) == 30 and len(history.slope[0]) == 4
    assert sum(history.bound[-5:]) > sum(history.bound[:5]) + 1
    assert history.seconds == sorted(history.seconds)
    assert calls == [(i + 1, 30, history.bound[i], history.validation_bound[i]) for i in range(30)]
    assert not joint.training and joint.generator is None


def test_without_held_out_rows_all_are_trained_on_and_the_last_weights_kept() -> None:
    joint = pair()
    history = fit(joint, data(), FitSettings(3, n_draws=2))
    assert history.validation_bound == [] and history.n_iter == 3


def test_the_best_weights_are_kept() -> None:
    """A rate that wrecks the pair late: what comes back is the state whose held-out bound was best."""
    joint, rows = pair(), data()
    settings = FitSettings(40, batch_size=20, n_draws=5, learning_rate=0.2, validation_fraction=0.25, seed=1)
    history = fit(joint, rows, settings)
    best = max(history.validation_bound)
    assert history.validation_bound[-1] < best - 0.05, "the test needs a fit that gets worse"
    _, held_out = split(rows, 0.25, torch.Generator().manual_seed(1))
    assert held_out is not None
    assert held_out_bound(joint, held_out, ImportanceBound(5), 1) == pytest.approx(best, abs=1e-5)


def test_it_stops_after_so_many_passes_without_gain() -> None:
    settings = FitSettings(
        200, batch_size=20, n_draws=5, learning_rate=0.05, validation_fraction=0.25, n_iter_no_change=4, tol=0.01
    )
    history = fit(pair(), data(), settings)
    assert history.n_iter < 200
    best = max(history.validation_bound[:-4])
    assert all(value <= best + 0.01 for value in history.validation_bound[-4:])


def test_one_seed_gives_one_result() -> None:
    start, results = pair(), []
    for seed in (5, 5, 6):
        joint = copy.deepcopy(start)
        fit(joint, data(), FitSettings(3, batch_size=20, n_draws=2, seed=seed))
        results.append(state(joint))
    assert same(results[0], results[1]) and not same(results[0], results[2])


def test_the_mechanism_has_a_rate_of_its_own() -> None:
    joint = pair()
    optimiser = make_optimiser(joint, FitSettings(1, learning_rate=1e-3, mechanism_learning_rate=7e-2))
    networks, decoder, mechanism = optimiser.param_groups
    assert networks["lr"] == decoder["lr"] == 1e-3 and mechanism["lr"] == 7e-2
    assert {id(p) for p in mechanism["params"]} == {id(p) for p in joint.mechanism.parameters()}
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(joint.parameters()))


def test_weights_of_the_decoders_hidden_layers_decay_alone() -> None:
    joint = pair()
    groups = make_optimiser(joint, FitSettings(1, decoder_weight_decay=0.5)).param_groups
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    hidden = {name: p for name, p in joint.decoder.named_parameters() if name.endswith("weight")}
    assert hidden and decaying == {id(p) for p in hidden.values()}
    assert [group["weight_decay"] for group in groups] == [0.0, 0.5, 0.0]


def test_rates_fall_to_their_final_share() -> None:
    """With a final share of almost nothing the last pass hardly moves the weights."""
    moved = []
    for final in (1.0, 1e-6):
        joint, states = pair(), []
        settings = FitSettings(20, batch_size=60, n_draws=2, learning_rate=1e-2, final_rate=final)
        fit(joint, data(), settings, lambda *_, joint=joint, states=states: states.append(state(joint)))
        moved.append(max((states[-1][name] - states[-2][name]).abs().max() for name, _ in joint.named_parameters()))
    assert moved[1] < 0.05 * moved[0]


def test_an_interrupt_keeps_the_best_weights_and_leaves_the_pair_usable() -> None:
    joint = pair()
    before = state(joint)

    def interrupt(done: int, *_: object) -> None:
        if done == 4:
            raise KeyboardInterrupt

    settings = FitSettings(50, batch_size=20, n_draws=2, validation_fraction=0.2)
    with pytest.raises(KeyboardInterrupt):
        fit(joint, data(), settings, interrupt)
    assert not joint.training and joint.generator is None
    assert not same(before, state(joint))
    assert math.isfinite(ImportanceBound(3).loss(joint.model, joint.guide, data()))


def test_a_loss_that_is_not_finite_is_an_error_by_name() -> None:
    joint = pair()
    with torch.no_grad():
        next(joint.decoder.parameters()).fill_(math.nan)
    with pytest.raises(FitDivergedError):
        fit(joint, data(), FitSettings(2, n_draws=2))


def test_split_holds_each_row_once() -> None:
    rows = data(50)
    train, held_out = split(rows, 0.3, torch.Generator().manual_seed(0))
    assert held_out is not None and (train.n_rows, held_out.n_rows) == (35, 15)
    together = torch.cat([train.x, held_out.x]).sort(0).values
    assert torch.equal(together, rows.x.sort(0).values)
    assert split(rows, 0.01, torch.Generator())[1] is None
