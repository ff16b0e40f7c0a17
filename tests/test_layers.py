"""The layers: a module imports only from below, components do not know each other, one file holds `pyro.sample`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "pyro_mnar"
MAX_LINES = 450

# A file, or a folder that took a file's place, and its level. A module may import from its own level and
# from below; those of COMPONENT_LEVEL only from below.
LEVELS = {
    "atomic": 0,
    "checkpoint": 0,
    "networks": 0,
    "distributions": 0,
    "progress": 0,
    "noise": 0,
    "diagnostics": 0,
    "metrics": 0,
    "amputation": 0,
    "columns": 0,
    "directions": 0,
    "datasets": 0,
    "batch": 0,
    "pooling": 0,
    "resampling": 0,
    "tilted": 0,
    "errors": 0,
    "likelihoods": 1,
    "mechanisms": 1,
    "heads": 1,
    "encoders": 1,
    "collapse": 2,
    "joint": 2,
    "importance": 3,
    "training": 4,
    "posterior": 4,
    "report": 5,
    "at_random": 5,
    "ppc": 5,
    "comparison": 5,
    "sensitivity": 5,
    "estimators": 5,
    "inference_data": 5,
    "plots": 5,
    "persistence": 5,
    "cli": 6,
    "experiments": 6,
    "__main__": 6,
    "__init__": 7,
}
COMPONENT_LEVEL = 1
# The base class of a distribution, and how it accounts for its gradient, is all of Pyro that the bottom may know.
PYRO_BASES = {"pyro.distributions", "pyro.distributions.TorchDistribution", "pyro.distributions.score_parts.ScoreParts"}
SAMPLING_MODULE = "joint"
# Amputation is here because it gives a DataFrame back for a DataFrame, pooling because its results can be had as one.
TABLE_MODULES = {"columns", "datasets", "amputation", "pooling"}
TABLE_LIBRARIES = {"pandas", "sklearn"}
# Facts about the package itself, that every level may read.
PACKAGE_FACTS = {"__version__"}

Module = tuple[str, ast.Module, str]


def _modules(package: Path) -> list[Module]:
    """Give (component, tree, dotted name) of every file; a folder's files belong to the folder's component."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found.append((parts[0], ast.parse(path.read_text(encoding="utf-8")), ".".join(("pyro_mnar", *parts))))
    return found


def _imports(tree: ast.Module, dotted: str) -> Iterator[tuple[str, int]]:
    """Yield the full dotted name of everything that the file imports, wherever in the file it does so."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = dotted.split(".")[: -node.level]
                base = ".".join([*parent, base] if base else parent)
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno


def _component(imported: str) -> str | None:
    """Name the component of this package that an import reaches, or None for other packages."""
    first, *rest = imported.split(".")
    if first != "pyro_mnar" or (rest and rest[0] in PACKAGE_FACTS):
        return None
    return rest[0] if rest and rest[0] in LEVELS else "__init__"


def layer_violations(modules: list[Module]) -> list[str]:
    """List the imports that go upwards, or sideways between components."""
    wrong = []
    for component, tree, dotted in modules:
        level = LEVELS.get(component)
        if level is None:
            wrong.append(f"{dotted}: no level is known for '{component}'; add it to LEVELS in tests/test_layers.py")
            continue
        for imported, line in _imports(tree, dotted):
            target = _component(imported)
            if target is None or target == component:
                continue
            if LEVELS[target] > level:
                wrong.append(f"{dotted}:{line} (level {level}) imports {imported} (level {LEVELS[target]})")
            elif LEVELS[target] == level == COMPONENT_LEVEL:
                wrong.append(f"{dotted}:{line} imports its sibling {imported}")
    return wrong


def library_violations(modules: list[Module]) -> list[str]:
    """List the imports of libraries that a level has no business with."""
    wrong = []
    for component, tree, dotted in modules:
        level = LEVELS.get(component, 0)
        for imported, line in _imports(tree, dotted):
            library = imported.split(".")[0]
            if library in TABLE_LIBRARIES and level < 5 and component not in TABLE_MODULES:
                wrong.append(f"{dotted}:{line} imports {library} below level 5")
            if library == "pyro" and level == 0 and imported not in PYRO_BASES:
                wrong.append(f"{dotted}:{line} imports Pyro at level 0")
            if level <= 1 and imported.startswith(("pyro.poutine", "pyro.infer")):
                wrong.append(f"{dotted}:{line} imports {imported} at level {level}")
    return wrong


def sample_sites(modules: list[Module]) -> list[str]:
    """List the uses of `pyro.sample`, in either spelling, outside the file that is for them."""
    wrong = []
    for component, tree, dotted in modules:
        if component == SAMPLING_MODULE:
            continue
        for node in ast.walk(tree):
            called = isinstance(node, ast.Attribute) and ast.unparse(node) == "pyro.sample"
            named = (
                isinstance(node, ast.ImportFrom) and node.module == "pyro" and "sample" in {a.name for a in node.names}
            )
            if called or named:
                wrong.append(f"{dotted}:{node.lineno}")
    return wrong


def test_a_level_imports_only_from_below() -> None:
    assert layer_violations(_modules(PACKAGE)) == []


def test_libraries_stay_at_their_levels() -> None:
    assert library_violations(_modules(PACKAGE)) == []


def test_pyro_sample_is_in_one_file() -> None:
    assert sample_sites(_modules(PACKAGE)) == []


def test_files_are_small() -> None:
    long = {str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def _module(component: str, source: str) -> list[Module]:
    return [(component, ast.parse(source), f"pyro_mnar.{component}")]


@pytest.mark.parametrize(
    ("component", "source"),
    [
        ("joint", "from pyro_mnar.importance import bound"),
        ("joint", "from pyro_mnar import importance"),
        ("joint", "from .importance import bound"),
        ("joint", "def f():\n    import pyro_mnar.importance"),
        ("mechanisms", "from pyro_mnar.heads import Head"),
        ("posterior", "from pyro_mnar import MNARImputer"),
        ("surprise", "x = 1"),
    ],
)
def test_a_wrong_import_is_found(component: str, source: str) -> None:
    assert len(layer_violations(_module(component, source))) == 1


@pytest.mark.parametrize(
    ("component", "source"),
    [
        ("joint", "from pyro_mnar.mechanisms import SelfMasking"),
        ("persistence", "from pyro_mnar import __version__"),
        ("training", "from pyro_mnar.posterior import mean"),
        ("mechanisms", "from pyro_mnar.mechanisms.base import Mechanism"),
    ],
)
def test_a_right_import_passes(component: str, source: str) -> None:
    assert layer_violations(_module(component, source)) == []


@pytest.mark.parametrize("source", ["import pyro\npyro.sample('z', d)", "from pyro import sample"])
def test_a_stray_sample_site_is_found(source: str) -> None:
    assert len(sample_sites(_module("importance", source))) == 1
    assert sample_sites(_module("joint", source)) == []


@pytest.mark.parametrize(
    ("component", "source"),
    [("metrics", "import pandas"), ("metrics", "import pyro"), ("heads", "from pyro import poutine")],
)
def test_a_misplaced_library_is_found(component: str, source: str) -> None:
    assert len(library_violations(_module(component, source))) == 1
