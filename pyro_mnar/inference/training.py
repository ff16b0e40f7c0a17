"""Fit a model/guide pair: minibatches, Adam, a rate of its own for the mechanism, stopping on the held-out bound."""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyro_mnar.errors import FitDivergedError, InvalidInputError, TrainingWarning
from pyro_mnar.inference.adam import Adam, Parameters
from pyro_mnar.inference.checkpoint import Checkpoint, weights_of
from pyro_mnar.inference.history import History, curve_numbers, is_shared, record_shared
from pyro_mnar.inference.importance import Gradient, ImportanceBound
from pyro_mnar.inference.interrupts import interrupts_wait
from pyro_mnar.inference.processes import Devices, together
from pyro_mnar.inference.state import PLAIN, check_state, fingerprint
from pyro_mnar.inference.team import Team
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.random_streams import PartNoise

#: Steps in a row whose loss or gradient is not finite that are left out before anything else is done.
MOST_SKIPPED = 3

#: Steps within a pass after which it is told how far training has come.
STEPS_IN_SILENCE = 50


@dataclass(frozen=True)
class FitSettings:
    """How :func:`fit` trains.

    Attributes
    ----------
    max_iter : int
        Passes over the data.
    batch_size : int
        Rows per step at most; the steps of a pass have one size, or nearly so.
    n_draws : int
        K of the bound.
    learning_rate, mechanism_learning_rate : float
        Adam's rates for the networks and for the mechanism. A mechanism at the networks' rate is too slow: the data
        model bends before the mask becomes steep.
    decoder_weight_decay, head_weight_decay : float
        Decoupled weight decay of the decoder's hidden weights and of the head's, per step and unit of the rate.
    gradient : {"standard", "dreg"}
        See :class:`~pyro_mnar.inference.importance.ImportanceBound`.
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
    decoder_weight_decay: float = 0.0
    head_weight_decay: float = 0.0
    gradient: Gradient = "standard"
    validation_fraction: float = 0.0
    tol: float = 1e-3
    n_iter_no_change: int | None = None
    final_rate: float = 1.0
    seed: int = 0


#: Passes done, passes in all, the bound and the held-out bound of the last whole pass.
Report = Callable[[float, int, float | None, float | None], None]


def fit(
    joint: Joint,
    data: Batch,
    settings: FitSettings,
    report: Report | None = None,
    history: History | None = None,
    checkpoint_dir: str | os.PathLike[str] | None = None,
    devices: Devices = 1,
) -> History:
    """Train ``joint`` in place.

    After an interrupt or an error ``joint`` has the best weights so far (the last ones without held-out rows), which
    are finite, and ``history`` what was recorded.

    Parameters
    ----------
    joint : Joint
        The pair, on the device of ``data``.
    data : Batch
        All rows.
    settings : FitSettings
        How to train.
    report : callable or None
        Called after each pass, and within long ones, with (passes done, passes in all, bound, held-out bound). Bounds
        are those of the last whole pass, None before there is one or where no rows are held out.
    history : History or None
        An empty one to record into, for a caller who wants it after an interrupt too.
    checkpoint_dir : path or None
        A folder for the state of the run. The same call after a kill goes on from there and ends, on the same
        processor and number of threads, at the same weights bit for bit. The file goes when training ends.
    devices : int or Fabric
        Processes that train together, each with its part of every batch: their number, or a launched
        ``lightning_fabric.Fabric`` that this process is part of, with the same arguments in all of them.

    Returns
    -------
    History

    Raises
    ------
    InvalidInputError
        A mask that contradicts the values.
    FitDivergedError
        Losses or gradients are not finite, and half the learning rate did not help.
    FileFormatError
        The state in ``checkpoint_dir`` was damaged or changed.
    LostProcessError
        One of several processes ended.
    """
    data.check()
    history = History() if history is None else history
    alone = checkpoint_dir is None and isinstance(devices, int) and devices == 1
    name = "" if alone else fingerprint(joint, data, settings)
    checkpoint = None if checkpoint_dir is None else Checkpoint(checkpoint_dir, name)
    run = Run(joint, data, settings, history)
    joint.train()
    try:
        with together(devices, joint, data, settings) as team:
            if team is not None and team.rank > 0:
                report = checkpoint = None
            if checkpoint is not None:
                checkpoint.resume(run.restore)
            if team is not None:
                run.join(team, name)
            joint.generator = run.generator

            def tell(share: float) -> None:
                if report is not None:
                    bound, held_out = ((b[-1] if b else None) for b in (history.bound, history.validation_bound))
                    report(history.n_iter + share, settings.max_iter, bound, held_out)

            while not run.finished:
                run.one_pass(checkpoint, tell)
                tell(0.0)
    finally:
        with interrupts_wait():
            if run.best:
                joint.load_state_dict(run.best)
            joint.forget()
            joint.eval()
    if not math.isfinite(history.bound[-1]):
        raise FitDivergedError(
            "the last pass had no step with a finite loss and gradient; lower learning_rate, raise min_scale, or look "
            "for values far from the others"
        )
    if run.skipped:
        warnings.warn(
            f"{run.skipped} of the training steps were skipped, because their loss or gradient was not finite",
            TrainingWarning,
            stacklevel=2,
        )
    if checkpoint is not None:
        checkpoint.remove()
    return history


class Run:
    """A training run between two steps: all that a checkpoint holds.

    Parameters
    ----------
    joint, data, settings, history
        As for :func:`fit`.
    """

    def __init__(self, joint: Joint, data: Batch, settings: FitSettings, history: History) -> None:
        self.team: Team | None = None
        self.joint = joint
        self.settings = settings
        self.history = history
        self.generator = torch.Generator(data.x.device).manual_seed(settings.seed)
        self.train, self.held_out = split(data, settings.validation_fraction, self.generator)
        self.bound = ImportanceBound(settings.n_draws, settings.gradient)
        self.optimiser = make_optimiser(joint, settings)
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.best: dict[str, Tensor] = {}
        self.best_bound, self.stale = -math.inf, 0
        # Where the pass is: the order of its rows (none between two passes), steps done, and their sum.
        self.order = torch.empty(0, dtype=torch.int64, device=data.x.device)
        self.step, self.rows = 0, 0
        self.total = torch.zeros((), device=data.x.device)
        self.anchor: dict[str, Tensor] = {}
        self.skipped, self.skipped_in_a_row, self.slowed = 0, 0, False
        self.start = time.perf_counter()
        self.shared = joint.has_mask_term and is_shared(joint.mechanism.curve())

    @property
    def finished(self) -> bool:
        """Whether all passes are done, or the held-out bound has stopped rising."""
        patience = self.settings.n_iter_no_change
        stopped = patience is not None and self.stale >= patience
        return self.history.n_iter >= self.settings.max_iter or stopped

    def join(self, team: Team, name: str) -> None:
        """Train together with others from here on, from where the first of them is; ``name`` is the run's own."""
        if len(set(team.each(name))) > 1:
            raise InvalidInputError(
                f"the {team.size} processes have different tables, settings or first weights; give all the same, and "
                "random_state a whole number"
            )
        state = team.each(self.state() if team.rank == 0 else None)[0]
        if team.rank > 0:
            self.restore(*state)
        self.team, self.generator = team, PartNoise(self.order.device)
        self.generator.set_state(state[0]["generator"])

    def one_pass(self, checkpoint: Checkpoint | None = None, tell: Callable[[float], None] | None = None) -> None:
        """One pass over the rows in random order (or what is left of one), and its records.

        ``tell`` hears now and then which share of it is done.
        """
        self._set_rates()
        if len(self.order) == 0:
            self.order = torch.randperm(self.train.n_rows, generator=self.generator, device=self.train.x.device)
            self.anchor = weights_of(self.joint)
            self.step, self.rows = 0, 0
            self.total.zero_()
        # As even as can be: a rest of one row would make a step as long as the others.
        batches = self.order.tensor_split(-(-len(self.order) // self.settings.batch_size))
        while self.step < len(batches):
            self.one_step(self.train.rows(batches[self.step]))
            self.step += 1
            if checkpoint is not None and checkpoint.due:
                checkpoint.write(*self.state())
            if tell is not None and self.step % STEPS_IN_SILENCE == 0:
                tell(self.step / len(batches))
        self._record()
        self.order = self.order[:0]

    def one_step(self, batch: Batch) -> None:
        """One step of the optimiser, if loss and gradient are finite."""
        n_rows, team = batch.n_rows, self.team
        if team is not None:
            batch, weight = team.own_rows(batch, self.generator)
        loss = self.bound.differentiable_loss(self.joint.model, self.joint.guide, batch)
        if team is not None:
            loss = loss * weight
        self.optimiser.zero_grad()
        (loss / n_rows).backward()
        loss = loss.detach()
        if team is not None:
            loss = team.add_up(loss, self.optimiser.parameters)
        if not all_finite(loss, self.optimiser.parameters):
            self._skip(loss.item())
            return
        self.optimiser.step()
        if self.shared:
            record_shared(self.joint, self.history)
        self.total += loss
        self.rows += n_rows
        self.skipped_in_a_row = 0

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What :meth:`restore` needs to go on: tensors, and plain values."""
        optimiser = self.optimiser.state()
        tensors = {
            "order": self.order,
            "total": self.total,
            "generator": self.generator.get_state(),
            **{f"joint.{key}": value for key, value in self.joint.state_dict().items()},
            **{f"best.{key}": value for key, value in self.best.items()},
            **{f"anchor.{key}": value for key, value in self.anchor.items()},
            **{f"optimiser.{i}.{key}": value for i, moments in optimiser.items() for key, value in moments.items()},
        }
        for name, entries in vars(self.history).items():
            tensors[f"history.{name}"] = torch.tensor(entries, dtype=torch.float64)
        values = {name: getattr(self, name) for name in PLAIN} | {"seconds": time.perf_counter() - self.start}
        return tensors, values

    def restore(self, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Go back to a state of the same run, in place."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

        device = self.order.device
        check_state(self, tensors, values)
        for name in PLAIN:
            setattr(self, name, values[name])
        if self.slowed:
            self.rates = [rate / 2 for rate in self.rates]
        self.start = time.perf_counter() - values["seconds"]
        self.order, self.total = tensors["order"].to(device), tensors["total"].to(device)
        self.generator.set_state(tensors["generator"])
        self.joint.load_state_dict(part("joint."))
        self.best, self.anchor = part("best."), part("anchor.")
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in part("optimiser.").items():
            index, _, name = key.partition(".")
            moments.setdefault(int(index), {})[name] = value
        self.optimiser.load_state(moments)
        for name, entries in part("history.").items():
            getattr(self.history, name)[:] = entries.tolist()

    def _set_rates(self) -> None:
        """The rates of this pass: a half cosine from each rate to its share ``final_rate``."""
        final, done = self.settings.final_rate, self.history.n_iter / self.settings.max_iter
        share = final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _record(self) -> None:
        """Put down what the pass gave: all of it, with the weights of the best bound that is told, or nothing."""
        bound = -self.total.item() / self.rows if self.rows else math.nan
        slope, intercept = curve_numbers(self.joint)
        value, weights = -math.inf, None
        if self.held_out is not None:
            value = held_out_bound(self.joint, self.held_out, self.bound, self.settings.seed, team=self.team)
            weights = weights_of(self.joint) if value > self.best_bound else None
        with interrupts_wait():
            self.history.bound.append(bound)
            if slope:
                self.history.slope.append(slope)
                self.history.intercept.append(intercept)
            if self.held_out is not None:
                self.history.validation_bound.append(value)
                self.stale = 0 if value > self.best_bound + self.settings.tol else self.stale + 1
            if weights is not None:
                self.best_bound, self.best = value, weights
            self.history.seconds.append(time.perf_counter() - self.start)

    def _skip(self, loss: float) -> None:
        """Leave a step out; after too many in a row go back to finite ground at half the rate, once."""
        self.skipped += 1
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row <= MOST_SKIPPED:
            return
        self.joint.load_state_dict(self.best or self.anchor)
        if self.slowed:
            raise FitDivergedError(
                f"loss or gradient was not finite in {self.skipped_in_a_row} steps in a row (the last loss: {loss}), "
                "and half the learning rate did not help; lower learning_rate, raise min_scale, or look for values "
                "far from the others"
            )
        self.slowed, self.skipped_in_a_row = True, 0
        self.rates = [rate / 2 for rate in self.rates]
        self.optimiser = make_optimiser(self.joint, self.settings)
        self._set_rates()


def all_finite(loss: Tensor, parameters: Iterable[Tensor]) -> bool:
    """Whether the loss and every gradient are finite."""
    # One number tells of all: the sum of squares is not finite if any entry is not.
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return math.isfinite(loss + torch.nn.utils.get_total_norm(gradients))


def make_optimiser(joint: Joint, settings: FitSettings) -> Adam:
    """Adam with groups for the networks, for the decoder's hidden weights, for the mechanism and for the head."""
    mechanism = list(joint.mechanism.parameters())
    decoder = [parameter for parameter in joint.decoder.parameters() if parameter.ndim > 1]
    head = [] if joint.head is None else list(joint.head.parameters())
    known = {id(parameter) for parameter in [*mechanism, *decoder, *head]}
    networks = [parameter for parameter in joint.parameters() if id(parameter) not in known]
    groups = [
        Parameters(params=networks, lr=settings.learning_rate, weight_decay=0.0),
        Parameters(params=decoder, lr=settings.learning_rate, weight_decay=settings.decoder_weight_decay),
        Parameters(params=mechanism, lr=settings.mechanism_learning_rate, weight_decay=0.0),
        Parameters(params=head, lr=settings.learning_rate, weight_decay=settings.head_weight_decay),
    ]
    return Adam([group for group in groups if group["params"]])


def split(data: Batch, fraction: float, generator: torch.Generator) -> tuple[Batch, Batch | None]:
    """Rows to train on, and rows held out (None when the share is 0 or makes less than one row)."""
    n_held_out = int(fraction * data.n_rows)
    if n_held_out == 0:
        return data, None
    order = torch.randperm(data.n_rows, generator=generator, device=data.x.device)
    return data.rows(order[n_held_out:]), data.rows(order[:n_held_out])


def held_out_bound(
    joint: Joint, data: Batch, bound: ImportanceBound, seed: int, chunk: int = 2048, team: Team | None = None
) -> float:
    """The bound of held-out rows, nats per row, with the same noise each time so that passes can be compared."""
    training_generator, device = joint.generator, data.x.device
    noise = torch.Generator(device) if team is None else PartNoise(device)
    joint.generator, total = noise.manual_seed(seed), 0.0
    try:
        for start in range(0, data.n_rows, chunk):
            rows, weight = data.rows(slice(start, start + chunk)), 1.0
            if team is not None:
                rows, weight = team.own_rows(rows, noise)
            total += weight * bound.loss(joint.model, joint.guide, rows)
    finally:
        joint.generator = training_generator
    return -(total if team is None else team.total(total, data.x)) / data.n_rows
