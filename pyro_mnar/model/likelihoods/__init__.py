"""Likelihoods p(x | z): from the decoder's hidden units to a distribution of the complete row.

The distribution knows how to look at a row with holes: ``observed_part`` is the one of x_obs, ``missing_part`` the one
of x_mis given z and x_obs. They are what the sites ``x_obs`` and ``x_mis`` of the joint model use. Where a cell goes
missing by its own value, ``mask_term`` integrates x_mis out of p(s|x), and ``missing_given_mask`` is what that leaves
of it: each kind of column brings its own closed form, in a file of its own.
"""

from pyro_mnar.model.likelihoods.atoms import AtomLikelihood, AtomRows
from pyro_mnar.model.likelihoods.base import Likelihood, MaskedRows, RowDistribution
from pyro_mnar.model.likelihoods.bernoulli import BernoulliRows
from pyro_mnar.model.likelihoods.categorical import CategoricalRows
from pyro_mnar.model.likelihoods.gaussian import GaussianLikelihood, GaussianRows
from pyro_mnar.model.likelihoods.levels import LevelLikelihood, LevelRows
from pyro_mnar.model.likelihoods.limits import LimitEvidence, within_limits
from pyro_mnar.model.likelihoods.mixed import Blocks, MixedLikelihood, MixedRows
from pyro_mnar.model.likelihoods.student import StudentLikelihood, StudentRows

__all__ = [
    "AtomLikelihood",
    "AtomRows",
    "BernoulliRows",
    "Blocks",
    "CategoricalRows",
    "GaussianLikelihood",
    "GaussianRows",
    "LevelLikelihood",
    "LevelRows",
    "Likelihood",
    "LimitEvidence",
    "MaskedRows",
    "MixedLikelihood",
    "MixedRows",
    "RowDistribution",
    "StudentLikelihood",
    "StudentRows",
    "within_limits",
]
