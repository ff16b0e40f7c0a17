"""Errors can be caught as Python's own, and none is declared that nothing raises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pyro_mnar import MNARImputer, errors
from pyro_mnar.persistence import load

PACKAGE = Path(errors.__file__).parent
SOURCE = "\n".join(
    path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name not in ("errors.py", "__init__.py")
)


def test_bad_input_is_a_value_error_and_an_error_of_this_package() -> None:
    for kind in (ValueError, errors.MNARError):
        with pytest.raises(kind, match="max_iter"):
            MNARImputer(max_iter=-1).fit(np.zeros((3, 2)))


def test_a_model_that_is_not_there_is_a_value_error_that_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest.json is missing"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name not in ("MNARError", "MNARWarning")])
def test_every_error_is_raised_somewhere(name: str) -> None:
    used = re.search(rf"raise {name}\b|\b{name},\n|[(,] *{name}\b|class \w+\({name}\)|return {name}\(", SOURCE)
    children = [child.__name__ for child in getattr(errors, name).__subclasses__()]
    assert used or children, f"nothing raises {name}"
