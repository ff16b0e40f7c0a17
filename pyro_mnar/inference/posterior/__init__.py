"""Ask the fitted pair: what the missing cells are, given the observed cells and that the others are missing."""

from pyro_mnar.inference.posterior.answers import Posterior
from pyro_mnar.inference.posterior.predictive import mixture_quantile

__all__ = ["Posterior", "mixture_quantile"]
