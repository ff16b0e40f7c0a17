"""Execute notebooks in place: `python docs/site/notebooks.py [names]`, all of them without names.

Progress bars, which mean nothing once a cell has run, are taken out of what is kept, and so is where the repository
lies. Everything else stays as it came, warnings too.
"""

from __future__ import annotations

import base64
import io
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
#: Characters of a picture, from which on it is made smaller.
LARGE = 50_000
WIDGET = "application/vnd.jupyter.widget-view+json"


def without_bars(notebook: nbformat.NotebookNode) -> None:
    """Take progress bars, and what only they need, out of a notebook."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _of_progress(output)]
            cell.metadata.pop("execution", None)


def _of_progress(output: nbformat.NotebookNode) -> bool:
    """Whether it is a bar, the empty frame that one leaves, or the line that says how long it will take."""
    if output.output_type != "display_data":
        return False
    text = output.data["text/plain"]
    return WIDGET in output.data or not text or text.startswith("this takes about")


def without_places(notebook: nbformat.NotebookNode) -> None:
    """Warnings say in which file: as it lies in the repository, whatever machine it was on."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        if output.output_type == "stream":
            text = output.text.replace(f"{FOLDER.parent}/", "")
            output.text = re.sub(r"/\S*/ipykernel_\d+/\d+\.py:\d+", "this cell", text)


def with_small_pictures(notebook: nbformat.NotebookNode) -> None:
    """Pictures of many points and lines take a third of the room with a palette of 256 colours."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        encoded = output.get("data", {}).get("image/png")
        if encoded is not None and len(encoded) > LARGE:
            small = io.BytesIO()
            Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB").quantize(256).save(
                small, "PNG", optimize=True
            )
            output.data["image/png"] = base64.b64encode(small.getvalue()).decode()


def execute(path: Path) -> None:
    """Run one notebook from a clean kernel and keep its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
    without_bars(notebook)
    without_places(notebook)
    with_small_pictures(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        if len(sys.argv) == 1 or any(path.stem.startswith(name) for name in sys.argv[1:]):
            began = time.monotonic()
            execute(path)
            print(f"{path.name}: {time.monotonic() - began:.0f} s", flush=True)
