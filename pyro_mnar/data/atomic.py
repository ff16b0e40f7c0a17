"""Files that are whole or not there: written beside their place, then moved onto it."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from pyro_mnar.errors import InvalidInputError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder that takes the place of ``path`` when the block ends without an error.

    After an error or an interrupt the temporary file is removed, and what was at ``path`` is as it was.

    Parameters
    ----------
    path : path
        Where the file is to be.

    Yields
    ------
    Path
        Where to write it, with the same suffix; the file is there already, and empty.

    Raises
    ------
    OSError
        The folder cannot be written, or the disk is full.

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
    temporary = final.with_name(f".{final.stem}-{secrets.token_hex(6)}{final.suffix}")
    try:
        # Not tempfile: its files are readable by their owner alone, and would stay so.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        yield temporary
        _flush_to_disk(temporary)
        if final.exists():
            temporary.chmod(final.stat().st_mode)
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def check_destination(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out, before anything long is done, whether a file can be written at ``path``.

    Parameters
    ----------
    path : path
        Where the file is to be.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InvalidInputError
        There is a file and ``overwrite`` is False, or something that is no file.
    OSError
        The folder is missing or cannot be written.
    """
    final = Path(path).resolve()
    if final.exists() and not final.is_file():
        raise InvalidInputError(f"{path} is not a file that can be replaced; give the path of a file")
    if final.exists() and not overwrite:
        raise InvalidInputError(f"{path} exists; give another path, or --force to replace it")
    probe = final.with_name(f".{final.stem}-{secrets.token_hex(6)}{final.suffix}")
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    finally:
        probe.unlink(missing_ok=True)


def _flush_to_disk(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
