"""The rooms: each imports only rooms below it, no file takes part in a circle, one file holds `pyro.sample`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "pyro_mnar"
MAX_LINES = 450

# The rooms from the ground up, one per floor: a file imports its own room and the rooms before it in this list.
ROOMS = (
    "errors",
    "numerics",
    "data",
    "datasets",
    "model",
    "inference",
    "estimators",
    "persistence",
    "analysis",
    "studies",
    "cli",
)
#: The front door: it names what users import, and no room imports it.
DOOR = "__init__"
# The base class of a distribution, and how it accounts for its gradient, is all of Pyro that numerics may know.
PYRO_BASES = {"pyro.distributions", "pyro.distributions.TorchDistribution", "pyro.distributions.score_parts.ScoreParts"}
SAMPLING_FILE = "pyro_mnar.model.joint"
#: Tables are the business of these rooms and of those above the inference.
TABLE_ROOMS = {"data", "datasets", "estimators", "analysis", "persistence", "studies", "cli"}
TABLE_LIBRARIES = {"pandas", "sklearn"}
# Facts about the package itself, that every room may read.
PACKAGE_FACTS = {"__version__"}

Module = tuple[str, ast.Module, str]


def _modules(package: Path) -> list[Module]:
    """Give (room, tree, dotted name) of every file."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found.append((parts[0], ast.parse(path.read_text(encoding="utf-8")), ".".join(("pyro_mnar", *parts))))
    return found


def _imports(tree: ast.AST, dotted: str) -> Iterator[tuple[str, int]]:
    """Yield the full dotted name of everything that is imported, wherever in the file it is."""
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


def _room(imported: str) -> str | None:
    """Name the room that an import reaches, or None for other packages and facts about this one."""
    first, *rest = imported.split(".")
    if first != "pyro_mnar" or (rest and rest[0] in PACKAGE_FACTS):
        return None
    return rest[0] if rest and rest[0] in ROOMS else DOOR


def upward_imports(modules: list[Module]) -> list[str]:
    """List the imports of rooms that are not below, and the rooms that have no floor."""
    wrong = []
    for room, tree, dotted in modules:
        if room == DOOR:
            continue
        if room not in ROOMS:
            wrong.append(f"{dotted}: '{room}' is no room of the house; see ROOMS in tests/house/test_layers.py")
            continue
        below = ROOMS[: ROOMS.index(room) + 1]
        for imported, line in _imports(tree, dotted):
            target = _room(imported)
            if target is not None and target not in below:
                wrong.append(f"{dotted}:{line} imports {imported}, which is not below {room}")
    return wrong


def circles(modules: list[Module]) -> list[str]:
    """List the files that import themselves over other files, imports inside functions and for types included."""
    names = {dotted.removesuffix(".__init__") for _, _, dotted in modules}

    def home(imported: str) -> str | None:
        while imported and imported not in names:
            imported = imported.rpartition(".")[0]
        return imported or None

    graph: dict[str, set[str]] = {}
    for _, tree, dotted in modules:
        file = dotted.removesuffix(".__init__")
        targets = {home(imported) for imported, _ in _imports(tree, dotted) if _room(imported) is not None}
        graph[file] = {target for target in targets if target not in (None, file, "pyro_mnar")}
    found = []
    for file in sorted(graph):
        reached, ahead = set(), list(graph[file])
        while ahead:
            target = ahead.pop()
            if target not in reached:
                reached.add(target)
                ahead += graph.get(target, ())
        if file in reached:
            found.append(file)
    return found


def library_violations(modules: list[Module]) -> list[str]:
    """List the imports of libraries that a room has no business with."""
    wrong = []
    for room, tree, dotted in modules:
        for imported, line in _imports(tree, dotted):
            library = imported.split(".")[0]
            if library in TABLE_LIBRARIES and room not in TABLE_ROOMS:
                wrong.append(f"{dotted}:{line} imports {library} in {room}")
            if library == "pyro" and room in ("errors", "numerics", "data", "datasets") and imported not in PYRO_BASES:
                wrong.append(f"{dotted}:{line} imports Pyro in {room}")
            above_model = room in ROOMS[ROOMS.index("inference") :] if room in ROOMS else True
            if not above_model and dotted != SAMPLING_FILE and imported.startswith(("pyro.poutine", "pyro.infer")):
                wrong.append(f"{dotted}:{line} imports {imported} in {room}")
    return wrong


def sample_sites(modules: list[Module]) -> list[str]:
    """List the uses of `pyro.sample`, in either spelling, outside the file that is for them."""
    wrong = []
    for _, tree, dotted in modules:
        if dotted == SAMPLING_FILE:
            continue
        for node in ast.walk(tree):
            called = isinstance(node, ast.Attribute) and ast.unparse(node) == "pyro.sample"
            named = (
                isinstance(node, ast.ImportFrom) and node.module == "pyro" and "sample" in {a.name for a in node.names}
            )
            if called or named:
                wrong.append(f"{dotted}:{node.lineno}")
    return wrong


def test_a_room_imports_only_from_below() -> None:
    assert upward_imports(_modules(PACKAGE)) == []


def test_no_file_is_part_of_a_circle() -> None:
    assert circles(_modules(PACKAGE)) == []


def test_there_are_at_most_thirteen_rooms() -> None:
    rooms = {p.stem for p in PACKAGE.iterdir() if p.suffix == ".py" or (p.is_dir() and p.name != "__pycache__")}
    assert rooms - {DOOR} == set(ROOMS)
    assert len(ROOMS) <= 13


def test_libraries_stay_in_their_rooms() -> None:
    assert library_violations(_modules(PACKAGE)) == []


def test_pyro_sample_is_in_one_file() -> None:
    assert sample_sites(_modules(PACKAGE)) == []


def test_files_are_small() -> None:
    long = {str(p.relative_to(PACKAGE)): len(p.read_text(encoding="utf-8").splitlines()) for p in PACKAGE.rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


def _module(dotted: str, source: str) -> Module:
    return (dotted.split(".")[0], ast.parse(source), f"pyro_mnar.{dotted}")


@pytest.mark.parametrize(
    ("dotted", "source"),
    [
        ("model.joint", "from pyro_mnar.inference.importance import bound"),
        ("model.joint", "from pyro_mnar.inference import importance"),
        ("model.joint", "from ..inference import importance"),
        ("model.joint", "def f():\n    import pyro_mnar.inference.importance"),
        ("numerics.probit", "from pyro_mnar.data.columns import describe"),
        ("estimators.base", "from pyro_mnar.analysis.checks import check"),
        ("inference.posterior", "from pyro_mnar import MNARImputer"),
        ("surprise", "x = 1"),
    ],
)
def test_a_wrong_import_is_found(dotted: str, source: str) -> None:
    assert len(upward_imports([_module(dotted, source)])) == 1


@pytest.mark.parametrize(
    ("dotted", "source"),
    [
        ("model.joint", "from pyro_mnar.model.mechanisms import SelfMasking"),
        ("persistence.folder", "from pyro_mnar import __version__"),
        ("inference.training", "from pyro_mnar.inference.posterior import mean"),
        ("cli.fit", "from pyro_mnar.errors import MNARError"),
    ],
)
def test_a_right_import_passes(dotted: str, source: str) -> None:
    assert upward_imports([_module(dotted, source)]) == []


def test_a_circle_is_found_even_through_a_function() -> None:
    one = _module("model.a", "from pyro_mnar.model.b import x")
    other = _module("model.b", "def f():\n    from pyro_mnar.model import a")
    assert circles([one, other]) == ["pyro_mnar.model.a", "pyro_mnar.model.b"]
    assert circles([one, _module("model.b", "import torch")]) == []


@pytest.mark.parametrize("source", ["import pyro\npyro.sample('z', d)", "from pyro import sample"])
def test_a_stray_sample_site_is_found(source: str) -> None:
    assert len(sample_sites([_module("inference.importance", source)])) == 1
    assert sample_sites([_module("model.joint", source)]) == []


@pytest.mark.parametrize(
    ("dotted", "source"),
    [
        ("numerics.links", "import pandas"),
        ("numerics.links", "import pyro"),
        ("model.heads", "from pyro import poutine"),
        ("inference.weights", "import sklearn"),
    ],
)
def test_a_misplaced_library_is_found(dotted: str, source: str) -> None:
    assert len(library_violations([_module(dotted, source)])) == 1
