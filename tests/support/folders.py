"""Saved models for the tests of files: a table, what can be asked, and signatures as an attacker would make them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar.persistence.files import CHECKSUM, MANIFEST
from tests.support.estimators import table

FRAME = pd.DataFrame(table(), columns=list("abcd"))
TARGET = np.arange(40) % 2


def answers(estimator: Any) -> list[np.ndarray]:
    """Everything that can be asked."""
    found = [np.asarray(estimator.score(FRAME, TARGET))]
    for method in ("transform", "predict", "predict_proba"):
        if hasattr(estimator, method):
            found.append(np.asarray(getattr(estimator, method)(FRAME)))
    return found


def same(a: Any, b: Any) -> bool:
    """Whether two answers are equal bit for bit."""
    return all(x.dtype == y.dtype and x.tobytes() == y.tobytes() for x, y in zip(answers(a), answers(b), strict=True))


def weights_of(folder: Path) -> Path:
    """The one file of weights in a folder."""
    (found,) = folder.glob("weights*.safetensors")
    return found


def sign_text(folder: Path, text: bytes) -> None:
    """Write the text of a manifest with a checksum that fits."""
    (folder / MANIFEST).write_bytes(text)
    (folder / CHECKSUM).write_text(f"{hashlib.sha256(text).hexdigest()}  {MANIFEST}\n")


def sign(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with checksums that fit, as an attacker would; the weights may have been changed."""
    weights = weights_of(folder)
    content = weights.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"weights-{digest[:16]}.safetensors"
    if list(manifest.get("files", ())) == [weights.name]:
        manifest["files"] = {name: {"bytes": len(content), "sha256": digest}}
        weights.rename(folder / name)
    sign_text(folder, json.dumps(manifest, indent=1).encode())
