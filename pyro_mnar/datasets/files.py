"""Data files that are what they should be: from a local folder or downloaded once, and always checked by sha256."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pyro_mnar.datasets.extra import needed
from pyro_mnar.errors import ChecksumError, DatasetError, DownloadError

FOLDER_VARIABLE = "PYRO_MNAR_DATA"


@dataclass(frozen=True)
class SourceFile:
    """A file, its sha256, and the addresses that serve it: the file itself, or a .zip that holds it."""

    name: str
    sha256: str
    addresses: tuple[str, ...]


def local_or_downloaded(source: SourceFile, data_home: str | os.PathLike[str] | None = None) -> Path:
    """Find a file in the caller's folder if there is one, else in the cache, to which it is downloaded once.

    ``data_home`` holds the file, or holds it in a folder ``uci``. None means the environment variable
    ``PYRO_MNAR_DATA``; without that, the operating system's cache folder, and a download where it is not there yet.

    Raises
    ------
    DatasetError
        If the caller's folder does not hold the file, or the cache cannot be written.
    ChecksumError
        If a file differs from the expected one.
    DownloadError
        If no address could be reached.
    """
    folder = named_folder(data_home)
    if folder is None:
        return download(source)
    candidates = [folder / source.name, folder / "uci" / source.name]
    for path in candidates:
        if path.is_file():
            return checked(path, source.sha256, source.addresses[0])
    raise DatasetError(
        f"{source.name} is neither at {candidates[0]} nor at {candidates[1]}: put {source.addresses[0]} there, or "
        f"unset {FOLDER_VARIABLE} and data_home to have it downloaded"
    )


def named_folder(data_home: str | os.PathLike[str] | None) -> Path | None:
    """The caller's folder: ``data_home``, else the one that ``PYRO_MNAR_DATA`` names, else None."""
    folder = data_home if data_home is not None else os.environ.get(FOLDER_VARIABLE) or None
    return None if folder is None else Path(folder)


def checked(path: Path, sha256: str, original: str) -> Path:
    """The path of a file with this checksum; ChecksumError names what it has, and the ``original`` to replace it by."""
    found = _sha256(path)
    if found != sha256:
        raise ChecksumError(
            f"{path} has sha256 {found}, not {sha256}: it is damaged or another version; replace it by {original}"
        )
    return path


def _sha256(path: str | os.PathLike[str]) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(source: SourceFile, cache: Path | None = None) -> Path:
    """Give the file in the cache folder, downloading it if it is not there or differs from its checksum.

    The bytes go to a temporary file that takes the final name only once its checksum is right, so that processes that
    download at the same time each end with a whole file. Addresses are tried in turn. ``cache`` is made if need be;
    None is the operating system's cache folder.

    Raises
    ------
    ChecksumError
        If what arrived differs from what was expected; the message names both sums.
    DownloadError
        If no address could be reached.
    DatasetError
        If the cache cannot be written, or the extra ``studies`` is not installed.
    """
    pooch, exceptions = needed("pooch"), needed("requests.exceptions")
    cache = Path(pooch.os_cache("pyro_mnar")) if cache is None else cache
    failures: list[str] = []
    wrong_content = False
    for address in source.addresses:
        try:
            pooch.retrieve(
                address,
                known_hash=f"sha256:{source.sha256}",
                fname=source.name,
                path=cache,
                downloader=partial(_checked_download, source),
            )
        except ChecksumError as error:
            wrong_content = True
            failures.append(f"{address}: {error}")
        except (exceptions.RequestException, zipfile.BadZipFile, KeyError) as error:
            failures.append(f"{address}: {error}")
        except OSError as error:
            raise DatasetError(
                f"{source.name} cannot be kept in {cache} ({error}): make room or the folder writable, or put the file "
                f"into a folder of yours and name that in {FOLDER_VARIABLE}"
            ) from error
        else:
            return cache / source.name
    advice = (
        f"nothing was kept. Try again later, or fetch {source.addresses[0]} by other means and name its folder in "
        f"{FOLDER_VARIABLE} or data_home"
    )
    raise (ChecksumError if wrong_content else DownloadError)(
        f"{source.name} could not be downloaded ({'; '.join(failures)}); {advice}"
    )


def _checked_download(source: SourceFile, address: str, output_file: str, _: Any) -> None:
    """A downloader for pooch that names both checksums, and takes the file out of a .zip."""
    if address.endswith(".zip"):
        with tempfile.TemporaryDirectory() as folder:
            archive = os.path.join(folder, "archive.zip")
            complete = _fetch(address, archive)
            with zipfile.ZipFile(archive) as zipped:
                # Some archives keep it in a folder.
                inside = (name for name in zipped.namelist() if name.rsplit("/", 1)[-1] == source.name)
                with zipped.open(next(inside, source.name)) as member, open(output_file, "wb") as output:
                    shutil.copyfileobj(member, output)
    else:
        complete = _fetch(address, output_file)
    found = _sha256(output_file)
    if found != source.sha256:
        early = "" if complete else "the connection ended early, and "
        size = os.path.getsize(output_file)
        raise ChecksumError(f"{early}the {size} bytes received have sha256 {found}, not {source.sha256}")


def _fetch(address: str, output_file: str) -> bool:
    """Download, and tell whether all that was announced arrived; what did is judged by its checksum."""
    try:
        needed("pooch").HTTPDownloader()(address, output_file, None)
    except needed("requests.exceptions").ChunkedEncodingError:
        return False
    return True
