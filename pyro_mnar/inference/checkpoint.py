"""The state of a training run in one file, replaced now and then, from which a run that was killed goes on.

The file is a safetensors file of the run's tensors. Its header names the format, its version and the run, and holds
the sha256 of the whole file, with zeros in the place of that sum itself: a byte that was changed is found before
anything is taken from the file.
"""

import hashlib
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from pyro_mnar.data.atomic import replacing
from pyro_mnar.errors import FileFormatError, InvalidInputError, TrainingWarning, one_line

#: Seconds of training between two writes: what a kill can cost.
SECONDS_BETWEEN = 30.0
FORMAT = "pyro_mnar.checkpoint"
VERSION = "1"
#: No header of a checkpoint comes near it (bytes).
_LARGEST_HEADER = 2**22
_ZEROS = "0" * 64
_SUM = re.compile(rb'"sha256":"([0-9a-f]{64})"')

Restore = Callable[[dict[str, Tensor], dict[str, Any]], None]


class Checkpoint:
    """One file, whole or not there: written beside its place, flushed to the disk and moved onto it.

    Runs with different names do not touch each other's files. The folder is made if it is not there; InvalidInputError
    where something else is.

    Examples
    --------
    >>> import tempfile, torch
    >>> checkpoint = Checkpoint(tempfile.mkdtemp(), "run")
    >>> checkpoint.write({"weight": torch.ones(2)}, {"epoch": 3})
    >>> checkpoint.read()
    ({'weight': tensor([1., 1.])}, {'epoch': 3})
    >>> checkpoint.remove()
    >>> checkpoint.read() is None
    True
    """

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InvalidInputError(f"checkpoint_dir is {folder}, which is not a folder; give a folder") from error
        self.name = name
        self.path = Path(folder) / f"fit-{name}.safetensors"
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the time between two writes is over."""
        return time.monotonic() - self._last >= SECONDS_BETWEEN

    def write(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Replace the file. Where that fails the old one stays, and a TrainingWarning says so: training goes on."""
        header = {"format": FORMAT, "version": VERSION, "name": self.name, "sha256": _ZEROS, "run": json.dumps(values)}
        try:
            content = save({key: value.cpu().contiguous() for key, value in tensors.items()}, header)
            (place,) = _SUM.finditer(content[: 8 + int.from_bytes(content[:8], "little")])
            digest = hashlib.sha256(content).hexdigest().encode()
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                # In parts: the content is not held twice.
                for part in (memoryview(content)[: place.start(1)], digest, memoryview(content)[place.end(1) :]):
                    file.write(part)
        except (OSError, InvalidInputError) as error:
            reason = getattr(error, "strerror", None) or error
            warnings.warn(
                f"no checkpoint could be written to {self.path} ({reason}); training goes on, and a "
                "kill now loses what was done since the last one",
                TrainingWarning,
                stacklevel=2,
            )
        self._last = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and values of the file, or None where there is none.

        FileFormatError where it is damaged, was changed, or is of another run or version.
        """
        if not os.path.lexists(self.path):
            return None
        try:
            self._check_sum()
            with safe_open(self.path, framework="pt") as file:
                found = file.metadata() or {}
                expected = {"format": FORMAT, "version": VERSION, "name": self.name}
                wrong = {key: found.get(key) for key, value in expected.items() if found.get(key) != value}
                if wrong:
                    raise ValueError(f"it has {wrong} where {expected} is needed")
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
                values: dict[str, Any] = json.loads(found["run"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._damaged(error) from error
        return tensors, values

    def resume(self, restore: Restore) -> None:
        """Give what the file holds to ``restore``; do nothing where there is no file.

        FileFormatError as for :meth:`read`, and where the file does not hold what ``restore`` needs.
        """
        found = self.read()
        if found is None:
            return
        try:
            restore(*found)
        # Whatever goes wrong, it is the file that does not fit.
        except Exception as error:
            raise self._damaged(error) from error

    def remove(self) -> None:
        """Delete the file: the run is over."""
        self.path.unlink(missing_ok=True)

    def _damaged(self, error: Exception) -> FileFormatError:
        reason = one_line(error)
        return FileFormatError(f"the checkpoint {self.path} is damaged ({reason}); delete it to start again")

    def _check_sum(self) -> None:
        if not self.path.is_file():
            raise ValueError("it is no file")
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            start = file.read(8)
            size = int.from_bytes(start, "little")
            if len(start) < 8 or size > _LARGEST_HEADER:
                raise ValueError("it does not start as a checkpoint does")
            header = file.read(size)
            sums = list(_SUM.finditer(header))
            if len(sums) != 1:
                raise ValueError("it has no checksum")
            digest.update(start + header[: sums[0].start(1)] + _ZEROS.encode() + header[sums[0].end(1) :])
            while part := file.read(2**20):
                digest.update(part)
        if digest.hexdigest().encode() != sums[0][1]:
            raise ValueError(f"its content has the sha256 {digest.hexdigest()}, not the one that it names")


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's state."""
    return {name: value.clone() for name, value in module.state_dict().items()}
