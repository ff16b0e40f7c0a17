"""Where training starts when cells may be missing because of their own values.

The observed values of a column that loses its upper half say neither how wide the column is nor which way its values go
missing, and a network that starts from their mean and spread has to bend for both. So columns whose observed values end
at a cliff are standardised as a normal law with the rest cut off explains them, and the mechanism starts at the cliff.
Where the direction is not given, a linear model with the same mechanism is fitted from each set of directions, in a
fraction of the time, and the one with the highest bound is kept. All of it sees observed cells alone.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from pyro_mnar.batch import Batch
from pyro_mnar.columns import ColumnInfo, FloatArray, standardise
from pyro_mnar.encoders import MLPEncoder
from pyro_mnar.estimators.scales import likely_directions
from pyro_mnar.estimators.tables import BoolArray
from pyro_mnar.estimators.tails import LostTail, lost_tail
from pyro_mnar.importance import ImportanceBound
from pyro_mnar.joint import Joint
from pyro_mnar.likelihoods import Likelihood
from pyro_mnar.mechanisms import Mechanism, SelfMasking
from pyro_mnar.training import TrainingSettings, fit, held_out_bound

BATCH_SIZE = 128
_SCREENING = TrainingSettings(
    max_iter=1,
    batch_size=BATCH_SIZE,
    n_draws=5,
    learning_rate=5e-3,
    mechanism_learning_rate=3e-2,
    final_rate=0.05,
    gradient="dreg",
)
_SCREENING_STEPS = 500
_ENCODER_UNITS = (64,)
_JUDGE_DRAWS = 100


class Start(NamedTuple):
    """A way to begin.

    Attributes
    ----------
    columns : ColumnInfo
        Means and standard deviations to standardise with.
    mechanism : SelfMasking
        Its first state.
    """

    columns: ColumnInfo
    mechanism: SelfMasking


def passes(steps: int, n_rows: int, batch_size: int) -> int:
    """Passes over the rows that make at least so many steps.

    Examples
    --------
    >>> passes(1000, 500, 128)
    250
    """
    return -(-steps // -(-n_rows // batch_size))


def best_start(
    table: FloatArray,
    columns: ColumnInfo,
    given: Mechanism,
    continuous: Sequence[int],
    likelihood: Callable[[int], Likelihood],
    seed: int,
    device: torch.device,
    steps: int,
) -> Start | None:
    """Choose means, standard deviations and the mechanism's first state.

    Parameters
    ----------
    table : ndarray
        Shape (n, p), NaN = missing, on the scale of which ``columns`` has mean and standard deviation.
    columns : ColumnInfo
        Of the observed values.
    given : Mechanism
        As the caller gave it; it is not changed.
    continuous : sequence of int
        Columns that may be standardised anew.
    likelihood : callable
        p(x|z) for a number of inputs.
    seed : int
        Of minibatches and draws; initial weights come from torch's global generator.
    device : torch.device
        Where to fit.
    steps : int
        Steps that the model itself will be trained for: each linear model takes a sixth of them, 500 at most.

    Returns
    -------
    Start or None
        None for other mechanisms than self-masking ones with a slope for each column.
    """
    if not isinstance(given, SelfMasking) or given.shared or not np.isnan(table).any():
        return None
    mechanism = copy.deepcopy(given)
    mechanism.setup(columns)
    with_holes = np.asarray(np.isnan(table).any(0))
    known = np.asarray(mechanism.sign.cpu().numpy(), dtype=np.float64)
    tails = {
        (j, sign): lost_tail(table[:, j], sign > 0)
        for j in continuous
        if with_holes[j]
        for sign in (1.0, -1.0)
        if known[j] in (0, sign)
    }
    candidates = _directions(known, likely_directions(table, continuous, known), with_holes)
    chosen = candidates[0]
    if len(candidates) > 1:
        # One scale for all of them: a floor under the noise in different units would rule the comparison.
        widest = columns.scale.copy()
        for (j, _), tail in tails.items():
            if tail is not None and tail.found:
                widest[j] = max(widest[j], tail.scale)
        common = columns._replace(scale=widest)
        bounds = [
            _linear_bound(
                Start(common, _started(common, mechanism, signs, tails)), table, likelihood, seed, device, steps
            )
            for signs in candidates
        ]
        chosen = candidates[int(np.argmax(bounds))]
    center, scale = columns.center.copy(), columns.scale.copy()
    for j, tail in _cliffs(chosen, tails).items():
        center[j], scale[j] = tail.center, tail.scale
    columns = columns._replace(center=center, scale=scale)
    return Start(columns, _started(columns, mechanism, chosen, tails))


def _directions(known: FloatArray, likely: FloatArray, with_holes: BoolArray) -> list[FloatArray]:
    """Sets of directions to try: the likely one, and where columns disagree all high and all low too."""
    shown = likely[with_holes & (likely != 0)]
    if len(shown) and (shown == shown[0]).all():
        return [likely]
    sets = [np.where(known == 0, 1.0, known), np.where(known == 0, -1.0, known), likely]
    return [s for i, s in enumerate(sets) if not any(np.array_equal(s, before) for before in sets[:i])]


def _cliffs(directions: FloatArray, tails: dict[tuple[int, float], LostTail | None]) -> dict[int, LostTail]:
    """The columns whose observed values end at a cliff on the side that ``directions`` says."""
    found = {j: tails.get((j, float(sign))) for j, sign in enumerate(directions)}
    return {j: tail for j, tail in found.items() if tail is not None and tail.found}


def _started(
    columns: ColumnInfo,
    mechanism: SelfMasking,
    directions: FloatArray,
    tails: dict[tuple[int, float], LostTail | None],
) -> SelfMasking:
    """The mechanism at the cliffs; elsewhere leaning in its direction, with a sign that stays free."""
    started = copy.deepcopy(mechanism)
    at_cliff, slope, threshold = (np.zeros(len(directions)) for _ in range(3))
    for j, tail in _cliffs(directions, tails).items():
        at_cliff[j], slope[j] = 1, tail.slope * columns.scale[j] / tail.scale
        threshold[j] = (tail.threshold - columns.center[j]) / columns.scale[j]
    started.lean(torch.as_tensor(directions))
    started.start_at(*(torch.as_tensor(v) for v in (at_cliff > 0, slope, threshold)))
    return started


def _linear_bound(
    start: Start,
    table: FloatArray,
    likelihood: Callable[[int], Likelihood],
    seed: int,
    device: torch.device,
    steps: int,
) -> float:
    """The bound of a linear model fitted from a start, nats per row."""
    observed = ~np.isnan(table)
    x = standardise(table, start.columns._replace(logged=()))
    batch = Batch(torch.as_tensor(x), torch.as_tensor(observed)).to(device, torch.float32)
    active = torch.as_tensor(~observed.all(0))
    latent_dim = max(1, table.shape[1] - 1)
    encoder = MLPEncoder(table.shape[1], latent_dim, _ENCODER_UNITS)
    mechanism = copy.deepcopy(start.mechanism)
    joint = Joint(encoder, nn.Identity(), likelihood(latent_dim), mechanism, latent_dim, active)
    joint.to(device, torch.float32)
    steps = max(1, min(_SCREENING_STEPS, steps // 6))
    fit(joint, batch, replace(_SCREENING, max_iter=passes(steps, len(table), BATCH_SIZE), seed=seed))
    return held_out_bound(joint, batch, ImportanceBound(_JUDGE_DRAWS), seed)
