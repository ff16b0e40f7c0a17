"""The simulated self-masked column: its exact answers against quadrature, and mechanisms against these answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyro_mnar.mechanisms import SelfMasking
from scipy.integrate import trapezoid
from scipy.stats import kstest, multivariate_normal, norm

from pyro_mnar import MNARImputer, TrainingSettings
from pyro_mnar import comparison as comparing
from pyro_mnar.datasets import SelfMasked, make_self_masked
from pyro_mnar.datasets.self_masked import bivariate_normal
from pyro_mnar.errors import InvalidInputError


@pytest.mark.parametrize("at_random", [False, True])
@pytest.mark.parametrize("options", [{}, {"skewed": True}, {"slope": -3.0, "mixed": True}, {"slope": 0.0}])
def test_mean_and_quantiles_against_quadrature(options: dict[str, Any], at_random: bool) -> None:
    made = make_self_masked(6, **options)
    mean, low, high = made.mean(at_random), *made.interval(0.8, at_random)
    sd, sign = np.sqrt(made.variance), -1 if at_random else 1
    for i in range(6):
        u = np.linspace(made.center[i] - 12 * sd, made.center[i] + 12 * sd, 400_001)
        density = norm.pdf(u, made.center[i], sd) * norm.cdf(sign * made.slope * (u - made.threshold))
        total, y = trapezoid(density, u), np.exp(u) if made.skewed else u
        assert mean[i] == pytest.approx(trapezoid(y * density, u) / total, abs=1e-7, rel=1e-7)
        hidden = total if not at_random else 1 - total
        assert made.chance()[i] == pytest.approx(hidden, abs=1e-7)
        for end, level in ((low[i], 0.1), (high[i], 0.9)):
            assert trapezoid(density * (y <= end), u) / total == pytest.approx(level, abs=1e-4)


def test_bivariate_normal_probabilities() -> None:
    for h, k, r in ((0.3, -1.2, 0.5), (-0.3, -0.2, -0.9), (2.0, 0.1, 0.99), (0.0, 0.7, 0.2), (-1.0, 0.0, -0.6)):
        expected = multivariate_normal.cdf([h, k], cov=[[1, r], [r, 1]])
        assert bivariate_normal(np.array([h]), np.array([k]), r)[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("skewed", [False, True])
def test_hidden_values_have_the_one_distribution_and_seen_ones_the_other(skewed: bool) -> None:
    """The probability integral transform of each cell is uniform; and for the other truth it is not."""
    made = make_self_masked(4000, skewed=skewed, random_state=1)
    y = made.complete["y"].to_numpy()
    for at_random, cells in ((False, made.hidden), (True, ~made.hidden)):
        on_scale = np.log(y) if skewed else y
        assert kstest(made._distribution(on_scale, at_random)[cells], "uniform").pvalue > 0.01
        assert kstest(made._distribution(on_scale, not at_random)[cells], "uniform").pvalue < 1e-9


def test_arguments_are_checked() -> None:
    for wrong in ({"n_rows": 0}, {"correlation": 1.0}, {"slope": np.nan}):
        with pytest.raises(InvalidInputError):
            make_self_masked(**wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        make_self_masked(5).quantile(2.0)


def imputed(made: SelfMasked, mechanism: Any) -> tuple[MNARImputer, np.ndarray, float]:
    """The model, the means that it gives the hidden cells, and how often its 90 % intervals hold these."""
    settings: dict[str, Any] = {"decoder": "linear", "max_iter": 80, "random_state": 0, "log_columns": None}
    training = TrainingSettings(learning_rate=0.02, start="neutral")
    model = MNARImputer(mechanism, types="continuous", training=training, **settings).fit(made.table)
    posterior = model.posterior(made.table)
    low, high = posterior.quantile([0.05, 0.95])[:, made.hidden, 2]
    truth = made.complete["y"].to_numpy()[made.hidden]
    return model, posterior.mean()[made.hidden, 2], float(((low <= truth) & (truth <= high)).mean())


def distance(means: np.ndarray, made: SelfMasked, at_random: bool = False) -> float:
    """Root mean squared distance from the exact means of the hidden cells; y has standard deviation 1."""
    return float(np.sqrt(((means - made.mean(at_random)[made.hidden]) ** 2).mean()))


def test_where_each_mechanism_is_right_wrong_and_not_to_be_told_from_another() -> None:
    made = make_self_masked(1500, random_state=3)
    right, means, cover = imputed(made, SelfMasking("high"))
    wrong, turned, _ = imputed(made, SelfMasking("low"))
    _, at_random, missed = imputed(made, "ignorable")
    # Right: the exact means, and intervals that hold the truth as often as they say.
    assert distance(means, made) < 0.15 and abs(cover - 0.9) < 0.04
    # Wrong: missing at random is far off, though near to what it claims; its intervals hold the truth too seldom.
    assert distance(at_random, made) > 2 * distance(means, made) and distance(at_random, made, True) < 0.15
    assert missed < cover - 0.05
    # The other direction is wrong too, and contradicts the data under a normal y.
    assert distance(turned, made) > 2 * distance(means, made)
    held_out = make_self_masked(1000, random_state=4).table
    ranked = comparing.compare({"high": right, "low": wrong}, held_out, n_draws_mask=10)
    assert ranked.index[0] == "high"
    # Not to be told apart: if the hidden values were like the seen ones, table and mask would be the very same, and the
    # mechanism that was right is as wrong as missing at random is now.
    assert distance(means, made, at_random=True) > 2 * distance(at_random, made, at_random=True)
