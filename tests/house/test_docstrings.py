"""Every public name says what it takes and gives, in which shape and unit, what it raises, and where it comes from."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

#: The modules that make up the public face; each name without an underscore that they define counts.
FACE = [
    "pyro_mnar.estimators.images",
    "pyro_mnar.estimators.imputer",
    "pyro_mnar.estimators.settings",
    "pyro_mnar.estimators.supervised",
    "pyro_mnar.persistence.folder",
    "pyro_mnar.model.mechanisms",
    "pyro_mnar.datasets.amputation.mechanisms",
    "pyro_mnar.studies.sources.uci",
    "pyro_mnar.analysis.metrics",
    "pyro_mnar.analysis.pooling",
    "pyro_mnar.inference.weights",
    "pyro_mnar.analysis.plots",
    "pyro_mnar.errors",
]
ARRAYS = re.compile(r"ArrayLike|ndarray|NDArray|FloatArray|Tensor|DataFrame")
SHAPE = re.compile(r"[Ss]hape|\(\.\.\.|\([a-zK1L, ]*\bn\b[^)]*\)|\(p,\)|one (row|per|number|entry)|per row|DataFrame")
#: Classes that state a published method must say which.
WITH_SOURCE = {
    "MNARImputer",
    "MNARClassifier",
    "MNARRegressor",
    "Ignorable",
    "SelfMasking",
    "Linear",
    "Nonlinear",
}
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
    """List what a docstring lacks."""
    text = inspect.getdoc(value) or ""
    if not text.strip():
        return ["no docstring"]
    if re.match(r"See :(class|meth|func):", text) or (inspect.isclass(value) and text.startswith("Base of")):
        return []  # The contract stands at the name that is given, or in the classes that are made of the base.
    found = []
    if not text.splitlines()[0].rstrip().endswith((".", ":", ";", ")", "`", "]", ",")) and "\n" not in text:
        found.append("the summary is no sentence")
    if inspect.isclass(value):
        parameters = _parameters(value.__init__) if "__init__" in vars(value) else []
    else:
        parameters = _parameters(value)
        annotations = " ".join(str(a) for a in getattr(value, "__annotations__", {}).values())
        if ARRAYS.search(annotations) and not SHAPE.search(text):
            found.append("no shape")
        if _raises(value) and "Raises\n" not in text:
            found.append("no section Raises")
    found += [f"parameter {name} is not named" for name in parameters if not re.search(rf"\b{name}\b", text)]
    if inspect.isclass(value) and value.__name__ in WITH_SOURCE and "References\n" not in text:
        found.append("no section References")
    return found


def _parameters(function: Callable[..., Any]) -> list[str]:
    names = [name for name in inspect.signature(function).parameters if name not in ("self", "cls", "args", "kwargs")]
    names = [name for name in names if not name.startswith("_")]
    # scikit-learn passes y to everything; where it is ignored there is nothing to say.
    return [name for name in names if not (name == "y" and "object" in str(function.__annotations__.get("y")))]


def _raises(function: Callable[..., Any]) -> bool:
    """Whether the function itself raises an error of its own."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(tree))


NAMES = list(public_names())


@pytest.mark.parametrize("value", [value for _, value in NAMES], ids=[name for name, _ in NAMES])
def test_docstring(value: Any) -> None:
    assert faults(value) == []


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

    def short(x: np.ndarray, seed: int) -> None:
        """Do something with ``x``."""
        raise ValueError(x)

    assert faults(bare) == ["no docstring"]
    assert faults(short) == ["no shape", "no section Raises", "parameter seed is not named"]
