"""Weighted quantiles and resampling, on cases that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from pyro_mnar.errors import InvalidWeightsError
from pyro_mnar.inference.resampling import resample, weighted_quantile


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_quantiles_by_hand():
    values = torch.tensor([[4.0, 1.0], [2.0, 2.0], [3.0, 3.0], [1.0, 9.0]]).view(4, 1, 2)
    log_weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64).log().view(4, 1)
    levels = torch.tensor([0.0, 0.1, 0.4, 0.41, 0.6, 0.61, 0.9, 1.0], dtype=torch.float64)
    found = weighted_quantile(values, log_weights, levels)[:, 0]
    assert found[:, 0].tolist() == [1, 1, 1, 2, 2, 3, 3, 4]
    assert found[:, 1].tolist() == [1, 1, 3, 3, 3, 9, 9, 9]
    assert weighted_quantile(values, log_weights, torch.tensor([0.5])).tolist() == [[[2.0, 3.0]]]


def test_equal_weights_are_the_inverse_distribution_function():
    values = torch.randn(10, 3, 2, generator=generator(), dtype=torch.float64)
    levels = torch.tensor([0.05, 0.1, 0.3, 0.5, 0.7, 0.8, 0.95], dtype=torch.float64)
    expected = np.quantile(values.numpy(), levels.numpy(), axis=0, method="inverted_cdf")
    assert np.array_equal(weighted_quantile(values, torch.zeros(10, 3), levels).numpy(), expected)


def test_draws_of_weight_zero_are_never_chosen():
    values = torch.tensor([-100.0, 1.0, 2.0, 100.0]).view(4, 1, 1)
    log_weights = torch.tensor([-math.inf, 0.0, 0.0, -math.inf]).view(4, 1)
    found = weighted_quantile(values, log_weights, torch.tensor([0.0, 1.0]))
    assert found.flatten().tolist() == [1.0, 2.0]
    assert set(resample(log_weights, 500, generator=generator()).flatten().tolist()) == {1, 2}


def test_systematic_counts_are_exact():
    log_weights = torch.tensor([[0.125, 0.5, 0.25, 0.125], [1.0, 0.0, 0.0, 0.0]]).T.log()
    chosen = resample(log_weights, 16, generator=generator())
    assert chosen.shape == (16, 2)
    assert torch.bincount(chosen[:, 0], minlength=4).tolist() == [2, 8, 4, 2]
    assert torch.bincount(chosen[:, 1], minlength=4).tolist() == [16, 0, 0, 0]


def test_choices_are_unbiased_and_each_place_is_a_random_draw():
    weights = torch.tensor([0.05, 0.35, 0.4, 0.2], dtype=torch.float64)
    log_weights = weights.log().view(4, 1).expand(4, 6000)
    chosen = resample(log_weights, 3, generator=generator(2))
    for place in chosen:
        counts = torch.bincount(place, minlength=4).numpy()
        assert stats.chisquare(counts, 6000 * weights.numpy()).pvalue > 1e-3
    assert torch.equal(chosen, resample(log_weights, 3, generator=generator(2)))


def test_choices_are_less_noisy_than_independent_ones():
    log_weights = torch.randn(50, 1, generator=generator(), dtype=torch.float64).expand(50, 400)
    chosen = resample(log_weights, 50, generator=generator(1))
    share = float(log_weights[:, 0].softmax(0).max())
    spread = float((chosen == log_weights[:, 0].argmax()).sum(0).double().var())
    assert spread < 0.5 * 50 * share * (1 - share)


def test_weights_that_cannot_be_normalised_are_named():
    with pytest.raises(InvalidWeightsError, match="NaN"):
        resample(torch.full((4, 3), math.nan), 2, generator=generator())
