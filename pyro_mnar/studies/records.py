"""What a study leaves on disk: rows as they finish, one JSON object per line, and the files that are made of them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from pyro_mnar import __version__
from pyro_mnar.data.atomic import replacing
from pyro_mnar.errors import FileFormatError
from pyro_mnar.studies.study import Record

LIBRARIES = ("torch", "pyro-ppl", "scikit-learn", "numpy", "pandas", "scipy")
#: What a file is to hold: a table, a text, or what draws a picture to a path.
Content = pd.DataFrame | str | Callable[[Path], object]


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


def write_files(folder: Path, contents: Mapping[str, Content], float_format: str = "%.4g") -> list[Path]:
    """Write tables as CSV, texts, and pictures by what draws them, by name; readers see the old files or the new."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(folder / name) as temporary:
            if isinstance(content, pd.DataFrame):
                content.to_csv(temporary, index=False, float_format=float_format)
            elif isinstance(content, str):
                temporary.write_text(content, encoding="utf-8")
            else:
                content(temporary)
    return [folder / name for name in contents]


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, without an end of its last line."""
    head_line, *others = ("| " + " | ".join(line) + " |" for line in (head, *lines))
    return "\n".join([head_line, "|---" * len(head) + "|", *others])


def in_order(table: pd.DataFrame, order: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The lines of a table by these of its columns, the first before the others, whose values are in this order."""
    ranks = {name: list(values).index for name, values in order.items() if name in table}
    return table.sort_values([*ranks], key=lambda column: column.map(ranks[str(column.name)]), ignore_index=True)


def versions() -> dict[str, Any]:
    """Versions of this package, Python and the libraries that the numbers depend on."""
    found = {"pyro-mnar": __version__, "python": platform.python_version()}
    return found | {library: metadata.version(library) for library in LIBRARIES}
