"""What a process does that was started to train a model together with others: see ``processes.py``."""

import os
import pickle
import signal
import sys
import warnings

import torch
import torch.distributed as dist

from pyro_mnar.errors import one_line
from pyro_mnar.inference.processes import join
from pyro_mnar.inference.team import Team
from pyro_mnar.inference.training import fit


def main() -> None:
    """Read model and rows from stdin, say on stdout that they are there, and train until the first process ends."""
    # The first process hears of Ctrl-C; stdout is for what it waits for, and what else is printed goes to stderr.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    try:
        # Written by the process that started this one.
        size, threads, device, joint, data, settings = pickle.load(sys.stdin.buffer)
        torch.set_num_threads(threads)
        told.write(b"+")
        join(size, device)
        rows = data.to(device, data.x.dtype)
        fit(joint.to(device), rows, settings, devices=Team(dist.get_rank(), size, lambda: "the first process ended"))
    except BaseException as error:
        told.write(one_line(f"!{type(error).__name__}: {error}").encode())
        sys.exit(1)
