"""Every notebook runs from a clean kernel in its quick form, and is committed with its outputs."""

from __future__ import annotations

import base64
import os
import re
import struct
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from pyro_mnar.datasets.files import FOLDER_VARIABLE
from pyro_mnar.estimators.arviz_library import arviz, is_modular

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 500_000
#: Pixels: narrower pictures cannot be read at a notebook's width.
MIN_WIDTH = 600
#: Where no folder holds the public tables.
WITHOUT_NETWORK = """
import pyro_mnar.datasets
from tests.support.stand_in import stand_in

pyro_mnar.datasets.load_table = stand_in
"""


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 7


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_there_small_and_without_errors(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    kinds = [output.output_type for cell in code for output in cell.outputs]
    assert "error" not in kinds and len(kinds) >= 3
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_can_be_read_and_tell_nothing_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    for output in outputs:
        data = output.get("data", {})
        # What a progress bar leaves behind is clutter.
        assert "application/vnd.jupyter.widget-view+json" not in data
        text = str({kind: content for kind, content in output.items() if kind != "data"}) + str(data.get("text/plain"))
        assert not re.search(r"(?<![\w.])/(?:tmp|root|home|work|usr|Users)/", text)
        if "image/png" in data:
            width, _ = struct.unpack(">II", base64.b64decode(data["image/png"])[16:24])
            assert width >= MIN_WIDTH
    sources = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert 'simplefilter("ignore"' not in sources and 'filterwarnings("ignore"' not in sources


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_in_its_quick_form(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_modular(arviz()) and "az.plot_ppc(" in path.read_text(encoding="utf-8"):
        pytest.skip("ArviZ 1.x has az.plot_ppc_dist in its place")
    monkeypatch.setenv("PYRO_MNAR_QUICK", "1")
    monkeypatch.setenv("PYTHONPATH", str(FOLDER.parent))
    notebook = nbformat.read(path, as_version=4)
    if "load_table(" in path.read_text(encoding="utf-8") and not os.environ.get(FOLDER_VARIABLE):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_NETWORK))
    NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    ).execute()
