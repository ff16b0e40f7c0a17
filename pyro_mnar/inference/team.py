"""Processes that train one model together: each takes a part of every batch, and their gradients are added up.

Weights, optimiser and random numbers are the same in all of them, so that a step differs from that of one process in
the order in which a sum is taken, and nothing else. Gradients travel in one piece: these models are small.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pyro_mnar.errors import LostProcessError, one_line
from pyro_mnar.model.batch import Batch
from pyro_mnar.numerics.random_streams import PartNoise


class Team:
    """One of the processes that train together, which torch.distributed has brought into touch.

    ``rank`` is its number, from 0, of ``size`` in all; ``who`` says what is known of the others once one of them is
    gone.
    """

    def __init__(self, rank: int, size: int, who: Callable[[], str]) -> None:
        self.rank, self.size, self.who = rank, size, who

    def own_rows(self, batch: Batch, noise: torch.Generator) -> tuple[Batch, float]:
        """The rows of a batch that are for this process, and their weight.

        It is 0 where there are fewer rows than processes, and none is left: a row that is another's keeps the random
        numbers of all in step. ``noise`` becomes that of these rows.
        """
        assert isinstance(noise, PartNoise)
        n = batch.n_rows
        first, stop = n * self.rank // self.size, n * (self.rank + 1) // self.size
        noise.rows, noise.n_rows = slice(first, stop) if stop > first else slice(0, 1), n
        return batch.rows(noise.rows), float(stop > first)

    def add_up(self, loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """The sum of all losses; the gradients of the parameters become the sums of all gradients."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        together = torch.cat([loss.reshape(1), *(gradient.reshape(-1) for gradient in gradients)])
        self._all(dist.all_reduce, together)
        total, *summed = together.split([1, *(parameter.numel() for parameter in parameters)])
        for parameter, gradient in zip(parameters, summed, strict=True):
            parameter.grad = gradient.view_as(parameter)
        return total[0]

    def total(self, number: float, like: Tensor) -> float:
        """The sum of a number of each process."""
        together = torch.tensor([number], dtype=torch.float64, device=like.device)
        self._all(dist.all_reduce, together)
        return float(together)

    def each(self, value: Any) -> list[Any]:
        """What each process has."""
        found: list[Any] = [None] * self.size
        self._all(dist.all_gather_object, found, value)
        return found

    def _all(self, work: Callable[..., object], *values: Any) -> None:
        try:
            work(*values)
        except RuntimeError as error:
            raise LostProcessError(f"{self.who()} ({one_line(error, 200)})") from error
