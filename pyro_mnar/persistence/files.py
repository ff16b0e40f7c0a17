"""The files of the folder: checked for size, kind and checksum before they are read."""

import hashlib
import json
import math
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pyro_mnar.data.atomic import sha256
from pyro_mnar.errors import FileFormatError

FORMAT = "pyro_mnar.estimator"
#: Since version 2 the name of the weights holds the beginning of their checksum, so that old and new ones can stand
#: side by side while one model replaces another.
VERSION = 2
MANIFEST = "manifest.json"
CHECKSUM = "manifest.json.sha256"
WEIGHTS = re.compile(r"weights-([0-9a-f]{16})\.safetensors")
FIRST_WEIGHTS = "weights.safetensors"
KEYS = ["format", "version", "class", "libraries", "columns", "parameters", "state", "files"]
#: No manifest of a real model comes near these (bytes; values in it, which take more memory than their text).
LARGEST_MANIFEST = 16 * 2**20
MOST_VALUES = 500_000
#: How many numbers and tensors may be made while a model is built, per number and tensor of its file: each is made
#: once, and some twice.
WORK_PER_NUMBER = 4
_CHECKSUM_LINE = re.compile(rb"[0-9a-f]{64}  " + re.escape(MANIFEST.encode()) + rb"\n")
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


class Content(NamedTuple):
    """A manifest without its files, and the tensors that go with it."""

    manifest: dict[str, Any]
    tensors: dict[str, Tensor]


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write the tensors to a file; OSError where the disk is full, or the folder cannot be written."""
    try:
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, path)
    except SafetensorError as error:
        raise OSError(f"{path} could not be written: {error}") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with its own checksum, format and keys checked, and the weights' size and checksum.

    FileFormatError for what is not a folder of this format and version, or was changed.
    """
    raw, checksums = read_small(folder / MANIFEST), read_small(folder / CHECKSUM)
    # While one model replaces another the checksums of both are listed.
    lines = checksums.splitlines(keepends=True)
    well_formed = 1 <= len(lines) == len(set(lines)) <= 2 and all(_CHECKSUM_LINE.fullmatch(line) for line in lines)
    if not well_formed or checksum_line(raw).encode() not in lines:
        raise FileFormatError(f"{folder / MANIFEST} does not have the checksum in {CHECKSUM}: it was changed")
    try:
        manifest = parsed(raw)
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


def parsed(raw: bytes) -> Any:
    """The JSON of a manifest; ValueError for no JSON, one with a key twice, or of more values than any manifest has."""
    values = sum(raw.count(mark) for mark in (b",", b"[", b"{", b":"))
    if values > MOST_VALUES:
        raise ValueError(f"it has {values} values; more than {MOST_VALUES} are not read")
    return json.loads(raw, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)


def weights_file(folder: Path, manifest: dict[str, Any]) -> Path:
    """The one file that a manifest names."""
    (name,) = manifest["files"]
    return folder / name


class Weights:
    """The tensors of an open file, which can be read even if the file is replaced meanwhile.

    Attributes
    ----------
    specs : dict
        Shape and type of each tensor, read from the header alone.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self._file = file
        self.specs: dict[str, Spec] = {}
        for key in file.keys():  # noqa: SIM118 - not a dict
            part = file.get_slice(key)
            dtype = part.get_dtype()
            if dtype not in DTYPES:
                raise FileFormatError(f"{path} holds {key!r} of the type {dtype}, which is not used")
            self.specs[key] = (tuple(part.get_shape()), DTYPES[dtype])

    def tensors(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of these names; call it when their shapes are known to be right."""
        return {key: self._file.get_tensor(key) for key in keys}


@contextmanager
def opened(path: Path) -> Iterator[Weights]:
    """The tensors of a file; FileFormatError if it is none of safetensors, or holds types that are not used."""
    try:
        with safe_open(path, framework="pt") as file:
            yield Weights(path, file)
    except SafetensorError as error:
        raise FileFormatError(f"{path} is no safetensors file: {error}") from error


@contextmanager
def limited_work(specs: dict[str, Spec]) -> Iterator[None]:
    """Within the block no more may be allocated than goes with a file of these tensors.

    FileFormatError, before it is allocated, for a tensor that would be too much, by its numbers or because so many were
    made.
    """
    with _WorkLimit(sum(math.prod(shape) for shape, _ in specs.values()), len(specs)):
        yield


class _WorkLimit(TorchDispatchMode):
    def __init__(self, n_numbers: int, n_tensors: int) -> None:
        super().__init__()
        self.n_numbers, self.n_tensors = n_numbers, n_tensors
        self.numbers_left = WORK_PER_NUMBER * (n_numbers + 1024)
        self.tensors_left = WORK_PER_NUMBER * (n_tensors + 64)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # A view of a tensor allocates nothing, and the lengths of its parts are no shape.
        for arg in () if func.is_view else args:
            if isinstance(arg, (list, tuple, torch.Size)) and all(isinstance(size, int) for size in arg):
                self.numbers_left -= math.prod(size for size in arg if size > 0)
                self.tensors_left -= 1
        if self.numbers_left < 0 or self.tensors_left < 0:
            raise FileFormatError(
                f"the manifest asks for a model of more tensors or numbers than the weights hold: {self.n_tensors} "
                f"tensors, {self.n_numbers} numbers in all"
            )
        return func(*args, **(kwargs or {}))


def checksum_line(manifest: bytes) -> str:
    """The line that ``sha256sum`` writes for the manifest."""
    return f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST}\n"


def read_small(path: Path) -> bytes:
    """The content of a plain file; FileFormatError if it is missing, not plain, or larger than any manifest."""
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
    names = list(files) if isinstance(files, dict) else []
    if len(names) != 1 or not (WEIGHTS.fullmatch(names[0]) or names[0] == FIRST_WEIGHTS):
        raise FileFormatError(
            f"{folder / MANIFEST} names the files {names or files}; it must name its weights, and no other"
        )
    match files[names[0]]:
        case {"bytes": int(size), "sha256": str(digest), **rest} if not rest:
            pass
        case _:
            raise FileFormatError(f"{folder / MANIFEST} does not give bytes and sha256 of {names[0]}")
    path = folder / names[0]
    found = _regular_size(path)
    if found != size:
        raise FileFormatError(f"{path} has {found} bytes, the manifest says {size}")
    actual = sha256(path)
    if actual != digest:
        raise FileFormatError(f"{path} has the sha256 {actual}, the manifest says {digest}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice")
    return content


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
