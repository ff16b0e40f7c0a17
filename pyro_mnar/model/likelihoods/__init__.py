"""Likelihoods p(x | z): from the decoder's hidden units to a distribution of the complete row.

The distribution knows how to look at a row with holes: ``observed_part`` is the one of x_obs, ``missing_part`` the one
of x_mis given z and x_obs. They are what the sites ``x_obs`` and ``x_mis`` of the joint model use.
"""

from pyro_mnar.model.likelihoods.base import Likelihood, RowDistribution
from pyro_mnar.model.likelihoods.discrete import BernoulliRows, CategoricalRows
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood, GaussianRows
from pyro_mnar.model.likelihoods.mixed import Blocks, MixedLikelihood, MixedRows

__all__ = [
    "BernoulliRows",
    "Blocks",
    "CategoricalRows",
    "GaussianLikelihood",
    "GaussianRows",
    "Likelihood",
    "MixedLikelihood",
    "MixedRows",
    "RowDistribution",
]
