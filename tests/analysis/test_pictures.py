"""The gallery's pictures, drawn after short fits, beside kept ones: what changes a picture does not go unnoticed.

After a change that is wanted: PYRO_MNAR_PICTURES=1 python -m pytest -n 0 tests/analysis/test_pictures.py keeps the new
ones; look at each of them.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import ft2font
from matplotlib.image import imread, imsave
from matplotlib.testing.compare import compare_images

from pyro_mnar.errors import MNARWarning
from tests.support.assessments import short_fits
from tests.support.pages import ROOT, shorter

GALLERY = ROOT / "docs" / "gallery"
KEPT = Path(__file__).parent / "pictures"
NAMES = sorted(path.name for path in GALLERY.glob("*.png"))
#: What draws text: another version of it sets letters otherwise.
DRAWN_WITH = f"matplotlib {'.'.join(mpl.__version__.split('.')[:2])}, FreeType {ft2font.__freetype_version__}"
#: Root of the mean squared difference of colours, 0 to 255, within which pictures are the same: another processor adds
#: up in another order, and a line may move by a pixel.
TOLERANCE = 3.0
SMALL = "random_state=0, n_draws_posterior=100, hidden_units=(8,))"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pictures of docs/gallery.md, made by its code from fewer rows, draws and passes."""
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patched, short_fits(), warnings.catch_warnings():
        warnings.simplefilter("ignore", MNARWarning)
        patched.syspath_prepend(str(ROOT / "docs" / "site"))
        import gallery

        paths = gallery.draw(folder, lambda code: shorter(code).replace("random_state=0)", SMALL))
        shown = re.findall(r"\]\((gallery/[^)]+)\)", gallery.PAGE.read_text(encoding="utf-8"))
    sys.modules.pop("gallery")
    assert [path.relative_to(folder).as_posix() for path in paths] == shown
    if os.environ.get("PYRO_MNAR_PICTURES"):
        shutil.rmtree(KEPT, ignore_errors=True)
        shutil.copytree(folder / "gallery", KEPT)
        (KEPT / "drawn_with.txt").write_text(DRAWN_WITH + "\n", encoding="utf-8")
    return folder / "gallery"


def test_the_gallery_shows_what_is_drawn(drawn: Path) -> None:
    assert sorted(path.name for path in drawn.iterdir()) == NAMES and len(NAMES) >= 12
    assert sorted(path.name for path in KEPT.glob("*.png")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_the_kept_one(drawn: Path, name: str) -> None:
    kept_with = (KEPT / "drawn_with.txt").read_text(encoding="utf-8").strip()
    if kept_with != DRAWN_WITH:
        pytest.skip(f"the kept pictures were drawn with {kept_with}, here it is {DRAWN_WITH}")
    difference = compare_images(str(KEPT / name), str(drawn / name), tol=TOLERANCE)
    assert difference is None, difference


def test_another_colour_and_a_moved_label_are_noticed(tmp_path: Path) -> None:
    pixels = imread(KEPT / "imputed_labels.png")[..., :3]
    swapped, moved = pixels[..., ::-1], pixels.copy()
    moved[: len(pixels) // 8] = np.roll(moved[: len(pixels) // 8], 6, axis=0)
    shutil.copy(KEPT / "imputed_labels.png", tmp_path / "kept.png")
    for name, changed in (("swapped", swapped), ("moved", moved)):
        imsave(tmp_path / f"{name}.png", np.ascontiguousarray(changed))
        assert compare_images(str(tmp_path / "kept.png"), str(tmp_path / f"{name}.png"), tol=TOLERANCE) is not None
    imsave(tmp_path / "same.png", pixels)
    assert compare_images(str(tmp_path / "kept.png"), str(tmp_path / "same.png"), tol=TOLERANCE) is None
