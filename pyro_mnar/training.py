"""Fit a model/guide pair: minibatches, Adam, a rate of its own for the mechanism, stopping on the held-out bound."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyro_mnar.batch import Batch
from pyro_mnar.errors import FitDivergedError
from pyro_mnar.importance import Gradient, ImportanceBound
from pyro_mnar.joint import Joint


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    max_iter : int
        Passes over the data.
    batch_size : int
        Rows per step.
    n_draws : int
        K of the bound.
    learning_rate, mechanism_learning_rate : float
        Adam's rates for the networks and for the mechanism. A mechanism at the networks' rate is too slow: the data
        model bends before the mask becomes steep.
    head_weight_decay : float
        Decoupled weight decay of the head's weights, per step and unit of ``learning_rate``.
    gradient : {"standard", "dreg"}
        See :class:`~pyro_mnar.importance.ImportanceBound`.
    validation_fraction : float
        Share of rows held out to watch the bound; 0 trains on all and keeps the last weights.
    tol : float
        Least gain of the held-out bound, in nats per row, that counts as one.
    n_iter_no_change : int or None
        Stop after so many passes without such a gain; None never stops early. The best weights are kept either way.
    final_rate : float
        The rates fall to this share along a half cosine over ``max_iter``.
    seed : int
        Of the minibatches and draws.
    """

    max_iter: int
    batch_size: int = 128
    n_draws: int = 20
    learning_rate: float = 1e-3
    mechanism_learning_rate: float = 3e-2
    head_weight_decay: float = 0.0
    gradient: Gradient = "standard"
    validation_fraction: float = 0.0
    tol: float = 1e-3
    n_iter_no_change: int | None = None
    final_rate: float = 1.0
    seed: int = 0


@dataclass
class History:
    """One entry per pass over the data.

    Attributes
    ----------
    bound : list of float
        Training bound, mean over the pass, nats per row.
    validation_bound : list of float
        Bound of the held-out rows, nats per row; empty without held-out rows.
    seconds : list of float
        Since the start.
    mechanism : list of dict
        Mean slope and threshold, when the mechanism is a curve: the path over training.
    """

    bound: list[float] = field(default_factory=list)
    validation_bound: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    slope: list[list[float]] = field(default_factory=list)
    intercept: list[list[float]] = field(default_factory=list)

    @property
    def n_iter(self) -> int:
        """Passes over the data that were run."""
        return len(self.bound)


Report = Callable[[int, int, float, float | None], None]


def fit(joint: Joint, data: Batch, settings: TrainingSettings, report: Report | None = None) -> History:
    """Train ``joint`` in place.

    Parameters
    ----------
    joint : Joint
        The pair, on the device of ``data``.
    data : Batch
        All rows.
    settings : TrainingSettings
        How to train.
    report : callable or None
        Called after each pass with (passes done, passes in all, bound, held-out bound or None).

    Returns
    -------
    History

    Raises
    ------
    InvalidInputError
        A mask that contradicts the values.
    FitDivergedError
        The loss is not finite.
    """
    data.check()
    generator = torch.Generator(data.x.device).manual_seed(settings.seed)
    train, held_out = split(data, settings.validation_fraction, generator)
    bound = ImportanceBound(settings.n_draws, settings.gradient)
    optimiser = make_optimiser(joint, settings)
    rates = [group["lr"] for group in optimiser.param_groups]
    history = History()
    best_bound, best_state, stale = -math.inf, None, 0
    joint.generator = generator
    joint.train()
    start = time.perf_counter()
    try:
        for epoch in range(settings.max_iter):
            share = settings.final_rate + (1 - settings.final_rate) * 0.5 * (
                1 + math.cos(math.pi * epoch / settings.max_iter)
            )
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * share
            history.bound.append(one_pass(joint, train, bound, optimiser, settings.batch_size, generator))
            record_curve(joint, history)
            if held_out is not None:
                value = held_out_bound(joint, held_out, bound, settings.seed)
                history.validation_bound.append(value)
                stale = 0 if value > best_bound + settings.tol else stale + 1
                if value > best_bound:
                    best_bound, best_state = value, copy.deepcopy(joint.state_dict())
            history.seconds.append(time.perf_counter() - start)
            if report is not None:
                latest = history.validation_bound[-1] if held_out is not None else None
                report(epoch + 1, settings.max_iter, history.bound[-1], latest)
            if settings.n_iter_no_change is not None and stale >= settings.n_iter_no_change:
                break
    finally:
        if best_state is not None:
            joint.load_state_dict(best_state)
        joint.generator = None
        joint.eval()
    return history


def one_pass(
    joint: Joint,
    data: Batch,
    bound: ImportanceBound,
    optimiser: torch.optim.Optimizer,
    batch_size: int,
    generator: torch.Generator,
) -> float:
    """One pass over the rows in random order; the mean bound, nats per row."""
    total = torch.zeros((), device=data.x.device)
    order = torch.randperm(data.n_rows, generator=generator, device=data.x.device)
    for index in order.split(batch_size):
        batch = data.rows(index)
        loss = bound.differentiable_loss(joint.model, joint.guide, batch)
        optimiser.zero_grad(set_to_none=True)
        (loss / batch.n_rows).backward()
        optimiser.step()
        total += loss.detach()
    mean = -total.item() / data.n_rows
    if not math.isfinite(mean):
        raise FitDivergedError(
            f"the training bound became {mean}; lower learning_rate or raise the likelihood's min_scale"
        )
    return mean


def make_optimiser(joint: Joint, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam with one group for the networks, one for the mechanism and one for the head."""
    mechanism = list(joint.mechanism.parameters())
    head = [] if joint.head is None else list(joint.head.parameters())
    known = {id(parameter) for parameter in [*mechanism, *head]}
    networks = [parameter for parameter in joint.parameters() if id(parameter) not in known]
    groups = [{"params": networks, "lr": settings.learning_rate}]
    if mechanism:
        groups.append({"params": mechanism, "lr": settings.mechanism_learning_rate})
    if head:
        decay = settings.head_weight_decay
        groups.append({"params": head, "lr": settings.learning_rate, "weight_decay": decay})
    # AdamW without decay is Adam.
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=True)


def split(data: Batch, fraction: float, generator: torch.Generator) -> tuple[Batch, Batch | None]:
    """Rows to train on, and rows held out (None when the share is 0 or makes less than one row)."""
    n_held_out = int(fraction * data.n_rows)
    if n_held_out == 0:
        return data, None
    order = torch.randperm(data.n_rows, generator=generator, device=data.x.device)
    return data.rows(order[n_held_out:]), data.rows(order[:n_held_out])


def held_out_bound(joint: Joint, data: Batch, bound: ImportanceBound, seed: int, chunk: int = 2048) -> float:
    """The bound of held-out rows, nats per row, with the same noise each time so that passes can be compared."""
    training_generator = joint.generator
    joint.generator = torch.Generator(data.x.device).manual_seed(seed)
    try:
        total = sum(
            bound.loss(joint.model, joint.guide, data.rows(slice(start, start + chunk)))
            for start in range(0, data.n_rows, chunk)
        )
    finally:
        joint.generator = training_generator
    return -total / data.n_rows


def record_curve(joint: Joint, history: History) -> None:
    """Keep the path of slope and intercept (standardised scale) when the mechanism is a curve."""
    curve = joint.mechanism.curve() if joint.has_mask_term else None
    if curve is not None:
        history.slope.append(_numbers(curve.slope))
        history.intercept.append(_numbers(curve.intercept))


def _numbers(values: Tensor) -> list[float]:
    return [float(v) for v in values.detach().reshape(-1)]
