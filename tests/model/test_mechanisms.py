"""Mechanisms p(s | x): neutral starts, forms of direction, known ones in original units, and one of the user's own."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from pyro.distributions import Bernoulli
from torch import nn

from pyro_mnar import MNARImputer, TrainingSettings
from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import LOGISTIC_PER_PROBIT
from pyro_mnar.model.mechanisms import (
    Fixed,
    Ignorable,
    Linear,
    Mechanism,
    Nonlinear,
    SelfMasking,
    by_name,
)
from tests.support.estimators import small_imputer, table
from tests.support.pairs import info

RATES = np.array([0.1, 0.5, 0.9])
COLUMNS = ColumnInfo(("a", "b", "c"), np.array([10.0, 0.0, -5.0]), np.array([2.0, 1.0, 0.5]), RATES)


def set_up(mechanism: Mechanism, columns: ColumnInfo = COLUMNS) -> Any:
    torch.manual_seed(0)
    mechanism.setup(columns)
    return mechanism


@pytest.mark.parametrize("link", ["probit", "logistic"])
@pytest.mark.parametrize("direction", [None, "high", "low"])
def test_self_masking_starts_neutral_at_each_columns_missing_rate(link: Any, direction: Any) -> None:
    mechanism = set_up(SelfMasking(direction=direction, link=link))
    curve = mechanism.curve()
    # A known direction starts with one unit of slope, an unknown one with none.
    expected = {None: 0.0, "high": 1.0, "low": -1.0}[direction]
    assert curve.slope.tolist() == pytest.approx([expected] * 3)
    # At the column's observed mean (0 on the standardised scale) a cell is missing as often as the column's cells are.
    np.testing.assert_allclose(curve.log_missing(torch.zeros(3)).exp().detach(), RATES, atol=1e-6)
    np.testing.assert_allclose(mechanism(torch.zeros(3)).probs.detach(), 1 - RATES, atol=1e-6)


@pytest.mark.parametrize("mechanism", [Linear(), Nonlinear((5,))])
def test_the_other_mechanisms_start_neutral_too(mechanism: Mechanism) -> None:
    set_up(mechanism)
    probabilities = mechanism(torch.randn(20, 3)).probs.detach()
    np.testing.assert_allclose(probabilities, np.tile(1 - RATES, (20, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("direction", "signs"),
    [
        (None, [0, 0, 0]),
        ("high", [1, 1, 1]),
        ("low", [-1, -1, -1]),
        ({"b": "low"}, [0, -1, 0]),
        (["high", None, "low"], [1, 0, -1]),
    ],
)
def test_forms_of_direction(direction: Any, signs: list[int]) -> None:
    assert set_up(SelfMasking(direction=direction)).sign.tolist() == signs


@pytest.mark.parametrize("direction", ["high", "low"])
def test_a_known_sign_cannot_change_whatever_the_parameters(direction: Any) -> None:
    mechanism = set_up(SelfMasking(direction=direction))
    with torch.no_grad():
        for parameter in mechanism.parameters():
            parameter -= 50.0
    slope = mechanism.curve().slope
    assert bool((slope >= 0).all() if direction == "high" else (slope <= 0).all())


@pytest.mark.parametrize(
    ("direction", "message"),
    [
        ("up", "'up'"),
        ({"d": "high"}, "unknown column 'd'"),
        (["high"], "1 entries"),
        (["high", "low", "left"], "column 'c' is 'left'"),
    ],
)
def test_a_wrong_direction_is_named(direction: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        SelfMasking(direction=direction).setup(COLUMNS)


def test_shared_has_one_slope_and_threshold() -> None:
    mechanism = set_up(SelfMasking(shared=True))
    assert [parameter.numel() for parameter in mechanism.parameters()] == [1, 1]
    assert mechanism(torch.zeros(7, 3)).probs.shape == (7, 3)
    with pytest.raises(InvalidInputError, match="one direction for all"):
        SelfMasking(direction={"a": "high"}, shared=True).setup(COLUMNS)


def test_a_wrong_link_or_name_is_named() -> None:
    with pytest.raises(InvalidInputError, match="'cauchit'"):
        SelfMasking(link="cauchit")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=r"ignorable.*linear.*nonlinear.*self-masking"):
        by_name("selfmasking")
    assert isinstance(by_name("ignorable"), Ignorable)


def test_fixed_means_what_it_says_in_original_units() -> None:
    slope, threshold = [2.0, 0.5, 4.0], [11.0, 0.0, -5.25]
    mechanism = set_up(Fixed(slope=slope, threshold=threshold))
    assert not list(mechanism.parameters())
    original = torch.tensor([[12.0, 1.0, -5.5], [10.0, -3.0, -5.0]])
    standardised = (original - torch.tensor(COLUMNS.center)) / torch.tensor(COLUMNS.scale)
    expected = [
        [1 - 1 / (1 + math.exp(-w * (x - b))) for x, w, b in zip(row, slope, threshold, strict=True)]
        for row in original.tolist()
    ]
    np.testing.assert_allclose(mechanism(standardised.float()).probs, expected, rtol=1e-5)


def test_fixed_with_a_function_of_the_complete_row_in_original_units() -> None:
    def seen(x: torch.Tensor) -> torch.Tensor:
        # Whether a, b and c are seen depends on a alone.
        return torch.sigmoid(10.0 - x[..., :1]).expand(x.shape)

    mechanism = set_up(Fixed(probability=seen))
    assert mechanism.curve() is None
    # a = 10 + 2 * 1 = 12 in its own unit.
    np.testing.assert_allclose(mechanism(torch.ones(1, 3)).probs, [[1 / (1 + math.exp(2.0))] * 3], rtol=1e-5)


@pytest.mark.parametrize("center", [0.0, 2_460_000.5, 1e8, 1.7e9, 1e12])
@pytest.mark.parametrize("form", ["slope and threshold", "probability"])
def test_fixed_is_exact_far_from_zero(center: float, form: str) -> None:
    """Julian dates and seconds since 1970: single precision has steps of 0.25 to 128 there, and 1e12 of 65536."""
    columns = ColumnInfo(("a", "b"), np.array([center, 3.0]), np.array([2.0, 1e-3]), np.array([0.5, 0.5]))
    slope, threshold = np.array([4.0, 900.0]), np.array([center + 0.5, 3.002])

    def seen(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(torch.as_tensor(slope) * (torch.as_tensor(threshold) - x))

    made = Fixed(slope, threshold) if form == "slope and threshold" else Fixed(probability=seen)  # type: ignore[arg-type]
    mechanism = set_up(made, columns)
    x = torch.tensor([[0.0, 0.0], [0.25, 2.0], [0.5, -1.0]])
    inside = slope * ((columns.center - threshold) + columns.scale * x.numpy())
    for one in (mechanism, copy.deepcopy(mechanism).float(), copy.deepcopy(mechanism).double()):
        rows = x.double() if one is not mechanism and form != "probability" else x
        np.testing.assert_allclose(1 - one(rows).probs, 1 / (1 + np.exp(-inside)), rtol=2e-4)


def test_fixed_finds_a_threshold_at_a_julian_date() -> None:
    generator = np.random.default_rng(0)
    X = 1e8 + generator.normal(size=(200, 2))
    X[X[:, 0] > 1e8 + 0.5, 0] = np.nan
    imputer = small_imputer(mechanism=Fixed(slope=20.0, threshold=1e8 + 0.5), n_draws_posterior=50).fit(X)
    assert imputer.mechanism_report()["threshold"][0] - 1e8 == pytest.approx(0.5, abs=1e-4)
    assert (imputer.transform(X)[np.isnan(X)] > 1e8 + 0.3).all()


@pytest.mark.parametrize(
    ("probability", "message"),
    [
        (lambda x: x[..., :1] * 0, r"gave \(2, 1\) for rows of the shape \(2, 3\)"),
        (lambda x: (x * 0).sum(), r"gave \(\) for rows"),
        (lambda x: 0.5, "gave float for rows"),
        (lambda x: x * 0 + 1.5, r"gave 1\.5; probabilities are between 0 and 1"),
        (lambda x: x * 0 - 1e-9, "gave -1e-09"),
        (lambda x: x * torch.nan, "gave nan"),
    ],
)
def test_a_probability_that_is_none_is_an_error(probability: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Fixed(probability=probability).setup(COLUMNS)


def test_a_probability_is_looked_at_each_time() -> None:
    # Only beyond where it was tried first.
    mechanism = set_up(Fixed(probability=lambda x: torch.where(x > 1e3, 2.0, 0.5)))
    with pytest.raises(InvalidInputError, match="gave 2; probabilities"):
        mechanism(torch.full((1, 3), 1e4))


@pytest.mark.parametrize(
    ("slope", "threshold", "message"),
    [
        ("3", 1.0, "slope is '3'; give one number or one per column"),
        (1.0, [1.0, "x", 2.0], "threshold is "),
        ([1.0, [2.0]], 1.0, "slope is "),
        (math.nan, 1.0, "slope is nan; its numbers must be finite"),
        (1.0, math.inf, "threshold is inf; its numbers must be finite"),
        ({"a": 1.0}, 1.0, "slope is "),
        ([[1.0, 2.0, 3.0]], 1.0, "slope has 3 entries, the table 3 columns"),
    ],
)
def test_fixed_takes_finite_numbers(slope: Any, threshold: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Fixed(slope=slope, threshold=threshold).setup(COLUMNS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either slope and threshold, or probability"),
        ({"slope": 1.0}, "either slope and threshold, or probability"),
        ({"slope": 1.0, "threshold": 0.0, "probability": torch.sigmoid}, "either slope and threshold, or probability"),
        ({"slope": 1.0, "threshold": 0.0, "link": "cauchit"}, "'cauchit'"),
    ],
)
def test_fixed_takes_one_form(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Fixed(**arguments)


def test_fixed_with_a_wrong_number_of_entries() -> None:
    with pytest.raises(InvalidInputError, match="slope has 2 entries, the table 3 columns"):
        Fixed(slope=[1.0, 2.0], threshold=0.0).setup(COLUMNS)


def test_a_fixed_mechanism_is_reported_as_it_was_given() -> None:
    X = table(60)
    X[:, 0] = 100 + 20 * X[:, 0]
    imputer = MNARImputer(Fixed(slope=0.2, threshold=110.0), max_iter=1, n_draws_posterior=5, random_state=0)
    row = imputer.fit(X).mechanism_report().iloc[0]
    assert row["slope"] == pytest.approx(0.2, rel=1e-4) and row["threshold"] == pytest.approx(110.0, rel=1e-4)


def test_the_reported_slope_is_logistic_whatever_the_link() -> None:
    X, reports = table(60), []
    for link, slope in (("logistic", LOGISTIC_PER_PROBIT), ("probit", 1.0)):
        mechanism = Fixed(slope=slope, threshold=0.5, link=link)  # type: ignore[arg-type]
        imputer = MNARImputer(mechanism, max_iter=1, n_draws_posterior=5, random_state=0).fit(X)
        reports.append(imputer.mechanism_report()["slope"])
    np.testing.assert_allclose(reports[0], reports[1], rtol=1e-5)


class Detector(Mechanism):
    """One threshold for all features: the mechanism that the module's docstring writes."""

    def __init__(self) -> None:
        super().__init__()
        self.range = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> Bernoulli:
        return Bernoulli(logits=4.0 * (self.range - x), validate_args=False)


def test_a_mechanism_of_ones_own_is_trained_from_end_to_end() -> None:
    generator = np.random.default_rng(0)
    common = generator.normal(size=(300, 1))
    X = common + 0.5 * generator.normal(size=(300, 3))
    X[X > 0.4] = np.nan
    mine = Detector()
    imputer = MNARImputer(
        mine,
        latent_dim=2,
        hidden_units=(16,),
        n_draws_posterior=50,
        max_iter=60,
        training=TrainingSettings(final_rate=1.0),
        random_state=0,
    )
    completed = imputer.fit_transform(X)
    assert mine.range.item() == 1.0, "the user's own instance is not trained"
    learned = imputer.joint_.mechanism.range.item() * imputer.columns_.scale.mean() + imputer.columns_.center.mean()
    assert learned == pytest.approx(0.4, abs=0.25)
    observed_mean = np.nanmean(X)
    assert completed[np.isnan(X)].mean() > observed_mean + 0.5


def test_setup_is_for_a_copy() -> None:
    mechanism = SelfMasking(direction="high")
    MNARImputer(mechanism, max_iter=1, n_draws_posterior=5, random_state=0).fit(table())
    assert not list(mechanism.parameters())
    assert set_up(SelfMasking(), info(2)).curve().slope.shape == (2,)
