"""Draw the gallery: `python docs/site/gallery.py [folder]` makes the pictures of docs/gallery.md from its code.

The page is the source: each block of Python is run, in order, and the figure that it leaves open is saved under the
name of the picture that follows the block.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gallery.md"
#: A block of Python, and the picture after it where there is one.
PIECE = re.compile(r"```python\n(.*?)```\n(?:\n!\[[^\]]*\]\((gallery/[\w-]+\.png)\))?", re.DOTALL)


def draw(folder: Path, shorter: Callable[[str], str] = str) -> list[Path]:
    """Run the page's code, which ``shorter`` may change first, and save its pictures below ``folder``."""
    names: dict[str, Any] = {}
    pictures = []
    for code, picture in PIECE.findall(PAGE.read_text(encoding="utf-8")):
        exec(compile(shorter(code), str(PAGE), "exec"), names)
        if picture:
            path = folder / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            plt.gcf().savefig(path, dpi=90)
            pictures.append(path)
        plt.close("all")
    return pictures


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    for path in draw(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"):
        print(path)
