"""CelebA from the user's own copy: a folder or the official zip with the official split, cut, grey, small, cached."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from pyro_mnar.data.atomic import replacing
from pyro_mnar.datasets.extra import needed
from pyro_mnar.datasets.files import FOLDER_VARIABLE, named_folder
from pyro_mnar.errors import DatasetError, InvalidInputError
from pyro_mnar.studies.sources.images import ImageData, Pixels

ADDRESS = "http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
ARCHIVE, SPLIT = "img_align_celeba.zip", "list_eval_partition.txt"
PARTS = {"0": "train", "1": "validation", "2": "test"}
TERMS = "non-commercial research only; no copies may be passed on"
_HELP = (
    f"CelebA is not downloaded for you: its terms ({TERMS}) are yours to accept. Get {ARCHIVE} and {SPLIT} from "
    f"{ADDRESS} and name the folder that holds them (--data, data_home or {FOLDER_VARIABLE})"
)


def celeba(
    data_home: str | os.PathLike[str] | None = None,
    *,
    size: int = 32,
    cache: str | os.PathLike[str] | None = None,
) -> ImageData:
    """CelebA's aligned faces as small grey images: the central square of each, reduced to ``size`` by ``size``.

    Nothing is downloaded. Reading all 202,599 images takes minutes, so the arrays are kept in the cache.

    Parameters
    ----------
    data_home : path or None
        Folder with ``list_eval_partition.txt`` and either ``img_align_celeba.zip`` or a folder ``img_align_celeba`` of
        images, or with a folder ``celeba`` that holds them; the list may name a part of the images. None means
        ``PYRO_MNAR_DATA``.
    size : int
        Side in pixels.
    cache : path or None
        Folder for the arrays; None means the operating system's cache folder.

    Returns
    -------
    ImageData
        The official parts, in the order of the list.

    Raises
    ------
    DatasetError
        Files that are not there, a zip or an image that is damaged, a split that is not in the official form, a cache
        that cannot be written, or Pillow not installed.
    InvalidInputError
        A size that is not a positive whole number.

    References
    ----------
    Liu, Luo, Wang & Tang 2015, "Deep Learning Face Attributes in the Wild", ICCV.
    """
    if not isinstance(size, int) or size < 1:
        raise InvalidInputError(f"size is {size!r}; it must be a positive whole number of pixels")
    folder = _folder(data_home)
    source = next((folder / name for name in (ARCHIVE, "img_align_celeba") if (folder / name).exists()), None)
    if source is None:
        raise DatasetError(f"neither {ARCHIVE} nor a folder img_align_celeba is in {folder}. {_HELP}")
    kept = (
        Path(cache if cache is not None else needed("pooch").os_cache("pyro_mnar"))
        / f"celeba-{size}-{_key(source, folder)}.npz"
    )
    arrays = _cached(kept)
    if arrays is None:
        arrays = _read(source, _split(folder / SPLIT), size)
        _keep(kept, arrays)
    return ImageData(
        name="CelebA",
        **arrays,
        provenance=f"{ADDRESS}, read from {source}",
        licence=TERMS,
        citation="Z. Liu, P. Luo, X. Wang, X. Tang, Deep Learning Face Attributes in the Wild, ICCV 2015",
    )


def _folder(data_home: str | os.PathLike[str] | None) -> Path:
    named = named_folder(data_home)
    if named is None:
        raise DatasetError(f"no folder with CelebA was named. {_HELP}")
    for folder in (named, named / "celeba"):
        if (folder / SPLIT).is_file():
            return folder
    raise DatasetError(f"{SPLIT} is not in {named} or in its folder celeba. {_HELP}")


def _key(source: Path, folder: Path) -> str:
    """Changes when the archive, the folder or the split is another one."""
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in (source, folder / SPLIT)]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _split(path: Path) -> dict[str, str]:
    """Part of each file name, in the order of the list."""
    parts = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2 or words[1] not in PARTS:
            raise DatasetError(
                f"{path}, line {number} is {line[:60]!r}; each line must be a file name and 0, 1 or 2, as in the "
                "official list: get it anew"
            )
        parts[words[0]] = PARTS[words[1]]
    if not parts:
        raise DatasetError(f"{path} is empty; get it anew from {ADDRESS}")
    return parts


def _read(source: Path, parts: dict[str, str], size: int) -> dict[str, Pixels]:
    found = {name: _small_and_grey(source / name, content, size) for name, content in _contents(source, parts)}
    if len(found) < len(parts):
        lost = next(name for name in parts if name not in found)
        raise DatasetError(
            f"{len(parts) - len(found)} of the {len(parts)} images in {SPLIT} are not in {source}, {lost} among them: "
            "unpack or copy it anew, or shorten the list to the images that are there"
        )
    return {
        part: np.array([found[name] for name in parts if parts[name] == part], dtype=np.uint8).reshape(-1, size, size)
        for part in PARTS.values()
    }


def _contents(source: Path, parts: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    if source.is_dir():
        for name in parts:
            if (source / name).is_file():
                yield name, (source / name).read_bytes()
        return
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.namelist():
                name = entry.rsplit("/", 1)[-1]
                if name in parts:
                    yield name, archive.read(entry)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as error:
        raise DatasetError(f"{source} is damaged or not a zip ({error}); get it anew from {ADDRESS}") from error


def _small_and_grey(path: Path, content: bytes, size: int) -> Pixels:
    Image = needed("PIL.Image")
    try:
        with Image.open(BytesIO(content)) as image:
            grey = image.convert("L")
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path} is not an image that can be read ({error}); get it anew from {ADDRESS}") from error
    side = min(grey.size)
    left, top = (grey.width - side) // 2, (grey.height - side) // 2
    square = grey.crop((left, top, left + side, top + side))
    pixels: Pixels = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    return pixels


def _cached(path: Path) -> dict[str, Pixels] | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {part: arrays[part] for part in PARTS.values()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # Not there, or left damaged by other hands: it is made anew.
        return None


def _keep(path: Path, arrays: dict[str, Pixels]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, train=arrays["train"], validation=arrays["validation"], test=arrays["test"])
    except OSError as error:
        raise DatasetError(
            f"the images cannot be kept in {path.parent} ({error}): give another folder in cache"
        ) from error
