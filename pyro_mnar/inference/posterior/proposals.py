"""Proposals for z of single rows: multivariate Student t distributions, and codes that are given."""

import functools
import math

import torch
from torch import Tensor

from pyro_mnar.inference.importance import log_weights, paired_traces
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.distributions import Unchecked
from pyro_mnar.numerics.random_streams import uniform

#: Heavy enough to keep weights bounded in the tails, near enough to a normal to waste little (6 to 16 were tried).
#: Even, so that a chi-square draw is a sum of exponentials.
DOF = 10


class StudentRows(Unchecked):
    r"""A multivariate Student t distribution for each row, q(z) = t_10(z; loc, T T'): batch (n,), event (L,).

    ``loc`` has the shape (n, L), the lower triangular T (n, L, L); the batch is (K, n) once expanded.

    Examples
    --------
    >>> q = StudentRows(torch.zeros(5, 2), torch.eye(2).expand(5, 2, 2)).expand((10, 5))
    >>> q.log_prob(q.rsample()).shape
    torch.Size([10, 5])
    """

    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        scale_tril: Tensor,
        generator: torch.Generator | None = None,
        batch_shape: torch.Size | None = None,
    ) -> None:
        self.loc, self.scale_tril, self.generator = loc, scale_tril, generator
        super().__init__(loc.shape[:1] if batch_shape is None else batch_shape, loc.shape[1:], validate_args=False)

    @property
    def n_rows(self) -> int:
        """Number of rows n."""
        return self.loc.shape[0]

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "StudentRows":
        """The same distribution for each of K draws."""
        return StudentRows(self.loc, self.scale_tril, self.generator, torch.Size(batch_shape))

    def rows(self, index: Tensor) -> "StudentRows":
        """The distributions of these rows only."""
        return StudentRows(self.loc[index], self.scale_tril[index])

    def to(self, dtype: torch.dtype) -> "StudentRows":
        """The same distributions, for values of this type."""
        return StudentRows(self.loc.to(dtype), self.scale_tril.to(dtype), self.generator, self.batch_shape)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Draws, shape (K, n, L)."""
        size = self.event_shape[0]
        # A uniform number in single precision may be 1, of which the normal quantile is infinite.
        like = self.loc.new_empty((), dtype=torch.float64)
        noise = uniform((*sample_shape, *self.batch_shape, size + DOF // 2), like, self.generator)
        chi_square = -2 * noise[..., size:].log().sum(-1, keepdim=True)
        standard = (torch.special.ndtri(noise[..., :size]) / (chi_square / DOF).sqrt()).to(self.loc.dtype)
        return self.loc + _per_row(self.scale_tril, standard.expand(*self.batch_shape, size))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, shape (K, n), in nats."""
        size = self.event_shape[0]
        identity = torch.eye(size, dtype=value.dtype, device=value.device).expand_as(self.scale_tril)
        inverse = torch.linalg.solve_triangular(self.scale_tril, identity, upper=False)
        distance = _per_row(inverse, value - self.loc).square().sum(-1)
        log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = math.lgamma((DOF + size) / 2) - math.lgamma(DOF / 2) - size / 2 * math.log(DOF * math.pi)
        return constant - log_det - (DOF + size) / 2 * torch.log1p(distance / DOF)


def _per_row(matrix: Tensor, value: Tensor) -> Tensor:
    """Each row's matrix (n, L, L) times its vectors (K, n, L)."""
    return (value.movedim(0, 1) @ matrix.mT).movedim(0, 1)


class GivenCodes(Unchecked):
    """Codes z (K, n, L) in the place of draws, with a density that counts nothing."""

    has_rsample = True

    def __init__(self, z: Tensor) -> None:
        self.z, self.generator = z, None
        super().__init__(z.shape[:-1], z.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """The codes."""
        return self.z

    def log_prob(self, value: Tensor) -> Tensor:
        """0, shape (K, n)."""
        return value.new_zeros(value.shape[:-1])


def log_joint(joint: Joint, batch: Batch, z: Tensor) -> Tensor:
    """Log p(z, x_obs, s [, y]) of codes z (K, n, L), shape (K, n), nats: the weights against a flat proposal.

    Where x_mis is drawn it is that of the drawn x_mis; fix ``joint.generator`` to have a function of z.
    """
    guide = functools.partial(joint.guide, proposal=GivenCodes(z))
    n_draws, n_rows = z.shape[:2]
    return log_weights(*paired_traces(joint.model, guide, batch, n_draws), (n_draws, n_rows))
