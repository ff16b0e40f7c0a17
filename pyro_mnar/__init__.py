"""pyro_mnar: deep generative models for data that are missing because of their own values."""

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_mnar.analysis.assess import Assessment, assess
    from pyro_mnar.estimators import MNARClassifier, MNARImageImputer, MNARImputer, MNARRegressor, TrainingSettings
    from pyro_mnar.persistence import load, save

__all__ = [
    "Assessment",
    "MNARClassifier",
    "MNARImageImputer",
    "MNARImputer",
    "MNARRegressor",
    "TrainingSettings",
    "assess",
    "load",
    "save",
]
__version__ = "0.2.0"

#: Where the package's own names live.
_HOMES = {
    "Assessment": "analysis.assess",
    "MNARClassifier": "estimators",
    "MNARImageImputer": "estimators",
    "MNARImputer": "estimators",
    "MNARRegressor": "estimators",
    "TrainingSettings": "estimators",
    "assess": "analysis.assess",
    "load": "persistence",
    "save": "persistence",
}
#: The modules that users import, and the rooms in which they are: ``pyro_mnar.plots`` is ``pyro_mnar.analysis.plots``.
_DOORS = {
    "amputation": "datasets.amputation",
    "comparison": "analysis.comparison",
    "kinds": "data.kinds.declared",
    "mechanisms": "model.mechanisms",
    "plots": "analysis.plots",
    "pooling": "analysis.pooling",
    "ppc": "analysis.checks",
    "sensitivity": "analysis.sensitivity",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and the command line answers `--help` and refuses bad input without it.
    if name in _HOMES:
        return getattr(importlib.import_module(f"pyro_mnar.{_HOMES[name]}"), name)
    if name in _DOORS:
        return importlib.import_module(f"pyro_mnar.{name}")
    raise AttributeError(f"module 'pyro_mnar' has no attribute {name!r}")


class _Doors(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Let ``import pyro_mnar.plots`` give the module of the room in which the plots are."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        package, _, door = fullname.rpartition(".")
        known = package == "pyro_mnar" and door in _DOORS
        return importlib.machinery.ModuleSpec(fullname, self) if known else None

    def exec_module(self, module: ModuleType) -> None:
        # What a module leaves in sys.modules under its name is what the import gives back.
        door = module.__name__.rpartition(".")[2]
        sys.modules[module.__name__] = importlib.import_module(f"pyro_mnar.{_DOORS[door]}")


sys.meta_path.append(_Doors())
