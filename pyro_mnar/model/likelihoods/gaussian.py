"""Continuous features: independent normals."""

from typing import Literal

import torch
from torch import Tensor, nn

from pyro_mnar.model.likelihoods.base import Likelihood, RowDistribution
from pyro_mnar.numerics.distributions import DiagonalNormal


class GaussianRows(DiagonalNormal, RowDistribution):
    """Independent normals, the :class:`RowDistribution` of :class:`GaussianLikelihood`."""

    def observed_part(self, observed: Tensor) -> DiagonalNormal:
        """See :class:`RowDistribution`."""
        return DiagonalNormal(self.loc, self.scale, counted=observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> DiagonalNormal:
        """See :class:`RowDistribution`."""
        return DiagonalNormal(self.loc, self.scale, counted=~observed, generator=generator)


class GaussianLikelihood(Likelihood):
    r"""p(x|z) = N(x; mu(z), diag sigma^2).

    Parameters
    ----------
    n_hidden
        width h of what comes in.
    n_features
        p.
    scale
        "free" gives sigma(z) per feature (heteroscedastic), "feature" one learned sigma per feature, "shared"
        one for all (with a linear decoder: probabilistic PCA).
    min_scale
        floor under sigma, in standardised units. A free scale without one collapses onto repeated values
        (zeros in a column, say) and then rules the bound.

    References
    ----------
    Mattei & Frellsen 2018, arXiv:1802.04826 (why the likelihood is unbounded without a floor); Tipping & Bishop
    1999 (probabilistic PCA).

    Examples
    --------
    >>> GaussianLikelihood(8, 3)(torch.zeros(10, 5, 8)).observed_part(torch.ones(5, 3, dtype=torch.bool)).batch_shape
    torch.Size([10, 5])
    """

    def __init__(
        self,
        n_hidden: int,
        n_features: int,
        scale: Literal["free", "feature", "shared"] = "free",
        min_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.min_scale = min_scale
        self.loc = nn.Linear(n_hidden, n_features)
        if scale == "free":
            self.raw_scale: nn.Module | nn.Parameter = nn.Linear(n_hidden, n_features)
        else:
            self.raw_scale = nn.Parameter(torch.zeros(n_features if scale == "feature" else 1))

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Likelihood`."""
        loc = self.loc(hidden)
        return (loc, self.raw_scale(hidden)) if isinstance(self.raw_scale, nn.Module) else (loc,)

    def rows(self, *numbers: Tensor) -> GaussianRows:
        """See :class:`Likelihood`."""
        loc, *free = numbers
        raw = self.raw_scale if isinstance(self.raw_scale, nn.Parameter) else free[0]
        return GaussianRows(loc, nn.functional.softplus(raw) + self.min_scale)
