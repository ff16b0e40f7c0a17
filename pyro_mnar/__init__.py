"""pyro_mnar: deep generative models for data that are missing because of their own values."""

from pyro_mnar.estimators import MNARImputer

__all__ = ["MNARImputer"]
__version__ = "0.1.0"
