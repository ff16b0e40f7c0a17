"""What every likelihood p(x | z) offers."""

from abc import ABC, abstractmethod

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn


class RowDistribution(TorchDistribution, ABC):
    """p(x | z) of a complete row: batch shape (K, n), event shape (p,)."""

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[x | z], shape (K, n, p)."""

    @abstractmethod
    def observed_part(self, observed: Tensor) -> TorchDistribution:
        """p(x_obs | z): its ``log_prob`` of a row reads the cells ``observed`` (n, p) alone."""

    @abstractmethod
    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> TorchDistribution:
        """p(x_mis | z, x_obs): its draws have shape (K, n, p); their values in observed cells mean nothing."""


class Likelihood(nn.Module, ABC):
    """Base of all likelihoods: ``forward(hidden)``, (K, n, h) -> :class:`RowDistribution` over p features.

    It has two halves, so that a thousand codes per row can pass through the network and the first half in slices.
    """

    @abstractmethod
    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """What the last layers make of each row of ``hidden``: tensors (..., q)."""

    @abstractmethod
    def rows(self, *numbers: Tensor) -> RowDistribution:
        """p(x | z) from :meth:`numbers`."""

    def forward(self, hidden: Tensor) -> RowDistribution:
        """p(x | z) given the last hidden layer of the decoder (or z itself, for a linear decoder)."""
        return self.rows(*self.numbers(hidden))
