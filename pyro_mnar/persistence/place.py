"""The place of a saved estimator: what may be replaced there, and how, so that one valid model is there at any moment.

A new folder is written beside its place and moved there when it is whole. A model is replaced within its folder, which
may be a link and may hold other files: the new weights come under a name made of their checksum, then the checksum
file lists the old manifest and the new one, then the manifest is exchanged, which is the moment at which the new model
takes the place of the old one, and last what is no longer named goes. Whenever a kill comes, the manifest that is
there has its checksum and its weights.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyro_mnar.data.arguments import path_only, truth_value
from pyro_mnar.data.atomic import check_folder_of, flush, sha256, sweep, temporary_path
from pyro_mnar.errors import FileFormatError, InvalidInputError, one_line
from pyro_mnar.persistence.files import (
    CHECKSUM,
    FIRST_WEIGHTS,
    FORMAT,
    MANIFEST,
    VERSION,
    WEIGHTS,
    Content,
    checksum_line,
    parsed,
    read_small,
    weights_file,
    write_weights,
)


def check_place(folder: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out, before anything long is done, whether an estimator can be saved at a place.

    InvalidInputError where something is there that must not be replaced (a saved estimator may be, with ``overwrite``),
    or there is no folder to put it in.
    """
    path_only("folder", folder)
    overwrite = truth_value("overwrite", overwrite)
    final = Path(folder).resolve()
    check_folder_of(final)
    if not final.exists() or _is_empty(final):
        return
    if not overwrite:
        raise InvalidInputError(f"{folder} exists; give another place, or overwrite=True to replace a saved estimator")
    if not saved_here(final):
        raise InvalidInputError(
            f"{folder} is not a saved estimator that this version reads, so it is not replaced; give another place"
        )


def saved_here(folder: Path) -> dict[str, Any]:
    """The manifest of a folder if its content says that it is one of this package's, of a version that it reads."""
    try:
        manifest = parsed(read_small(folder / MANIFEST))
    except (FileFormatError, OSError, ValueError, RecursionError):
        return {}
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        return {}
    return manifest if manifest.get("version") in range(1, VERSION + 1) else {}


def put(content: Content, folder: str | os.PathLike[str], overwrite: bool, check: Callable[[Path], object]) -> None:
    """Write an estimator to its place, down to the disk; what was there is as it was after an OSError.

    ``check`` reads the folder that was written, before it is moved, and raises FileFormatError if it cannot be read.
    InvalidInputError is then raised, and as for :func:`check_place`.
    """
    check_place(folder, overwrite)
    final = Path(folder).resolve()
    replaced = final.exists() and not _is_empty(final)
    sweep(final.parent)
    with contextlib.ExitStack() as stack:
        alone = stack.enter_context(_alone(final)) if replaced else False
        # Within a folder that is there, and may be on a disk of its own.
        new = stack.enter_context(temporary_path(final / "model" if replaced else final))
        _write(content, new, (final / MANIFEST).stat().st_mode if replaced else None)
        try:
            check(new)
        except FileFormatError as error:
            raise InvalidInputError(
                f"the estimator cannot be saved, for it could not be loaded again ({one_line(error)}); were its "
                "parameters or attributes changed after the fit?"
            ) from error
        if replaced:
            _replace(new, final, alone)
            return
        if sys.platform == "win32" and final.exists():
            final.rmdir()
        os.rename(new, final)
        flush(final.parent)


def _write(content: Content, folder: Path, mode: int | None) -> None:
    """Make a folder with the three files; ``mode`` is that of the files, None for the system's own."""
    folder.mkdir()
    write_weights(folder / "weights", content.tensors)
    digest = sha256(folder / "weights")
    name = f"weights-{digest[:16]}.safetensors"
    os.rename(folder / "weights", folder / name)
    files = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest}}
    text = json.dumps({**content.manifest, "files": files}, indent=1, allow_nan=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8", newline="")
    (folder / CHECKSUM).write_text(checksum_line(text.encode()), encoding="utf-8", newline="")
    # safetensors makes files that their owner alone may read.
    mode = (folder / MANIFEST).stat().st_mode if mode is None else mode
    for path in folder.iterdir():
        path.chmod(mode)
        flush(path)
    flush(folder)


def _replace(new: Path, folder: Path, alone: bool) -> None:
    """Exchange the model in a folder for another, written in a folder within; nothing else is touched."""
    old = (folder / MANIFEST).read_bytes()
    text = (new / MANIFEST).read_bytes()
    name = weights_file(new, parsed(text)).name
    both = new / "both"
    both.write_text("".join({checksum_line(old): 0, checksum_line(text): 0}), encoding="utf-8", newline="")
    both.chmod((new / CHECKSUM).stat().st_mode)
    flush(both)
    for path, place in ((new / name, name), (both, CHECKSUM), (new / MANIFEST, MANIFEST), (new / CHECKSUM, CHECKSUM)):
        os.replace(path, folder / place)
        flush(folder)
    if alone:
        _remove_unnamed(folder, name, parsed(old))


def _remove_unnamed(folder: Path, named: str, old: dict[str, Any]) -> None:
    """Remove the weights of models that were here: each has its own checksum in its name, or in its manifest."""
    earlier = old["files"].get(FIRST_WEIGHTS) if isinstance(old.get("files"), dict) else None
    for path in folder.iterdir():
        if path.name == named or path.is_symlink() or not path.is_file():
            continue
        match = WEIGHTS.fullmatch(path.name)
        expected = match[1] if match else earlier.get("sha256") if path.name == FIRST_WEIGHTS and earlier else None
        if isinstance(expected, str) and expected and sha256(path).startswith(expected):
            path.unlink()


def _is_empty(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    sweep(folder)
    return not any(folder.iterdir())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Wait until no other process replaces a model in this folder; False where the system has no such locks."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            locked = True
        except OSError:
            locked = False
        yield locked
    finally:
        os.close(descriptor)
