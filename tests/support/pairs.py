"""Small pairs with known parameters, for the tests of the engine."""

from __future__ import annotations

import numpy as np
import torch

from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import MLPEncoder
from pyro_mnar.model.heads import Head
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood
from pyro_mnar.model.mechanisms import Mechanism
from pyro_mnar.model.networks import mlp


def info(p: int, missing_rate: float = 0.3) -> ColumnInfo:
    """Columns x0 .. on the standardised scale already."""
    return ColumnInfo(tuple(f"x{j}" for j in range(p)), np.zeros(p), np.ones(p), np.full(p, missing_rate))


def small_batch(
    n: int = 7, p: int = 4, seed: int = 0, y: str | None = None, dtype: torch.dtype = torch.float64
) -> Batch:
    """Random rows of which about 40 % of the cells are missing; the last column is complete."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator, dtype=dtype)
    observed = torch.rand(n, p, generator=generator) > 0.4
    observed[:, -1] = True
    target = {
        None: None,
        "real": torch.randn(n, generator=generator, dtype=dtype),
        "class": torch.randint(3, (n,), generator=generator),
    }[y]
    return Batch(torch.where(observed, x, torch.zeros_like(x)), observed, target)


def small_joint(
    mechanism: Mechanism,
    p: int = 4,
    latent_dim: int = 2,
    seed: int = 0,
    head: Head | None = None,
    collapse: bool | str = "auto",
    n_inner: int = 1,
    scale: str = "free",
    dtype: torch.dtype = torch.float64,
) -> Joint:
    """A random network pair; the mechanism's parameters are moved away from their neutral start."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mechanism.setup(info(p))
        active = torch.ones(p, dtype=torch.bool)
        active[-1] = False
        joint = Joint(
            MLPEncoder(p, latent_dim, (8,)),
            mlp(latent_dim, (8,)),
            GaussianLikelihood(8, p, scale),  # type: ignore[arg-type]
            mechanism,
            latent_dim,
            active,
            head,
            collapse,
            n_inner,
        ).to(dtype)
        with torch.no_grad():
            for parameter in joint.mechanism.parameters():
                parameter += 0.5 * torch.randn_like(parameter)
    return joint
