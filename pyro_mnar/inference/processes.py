"""The processes that train a model together: started here, or by whoever started this one too.

This process is the first of them. The others are fresh interpreters (a fork of a process in which torch has threads
would never end), which get the model and the rows in a file, so that scripts need no guard and notebooks do.
They hold nothing that this one has not: when training ends, or one of them does, all of them are done away with.
Devices and the group of processes are set up by Lightning Fabric.
"""

import copy
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from pyro_mnar.data.foreign import imported
from pyro_mnar.errors import InvalidInputError, LostProcessError, UnsupportedModelError
from pyro_mnar.inference.interrupts import interrupts_wait
from pyro_mnar.inference.team import Team
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint

#: A number of processes, a launched ``lightning_fabric.Fabric``, or (in the processes that are started here) the team.
Devices = Any
#: How long one process waits for the others.
PATIENCE = timedelta(minutes=10)
#: What a process says when it has all that it needs, and before what went wrong.
_READY, _FAILED = b"+", b"!"


@contextmanager
def together(devices: Devices, joint: Joint, data: Batch, settings: Any) -> Iterator[Team | None]:
    """Those with whom this process trains within the block; None where it is alone. Arguments as for ``training.fit``.

    InvalidInputError as for :func:`check_devices`, UnsupportedModelError for rows with limits, and LostProcessError
    where a process could not start, or ended.
    """
    if isinstance(devices, Team):
        yield devices
        return
    check_devices(devices, data.x.device)
    size = devices if isinstance(devices, int) else devices.world_size
    if size == 1:
        yield None
        return
    if data.limits is not None:
        raise UnsupportedModelError(
            "tables with values that are known to lie within limits are trained in one process, since how many random "
            "numbers a step takes depends on its rows there; leave 'devices' at 1"
        )
    if isinstance(devices, int):
        with _started(size, joint, data, settings) as team:
            yield team
    else:
        yield Team(devices.global_rank, size, lambda: f"another of the {size} processes ended")


def check_devices(devices: Devices, device: torch.device) -> None:
    """See that processes can train together on a device, before anything is started.

    InvalidInputError where Fabric is not installed or not launched, there are not so many devices, or they cannot train
    together.
    """
    if isinstance(devices, int) and devices == 1:
        return
    needed("lightning_fabric")
    wrong = _wrong_number(devices, device) if isinstance(devices, int) else _wrong_fabric(devices, device)
    if wrong:
        raise InvalidInputError(f"devices is {devices if isinstance(devices, int) else 'a Fabric'}, {wrong}")


def _wrong_number(devices: int, device: torch.device) -> str:
    if str(device) not in ("cpu", "cuda"):
        return f"and device is {str(device)!r}; several need 'cpu' or 'cuda', without a number"
    if device.type == "cuda" and devices > torch.cuda.device_count():
        return f"but {torch.cuda.device_count()} GPUs are here"
    if dist.is_initialized():
        return "but torch.distributed runs already in this process; give the launched Fabric that it belongs to"
    return ""


def _wrong_fabric(fabric: Any, device: torch.device) -> str:
    if fabric.world_size > 1 and not dist.is_initialized():
        return "which is not launched; call its launch() first, in every process"
    strategy, precision = type(fabric.strategy).__name__, fabric.strategy.precision.precision
    if fabric.world_size > 1 and (strategy != "DDPStrategy" or precision != "32-true"):
        return f"with {strategy} and precision {precision!r}; models are trained with strategy='ddp' and '32-true'"
    return "" if fabric.device.type == device.type else f"on {fabric.device.type!r}, but device is {str(device)!r}"


def needed(module: str) -> Any:
    """Lightning Fabric, or a part of it; InvalidInputError where it is not installed."""
    return imported(module, "several processes are trained with Lightning Fabric", "parallel")


def join(size: int, device_type: str) -> None:
    """Get in touch with the other processes; this one's number and their address are in the environment."""
    fabric, strategies = needed("lightning_fabric.accelerators"), needed("lightning_fabric.strategies")
    cuda = device_type == "cuda"
    devices = [torch.device("cuda", place) if cuda else torch.device("cpu") for place in range(size)]
    strategy = strategies.DDPStrategy(
        accelerator=fabric.CUDAAccelerator() if cuda else fabric.CPUAccelerator(),
        parallel_devices=devices,
        cluster_environment=needed("lightning_fabric.plugins.environments").LightningEnvironment(),
        timeout=PATIENCE,
    )
    log = logging.getLogger("lightning_fabric")
    level = log.level
    log.setLevel(logging.WARNING)
    try:
        strategy.setup_environment()
    finally:
        log.setLevel(level)


@contextmanager
def _started(size: int, joint: Joint, data: Batch, settings: Any) -> Iterator[Team]:
    threads, before = torch.get_num_threads(), dict(os.environ)
    share = max(1, threads // size)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0", "LOCAL_RANK": "0"}
    code = f"import sys; sys.path[:] = {sys.path!r}; from pyro_mnar.inference.helper import main; main()"
    # What a notebook or script defines travels by value: the other processes do not run it.
    content = (size, share, data.x.device.type, copy.deepcopy(joint).cpu(), data.to("cpu", data.x.dtype), settings)
    others: list[subprocess.Popen[bytes]] = []
    try:
        with ExitStack() as stack:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run"
            path.write_bytes(needed("cloudpickle").dumps(content))
            for rank in range(1, size):
                own = {**os.environ, **address, "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": str(share)}
                command, file = [sys.executable, "-c", code], stack.enter_context(path.open("rb"))
                other = subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, env=own)
                others.append(stack.enter_context(other))
                stack.callback(other.kill)
            for other in others:
                assert other.stdout is not None
                if other.stdout.read(1) != _READY:
                    raise LostProcessError(_who_ended(others))
            os.environ.update(address)
            torch.set_num_threads(share)
            join(size, data.x.device.type)
            yield Team(0, size, lambda: _who_ended(others))
    finally:
        with interrupts_wait():
            if dist.is_initialized():
                dist.destroy_process_group()
            torch.set_num_threads(threads)
            for name in address:
                os.environ.pop(name, None)
            os.environ.update({name: before[name] for name in address if name in before})


def _who_ended(others: Sequence["subprocess.Popen[bytes]"], patience: float = 5.0) -> str:
    """Which process ended, and how."""
    size = len(others) + 1
    for rank, other in enumerate(others, start=1):
        try:
            code = other.wait(patience if rank == 1 else 0)
        except subprocess.TimeoutExpired:
            continue
        if code < 0:
            return f"process {rank} of {size} was ended by the signal {signal.Signals(-code).name}"
        said = b"" if other.stdout is None else other.stdout.read().lstrip(_FAILED)
        return f"process {rank} of {size} ended: {said.decode(errors='replace') or f'exit code {code}'}"
    return f"one of {size} processes does not answer"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
