"""Write the table of docs/verified.md anew from results/validation/summary.csv: `python docs/site/verified.py`."""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def written() -> str:
    """The page with the table as it is recorded."""
    with (ROOT / "results" / "validation" / "summary.csv").open(encoding="utf-8") as file:
        lines = [f"| {row['check']} | {row['figure']} | {row['threshold']} |" for row in csv.DictReader(file)]
    page = (ROOT / "docs" / "verified.md").read_text(encoding="utf-8")
    return re.sub(r"(\| what \|.*\n\|[-|]*\|\n)(?:\|.*\n)*", lambda head: head[1] + "\n".join(lines) + "\n", page)


if __name__ == "__main__":
    (ROOT / "docs" / "verified.md").write_text(written(), encoding="utf-8")
