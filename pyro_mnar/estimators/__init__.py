"""Estimators with scikit-learn's interface."""

from pyro_mnar.estimators.imputer import MNARImputer

__all__ = ["MNARImputer"]
