"""Saved models for the tests of files: a table, what can be asked, and signatures as an attacker would make them."""

from __future__ import annotations

import hashlib
import json
import random
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


def mutate(content: bytes, rng: random.Random) -> bytes:
    """Change a file in one of the ways in which files break."""
    at = rng.randrange(len(content))
    kind = rng.choice(["bit", "byte", "cut", "grow", "insert", "zeros", "swap", "digit", "twice", "number"])
    raw = bytearray(content)
    if kind == "bit":
        raw[at] ^= 1 << rng.randrange(8)
    elif kind == "byte":
        raw[at] = (raw[at] + rng.randrange(1, 256)) % 256
    elif kind == "cut":
        del raw[at:]
    elif kind == "grow":
        raw += rng.randbytes(rng.randrange(1, 50))
    elif kind == "insert":
        raw[at:at] = rng.randbytes(rng.randrange(1, 50))
    elif kind == "zeros":
        raw[at : at + 64] = bytes(len(raw[at : at + 64]))
    elif kind == "swap":
        raw = raw[at:] + raw[:at]
    elif kind == "twice":
        raw[at:at] = raw[at : at + rng.randrange(1, 200)]
    else:
        digits = [i for i, byte in enumerate(raw) if 48 <= byte <= 57]
        if digits:
            i = rng.choice(digits)
            new = b"%d" % ((raw[i] - 48 + rng.randrange(1, 10)) % 10)
            raw[i : i + 1] = new if kind == "digit" else rng.choice([b"1000000000", b"-1", b"1e9", b"[]", b"null"])
    return bytes(raw)
