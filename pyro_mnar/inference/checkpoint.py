"""The state of a training run in one file, replaced now and then, from which a run that was killed goes on."""

import json
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from pyro_mnar.data.atomic import replacing
from pyro_mnar.errors import FileFormatError, TrainingWarning

#: Seconds of training between two writes: what a kill can cost.
SECONDS_BETWEEN = 30.0


class Checkpoint:
    """One file, whole or not there: written beside its place, flushed to the disk and moved onto it.

    Parameters
    ----------
    folder : path
        Made if it is not there.
    name : str
        What tells this run from others; runs with different names do not meet.

    Raises
    ------
    OSError
        The folder cannot be made.

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
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.path = Path(folder) / f"fit-{name}.safetensors"
        self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the time between two writes is over."""
        return time.monotonic() - self._last >= SECONDS_BETWEEN

    def write(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Replace the file. Where that fails the old one stays, and a TrainingWarning says so: training goes on."""
        try:
            content = save(
                {key: value.cpu().contiguous() for key, value in tensors.items()}, {"run": json.dumps(values)}
            )
            with replacing(self.path) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            warnings.warn(
                f"no checkpoint could be written to {self.path} ({error.strerror or error}); training goes on, and a "
                "kill now loses what was done since the last one",
                TrainingWarning,
                stacklevel=2,
            )
        self._last = time.monotonic()

    def read(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and values of the file, or None where there is none.

        Raises
        ------
        FileFormatError
            The file is damaged.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
                values: dict[str, Any] = json.loads(file.metadata()["run"])
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise FileFormatError(
                f"the checkpoint {self.path} is damaged ({error}); delete it to start again"
            ) from error
        return tensors, values

    def remove(self) -> None:
        """Delete the file: the run is over."""
        self.path.unlink(missing_ok=True)
