"""Ask the fitted pair: what the missing cells are, given what was seen and that the rest was not."""

from pyro_mnar.inference.posterior.answers import Posterior
from pyro_mnar.inference.posterior.predictive import mixture_quantile

__all__ = ["Posterior", "mixture_quantile"]
