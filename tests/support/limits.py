"""How long something took, and how much memory it had at its height."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

SECONDS = 1.0
MEGABYTES = 64.0


class Limit:
    """A block, to be entered again and again, that may take one second and 64 MB each time; it knows the most."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.megabytes = 0.0

    def __enter__(self) -> Limit:
        # The system forgets the height of memory that there was.
        Path("/proc/self/clear_refs").write_text("5")
        self._memory = _kilobytes("VmRSS")
        self._start = time.process_time()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, place: TracebackType | None) -> None:
        seconds = time.process_time() - self._start
        megabytes = (_kilobytes("VmHWM") - self._memory) / 1024
        self.seconds, self.megabytes = max(self.seconds, seconds), max(self.megabytes, megabytes)
        assert seconds < SECONDS, f"it took {seconds:.2f} s"
        assert megabytes < MEGABYTES, f"it took {megabytes:.0f} MB"

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s and {self.megabytes:.0f} MB at most"


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
