"""Where training starts: which columns take the log scale, where a tail was lost, and from which side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.datasets import load_breast_cancer

from pyro_mnar import MNARImputer
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.estimators.start.log_scale import find_log_columns, likely_directions
from pyro_mnar.estimators.start.lost_tail import CLEAR_SLOPE, CLIFF, LostTail, lost_tail
from pyro_mnar.estimators.start.nested import Finding, _with_quorum
from pyro_mnar.model.mechanisms import Ignorable, Linear, SelfMasking

Floats = np.ndarray
SHORT: dict[str, Any] = {
    "start": "cliff",
    "log_columns": "auto",
    "max_iter": 30,
    "n_draws": 5,
    "hidden_units": (16,),
    "batch_size": 64,
    "n_draws_posterior": 99,
    "random_state": 0,
}


def cut(x: Floats, high: bool = True) -> Floats:
    return np.where((x > x.mean()) if high else (x < x.mean()), np.nan, x)


def test_the_lost_half_of_a_normal_column_is_found() -> None:
    x = np.random.default_rng(0).normal(3.0, 2.0, size=4000)
    for high in (True, False):
        found, wrong = lost_tail(cut(x, high), high), lost_tail(cut(x, high), not high)
        assert found is not None and wrong is not None
        assert found.gain > 100 and found.gain > wrong.gain
        assert found.center == pytest.approx(3.0, abs=0.15) and found.scale == pytest.approx(2.0, abs=0.15)
        assert found.threshold == pytest.approx(x.mean(), abs=0.05)
        assert found.slope * (1 if high else -1) > 20


def test_cells_lost_at_random_leave_no_cliff() -> None:
    generator = np.random.default_rng(1)
    x = np.where(generator.random(2000) < 0.3, np.nan, generator.normal(size=2000))
    found = lost_tail(x, high=True)
    assert found is not None and not found.found and found.gain == pytest.approx(0.0, abs=3.0)
    assert lost_tail(generator.normal(size=100), high=True) is None


def test_nothing_is_lost_beyond_a_pile_of_zeros() -> None:
    generator = np.random.default_rng(2)
    x = cut(np.maximum(generator.normal(size=1000), 0.0))
    assert lost_tail(x, high=False) is None
    found = lost_tail(x, high=True)
    assert found is not None and found.found


def test_a_soft_slope_is_found_too() -> None:
    """Against the truth: values lost with probability Phi(2 (x - 0.5))."""
    generator = np.random.default_rng(7)
    x = generator.normal(size=20_000)
    holed = np.where(2.0 * (x - 0.5) > generator.normal(size=x.size), np.nan, x)
    found = lost_tail(3.0 * holed + 1.0, high=True)
    assert found is not None and found.found
    assert found.center == pytest.approx(1.0, abs=0.3) and found.scale == pytest.approx(3.0, rel=0.05)
    assert found.slope == pytest.approx(2.0, rel=0.3) and found.threshold == pytest.approx(2.5, abs=0.3)
    # The same column upside down loses low values.
    mirrored = lost_tail(-3.0 * holed - 1.0, high=False)
    assert mirrored is not None and mirrored.slope == pytest.approx(-found.slope, rel=1e-3)
    assert mirrored.center == pytest.approx(-found.center, abs=1e-3)


def test_the_fit_is_at_the_top_of_the_likelihood() -> None:
    """Against a numerical integral: the likelihood of the best fit, and its neighbours are worse."""
    from scipy.integrate import quad
    from scipy.stats import norm

    generator = np.random.default_rng(8)
    x = generator.normal(size=400)
    holed = np.where(1.5 * (x - 0.3) > generator.normal(size=x.size), np.nan, x)
    found = lost_tail(holed, high=True)
    assert found is not None and 0.5 < found.slope < CLIFF
    seen = holed[~np.isnan(holed)]

    def log_l(center: float, scale: float, slope: float, threshold: float) -> float:
        def lost(v: float) -> float:
            return float(norm.pdf(v, center, scale) * norm.cdf(slope / scale * (v - threshold)))

        share = quad(lost, center - 10 * scale, center + 10 * scale, limit=200)[0]
        seen_part = norm.logpdf(seen, center, scale) + norm.logcdf(-slope / scale * (seen - threshold))
        return float(seen_part.sum() + (len(x) - len(seen)) * np.log(share))

    n_missing, n = int(np.isnan(holed).sum()), len(x)
    by_chance = norm.logpdf(seen, seen.mean(), seen.std()).sum() + len(seen) * np.log(1 - n_missing / n)
    by_chance += n_missing * np.log(n_missing / n)
    at = (found.center, found.scale, found.slope, found.threshold)
    assert found.gain == pytest.approx(log_l(*at) - by_chance, abs=1e-3)
    for position in range(4):
        for step in (-0.1, 0.1):
            moved = list(at)
            moved[position] += step
            assert log_l(*moved) < log_l(*at)


def test_columns_of_unknown_direction_follow_the_others() -> None:
    generator = np.random.default_rng(9)
    normal = generator.normal(size=(2000, 4))
    # Two peaks show no direction, or the wrong one; the other columns decide.
    peaks = np.where(generator.random(2000) < 0.5, 0.0, 3.0) + 0.3 * generator.normal(size=2000)
    table = np.column_stack([*(cut(column) for column in normal.T), cut(peaks)])
    assert likely_directions(table, range(5), np.zeros(5)).tolist() == [1.0] * 5
    # What is known stays, and where columns disagree each one speaks for itself.
    mixed = np.column_stack([cut(normal[:, 0]), cut(normal[:, 1], high=False)])
    assert likely_directions(mixed, range(2), np.zeros(2)).tolist() == [1.0, -1.0]
    assert likely_directions(mixed, range(2), np.array([0.0, 1.0])).tolist() == [1.0, 1.0]


def test_the_mean_of_what_was_lost() -> None:
    """Against simulated columns, on both sides."""
    x = np.random.default_rng(10).normal(3.0, 2.0, size=400_000)
    for sign in (1.0, -1.0):
        tail = LostTail(center=3.0, scale=2.0, slope=sign * 1.5, threshold=3.5, gain=0.0)
        share = ndtr(sign * 0.75 * (x - 3.5))
        assert tail.lost_mean == pytest.approx(float(share @ x / share.sum()), abs=0.02)


def test_a_long_upper_tail_is_not_taken_for_lost_low_values() -> None:
    """Positive, skewed columns that softly lose high values leave what a normal one explains by lost low values."""
    generator = np.random.default_rng(11)
    gamma = generator.gamma(2.0, size=(1500, 3))
    normal = generator.normal(size=(1500, 2))
    standard = (np.column_stack([gamma, normal]) - [2, 2, 2, 0, 0]) / [2**0.5, 2**0.5, 2**0.5, 1, 1]
    lost = generator.random(standard.shape) < 1 / (1 + np.exp(-3 * (standard - 0.6)))
    table = np.where(lost, np.nan, np.column_stack([gamma, normal]))
    fooled = lost_tail(table[:, 0], high=False)
    assert fooled is not None and fooled.found and fooled.lost_mean < 0
    assert (likely_directions(table, range(5), np.zeros(5)) >= 0).all()
    # Away from zero nothing tells skew from a mechanism, so a soft slope decides nothing; nor does one cliff of many.
    away = np.column_stack([table[:, :2] + 20, table[:, 3:]])
    tail = lost_tail(away[:, 0], high=False)
    assert tail is not None and tail.found and abs(tail.slope) < CLEAR_SLOPE
    assert likely_directions(away, range(4), np.zeros(4)).tolist() == [0.0] * 4
    one_cliff = np.column_stack([away, cut(normal[:, 0])])
    assert likely_directions(one_cliff, range(5), np.zeros(5)).tolist() == [0.0, 0.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize("kind", ["at random", "low values, softly"])
def test_the_default_does_no_harm_on_real_columns(kind: str) -> None:
    """Skewed columns, some with many zeros, that lost no tail: as good as the ignorable model, or better."""
    complete = load_breast_cancer().data
    standard = (complete - complete.mean(0)) / complete.std(0)
    rate = 0.3 if kind == "at random" else 1 / (1 + np.exp(3 * (standard + 0.6)))
    lost = np.random.default_rng(0).random(complete.shape) < rate
    table = np.where(lost, np.nan, complete)
    error = {}
    for mechanism in ("self-masking", "ignorable"):
        imputer = MNARImputer(mechanism, max_iter=75, n_draws_posterior=99, random_state=0).fit(table)
        wrong = (imputer.transform(table) - complete)[lost] / np.broadcast_to(complete.std(0), table.shape)[lost]
        error[mechanism] = float(np.sqrt(np.mean(wrong**2)))
    assert error["self-masking"] < (1.05 if kind == "at random" else 0.75) * error["ignorable"]


def test_log_columns_follow_the_law_of_what_is_seen() -> None:
    generator = np.random.default_rng(3)
    normal = generator.normal(10.0, 1.0, size=3000)
    skewed = np.exp(generator.normal(size=3000))
    signed = generator.normal(size=3000)
    table = np.column_stack([cut(normal), cut(skewed), cut(signed)])
    assert find_log_columns(table, (0, 1, 2), SelfMasking(), np.zeros(3)) == (1,)
    assert find_log_columns(table, (0, 2), SelfMasking(), np.zeros(3)) == ()
    # A column whose logarithm shows no lost tail stays as it is: what lies beyond would be multiplied.
    by_chance = np.where(generator.random(3000) < 0.3, np.nan, skewed)[:, None]
    assert find_log_columns(by_chance, (0,), SelfMasking(), np.ones(1)) == ()
    assert find_log_columns(by_chance, (0,), Ignorable(), np.zeros(1)) == (0,)
    assert find_log_columns(table, (0, 1, 2), Linear(), np.zeros(3)) == ()
    assert 1 in find_log_columns(np.column_stack([normal, skewed]), (0, 1), Ignorable(), np.zeros(2))


def test_the_imputer_starts_on_the_right_side_of_each_column() -> None:
    generator = np.random.default_rng(4)
    z = generator.normal(size=(600, 1))
    x = 5 + z @ np.array([[1.0, 1.0, 1.0, 1.0]]) + 0.4 * generator.normal(size=(600, 4))
    table = np.column_stack([cut(x[:, 0]), cut(x[:, 1], high=False), x[:, 2:]])
    imputer = MNARImputer(**with_training(SHORT)).fit(table)
    report = imputer.mechanism_report()
    assert list(report["direction"][:2]) == ["high", "low"]
    assert report["threshold"][0] == pytest.approx(x[:, 0].mean(), abs=0.2)
    missing = np.isnan(table)
    completed = imputer.transform(table)
    assert completed[missing[:, 0], 0].mean() > x[:, 0].mean() > completed[missing[:, 1], 1].mean()


def test_log_columns_keep_the_units_and_the_observed_cells() -> None:
    generator = np.random.default_rng(5)
    z = generator.normal(size=(400, 1))
    x = np.exp(z + 0.5 * generator.normal(size=(400, 3)))
    table = np.column_stack([cut(x[:, 0]), x[:, 1:]])
    imputer = MNARImputer("self-masking", **with_training(SHORT)).fit(table)
    assert 0 in imputer.columns_.logged
    seen = ~np.isnan(table)
    completed = imputer.transform(table)
    assert np.array_equal(completed[seen], table[seen])
    # Below 100 draws nothing is said of reliability: a short fit is not the subject here.
    posterior = imputer.posterior(table, n_draws=99)
    low, middle, high = posterior.quantile([0.05, 0.5, 0.95])
    lost = ~seen[:, 0]
    assert (low[lost, 0] < middle[lost, 0]).all() and (middle[lost, 0] < high[lost, 0]).all()
    assert imputer.mechanism_report()["threshold"][0] == pytest.approx(x[:, 0].mean(), rel=0.2)
    # A mean of exponentials, not the exponential of a mean; both answers come from the same 99 codes.
    drawn = posterior.sample(400)[:, lost, 0].mean()
    assert posterior.mean()[lost, 0].mean() == pytest.approx(drawn, rel=0.06)
    # A value that has no logarithm is at the lower end of the scale, not an error.
    new = table.copy()
    new[0, 1] = 0.0
    assert np.isfinite(imputer.transform(new)).all()


def test_log_columns_can_be_named() -> None:
    x = np.random.default_rng(6).normal(size=(50, 2)) + 10
    x[:5, 0] = np.nan
    assert MNARImputer(log_columns=[1], max_iter=1, random_state=0).fit(x).columns_.logged == (1,)
    assert MNARImputer(log_columns=None, max_iter=1, random_state=0).fit(x).columns_.logged == ()
    with pytest.raises(InvalidInputError, match=r"x1.*not positive"):
        MNARImputer(log_columns=[1], max_iter=1).fit(x - 10)


def test_a_slope_that_was_given_keeps_its_unit() -> None:
    """Slopes that are held fixed are per standard deviation of the observed values, whatever the start."""
    table = cut(np.random.default_rng(10).normal(size=400))[:, None].repeat(2, 1)
    table[:, 1] = np.arange(400)
    mechanism = SelfMasking(slope=2.0)
    imputer = MNARImputer(mechanism, max_iter=1, n_draws_posterior=10, random_state=0).fit(table)
    assert imputer.columns_.scale[0] == pytest.approx(np.nanstd(table[:, 0]))
    assert imputer.mechanism_report()["slope_per_sd"][0] == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize("n_cut", [2, 3])
def test_others_follow_three_cut_columns_and_not_two(n_cut: int) -> None:
    """Two of three made a column that was lost at random follow."""
    x = np.random.default_rng(0).normal(size=(200, n_cut + 1))
    x[::3] = np.nan
    cut, open_ = Finding(-1, "cliff", 2.0, ""), Finding(0, "none", -3.0, "")
    found = _with_quorum([cut] * n_cut + [open_], x, range(n_cut + 1))
    assert (found[-1].direction, found[-1].kind) == ((-1, "cliff") if n_cut == 3 else (0, "none"))
    assert found[:n_cut] == [cut] * n_cut
