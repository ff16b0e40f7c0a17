"""Cells whose own value has no part in their being missing, and blocks of them that go missing together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pyro_mnar.mechanisms import Latent, SelfMasking
from scipy.stats import norm

from pyro_mnar import MNARImputer, TrainingSettings, load, ppc, save, sensitivity
from pyro_mnar import comparison as comparing
from pyro_mnar.analysis.held_slope import with_slope
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.mechanisms import Given, by_name

#: Too few draws for a row to be judged, so that none is refined.
QUICK: dict[str, Any] = {"decoder": "linear", "max_iter": 4, "n_draws_posterior": 99, "random_state": 0}
PAGE: Given = {("q1", "q2", "city"): Latent(depends_on=["age"])}


def questionnaire(n: int = 300, seed: int = 0) -> pd.DataFrame:
    """A page of three questions that people skip as a whole, the more so the higher z and age."""
    rng = np.random.default_rng(seed)
    z, noise = rng.normal(size=n), rng.normal(size=(3, n))
    columns = {
        "age": z + noise[0],
        "q1": z + 0.4 * noise[1],
        "q2": 0.4 * noise[2] - z,
        "city": rng.choice(list("abc"), n),
    }
    table = pd.DataFrame(columns)
    table.loc[rng.random(n) < norm.cdf(z + 0.5 * columns["age"] - 0.5), ["q1", "q2", "city"]] = np.nan
    return table


@pytest.mark.parametrize("block", [True, False])
def test_evidence_and_mean_against_quadrature(block: bool) -> None:
    """log p(x_obs, s) is an integral over one z; a block has one factor for its mask, single columns one each."""
    table = questionnaire(150).drop(columns="city")
    latent = Latent(depends_on={"q1": ["age"], "q2": ["age"]})
    mechanism: Given = {("q1", "q2"): latent} if block else latent
    training = TrainingSettings(learning_rate=0.02)
    settings = {**QUICK, "max_iter": 40, "n_draws_posterior": 20_000, "latent_dim": 1, "training": training}
    model = MNARImputer(mechanism, types="continuous", **settings).fit(table)
    joint, batch = model.joint_.double(), model.batch(table).to("cpu", torch.float64)
    assert joint.collapsed and joint.active.sum() == (1 if block else 2)
    z = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    with torch.no_grad():
        curve = joint.mechanism.curve_of_rows(batch, z[:, None, None].expand(-1, len(table), 1))
        assert curve is not None
        t = curve.intercept.numpy()
        rows = joint.rows_given_code(z[:, None])
        loc, scale = rows.loc.numpy(), rows.scale.expand_as(rows.loc).numpy()
    x, seen = batch.x.numpy(), batch.observed.numpy()
    assert np.abs(t - t[:1]).max() > 0.05
    log_joint = norm.logpdf(z.numpy())[:, None] + np.log(float(z[1] - z[0]))
    for j in range(3):
        log_joint = log_joint + np.where(seen[:, j], norm.logpdf(x[:, j], loc[:, [j]], scale[:, [j]]), 0.0)
    for j in (1,) if block else (1, 2):
        log_joint = log_joint + norm.logcdf(np.where(seen[:, j], -t[..., j], t[..., j]))
    posterior = model.posterior(table, refine=False)
    evidence = np.logaddexp.reduce(log_joint, 0)
    np.testing.assert_allclose(posterior.log_evidence, evidence, atol=0.05)
    weights = np.exp(log_joint - evidence)
    gone = ~seen[:, 1]
    for j in (1, 2):
        mean = model.columns_.center[j] + model.columns_.scale[j] * (weights * loc[:, [j]]).sum(0)
        np.testing.assert_allclose(posterior.mean()[gone, j], mean[gone], atol=0.05)


def test_a_block_is_reported_simulated_compared_and_saved_as_one(tmp_path: Path) -> None:
    table = questionnaire(400)
    model = MNARImputer(PAGE, **{**QUICK, "max_iter": 60}).fit(table)
    completed = model.transform(table)
    assert not completed.isna().any(axis=None) and set(completed["city"]) <= set("abc")
    words = model.mechanism_report().set_index("feature")["words"]
    assert words["q2"].startswith("q2: goes missing together with q1 and city, by what its row has in common (")
    assert all("likelier where age is high (+" in words[name] for name in ("q1", "q2", "city"))
    hidden = ~ppc.simulate(model, table, n_tables=20).observed
    page = hidden[..., 1:]
    assert (page == page[..., :1]).all() and not hidden[..., 0].any()
    assert page.mean() == pytest.approx(table["q1"].isna().mean(), abs=0.05)
    single = MNARImputer("latent", **{**QUICK, "max_iter": 60}).fit(table)
    ranked = comparing.compare({"page": model, "cells": single}, table, n_draws_mask=20)
    # Three masks that always agree are one.
    assert ranked.index[0] == "page" and ranked.loc["cells", "verdict"] == "worse"
    save(model, tmp_path / "model")
    other = load(tmp_path / "model")
    pd.testing.assert_frame_equal(other.transform(table), completed)
    assert other.mechanism_report()["words"].tolist() == words.tolist()


def test_cells_of_their_own_are_reported_and_a_sweep_gives_them_a_slope() -> None:
    table = questionnaire(120).drop(columns="city")
    model = MNARImputer(Latent(depends_on={"q1": ["age"]}), **QUICK).fit(table)
    assert "q2: missing by what its row has in common, whatever its value" in model.mechanism_report()["words"][2]
    kept = by_name(with_slope(model.mechanism, {"q1": 1.0}))
    assert isinstance(kept, SelfMasking) and kept.depends_on == {"q1": ["age"]}
    with pytest.raises(InvalidInputError, match="column 'q1' goes missing together with others"):
        sensitivity.sweep(MNARImputer(PAGE, **QUICK), table, lambda t: 0.0, "q1")


def test_what_is_no_block_is_said_by_name() -> None:
    table = questionnaire(60)
    with pytest.raises(InvalidInputError, match=r"row 5 lacks 'q2' and has 'q1'; leave such columns out"):
        whole = table.fillna({"q1": 0.0, "q2": 0.0, "city": "a"})
        MNARImputer(PAGE, **QUICK).fit(whole.assign(q2=whole["q2"].where(whole.index != 5)))
    model = MNARImputer(PAGE, **QUICK).fit(table)
    with pytest.raises(InvalidInputError, match="declared as a block"):
        model.transform(table.assign(city="a"))
    wrong: list[tuple[dict[Any, Any], str]] = [
        ({("q1", "q2"): "self-masking"}, "the mechanism of the block .* is SelfMasking"),
        ({("q1",): "latent"}, "a block has two columns or more"),
        ({("q1", "q2"): "latent", "q2": "ignorable"}, "names the column 'q2' twice"),
        ({("q1", "shoe"): "latent"}, "names the column 'shoe'"),
        ({("q1", "q2"): Latent(depends_on=["q2"])}, "goes round in a circle"),
    ]
    for mechanism, message in wrong:
        with pytest.raises(InvalidInputError, match=message):
            MNARImputer(mechanism, **QUICK).fit(table.drop(columns="city"))
