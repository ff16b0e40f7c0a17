"""Heads p(y | x): the target given the COMPLETED row of each draw, never a zero-filled one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from pyro.distributions import Categorical, Normal, TorchDistribution
from torch import Tensor, nn

from pyro_mnar.model.networks import mlp
from pyro_mnar.numerics.random_streams import uniform


class Head(nn.Module, ABC):
    """Base of all heads: ``forward(x)``, completed rows (..., p) -> a distribution of y with batch shape (...)."""

    @abstractmethod
    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> TorchDistribution:
        """p(y | x) for completed rows (continuous columns standardised), ``generator`` being the source of dropout."""


class CategoricalHead(Head):
    r"""p(y|x) = softmax(f(x)) over classes 0 .. C-1; f is linear, or a tanh network when ``hidden_units`` are given.

    ``dropout`` is the share of the inputs of each layer but the first that a draw loses in training: see
    :class:`Dropout`.

    Examples
    --------
    >>> CategoricalHead(4, 3)(torch.zeros(10, 5, 4)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(self, n_features: int, n_classes: int, hidden_units: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.network = HeadNetwork(n_features, n_classes, hidden_units, dropout)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Categorical:
        return Categorical(logits=self.network(x, generator), validate_args=False)


class GaussianHead(Head):
    r"""p(y|x) = N(f(x), sigma^2) with a learned sigma; f is as for :class:`CategoricalHead`.

    Examples
    --------
    >>> GaussianHead(4)(torch.zeros(10, 5, 4)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(self, n_features: int, hidden_units: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.network = HeadNetwork(n_features, 1, hidden_units, dropout)
        self.raw_scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Normal:
        loc = self.network(x, generator)[..., 0]
        return Normal(loc, nn.functional.softplus(self.raw_scale) + 1e-3, validate_args=False)


class Dropout(nn.Module):
    r"""In training each draw of each row loses a random share of its inputs; the rest are scaled up.

    Unlike the decoder's, a head's output enters the weight once, in the model: the bound stays a lower bound, of
    log p(x_obs, s, y) with p(y|x) averaged over the random networks. Questions are answered by the whole network.

    References
    ----------
    Srivastava et al. 2014; Gal & Ghahramani 2016 (random networks as latent variables).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """``x`` with a random share of its entries at 0, in training; ``x`` itself otherwise."""
        if not self.training or self.share == 0:
            return x
        # Noise has the rows in axis -2: inner draws, shape (K, n, M, p), are counted as features.
        shape = x.flatten(2).shape if x.ndim > 3 else x.shape
        kept = uniform(tuple(shape), x, generator).reshape(x.shape) >= self.share
        return x * kept / (1 - self.share)


class HeadNetwork(nn.Module):
    """A linear map, or a tanh network with dropout between its layers."""

    def __init__(self, n_features: int, n_outputs: int, hidden_units: Sequence[int], dropout: float) -> None:
        super().__init__()
        widths = [n_features, *hidden_units]
        self.hidden = nn.ModuleList(mlp(a, (b,)) for a, b in pairwise(widths))
        self.last = nn.Linear(widths[-1], n_outputs)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Outputs, shape (..., n_outputs)."""
        for layer in self.hidden:
            x = self.dropout(layer(x), generator)
        outputs: Tensor = self.last(x)
        return outputs
