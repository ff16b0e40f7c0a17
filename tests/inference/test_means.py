"""Means on the original scale of columns that are modelled on another one, against quadrature and enumeration."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from scipy.stats import norm

from tests.support.estimators import small_imputer
from tests.support.possible import possible_values


def related(n: int = 400) -> pd.DataFrame:
    """One column for each scale: a logarithm, a logit, levels, a pile of zeros beside amounts, counts."""
    generator = np.random.default_rng(0)
    z = generator.normal(size=n)

    def noisy() -> np.ndarray:
        return 0.8 * z + 0.6 * generator.normal(size=n)

    table = pd.DataFrame(
        {
            "income": np.exp(8 + 0.7 * noisy()),
            "percent": 100 * expit(1 + 1.5 * noisy()),
            "stars": np.clip(np.rint(3 + noisy()), 1, 5),
            "spend": np.where(noisy() < 0, 0.0, np.exp(3 + 0.6 * noisy())),
            "children": generator.poisson(np.exp(0.5 + 0.5 * z)).astype(float),
        }
    )
    return table.mask(generator.random(table.shape) < 0.3)


def test_means_are_taken_on_the_original_scale() -> None:
    given = related()
    imputer = small_imputer(mechanism="ignorable", decoder="linear", latent_dim=1, max_iter=10).fit(given)
    assert imputer.schema_["kind"].tolist() == ["continuous", "bounded", "ordinal", "semicontinuous", "count"]
    assert imputer.schema_["transform"][0] == "log"
    rows = given[given.isna().any(axis=1)].iloc[:20]
    posterior = imputer.posterior(rows, n_draws=40_000)
    batch, table, z = posterior.batch, imputer.table(rows), np.linspace(-7, 7, 281)
    with torch.no_grad():
        given_z = posterior.joint.rows_given_code(torch.as_tensor(z)[:, None, None].expand(-1, len(rows), -1))
        log_w = given_z.observed_part(batch.observed).log_prob(batch.x).numpy() + norm.logpdf(z)[:, None]
    weight = np.exp(log_w - log_w.max(0))
    weight /= weight.sum(0)
    found = posterior.mean()
    for j, name in enumerate(given):
        values, log_p = possible_values(given_z, imputer, j)
        support = imputer.columns_.supports[j]
        values = np.clip(values, support.lowest, support.highest)
        exact = (weight * (np.exp(log_p) * values).sum(-1)).sum(0)
        hidden = np.isnan(table[:, j])
        assert hidden.any()
        np.testing.assert_allclose(found[hidden, j], exact[hidden], atol=0.02 * given[name].std(), err_msg=name)
