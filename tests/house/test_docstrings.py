"""Every public name has a docstring, and the parameters that it names are those that are taken."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyro_mnar import model

#: The modules that make up the public face; each name without an underscore that they define counts.
FACE = [
    "pyro_mnar.estimators.images",
    "pyro_mnar.estimators.imputer",
    "pyro_mnar.estimators.settings",
    "pyro_mnar.estimators.supervised",
    "pyro_mnar.persistence.folder",
    "pyro_mnar.model.mechanisms",
    "pyro_mnar.datasets.amputation.mechanisms",
    "pyro_mnar.datasets.tables",
    "pyro_mnar.studies.sources.uci",
    "pyro_mnar.analysis.metrics",
    "pyro_mnar.analysis.pooling",
    "pyro_mnar.inference.weights",
    "pyro_mnar.analysis.assess",
    "pyro_mnar.analysis.plots",
    "pyro_mnar.errors",
]
#: The lines of "Parameters" and "Other Parameters", up to the next heading.
SECTION = re.compile(r"^(?:Other )?Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-+$|\Z)", re.DOTALL | re.MULTILINE)
Name = tuple[str, Any]


def public_names() -> Iterator[Name]:
    """Give functions, classes, and the public methods that a class defines or inherits from this package."""
    for module_name in FACE:
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError:
            continue
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(value):
                yield f"{module_name}.{name}", value
            elif inspect.isclass(value):
                yield f"{module_name}.{name}", value
                for method_name, method in inspect.getmembers(value, inspect.isfunction):
                    if not method_name.startswith("_") and method.__module__.startswith("pyro_mnar"):
                        yield f"{module_name}.{name}.{method_name}", method


def faults(value: Any) -> list[str]:
    """What a docstring lacks, or says that is not so."""
    text = inspect.getdoc(value) or ""
    if not text.strip():
        return ["no docstring"]
    documented = {name for section in SECTION.findall(text) for name in _names(section)}
    taken = _taken(value.__init__ if inspect.isclass(value) else value)
    # A section that names parameters names all of them; where a sentence says all, there is none.
    missing = taken - documented if documented else set()
    return [f"{name} is no parameter" for name in documented - taken] + [f"{name} is not named" for name in missing]


def _names(section: str) -> list[str]:
    lines = [line for line in section.splitlines() if line and not line.startswith(" ")]
    return [name.strip().lstrip("*") for line in lines for name in line.split(" : ")[0].split(",")]


def _taken(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    # scikit-learn passes y to everything; where it is ignored it may go unsaid.
    return {p.name for p in parameters if p.name not in ("self", "cls") and p.name[0] != "_"}


NAMES = list(public_names())


@pytest.mark.parametrize("value", [value for _, value in NAMES], ids=[name for name, _ in NAMES])
def test_docstring(value: Any) -> None:
    assert faults(value) == []


def test_every_part_of_the_model_says_what_it_does() -> None:
    names = [name for _, name, _ in pkgutil.walk_packages(model.__path__, "pyro_mnar.model.")]
    silent = []
    for module in map(importlib.import_module, ["pyro_mnar.data.transforms", *names]):
        for cls in (value for name, value in vars(module).items() if inspect.isclass(value) and name[0] != "_"):
            for name, part in vars(cls).items() if cls.__module__ == module.__name__ else ():
                public = name[0] != "_" and (inspect.isfunction(part) or isinstance(part, property))
                silent += [f"{cls.__qualname__}.{name}"] if public and not inspect.getdoc(part) else []
    assert silent == []


def test_the_face_is_there() -> None:
    names = {name for name, _ in NAMES}
    assert {
        "pyro_mnar.estimators.imputer.MNARImputer.transform",
        "pyro_mnar.estimators.supervised.MNARClassifier.predict_proba",
        "pyro_mnar.persistence.folder.load",
        "pyro_mnar.model.mechanisms.Linear",
    } <= names


def test_faults_are_found() -> None:
    def bare(x: Any) -> Any: ...

    def stale(x: Any, seed: int) -> None:
        """Do something.

        Parameters
        ----------
        x, y : ndarray
            Not what it takes.

        Returns
        -------
        None
        """

    assert faults(bare) == ["no docstring"]
    assert sorted(faults(stale)) == ["seed is not named", "y is no parameter"]
