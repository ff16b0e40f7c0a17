"""A known mechanism is in the user's units whatever the scale on which a column is modelled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logsumexp, ndtr
from scipy.stats import norm

from pyro_mnar.data.columns import ColumnInfo, Support
from pyro_mnar.data.transforms import Identity, Log, Logit, Tabulated, WithAtoms
from pyro_mnar.model.mechanisms import Fixed
from tests.support.estimators import small_imputer
from tests.support.possible import possible_values

TRANSFORMS = (
    Identity(),
    Log(),
    Logit(0.0, 100.0),
    Tabulated((1.0, 2.0, 5.0), (-1.0, 0.0, 1.5)),
    WithAtoms(Log(), low=((0.0, -1.0), (1.0, 0.0))),
    Identity(),
)
P = len(TRANSFORMS)
COLUMNS = ColumnInfo(
    tuple("abcdef"),
    np.array([3.0, 2.0, 0.5, 0.0, 1.0, 0.0]),
    np.array([2.0, 0.5, 1.5, 1.0, 0.8, 1.0]),
    np.full(P, 0.3),
    TRANSFORMS,
    (Support(),) * P,
    ((),) * 5 + ((1.0, 2.0),),
)
#: Values on the model's scale, and the same in the user's units.
X = np.array([[0.7, -1.2, 0.4, 0.0, -2.5, 1.0], [-0.3, 0.9, -2.0, 1.5, 0.6, 0.0]])
ORIGINAL = np.column_stack(
    [
        3 + 2 * X[:, 0],
        np.exp(2 + 0.5 * X[:, 1]),
        100 * expit(0.5 + 1.5 * X[:, 2]),
        [2.0, 5.0],
        [0.0, np.exp(1 + 0.8 * 0.6)],
        [2.0, 1.0],
    ]
)
SLOPE = [0.5, 0.1, 0.05, 1.2, 0.3, 3.0]
THRESHOLD = [2.0, 6.0, 40.0, 3.0, 2.0, 1.5]


@pytest.mark.parametrize("link", ["logistic", "probit"])
def test_the_probability_is_that_of_the_value_in_its_own_unit(link: Any) -> None:
    mechanism = Fixed(SLOPE, THRESHOLD, link)
    mechanism.setup(COLUMNS)
    t = np.array(SLOPE) * (ORIGINAL - THRESHOLD)
    expected = 1 - (ndtr(t) if link == "probit" else expit(t))
    np.testing.assert_allclose(mechanism(torch.as_tensor(X)).probs, expected, rtol=1e-9)
    w, b = (torch.tensor(v, dtype=torch.float64) for v in (SLOPE, THRESHOLD))
    function = Fixed(probability=lambda x: torch.sigmoid(w * (b - x)))
    function.setup(COLUMNS)
    np.testing.assert_allclose(function(torch.as_tensor(X)).probs, 1 - expit(t), rtol=1e-9)


def test_its_gradient_is_that_of_finite_differences_where_values_can_move() -> None:
    mechanism = Fixed(SLOPE, THRESHOLD)
    mechanism.setup(COLUMNS)
    x = torch.as_tensor(X).requires_grad_()
    (gradient,) = torch.autograd.grad(mechanism(x).logits.sum(), x)
    for j in (0, 1, 2, 5):
        move = np.zeros(P)
        move[j] = 1e-5
        up, down = (mechanism(torch.as_tensor(X + sign * move)).logits[:, j].numpy() for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, j], (up - down) / 2e-5, rtol=1e-6)
    # Levels and atoms do not move.
    assert gradient[:, 3].tolist() == [0.0, 0.0] and gradient[0, 4] == 0.0 and gradient[1, 4] != 0.0


def people() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    z = generator.normal(size=300)
    table = pd.DataFrame(
        {
            "percent": 100 * expit(z + 0.5 * generator.normal(size=300)),
            "satisfaction": np.clip(np.rint(3 + z + 0.5 * generator.normal(size=300)), 1, 5),
            "spend": np.where(z + generator.normal(size=300) < -0.5, 0.0, np.exp(3 + 0.5 * generator.normal(size=300))),
            "code": np.where(z + generator.normal(size=300) > 0, 2, 1),
        }
    )
    return table.mask(generator.random(table.shape) < 0.3)


def test_evidence_agrees_with_quadrature_and_enumeration_in_the_columns_own_units() -> None:
    given = people()
    slope, threshold = np.array([0.1, 2.0, 0.05, 3.0]), np.array([60.0, 3.5, 20.0, 1.5])
    mechanism = Fixed(slope, threshold)  # type: ignore[arg-type]
    imputer = small_imputer(mechanism=mechanism, decoder="linear", latent_dim=1, max_iter=5).fit(given)
    rows = given[given.isna().any(axis=1)].iloc[:12]
    posterior = imputer.posterior(rows, n_draws=20_000)
    joint, batch, table = posterior.joint, posterior.batch, imputer.table(rows)
    assert not joint.collapsed
    table[:, 3] += 1  # the codes 1 and 2
    z = np.linspace(-7, 7, 281)
    with torch.no_grad():
        given_z = joint.rows_given_code(torch.as_tensor(z)[:, None, None].expand(-1, len(rows), -1))
        total = given_z.observed_part(batch.observed).log_prob(batch.x).numpy()
        for j in range(4):
            values, log_p = possible_values(given_z, imputer, j)
            values = values + (j == 3)
            log_s = -np.logaddexp(0, -slope[j] * (values - threshold[j]))
            missing = logsumexp(log_p + log_s, axis=-1)
            with np.errstate(invalid="ignore"):
                seen = -np.logaddexp(0, slope[j] * (table[:, j] - threshold[j]))
            total += np.where(np.isnan(table[:, j]), missing, seen)
    exact = logsumexp(total + norm.logpdf(z)[:, None] + np.log(z[1] - z[0]), axis=0)
    np.testing.assert_allclose(posterior.log_evidence, exact, atol=0.03)
    report = imputer.mechanism_report()
    np.testing.assert_allclose(report["threshold"], threshold)
    np.testing.assert_allclose(report["slope"], slope)
    assert "levels 4 and 5 are likely missing" in report["words"][1]
