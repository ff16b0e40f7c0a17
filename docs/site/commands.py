"""Write docs/reference/command-line.md anew from the commands' own help: `python docs/site/commands.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "command-line.md"


def section(name: str, command: Any, level: int) -> list[str]:
    """A command: what it does, and its arguments and options in a table."""
    lines = [f"{'#' * level} pyro-mnar {name}", "", " ".join((command.help or "").split()), ""]
    given = [option for option in command.params if option.name != "help"]
    if given:
        lines += ["| option | what it is |", "|---|---|"]
        for option in given:
            shown = option.opts[-1] if option.opts[-1].startswith("--") else option.name.upper()
            words = (option.help or "").replace("|", r"\|").strip()
            default = getattr(option.default, "value", option.default)
            if option.required:
                words += " Required."
            elif (
                isinstance(default, str | int | float | Path)
                and not isinstance(default, bool)
                and "default" not in words
            ):
                words += f" Default: `{default}`."
            lines.append(f"| `{shown}` | {words} |")
        lines.append("")
    return lines


def written() -> str:
    """The page: what stands above the first command stays."""
    from pyro_mnar.cli import app

    lines = [PAGE.read_text(encoding="utf-8").partition("\n## pyro-mnar")[0]]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        lines += section(name, command, 2)
        for part, each in getattr(command, "commands", {}).items():
            lines += section(f"{name} {part}", each, 3)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(written(), encoding="utf-8")
