"""The site builds without a warning, every link in it leads somewhere, it needs no other host, every name is in it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from typer.testing import CliRunner

import pyro_mnar
from pyro_mnar.cli import app
from tests.support.pages import ROOT

TOOLS = ("sphinx", "myst_nb", "pydata_sphinx_theme", "sphinx_copybutton")
needs_tools = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, TOOLS)), reason="no tools for the site: pip install '.[docs]'"
)
REFERENCE = ROOT / "docs" / "reference"
#: What users import: the package, its doors, and two rooms.
MODULES = ["pyro_mnar", *(f"pyro_mnar.{door}" for door in pyro_mnar._DOORS), "pyro_mnar.datasets", "pyro_mnar.errors"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(out)]
    # Arguments of warnings that this run was given are not the tools'.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONWARNINGS"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=280)
    assert run.returncode == 0, run.stderr[-3000:]
    return out


class Parts(HTMLParser):
    """The places of a page that can be linked to, its links, and what it loads."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value for key, value in attrs if value is not None}
        self.places |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        loaded = given.get("href") if tag == "link" else given.get("src")
        if loaded:
            self.loaded.append(loaded)


@needs_tools
def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    # Below _static lie parts of the theme, which are no pages.
    pages = {page: Parts(page) for page in site.rglob("*.html") if "_static" not in page.parts}
    assert len(pages) > 40
    wrong = []
    for page, parts in pages.items():
        for link in parts.links + parts.loaded:
            url = urlsplit(link)
            if url.scheme in ("http", "https", "mailto", "data"):
                if link in parts.loaded and url.scheme != "data":
                    wrong.append(f"{page.name} loads {link}")
                continue
            target = page if not url.path else (page.parent / unquote(url.path)).resolve()
            anchor = unquote(url.fragment)
            if not target.exists():
                wrong.append(f"{page.relative_to(site)}: {link}")
            elif anchor and target.suffix == ".html" and anchor not in pages[target].places:
                wrong.append(f"{page.relative_to(site)}: no such place: {link}")
    assert wrong == []


@needs_tools
def test_no_sign_of_another_text_form_is_left(site: Path) -> None:
    for page in site.rglob("*.html"):
        if "notebooks" not in page.parts:
            text = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert not re.search(r":(?:func|class|mod|meth|math):`|\.\. math::", text), page


def public_names(module: str) -> list[str]:
    return [name for name in importlib.import_module(module).__all__ if not name.startswith("_")]


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    described = set(re.findall(rf"^\.\. (?:auto|py:)\w+:: {re.escape(module)}\.(\w+)$", pages, re.MULTILINE))
    assert described == set(public_names(module))


def test_every_command_and_option_is_in_the_reference() -> None:
    page = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^##+ pyro-mnar ([\w ]+)\n(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE))
    commands = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        commands[name] = command
        commands.update({f"{name} {part}": each for part, each in getattr(command, "commands", {}).items()})
    assert set(sections) == set(commands)
    for name, command in commands.items():
        options = {option.opts[-1] for option in command.params if option.opts[-1].startswith("--")} - {"--help"}
        shown = re.findall(r"^\| `(--[\w-]+)`", sections[name], re.MULTILINE)
        assert set(shown) == options, "run docs/site/commands.py"
    assert CliRunner().invoke(app, ["--help"]).exit_code == 0
