"""Pictures of a fit and of what it says; each function draws on one Axes (``ax``, or a new one) and returns it.

Column names are the table's and values are in original units throughout. One colour stands for one thing in all of
them: ``COLOURS`` names those of "observed", "true" and "imputed" values, and of "MIWAE" and "not-MIWAE".
"""

from pyro_mnar.analysis.plots.checks import ppc_mask, ppc_observed, weight_health
from pyro_mnar.analysis.plots.imputations import imputation_intervals, imputed_distribution, latent, missing_pattern
from pyro_mnar.analysis.plots.models import mechanism_comparison, mechanism_curves, sensitivity, training_history
from pyro_mnar.analysis.plots.parts import COLOURS

__all__ = [
    "COLOURS",
    "imputation_intervals",
    "imputed_distribution",
    "latent",
    "mechanism_comparison",
    "mechanism_curves",
    "missing_pattern",
    "ppc_mask",
    "ppc_observed",
    "sensitivity",
    "training_history",
    "weight_health",
]
