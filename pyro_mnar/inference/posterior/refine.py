r"""A proposal of its own for a row whose plain weights are too uneven.

1. Laplace: climb to the mode of log p(z, x_obs, s), and take the inverse of minus its Hessian there for the covariance.
2. Adaptive importance sampling: draw, weigh against the mixture of all proposals so far, and take the moments of the
   draws under tempered weights for the next proposal.

All rows of a chunk at once, in float64. What comes out is a fixed proposal: the draws that answers are made of, and by
which a row is judged, are fresh ones.

References
----------
Cornuet, Marin, Mira & Robert 2012, Adaptive multiple importance sampling, arXiv:0907.1254; El-Laham, Elvira & Bugallo
2018, Robust covariance adaptation in adaptive importance sampling (tempering and shrinkage).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pyro_mnar.data.arguments import finite_number, instance_only, whole_number
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.inference.adam import Adam, Parameters
from pyro_mnar.inference.posterior.proposals import StudentRows, log_joint
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.random_streams import BlockNoise


@dataclass(frozen=True)
class Refinement:
    """How much to spend on a row; with ``pilot`` plain draws before, a gradient counted 3 and a Hessian 4 L + 3.

    Attributes
    ----------
    pilot : int
        Plain draws by which rows are chosen, when none are named.
    promise : float
        Effective draws, of all K, that the pilot must promise for a row's plain draws to be tried.
    steps : int
        Adam steps to the mode.
    rate : float
        Their rate, falling along a half cosine.
    rounds : tuple of int
        Draws of each round of adaptation.
    n_draws : int
        Least number of fresh draws that the answers are made of.
    n_inner : int
        Least number of draws of x_mis per code where x_mis is drawn (pseudo-marginal): the mask's probability given the
        code is then known well enough to climb on.
    """

    pilot: int = 200
    promise: float = 200
    steps: int = 50
    rate: float = 0.1
    rounds: tuple[int, ...] = (500, 500)
    n_draws: int = 2400
    n_inner: int = 16

    def __post_init__(self) -> None:
        least = {"pilot": 1, "steps": 0, "n_draws": 1, "n_inner": 1}
        for name, smallest in least.items():
            whole_number(name, getattr(self, name), smallest)
        for name in ("promise", "rate"):
            if finite_number(name, getattr(self, name)) < 0:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; it must not be negative")
        instance_only("rounds", self.rounds, tuple, "numbers of draws, as (500, 500)")
        for n_draws in self.rounds:
            whole_number("rounds", n_draws)

    def doubled(self) -> "Refinement":
        """Twice the effort."""
        return replace(
            self,
            steps=2 * self.steps,
            rounds=tuple(2 * n_draws for n_draws in (*self.rounds, *self.rounds[-1:])),
            n_draws=2 * self.n_draws,
        )


def checked(settings: Refinement | None) -> Refinement:
    """The settings, the defaults for None; InvalidInputError for anything else."""
    settings = Refinement() if settings is None else settings
    instance_only("settings", settings, Refinement, "None, or a Refinement")
    return settings


#: What means take, which need fewer draws than quantiles do. With a promise of 100 most rows of which the pilot is just
#: good enough were drawn in vain; with 250 heavy tails leave twice as many rows unreliable.
FOR_MEANS = Refinement(pilot=64, promise=150, steps=30, rounds=(200, 200), n_draws=600, n_inner=8)

# In the block of noise: after the sites of the draws of z.
_SITE_OF_VALUES = 10
#: A posterior is rarely wider than the prior: eigenvalues of the precision are kept above this.
_LEAST_PRECISION = 0.5
#: Weights are flattened until they are worth this many draws per dimension.
_DRAWS_PER_DIMENSION = 2
#: Draws per dimension at which the moments count as much as the proposal before (a covariance has L (L + 1) / 2).
_SHRINKAGE = 15


def refined_proposal(
    joint: Joint,
    batch: Batch,
    mode: Tensor,
    rows: list[int],
    noise: BlockNoise,
    first_draw: int,
    settings: Refinement,
    drawing: tuple[Joint, Batch] | None = None,
) -> StudentRows:
    """Proposals for all rows of ``batch``; where something is not finite, the encoder's mean and spread stay.

    ``mode`` comes from :func:`climb`, shape (n, L); ``rows`` are the rows' numbers in the whole table, and
    ``first_draw`` is where in the block of noise the draws begin; ``drawing`` is the pair with its rows in the
    precision in which draws are weighed, None for that of ``joint``.
    """
    with torch.no_grad():
        q = joint.encoder.for_rows(batch)
    plain = q.mean, torch.diag_embed(q.scale.expand_as(q.mean))
    precision = -hessian(joint, batch, mode, rows, noise)
    sound = mode.isfinite().all(-1) & precision.isfinite().all(-1).all(-1)
    loc = torch.where(sound[:, None], mode, plain[0])
    scale_tril = torch.where(sound[:, None, None], _laplace_scale(precision, sound), plain[1])
    rounds: list[tuple[Tensor, Tensor]] = []
    proposals: list[StudentRows] = []
    pair, drawn_rows = drawing or (joint, batch)
    with torch.no_grad():
        for n_draws in settings.rounds:
            proposals.append(StudentRows(loc, scale_tril, noise))
            noise.window(rows, first_draw)
            z = proposals[-1].expand(torch.Size((n_draws, batch.n_rows))).rsample()
            rounds.append((z, _log_joint(pair, drawn_rows, z.to(drawn_rows.x.dtype), rows, noise, first_draw).double()))
            loc, scale_tril = _moments(rounds, proposals, loc, scale_tril)
            first_draw += n_draws
    return StudentRows(loc, scale_tril)


def climb(joint: Joint, batch: Batch, rows: list[int], noise: BlockNoise, settings: Refinement) -> Tensor:
    """The mode of log p(z, x_obs, s) of each row, by Adam from the encoder's mean, shape (n, L)."""
    with torch.no_grad():
        start = joint.encoder.for_rows(batch).mean
    z = start.clone().unsqueeze(0).requires_grad_()
    adam = Adam([Parameters(params=[z], lr=settings.rate, weight_decay=0.0)], betas=(0.9, 0.99))
    with torch.enable_grad():
        for step in range(settings.steps):
            adam.param_groups[0]["lr"] = settings.rate * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            value = _log_joint(joint, batch, z, rows, noise).sum()
            (z.grad,) = torch.autograd.grad(-value, z)
            adam.step()
    return z.detach()[0]


def hessian(joint: Joint, batch: Batch, z: Tensor, rows: list[int], noise: BlockNoise) -> Tensor:
    """Second derivatives of log p(z, x_obs, s) of each row, shape (n, L, L): one backward pass over L copies."""
    size = z.shape[-1]
    copies = z.expand(size, -1, -1).clone().requires_grad_()
    place = torch.arange(size, device=z.device)
    with torch.enable_grad():
        value = _log_joint(joint, batch, copies, rows, noise).sum()
        (gradient,) = torch.autograd.grad(value, copies, create_graph=True)
        (second,) = torch.autograd.grad(gradient[place, :, place].sum(), copies)
    second = second.movedim(0, 1)
    return (second + second.mT) / 2


def _log_joint(
    joint: Joint, batch: Batch, z: Tensor, rows: list[int], noise: BlockNoise, first_draw: int = 0
) -> Tensor:
    joint.generator = noise.window(rows, first_draw, site=_SITE_OF_VALUES)
    try:
        return log_joint(joint, batch, z)
    finally:
        joint.generator = None


def _laplace_scale(precision: Tensor, sound: Tensor) -> Tensor:
    identity = torch.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    values, vectors = torch.linalg.eigh(torch.where(sound[:, None, None], precision, identity))
    spread = vectors * values.clamp(min=_LEAST_PRECISION).rsqrt().unsqueeze(-2)
    return torch.linalg.cholesky(spread @ spread.mT)


def _moments(
    rounds: list[tuple[Tensor, Tensor]], proposals: list[StudentRows], loc: Tensor, scale_tril: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean and triangular root of the covariance of all draws so far, under weights tempered row by row."""
    z = torch.cat([part for part, _ in rounds])
    counts = z.new_tensor([len(part) for part, _ in rounds])
    mixture = torch.stack([q.log_prob(z) for q in proposals]) + (counts / counts.sum()).log()[:, None, None]
    log_w = torch.cat([value for _, value in rounds]) - mixture.logsumexp(0)
    log_w = log_w.nan_to_num(nan=-torch.inf).clamp(min=torch.finfo(log_w.dtype).min / 2)
    size = z.shape[-1]
    share = torch.softmax(_tempered(log_w, _DRAWS_PER_DIMENSION * size), 0)
    worth = 1 / share.square().sum(0)
    mean = torch.einsum("kn,kni->ni", share, z)
    centred = (z - mean) * share.sqrt().unsqueeze(-1)
    covariance = torch.einsum("kni,knj->nij", centred, centred)
    keep = (worth / (worth + _SHRINKAGE * size))[:, None, None]
    covariance = keep * covariance + (1 - keep) * (scale_tril @ scale_tril.mT)
    root, failed = torch.linalg.cholesky_ex(covariance)
    fine = (failed == 0) & root.isfinite().all(-1).all(-1) & mean.isfinite().all(-1)
    return torch.where(fine[:, None], mean, loc), torch.where(fine[:, None, None], root, scale_tril)


def _tempered(log_w: Tensor, wanted: float) -> Tensor:
    """``b log_w`` with the largest b in (0, 1] of each row at which the weights are worth ``wanted`` draws."""

    def enough(power: Tensor) -> Tensor:
        return 1 / torch.softmax(power * log_w, 0).square().sum(0) >= wanted

    low, high = torch.zeros_like(log_w[0]), torch.ones_like(log_w[0])
    untouched = enough(high)
    for _ in range(20):
        middle = (low + high) / 2
        fine = enough(middle)
        low, high = torch.where(fine, middle, low), torch.where(fine, high, middle)
    return torch.where(untouched, torch.ones_like(low), low) * log_w
