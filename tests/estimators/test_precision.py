"""Standard errors of the mechanism, against repeated fits and where nothing is to tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from pyro_mnar.mechanisms import SelfMasking
from scipy.special import ndtr

from pyro_mnar import MNARImputer, TrainingSettings
from pyro_mnar.estimators.precision import curve_errors


def softly_missing(seed: int, n: int = 500) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x = np.column_stack([10 + 5 * (z + 0.3 * rng.normal(size=n)), *(z + 0.3 * rng.normal(size=n) for _ in range(2))])
    x[rng.random(n) < ndtr(1.5 * ((x[:, 0] - 10) / 5 - 0.5)), 0] = np.nan
    return pd.DataFrame(x, columns=["a", "b", "c"])


def fitted(table: pd.DataFrame) -> MNARImputer:
    training = TrainingSettings(learning_rate=1e-2)
    imputer = MNARImputer(
        SelfMasking({"a": "high"}),
        decoder="linear",
        latent_dim=1,
        max_iter=60,
        n_draws_posterior=100,
        training=training,
        random_state=0,
    )
    return imputer.fit(table)


def test_standard_errors_are_those_of_repeated_tables() -> None:
    reports = [fitted(softly_missing(seed)).mechanism_report() for seed in range(8)]
    slopes, thresholds = (np.array([report[name][0] for report in reports]) for name in ("slope_per_sd", "threshold"))
    table = softly_missing(0)
    report = fitted(table).mechanism_report(table)
    assert report["threshold_se"][0] == pytest.approx(thresholds.std(ddof=1), rel=0.6)
    assert report["slope_per_sd_se"][0] == pytest.approx(slopes.std(ddof=1), rel=0.6)
    assert report.loc[1:, ["threshold_se", "slope_per_sd_se"]].isna().to_numpy().all()
    assert "threshold_se" not in fitted(table).mechanism_report()


def test_the_score_is_the_derivative_of_the_bound() -> None:
    """With one code per row it is that of log p(s | z, x_obs), which torch differentiates."""
    table = softly_missing(1, n=60)
    imputer = fitted(table)
    posterior = imputer.posterior(table)
    codes = posterior.codes(1, torch.Generator().manual_seed(0))
    errors = curve_errors(posterior.joint, posterior.batch, codes)
    joint, batch = posterior.joint, posterior.batch
    w, c = (v.detach().double().clone() for v in joint.mechanism.curve()[:2])
    rows = joint.rows_given_code(codes)
    mean, sd = rows.mean[0, :, 0].detach(), rows.scale.expand(rows.mean.shape)[0, :, 0].detach()
    theta = torch.stack([w[0], c[0]]).requires_grad_()
    x, seen = batch.x[:, 0], batch.observed[:, 0]

    def log_mask(row: int) -> torch.Tensor:
        if seen[row]:
            return torch.special.log_ndtr(-(theta[0] * x[row] + theta[1]))
        return torch.special.log_ndtr((theta[0] * mean[row] + theta[1]) / (1 + (theta[0] * sd[row]) ** 2).sqrt())

    scores = torch.stack([torch.autograd.grad(log_mask(row), theta)[0] for row in range(60)])
    covariance = torch.linalg.inv(scores.T @ scores)
    assert errors.slope[0] == pytest.approx(float(covariance[0, 0].sqrt()), rel=1e-3)
    gradient = torch.stack([theta[1] / theta[0] ** 2, -1 / theta[0]]).detach()
    assert errors.threshold[0] == pytest.approx(float((gradient @ covariance @ gradient).sqrt()), rel=1e-3)


def test_no_data_say_how_steep_a_cut_is() -> None:
    table = softly_missing(0)
    complete = softly_missing(0)
    table["a"] = np.where(complete["a"].fillna(99) > 9, np.nan, complete["a"])
    imputer = MNARImputer(decoder="linear", latent_dim=1, max_iter=2, n_draws_posterior=100, random_state=0).fit(table)
    report = imputer.mechanism_report(table)
    assert report["evidence"][0] == "cliff"
    assert not report["slope_per_sd_se"][0] < 0.2 * report["slope_per_sd"][0]
