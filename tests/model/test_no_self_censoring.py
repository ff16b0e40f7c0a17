"""A mask that depends on the other values of the row and not on the cell's own, those that are missing too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from pyro_mnar import MNARImputer, TrainingSettings, load, save
from pyro_mnar.model.mechanisms import Linear
from tests.support.pairs import info


def crossed(n: int = 1500, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each of a and b goes missing by the other's value; c is always there and follows both."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    full = pd.DataFrame({name: z + 0.6 * rng.normal(size=n) for name in "abc"})
    holed = full.copy()
    holed.loc[rng.random(n) < expit(2 * full["b"] - 1), "a"] = np.nan
    holed.loc[rng.random(n) < expit(2 * full["a"] - 1), "b"] = np.nan
    return holed, full


def test_its_own_value_has_no_part_and_levels_of_one_column_are_one_cell() -> None:
    mechanism = Linear(own_value=False)
    mechanism.setup(info(4)._replace(names=("x0", "soil=clay", "soil=sand", "x3")))
    with torch.no_grad():
        mechanism.linear.weight.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    slopes = torch.autograd.functional.jacobian(lambda row: mechanism(row).logits, x.detach()[0])
    own = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 1]]) == 1
    assert bool((slopes[own] == 0).all()) and bool((slopes[~own] != 0).all())
    everything = Linear()
    everything.setup(info(4))
    everything.linear.load_state_dict(mechanism.linear.state_dict())
    torch.testing.assert_close(everything(x).logits, everything.linear(x))


def test_it_finds_what_hides_what_and_is_saved(tmp_path: Path) -> None:
    holed, full = crossed()
    settings = {"decoder": "linear", "latent_dim": 1, "types": "continuous", "log_columns": None, "random_state": 0}
    training = TrainingSettings(learning_rate=0.02)
    model = MNARImputer(Linear(own_value=False), max_iter=60, training=training, **settings).fit(holed)
    slopes = model.mechanism_sensitivity()
    assert slopes.loc["a", "a"] == 0 and slopes.loc["b", "b"] == 0
    assert slopes.loc["a", "b"] > 1 and slopes.loc["b", "a"] > 1
    words = model.mechanism_report()["words"]
    assert words[0].startswith("a: likelier missing where b is high") and "its own value" not in words[0]
    ignorable = MNARImputer("ignorable", max_iter=60, training=training, **settings).fit(holed)
    gone = holed["a"].isna().to_numpy()
    means = [m.posterior(holed, n_draws=300).mean()[gone, 0].mean() for m in (model, ignorable)]
    truth = full["a"][gone].mean()
    assert abs(means[0] - truth) < abs(means[1] - truth)
    save(model, tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").mechanism_sensitivity(), slopes)
