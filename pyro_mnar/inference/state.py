"""The state of a training run: whose it is, and whether what a file holds is one."""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor

from pyro_mnar import __version__
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint

#: Plain values of a run that its state holds.
PLAIN = ("best_bound", "stale", "step", "rows", "skipped", "skipped_in_a_row", "slowed")


def fingerprint(joint: Joint, data: Batch, settings: object) -> str:
    """The name of a run: a hash of its data, settings, initial weights and versions, as 16 hex digits."""
    digest = hashlib.sha256(f"{settings} {joint} {torch.__version__} {__version__}".encode())
    for name, tensor in {**data._asdict(), **joint.state_dict()}.items():
        if tensor is not None:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def check_state(run: Any, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """See that a state is one of this run's; weights, best weights and moments have the shapes of the pair's."""
    for name in PLAIN:
        if type(values[name]) is not type(getattr(run, name)) or (name != "best_bound" and values[name] < 0):
            raise ValueError(f"{name} is {values[name]!r}")
    order, rows = tensors["order"], run.train.n_rows
    if order.dtype != torch.int64 or order.ndim != 1 or not ((order >= 0) & (order < rows)).all():
        raise ValueError(f"its order is not one of {rows} rows")
    if tensors["total"].shape != () or not math.isfinite(tensors["total"]):
        raise ValueError("its sum is not a finite number")
    weights = run.joint.state_dict()
    for prefix in ("joint.", "best.", "anchor."):
        part = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        if part.keys() != weights.keys() and (part or prefix == "joint."):
            raise ValueError(f"it does not hold the weights {prefix}*")
        for key, value in part.items():
            if (value.shape, value.dtype) != (weights[key].shape, weights[key].dtype) or not value.isfinite().all():
                raise ValueError(f"{prefix}{key} is not a finite weight of this model")
    shapes = [parameter.shape for group in run.optimiser.param_groups for parameter in group["params"]]
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, index, name = key.split(".")
            if value.shape != (() if name == "step" else shapes[int(index)]) or not value.isfinite().all():
                raise ValueError(f"{key} is not of this model")
    history = [tensors[f"history.{name}"] for name in vars(run.history)]
    if len(history) != sum(key.startswith("history.") for key in tensors):
        raise ValueError("its history has other parts")
    if any(entries.ndim != (2 if len(entries) and i > 2 else 1) for i, entries in enumerate(history)):
        raise ValueError("its history has other shapes")
