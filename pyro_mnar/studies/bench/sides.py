"""What is measured: the table, the package's pair and step, and the other implementation's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.estimators.start.plan import start_from_tails
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import FitSettings, make_optimiser
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import MLPEncoder
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood
from pyro_mnar.model.mechanisms import Direction, SelfMasking
from pyro_mnar.model.networks import mlp
from pyro_mnar.numerics.links import Link
from pyro_mnar.studies.sources import load

N_DRAWS = 20
HIDDEN = (128, 128)


class Table(NamedTuple):
    """Rows with holes, standardised by what was observed, float32, shape (n, p), and what the holes hid.

    ``truth`` are the complete rows, and ``unit`` is the standard deviation of each complete column, in which errors are
    stated, both on the same scale; the columns have centre 0 and scale 1.
    """

    batch: Batch
    truth: torch.Tensor
    unit: torch.Tensor
    columns: ColumnInfo


def wine(data_home: Path | None) -> Table:
    """White wine, whose first five features lose every value above their mean (Ipsen et al. 2021, section 4.2)."""
    complete = load("wine_white", data_home).data.to_numpy()
    return table(complete, self_mask(complete, columns="first-half", random_state=0))


def made(n: int, p: int, seed: int = 0) -> Table:
    """Correlated normal rows, whose first half of the features lose every value above their mean."""
    generator = np.random.default_rng(seed)
    complete = generator.normal(size=(n, p)) @ np.linalg.qr(generator.normal(size=(p, p)))[0]
    return table(complete, self_mask(complete, columns="first-half", random_state=seed))


def table(complete: np.ndarray, holed: np.ndarray) -> Table:
    """Standardise by the observed values."""
    observed = ~np.isnan(holed)
    center, scale = np.nanmean(holed, 0), np.nanstd(holed, 0)
    truth = torch.as_tensor((complete - center) / scale, dtype=torch.float32)
    seen = torch.as_tensor(observed)
    p = complete.shape[1]
    columns = ColumnInfo(tuple(f"x{j}" for j in range(p)), np.zeros(p), np.ones(p), 1 - observed.mean(0))
    unit = torch.as_tensor(complete.std(0) / scale, dtype=torch.float32)
    return Table(Batch(torch.where(seen, truth, 0.0), seen), truth, unit, columns)


def pair(
    data: Table, collapsed: bool = True, link: Link = "probit", seed: int = 0, direction: Direction | None = None
) -> Joint:
    """The imputer's default networks, untrained."""
    p = data.batch.x.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        mechanism = SelfMasking(direction, link=link)
        mechanism.setup(data.columns)
        return Joint(
            MLPEncoder(p, p - 1, HIDDEN),
            mlp(p - 1, HIDDEN),
            GaussianLikelihood(HIDDEN[-1], p),
            mechanism,
            p - 1,
            ~data.batch.observed.all(0),
            collapse="auto" if collapsed else False,
        )


def with_start(data: Table, direction: Direction | None, seed: int = 0) -> tuple[Table, Joint]:
    """Table and pair as the imputer starts them: scales and mechanism from the tails that the columns lost."""
    holed = torch.where(data.batch.observed, data.batch.x, torch.nan).double().numpy()
    start = start_from_tails(holed, data.columns, SelfMasking(direction, link="probit"), range(holed.shape[1]))
    assert start is not None
    center, scale = (torch.as_tensor(v, dtype=torch.float32) for v in (start.columns.center, start.columns.scale))
    seen = data.batch.observed
    x = torch.where(seen, (data.batch.x - center) / scale, 0.0)
    begun = Table(Batch(x, seen), (data.truth - center) / scale, data.unit / scale, data.columns)
    joint = pair(begun, seed=seed, direction=direction)
    joint.mechanism.load_state_dict(start.mechanism.state_dict())
    return begun, joint


def package_step(joint: Joint, n_draws: int = N_DRAWS, seed: int = 0) -> Callable[[Batch], None]:
    """One training step, as in :func:`pyro_mnar.inference.training.fit`."""
    bound = ImportanceBound(n_draws)
    optimiser = make_optimiser(joint, FitSettings(max_iter=1))
    joint.generator = torch.Generator().manual_seed(seed)

    def step(batch: Batch) -> None:
        loss = bound.differentiable_loss(joint.model, joint.guide, batch)
        optimiser.zero_grad()
        (loss / batch.n_rows).backward()
        optimiser.step()

    return step


def peer_model(data: Table, seed: int = 0, known: bool = False) -> Any:
    """notmiwae-pytorch's not-MIWAE with networks of the same size; its own defaults otherwise.

    ``known`` tells it that high values go missing. Where it is not told, it starts there all the same (slope 1).
    """
    with warnings.catch_warnings():
        # What it imports for its logs warns of its own future.
        warnings.simplefilter("ignore")
        from notmiwae_pytorch.models import NotMIWAE
    p = data.batch.x.shape[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        process = "selfmasking_known_signs" if known else "selfmasking"
        return NotMIWAE(input_dim=p, latent_dim=p - 1, hidden_dim=HIDDEN[0], n_samples=N_DRAWS, missing_process=process)


def peer_step(model: Any) -> Callable[[Batch], None]:
    """One step of its trainer, without the trainer's data loader and logs."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(batch: Batch) -> None:
        optimiser.zero_grad()
        loss = model(batch.x, batch.observed.to(batch.x.dtype))["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
        optimiser.step()

    return step


def batches(data: Batch, size: int, seed: int = 0) -> Iterator[Batch]:
    """Minibatches of one size without end, each pass in a new order, the rest of a pass left out."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        for index in torch.randperm(data.n_rows, generator=generator).split(size):
            if len(index) == size:
                yield data.rows(index)


def stepper(step: Callable[[Batch], None], data: Batch, size: int) -> Callable[[], None]:
    """``step`` on the next minibatch."""
    stream = batches(data, size)
    return lambda: step(next(stream))
