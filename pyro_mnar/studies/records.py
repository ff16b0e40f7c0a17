"""Finished rows on disk: one JSON object per line, appended as rows finish, so that nothing finished is ever lost."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from pyro_mnar import __version__
from pyro_mnar.data.atomic import replacing
from pyro_mnar.errors import FileFormatError
from pyro_mnar.studies.study import Record

LIBRARIES = ("torch", "pyro-ppl", "scikit-learn", "numpy", "pandas", "scipy")


def append_record(path: Path, record: Record) -> None:
    """Add one line and make sure that it is on disk."""
    line = json.dumps(asdict(record), allow_nan=False) + "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_records(path: Path) -> list[Record]:
    """All finished rows of a file; a last line without its end, cut off when a run was killed, is not one.

    Raises
    ------
    FileFormatError
        A complete line is not a record.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(Record(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise FileFormatError(
                f"line {number} of {path} is not a record of a finished row ({error}); remove the line, and its row "
                "runs again"
            ) from error
    return records


def drop_unfinished_line(path: Path) -> None:
    """Cut off what follows the last line end, so that the next record starts a line of its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path`` and put it in place: readers see the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        write(temporary)


def versions() -> dict[str, Any]:
    """Versions of this package, Python and the libraries that the numbers depend on."""
    found = {"pyro-mnar": __version__, "python": platform.python_version()}
    return found | {library: metadata.version(library) for library in LIBRARIES}
