"""Files that are whole or not there: written beside their place, then moved onto it."""

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pyro_mnar.errors import InvalidInputError

#: A name that no one else gives: ours, the machine, the process, and a number of its own, before the final name.
_TEMPORARY = re.compile(r"\.pyro_mnar-([0-9a-f]{8})-(\d+)-[0-9a-f]{12}-.+", re.DOTALL)
_MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
#: Seconds after which what an unknown process wrote last counts as left behind.
_ABANDONED = 24 * 3600.0
#: Paths that this process is writing to now.
_at_work: set[Path] = set()


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of ``path`` when the block ends without an error.

    The file is there already, and empty, with the same suffix. After an error or an interrupt it is removed, and what
    was at ``path`` is as it was; after a kill the next writer into that folder removes it. InvalidInputError where
    there is no folder to put it in.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> [file.name for file in folder.iterdir()]
    ['numbers.txt']
    """
    # A link stays a link: the file that it points to is the one that is replaced.
    final = Path(path).resolve()
    check_folder_of(final)
    with temporary_path(final) as temporary:
        # Not tempfile: its files are readable by their owner alone, and would stay so.
        os.close(_opened(temporary, path))
        yield temporary
        flush(temporary)
        if final.exists():
            temporary.chmod(final.stat().st_mode)
        os.replace(temporary, final)
        flush(final.parent)


@contextlib.contextmanager
def temporary_path(final: Path) -> Iterator[Path]:
    """A free path beside ``final`` for what is to be moved there; nothing is left at it when the block ends.

    What processes that are dead left behind in that folder goes first.
    """
    sweep(final.parent)
    # File systems take names up to 255 bytes.
    end = final.name if len(os.fsencode(final.name)) <= 180 else f"file{final.suffix[:60]}"
    temporary = final.with_name(f".pyro_mnar-{_MACHINE}-{os.getpid()}-{secrets.token_hex(6)}-{end}")
    _at_work.add(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)
        _at_work.discard(temporary)


def sweep(folder: Path) -> None:
    """Remove from a folder what writers that were killed left there: by name ours, and their process is dead."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if (match := _TEMPORARY.fullmatch(path.name)) and path not in _at_work and _left_behind(path, match):
                _remove(path)


def check_destination(
    path: str | os.PathLike[str], overwrite: bool, inputs: Sequence[str | os.PathLike[str]] = ()
) -> None:
    """Find out, before anything long is done, whether a file can be written at ``path``.

    InvalidInputError where there is a file and ``overwrite`` is False, something that is no file, one of the ``inputs``
    (files, and folders with all that is in them, that are read, and so never replaced), or no folder to put it in;
    OSError where the folder cannot be written.
    """
    final = Path(path).resolve()
    for given in inputs:
        if same_place(given, path) or any(same_place(given, folder) for folder in final.parents):
            raise InvalidInputError(f"{path} is, or is in, {given}, which is read; give the output a path of its own")
    if final.exists() and not final.is_file():
        raise InvalidInputError(f"{path} is not a file that can be replaced; give the path of a file")
    if final.exists() and not overwrite:
        raise InvalidInputError(f"{path} exists; give another path, or overwrite=True to replace it")
    check_folder_of(final)
    with temporary_path(final) as probe:
        os.close(_opened(probe, path))


def same_place(a: str | os.PathLike[str], b: str | os.PathLike[str]) -> bool:
    """Whether two paths lead to one file, through links too, or differ in nothing but upper and lower case.

    Examples
    --------
    >>> same_place("table.csv", "./folder/../Table.CSV"), same_place("a.csv", "b.csv")
    (True, False)
    """
    with contextlib.suppress(OSError):
        if os.path.samefile(a, b):
            return True
    return str(Path(a).resolve()).casefold() == str(Path(b).resolve()).casefold()


def check_folder_of(path: Path) -> None:
    """See that the folder of ``path`` is there, and a folder; InvalidInputError if not."""
    if not path.parent.is_dir():
        raise InvalidInputError(f"{path.parent} is not a folder; make it first")


def sha256(path: Path) -> str:
    """Hex digest of a file's content, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Bring a file, or the entries of a folder, to the disk."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _opened(temporary: Path, shown: str | os.PathLike[str]) -> int:
    try:
        return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError as error:
        # The name that the user knows, not that of the file beside it.
        raise type(error)(error.errno, error.strerror, os.fspath(shown)) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _left_behind(path: Path, match: re.Match[str]) -> bool:
    """Whether the process that made it is dead, or, where that cannot be known, has long not written to it."""
    machine, process = match[1], int(match[2])
    if machine == _MACHINE and os.name == "posix" and (process == os.getpid() or not _is_alive(process)):
        return True
    return time.time() - path.lstat().st_mtime > _ABANDONED


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
