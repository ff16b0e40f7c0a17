"""The pages that people read: README and docs/, their blocks of code, and running these in little time."""

from __future__ import annotations

import re
import shlex
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
from typer.testing import CliRunner

from pyro_mnar.cli import app
from pyro_mnar.errors import ImputationWarning, UnreliableWeightsWarning
from tests.support.assessments import short_fits

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
#: These are run by their own script (`docs/site/gallery.py`), or hold nothing for users.
APART = {ROOT / "docs" / "gallery.md", ROOT / "docs" / "site" / "index.md"}
#: Numbers of rows in examples.
_ROWS = re.compile(r"\b(?:200|300|500|800)\b")


class Block(NamedTuple):
    """A block of code on a page."""

    language: str
    code: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in found]


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def shorter(code: str, n_rows: int = 60) -> str:
    """The same with fewer rows."""
    return _ROWS.sub(str(n_rows), code)


def run(page: Path) -> dict[str, Any]:
    """Run all that a page says, in the current folder, as it stands but for fewer rows and passes; what it made."""
    names: dict[str, Any] = {}
    with short_fits(), warnings.catch_warnings():
        # Of what has hardly been trained.
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        warnings.simplefilter("ignore", ImputationWarning)
        for block in blocks(page):
            if block.language == "python":
                exec(compile(shorter(block.code), f"{name(page)}:{block.line}", "exec"), names)
            elif block.language == "sh":
                for line in filter(None, block.code.split("\n")):
                    _run_command(line.split("  #")[0], f"{name(page)}:{block.line}")
    plt.close("all")
    return names


def _run_command(line: str, where: str) -> None:
    program, *words = shlex.split(line)
    if program == "pyro-mnar":
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, f"{where}: {line}\n{result.stderr}{result.exception}"
    elif program == "make":
        targets = re.findall(r"^([\w-]+)(?: [\w -]+)?:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words) <= set(targets), f"{where}: {line}"
    else:
        assert (program, words[0]) == ("pip", "install"), f"{where}: what is {line!r}?"
