"""pyro_mnar: deep generative models for data that are missing because of their own values."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_mnar.estimators import MNARClassifier, MNARImputer, MNARRegressor
    from pyro_mnar.persistence import load, save

_HOMES = {
    "MNARClassifier": "estimators",
    "MNARImputer": "estimators",
    "MNARRegressor": "estimators",
    "load": "persistence",
    "save": "persistence",
}
__all__ = ["MNARClassifier", "MNARImputer", "MNARRegressor", "load", "save"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and the command line answers `--help` and refuses bad input without it.
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyro_mnar.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pyro_mnar' has no attribute {name!r}")
