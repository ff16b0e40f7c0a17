"""Files from a grammar of what CSV files hold: each is completed, or refused in one line; nothing else happens."""

from __future__ import annotations

import csv
import io
import itertools
import random
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from pyro_mnar.cli import app
from tests.support.pieces import Pieces

NUMBERS = [
    *("0", "1", "-1", "1.5", "2e3", "-0.0", "1e-300", "1e150", "1e151", "1e308", "1e400", "-1e400", "9007199254740993"),
    *("inf", "-Infinity", "nAn", "1_000", "1,5", "0x10", " 7 ", "+3", ".5", "5.", "1e", "--1", "\uff11\uff12", "True"),
]
MISSING = ["", "NA", "NaN", "null", "None", "<NA>", " ", "?", "-", "n/a", ".", "NULL "]
TEXTS = [
    *("x", "Oslo", "[/b]", "[red]a", "\x1b[2J", "=1+1", "\u00e9", "\U0001f600", "a b", 'say "hi"', "a;b", "a\nb"),
    *("\x00", "\t"),
]
NAMES = [
    *("a", "b", "income", "", " ", "[/b]", "[bold]x", "a", "\x1b[31mred", "x=y", "1", "\u00e9t\u00e9"),
    "missingindicator_a",
]


def any_file(rng: random.Random) -> tuple[bytes, list[str]]:
    """A file, and options that may go with it."""
    sep = rng.choice([",", ",", ",", ";", "\t", "|"])
    end = rng.choice(["\n", "\n", "\r\n", "\r"])
    columns = rng.choice([1, 2, 2, 3, 4])
    n_rows = rng.choice([0, 1, 2, 5, 12, 30])
    names = [rng.choice(NAMES) if rng.random() < 0.3 else f"c{j}" for j in range(columns)]
    clean = rng.random() < 0.6
    rows = [[any_cell(rng, clean) for _ in range(columns)] for _ in range(n_rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=sep, lineterminator=end, quoting=rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    writer.writerow(names)
    for row in rows:
        if not clean and rng.random() < 0.03:
            row = row[: rng.randrange(len(row) + 1)] + ["1"] * rng.randrange(3)
        writer.writerow(row)
    content = text.getvalue()
    if rng.random() < 0.1:
        at = rng.randrange(len(content) + 1)
        content = content[:at] + rng.choice(['"', "\n\n", "\r", sep, "\x00", '""', "'", "\ufeff"]) + content[at:]
    encoding = rng.choice(["utf-8"] * 8 + ["utf-8-sig", "latin-1", "utf-16"])
    raw = content.encode(encoding, errors="replace")
    if rng.random() < 0.05:
        raw = raw[: rng.randrange(len(raw) + 1)]
    options = ["--sep", "tab" if sep == "\t" else sep] if rng.random() < 0.8 else []
    options += ["--na-values", "?"] if rng.random() < 0.3 else []
    options += ["--exclude", rng.choice(names)] if rng.random() < 0.2 else []
    options += ["--direction", rng.choice(["high", "low", f"{names[0]}=high", "x=up"])] if rng.random() < 0.15 else []
    options += ["--strategy", rng.choice(["median", "sample"])] if rng.random() < 0.1 else []
    return raw, options


def any_cell(rng: random.Random, clean: bool) -> str:
    if clean:
        return "" if rng.random() < 0.25 else repr(round(rng.gauss(10, 3), 2))
    kind = rng.random()
    return rng.choice(MISSING if kind < 0.3 else TEXTS if kind < 0.36 else NUMBERS)


def check_files(folder: Path, pieces: Pieces) -> None:
    """Run ``impute`` on files of the grammar."""
    data, out = folder / "data.csv", folder / "out.csv"
    threads = torch.get_num_threads()
    try:
        for k, rng in pieces:
            raw, options = any_file(rng)
            data.write_bytes(raw)
            arguments = ["impute", str(data), "--out", str(out), "--max-iter", "1", "--n-draws", "5", *options]
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                result = CliRunner().invoke(app, arguments)
            context = (k, raw, options, result.stderr, result.exception)
            lines = result.stderr.splitlines()
            assert all(line.startswith("pyro-mnar: ") for line in lines), context
            assert "pyro-mnar: unexpected" not in result.stderr and "\x1b" not in result.output, context
            assert data.read_bytes() == raw, context
            if result.exit_code == 0:
                pieces.accepted += 1
                assert all(line.startswith("pyro-mnar: warning: ") for line in lines), context
                check_completed(raw, out.read_bytes(), options, context)
                out.unlink()
            else:
                pieces.refused += 1
                assert result.exit_code == 1, context
                assert sum(not line.startswith("pyro-mnar: warning: ") for line in lines) == 1, context
            assert [path.name for path in folder.iterdir()] == ["data.csv"], context
    finally:
        torch.set_num_threads(threads)
    pieces.record("refused in one line", "completed")


def check_completed(raw: bytes, found: bytes, options: list[str], context: Any) -> None:
    """Cells that were seen come back as they were, and no cell of a modelled column is empty."""
    sep = options[options.index("--sep") + 1] if "--sep" in options else ","
    sep = "\t" if sep == "tab" else sep
    before, after = cells_of(raw, sep), cells_of(found, sep)
    assert len(before) == len(after) and before[0] == after[0], context
    excluded = options[options.index("--exclude") + 1] if "--exclude" in options else None
    known = {"?"} if "?" in options else set()
    labels = [set(column) for column in zip(*before[1:], strict=True)]
    for old, new in zip(before[1:], after[1:], strict=True):
        for name, a, b, known_labels in zip(before[0], old, new, labels, strict=True):
            if a.strip() in {"", "NA", "NaN", "null", "None", "<NA>", "n/a", "NULL"} | known and name != excluded:
                assert a == b or b in known_labels or np.isfinite(float(b)), context
            else:
                assert a == b, context


def cells_of(content: bytes, sep: str) -> list[list[str]]:
    """The rows of a file that hold something, from its header on."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=sep))
    names, *others = itertools.dropwhile(lambda row: not row, rows)
    return [names, *(row or [""] for row in others if row or len(names) == 1)]


def test_60_files(tmp_path: Path) -> None:
    check_files(tmp_path, Pieces("CSV files at the command line", "", 20_000, few=60))


@pytest.mark.slow
@pytest.mark.timeout(100_000)
def test_20000_files() -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_files(Path(folder), Pieces("CSV files at the command line", "each completed, or one line", 20_000))
