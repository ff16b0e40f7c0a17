"""Means in original units, where the exact mean given the code takes the noise of the draws away."""

from __future__ import annotations

import numpy as np
import torch

from pyro_mnar.data.columns import ColumnInfo, Support
from pyro_mnar.inference.posterior.averages import average_original
from pyro_mnar.inference.posterior.draws import WeightedDraws


def test_where_the_way_back_is_a_line_nothing_is_left_of_the_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, 2, generator=generator, dtype=torch.float64)
    drawn = x + torch.randn(200, 3, 2, generator=generator, dtype=torch.float64)
    log_weights = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    draws = WeightedDraws(torch.arange(3), torch.zeros(200, 3, 1), x, log_weights, drawn)
    # A support that no draw meets: the column counts as one with a bent way back, which is a line here.
    far = Support(-1e9, 1e9)
    columns = ColumnInfo(("a", "b"), np.array([5.0, -2.0]), np.array([3.0, 0.5]), np.zeros(2), supports=(far, far))
    share = torch.softmax(log_weights, 0).unsqueeze(-1)
    exact = (share * x).sum(0).numpy() * columns.scale + columns.center
    np.testing.assert_allclose(average_original(draws, columns), exact, rtol=0, atol=0.2)
    # The draws alone are farther off, and of the other sign they would be twice as far.
    plain = (share * drawn).sum(0).numpy() * columns.scale + columns.center
    assert np.abs(average_original(draws, columns) - exact).max() < 0.5 * np.abs(plain - exact).max()
