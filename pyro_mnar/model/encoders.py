"""Proposals q(z | x_obs): from an incomplete row to a distribution of its latent code."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pyro_mnar.model.batch import Batch
from pyro_mnar.model.networks import ConvDown, mlp
from pyro_mnar.numerics.distributions import DiagonalNormal


class Encoder(nn.Module, ABC):
    """Base of all encoders: ``forward(x, observed)`` gives q(z | x_obs), batch (n,), event (L,)."""

    @abstractmethod
    def forward(self, x: Tensor, observed: Tensor) -> DiagonalNormal:
        """Proposal for rows ``x`` (n, p), of which only the cells ``observed`` (n, p) are used."""

    def for_rows(self, batch: Batch) -> DiagonalNormal:
        """Proposal for the rows of a batch, of which limits are known too."""
        return self(batch.x, batch.observed)


class MLPEncoder(Encoder):
    r"""q(z|x_obs) = N(mu(x_obs, s), diag sigma(x_obs, s)^2), a tanh network of the zero-filled row and its mask.

    The mask is fed beside the values, so that a true 0 and a hole are told apart. ``min_scale`` is a floor of the
    proposal's standard deviation; it keeps the weights' variance finite.

    References
    ----------
    Mattei & Frellsen 2019, section 3 (zero-filled encoder).

    Examples
    --------
    >>> q = MLPEncoder(4, 2, (16,))(torch.zeros(5, 4), torch.ones(5, 4, dtype=torch.bool))
    >>> q.batch_shape, q.event_shape
    (torch.Size([5]), torch.Size([2]))
    """

    def __init__(
        self, n_features: int, latent_dim: int, hidden_units: Sequence[int] = (128, 128), min_scale: float = 1e-3
    ) -> None:
        super().__init__()
        self.min_scale = min_scale
        self.trunk = mlp(2 * n_features, hidden_units)
        width = hidden_units[-1] if hidden_units else 2 * n_features
        self.loc_and_scale = nn.Linear(width, 2 * latent_dim)

    def forward(self, x: Tensor, observed: Tensor) -> DiagonalNormal:
        mask = observed.to(x.dtype)
        return self._proposal(x * mask, mask)

    def for_rows(self, batch: Batch) -> DiagonalNormal:
        """See :class:`Encoder`: a censored cell shows a value within its limits beside a mask of 0."""
        mask, hint = batch.observed.to(batch.x.dtype), batch.hint
        filled = batch.x * mask
        return self._proposal(filled if hint is None else filled + hint, mask)

    def _proposal(self, filled: Tensor, mask: Tensor) -> DiagonalNormal:
        loc, raw = self.loc_and_scale(self.trunk(torch.cat([filled, mask], dim=-1))).chunk(2, dim=-1)
        return DiagonalNormal(loc, nn.functional.softplus(raw) + self.min_scale)


class ConvEncoder(Encoder):
    r"""q(z|x_obs) = N(mu, diag sigma^2) of an image: convolutions of the zero-filled pixels and their mask.

    The rows that come in have p = h * w pixels; ``channels`` are those after each stride-2 convolution, finest first,
    and ``min_scale`` is as for :class:`MLPEncoder`.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, appendix (convolutional encoder).

    Examples
    --------
    >>> q = ConvEncoder((32, 32), 2, (4, 8))(torch.zeros(5, 1024), torch.ones(5, 1024, dtype=torch.bool))
    >>> q.batch_shape, q.event_shape
    (torch.Size([5]), torch.Size([2]))
    """

    def __init__(
        self,
        image_shape: tuple[int, int],
        latent_dim: int,
        channels: Sequence[int] = (32, 64, 128),
        min_scale: float = 1e-3,
    ) -> None:
        super().__init__()
        self.image_shape = image_shape
        self.min_scale = min_scale
        self.trunk = ConvDown(2, image_shape, channels)
        self.loc_and_scale = nn.Linear(self.trunk.n_features, 2 * latent_dim)
        self.direct = nn.Linear(2 * image_shape[0] * image_shape[1], latent_dim)

    def forward(self, x: Tensor, observed: Tensor) -> DiagonalNormal:
        mask = observed.to(x.dtype)
        image = torch.stack([x * mask, mask], dim=-2).reshape(*x.shape[:-1], 2, *self.image_shape)
        loc, raw = self.loc_and_scale(self.trunk(image)).chunk(2, dim=-1)
        loc = loc + self.direct(image.flatten(-3))
        return DiagonalNormal(loc, nn.functional.softplus(raw) + self.min_scale)
