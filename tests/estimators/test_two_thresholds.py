"""Columns that miss both ends, or their middle: found in the table, held in training, and said to users."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import MNARImputer
from pyro_mnar.analysis.assess.evidence import evidence
from pyro_mnar.analysis.assess.summary import _of_evidence, _to_ask
from pyro_mnar.estimators.start.evidence import find_evidence
from pyro_mnar.estimators.start.two_thresholds import TwoThresholds, find_two_thresholds


def readings(n: int, seed: int, mask: str) -> pd.DataFrame:
    """Eight readings of four things, of which the first goes missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4)) @ rng.normal(size=(4, 8)) / 2 + 0.2 * rng.normal(size=(n, 8))
    x /= x.std(0)
    missing = {
        "both ends": 0.9 * (np.abs(x[:, 0]) > 0.8),
        "the middle": 0.9 * (np.abs(x[:, 0]) < 0.5),
        "one end": 0.8 * (x[:, 0] > 0.5),
        "the size of another": 0.8 * (np.abs(x[:, 1]) > 1.1),
        "the middle of another": 0.8 * (np.abs(x[:, 1]) < 0.5),
        "another": 1 / (1 + np.exp(-2 * x[:, 1])),
        "nothing": np.full(n, 0.3),
    }[mask]
    frame = pd.DataFrame(x, columns=list("abcdefgh"))
    frame.loc[rng.random(n) < missing, "a"] = np.nan
    return frame


def two_thresholds(x: np.ndarray) -> list[TwoThresholds]:
    """Of all columns, on the scale of the table."""
    parts = {j: one.parts for j, one in enumerate(find_evidence(x, range(8), np.zeros(8), seed=0))}
    return list(find_two_thresholds(parts, {j: np.array(one.middles) for j, one in parts.items() if one}))


@pytest.mark.parametrize(
    "mask",
    [
        "both ends",
        "the middle",
        "one end",
        "the size of another",
        "the middle of another",
        "another",
        "nothing",
    ],
)
def test_both_ends_and_the_middle_are_told_from_everything_else(mask: str) -> None:
    found = []
    for seed in range(6):
        x = readings(800, seed, mask).to_numpy()
        found += two_thresholds(x)
    assert len(found) == (6 if mask in ("both ends", "the middle") else 0)
    reach = (0.4, 1.2) if mask == "both ends" else (0.2, 0.9)
    for one in found:
        assert one.column == 0 and one.log_odds > 0 and one.slope > 0 and one.ends == (mask == "both ends")
        assert reach[0] < -one.low < reach[1] and reach[0] < one.high < reach[1]


def test_few_values_and_few_cells_are_not_judged() -> None:
    frame = readings(800, 0, "both ends")
    few = frame.assign(a=frame["a"].clip(-0.5, 0.5).round()).to_numpy()
    assert two_thresholds(few) == []
    complete = frame.fillna(0.0).to_numpy()
    assert two_thresholds(complete) == []


def test_the_default_imputes_both_ends() -> None:
    frame = readings(800, 1, "both ends")
    imputer = MNARImputer(random_state=0, max_iter=60).fit(frame)
    line = imputer.mechanism_report().set_index("feature").loc["a"]
    assert line["evidence"] == "both ends" and "place its missing cells at both ends" in line["words"]
    assert imputer.joint_.mechanism.held.tolist() == [True] + [False] * 7
    told = evidence(imputer)
    assert told.set_index("column").loc["a", "verdict"] == "hides itself"
    assert _of_evidence(told)[0].startswith("a hides some of its own values (the odds are ")
    assert ": values below -" in _of_evidence(told)[0] and _of_evidence(told)[0].endswith(" missing).")
    # What was lost lies outside of what is seen in the middle, on both sides.
    drawn = imputer.posterior(frame, n_draws=200).mean()[frame["a"].isna().to_numpy(), 0]
    plain = MNARImputer("ignorable", random_state=0, max_iter=60).fit(frame)
    at_random = plain.posterior(frame, n_draws=200).mean()[frame["a"].isna().to_numpy(), 0]
    assert np.abs(drawn).mean() > 1.15 * np.abs(at_random).mean()
    assert (drawn > 1).mean() > 0.25 and (drawn < -1).mean() > 0.25


def test_the_default_imputes_the_middle() -> None:
    frame = readings(800, 1, "the middle")
    imputer = MNARImputer(random_state=0, max_iter=60).fit(frame)
    line = imputer.mechanism_report().set_index("feature").loc["a"]
    assert line["evidence"] == "middle" and "place its missing cells in the middle of its range" in line["words"]
    assert imputer.joint_.mechanism.middle.tolist() == [True] + [False] * 7
    told = evidence(imputer)
    assert told.set_index("column").loc["a", "verdict"] == "hides itself"
    assert _of_evidence(told)[0].startswith("a hides some of its own values (the odds are ")
    nothing = {name: [] for name in ("column", "kind", "why", "other", "chance", "p_adjusted")}
    asked = _to_ask(pd.DataFrame(nothing), pd.DataFrame(nothing), told)
    assert asked[0].startswith("Can it be that of a values between -") and "If not, say so" in asked[0]
    # Where the value is uncertain it lies nearer to what is hidden.
    hidden = frame["a"].isna().to_numpy()
    drawn = imputer.posterior(frame, n_draws=200).mean()[hidden, 0]
    plain = MNARImputer("ignorable", random_state=0, max_iter=60).fit(frame)
    at_random = plain.posterior(frame, n_draws=200).mean()[hidden, 0]
    assert np.abs(drawn).mean() < 0.9 * np.abs(at_random).mean() and (np.abs(drawn) < 0.6).mean() > 0.9
