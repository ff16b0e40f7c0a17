"""The files of the folder: checked for size, kind and checksum before they are read."""

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_mnar.errors import FileFormatError

FORMAT = "pyro_mnar.estimator"
VERSION = 1
MANIFEST = "manifest.json"
CHECKSUM = "manifest.json.sha256"
WEIGHTS = "weights.safetensors"
KEYS = ["format", "version", "class", "libraries", "columns", "parameters", "state", "files"]
#: No manifest of a real model comes near it (bytes).
LARGEST_MANIFEST = 64 * 2**20
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}

Spec = tuple[tuple[int, ...], torch.dtype]


def write_files(folder: Path, manifest: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write the three files into an empty folder, down to the disk.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.
    """
    weights = folder / WEIGHTS
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, weights)
    except SafetensorError as error:
        raise OSError(f"{weights} could not be written: {error}") from error
    size, digest = weights.stat().st_size, sha256(weights)
    text = json.dumps({**manifest, "files": {WEIGHTS: {"bytes": size, "sha256": digest}}}, indent=1, allow_nan=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="")
    line = checksum_line(hashlib.sha256(text.encode()).hexdigest())
    (folder / CHECKSUM).write_text(line, encoding="utf-8", newline="")
    # safetensors makes files that their owner alone may read.
    weights.chmod((folder / MANIFEST).stat().st_mode)
    for name in (WEIGHTS, MANIFEST, CHECKSUM):
        flush(folder / name)
    flush(folder)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with its own checksum, format and keys checked, and the weights' size and checksum.

    Raises
    ------
    FileFormatError
        Not a folder of this format and version, or one that was changed.
    """
    raw = _read_small(folder / MANIFEST)
    expected, found = checksum_line(hashlib.sha256(raw).hexdigest()), _read_small(folder / CHECKSUM)
    if found != expected.encode():
        raise FileFormatError(f"{folder / MANIFEST} does not have the checksum in {CHECKSUM}: it was changed")
    try:
        manifest = json.loads(raw, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{folder / MANIFEST} is no JSON that this version reads: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{folder / MANIFEST} is not of the format {FORMAT!r}")
    version = manifest.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(
            f"{folder / MANIFEST} has the format version {version!r}, which is no whole number from 1"
        )
    if version > VERSION:
        raise FileFormatError(
            f"{folder} has the format version {version}; this version of pyro_mnar reads up to {VERSION}: upgrade it"
        )
    unknown = [key for key in manifest if key not in KEYS]
    missing = [key for key in KEYS if key not in manifest]
    if unknown or missing:
        raise FileFormatError(f"{folder / MANIFEST} has the unknown keys {unknown} and lacks {missing}")
    _check_weights(folder, manifest["files"])
    return manifest


def read_specs(folder: Path) -> dict[str, Spec]:
    """Shape and type of each tensor, read from the header alone.

    Raises
    ------
    FileFormatError
        Not a safetensors file, or one with types that this format does not use.
    """
    specs: dict[str, Spec] = {}
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - not a dict
                part = file.get_slice(key)
                dtype = part.get_dtype()
                if dtype not in DTYPES:
                    raise FileFormatError(f"{folder / WEIGHTS} holds {key!r} of the type {dtype}, which is not used")
                specs[key] = (tuple(part.get_shape()), DTYPES[dtype])
    except SafetensorError as error:
        raise FileFormatError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    return specs


def read_tensors(folder: Path, keys: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of these names; call it when their shapes are known to be right.

    Raises
    ------
    FileFormatError
        Not a safetensors file.
    """
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            tensors: dict[str, Tensor] = {key: file.get_tensor(key) for key in keys}
    except SafetensorError as error:
        raise FileFormatError(f"{folder / WEIGHTS} is no safetensors file: {error}") from error
    return tensors


@contextmanager
def limited_allocation(n_numbers: int) -> Iterator[None]:
    """Within the block no single new tensor may have more numbers than this.

    Raises
    ------
    FileFormatError
        One that would; before it is allocated.
    """
    with _AllocationLimit(n_numbers):
        yield


class _AllocationLimit(TorchDispatchMode):
    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for arg in args:
            if isinstance(arg, (list, tuple, torch.Size)) and all(isinstance(size, int) for size in arg):
                wanted = math.prod(size for size in arg if size > 0)
                if wanted > self.limit:
                    raise FileFormatError(
                        f"the manifest asks for a tensor of {wanted} numbers, the weights hold {self.limit} in all"
                    )
        return func(*args, **(kwargs or {}))


def sha256(path: Path) -> str:
    """Hex digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_line(digest: str) -> str:
    """The line that ``sha256sum`` writes for the manifest."""
    return f"{digest}  {MANIFEST}\n"


def flush(path: Path) -> None:
    """Bring a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_small(path: Path) -> bytes:
    size = _regular_size(path)
    if size > LARGEST_MANIFEST:
        raise FileFormatError(f"{path} has {size} bytes; more than {LARGEST_MANIFEST} are not read")
    return path.read_bytes()


def _regular_size(path: Path) -> int:
    """Size in bytes of a plain file; a link, a pipe or a device is refused."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileFormatError(f"{path} is missing; a saved estimator is a folder that holds it") from error
    if not stat.S_ISREG(found.st_mode):
        raise FileFormatError(f"{path} is not a plain file")
    return found.st_size


def _check_weights(folder: Path, files: Any) -> None:
    if not isinstance(files, dict) or list(files) != [WEIGHTS]:
        names = list(files) if isinstance(files, dict) else files
        raise FileFormatError(f"{folder / MANIFEST} names the files {names}; it must name {WEIGHTS!r} and no other")
    match files[WEIGHTS]:
        case {"bytes": int(size), "sha256": str(digest), **rest} if not rest:
            pass
        case _:
            raise FileFormatError(f"{folder / MANIFEST} does not give bytes and sha256 of {WEIGHTS}")
    found = _regular_size(folder / WEIGHTS)
    if found != size:
        raise FileFormatError(f"{folder / WEIGHTS} has {found} bytes, the manifest says {size}")
    actual = sha256(folder / WEIGHTS)
    if actual != digest:
        raise FileFormatError(f"{folder / WEIGHTS} has the sha256 {actual}, the manifest says {digest}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
