"""Estimators with scikit-learn's interface."""

from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.estimators.supervised import MNARClassifier, MNARRegressor

__all__ = ["MNARClassifier", "MNARImputer", "MNARRegressor"]
