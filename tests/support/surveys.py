"""A small survey with known truth, and quick fits to it, for the tests of the workflow."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from pyro_mnar import MNARImputer
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.model.mechanisms import Mechanism, SelfMasking

NAMES = ["income", "spending", "age", "rooms"]
MEAN = np.array([42_000.0, 900.0, 45.0, 4.0])
UNIT = np.array([12_000.0, 300.0, 10.0, 1.0])
LOADINGS = np.array([[1.0, 0.5], [0.8, -0.6], [0.7, 0.7], [-0.9, 0.4]])
NOISE = 0.5
#: Logits per unit of the standardised value; half of the cells are missing at CUT.
SLOPE, CUT = 3.0, 0.3


def survey(seed: int, n: int = 1000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Complete and holed table: a linear factor model whose first two columns hide high values of themselves."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 2)) @ LOADINGS.T + NOISE * generator.normal(size=(n, 4))
    hidden = generator.random((n, 2)) < 1 / (1 + np.exp(-SLOPE * (x[:, :2] - CUT)))
    complete = pd.DataFrame(MEAN + UNIT * x, columns=NAMES)
    holed = complete.copy()
    holed.loc[:, NAMES[:2]] = complete[NAMES[:2]].mask(hidden)
    return complete, holed


def imputer(mechanism: str | Mechanism = "self-masking", seed: int = 0, **settings: object) -> MNARImputer:
    """Settings under which the survey is fitted well within a second."""
    chosen = {
        "decoder": "linear",
        "start": "neutral",
        "log_columns": None,
        "final_rate": 1.0,
        "gradient": "standard",
        "latent_dim": 2,
        "hidden_units": (32,),
        "max_iter": 60,
        "learning_rate": 3e-2,
        "mechanism_learning_rate": 0.1,
        "batch_size": 500,
        "n_draws": 5,
        "n_draws_posterior": 300,
        "random_state": seed,
    } | settings
    if mechanism == "self-masking":
        mechanism = SelfMasking(link="logistic")
    return MNARImputer(mechanism, **with_training(chosen))  # type: ignore[arg-type]


@cache
def fitted(mechanism: str = "self-masking", seed: int = 0, n: int = 1000) -> MNARImputer:
    """A fit to the survey of that seed; not to be changed."""
    return imputer(mechanism, seed).fit(survey(seed, n)[1])
