"""Heads p(y | x): the target given the COMPLETED row of each draw, never a zero-filled one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from pyro.distributions import Categorical, Normal, TorchDistribution
from torch import Tensor, nn

from pyro_mnar.networks import mlp


class Head(nn.Module, ABC):
    """Base of all heads: ``forward(x)``, completed rows (..., p) -> a distribution of y with batch shape (...)."""

    @abstractmethod
    def forward(self, x: Tensor) -> TorchDistribution:
        """p(y | x) for standardised, completed rows."""


class CategoricalHead(Head):
    """p(y|x) = softmax(f(x)) over classes 0 .. C-1; f is linear, or a tanh network when ``hidden_units`` are given.

    Examples
    --------
    >>> CategoricalHead(4, 3)(torch.zeros(10, 5, 4)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(self, n_features: int, n_classes: int, hidden_units: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = nn.Sequential(
            mlp(n_features, hidden_units), nn.Linear(hidden_units[-1] if hidden_units else n_features, n_classes)
        )

    def forward(self, x: Tensor) -> Categorical:
        """See :class:`Head`."""
        return Categorical(logits=self.network(x), validate_args=False)


class GaussianHead(Head):
    """p(y|x) = N(f(x), sigma^2) with a learned sigma; f is linear, or a tanh network when ``hidden_units`` are given.

    Examples
    --------
    >>> GaussianHead(4)(torch.zeros(10, 5, 4)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(self, n_features: int, hidden_units: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = nn.Sequential(
            mlp(n_features, hidden_units), nn.Linear(hidden_units[-1] if hidden_units else n_features, 1)
        )
        self.raw_scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Normal:
        """See :class:`Head`."""
        return Normal(self.network(x)[..., 0], nn.functional.softplus(self.raw_scale) + 1e-3, validate_args=False)
