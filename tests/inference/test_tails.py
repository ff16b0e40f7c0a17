"""How far lost tails reach: another factor in each draw, beyond a known end or each censored cell's own limit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from pyro_mnar.mechanisms import Censored

from pyro_mnar import MNARImputer
from pyro_mnar.data.columns import ColumnInfo, LostTail, Support
from pyro_mnar.data.transforms import Log
from pyro_mnar.inference.posterior.tails import with_uncertain_tails

INF = np.inf


def columns(sign: int, support: Support = Support()) -> ColumnInfo:  # noqa: B008
    tail = LostTail(column=1, end=None, sign=sign, spread=0.4)
    return ColumnInfo(("a", "b"), np.zeros(2), np.ones(2), np.zeros(2), supports=(Support(), support), tails=(tail,))


def stretched(x: list[float], limits: list[tuple[float, float]], info: ColumnInfo, m: int = 4000) -> torch.Tensor:
    """Draws of column b, of which every one is the same before, shape (m, n)."""
    own = torch.tensor([[[-INF, INF], ends] for ends in limits])
    draws = torch.stack([torch.zeros(len(x)), torch.tensor(x)], -1).expand(m, -1, -1)
    result = with_uncertain_tails(draws, info, 0, own)
    assert torch.equal(result[..., 0], draws[..., 0])
    return result[..., 1]


def test_distances_from_each_cells_own_limit_share_a_factor_of_mean_one() -> None:
    below = stretched([-1.0, -3.0], [(-INF, 0.0), (-INF, -2.0)], columns(-1))
    torch.testing.assert_close(below[:, 0], below[:, 1] + 2)
    above = stretched([1.0, 3.0], [(0.0, INF), (2.0, INF)], columns(1))
    torch.testing.assert_close(above[:, 0], above[:, 1] - 2)
    for distance in (-below[:, 0], above[:, 0]):
        # Log-normal with this spread: its mean within four standard errors, and all of it on the limit's side.
        assert abs(float(distance.mean()) - 1) < 4 * 0.42 / 4000**0.5
        assert abs(float(distance.log().std()) - 0.4) < 0.02 and bool((distance > 0).all())


def test_what_is_observed_or_lies_between_two_limits_stays() -> None:
    x = stretched([5.0, -1.0, 1.0], [(-INF, INF), (-2.0, 0.0), (0.0, INF)], columns(-1))
    assert x.unique(dim=0).tolist() == [[5.0, -1.0, 1.0]]


def test_a_limit_that_is_the_columns_own_end_bounds_and_does_not_hold() -> None:
    positive = columns(-1, Support(lowest=0.0))
    x = stretched([0.1], [(0.0, 0.2)], positive)
    assert float(x.min()) == 0.0 and float(x.max()) < 0.2 and x.unique().numel() > 2
    logged = positive._replace(transforms=(Log(), Log()))
    assert stretched([-3.0], [(-INF, -1.0)], logged).unique().numel() > 2


def test_intervals_of_censored_cells_know_that_the_tail_is_not_known() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=400)
    x = np.exp(0.9 * z + 0.3 * rng.normal(size=400))
    table = pd.DataFrame({"x": np.where(x < 0.6, np.nan, x), "z": z, "limit": 0.6})
    censored = (x < 0.6).nonzero()[0]
    training = {"decoder": "linear", "latent_dim": 1, "max_iter": 100, "n_draws_posterior": 200, "random_state": 0}
    imputer = MNARImputer({"x": Censored(upper="limit"), "default": "ignorable"}, **training).fit(table)
    assert [(tail.column, tail.end, tail.sign) for tail in imputer.columns_.tails] == [(0, None, -1)]
    wide = imputer.posterior(table)
    tables, ends = wide.sample(40)[:, censored, 0], wide.quantile([0.05, 0.95])[:, censored, 0]
    assert (tables < 0.6).all() and (tables > 0).all()
    imputer.columns_ = imputer.columns_._replace(tails=())
    narrow = imputer.posterior(table)
    np.testing.assert_array_equal(wide.mean(), narrow.mean())
    assert tables.mean(1).std() > 2 * narrow.sample(40)[:, censored, 0].mean(1).std()
    assert np.diff(ends, axis=0).mean() > 1.05 * np.diff(narrow.quantile([0.05, 0.95])[:, censored, 0], axis=0).mean()
