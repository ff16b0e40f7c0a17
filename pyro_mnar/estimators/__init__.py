"""Estimators with scikit-learn's interface."""

from pyro_mnar.estimators.images import MNARImageImputer
from pyro_mnar.estimators.imputer import MNARImputer
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.supervised import MNARClassifier, MNARRegressor

__all__ = ["MNARClassifier", "MNARImageImputer", "MNARImputer", "MNARRegressor", "TrainingSettings"]
