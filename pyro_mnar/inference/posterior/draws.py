"""Weighted draws of one chunk of rows, made in blocks of draws within a memory budget."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from torch import Tensor, nn

from pyro_mnar.inference.importance import log_inner_weights, log_weights, paired_traces
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import GivenCode, Joint
from pyro_mnar.model.likelihoods import RowDistribution
from pyro_mnar.numerics.random_streams import BlockNoise, uniform

#: What stands in the missing cells of each draw: its exact mean given z where there is one (else the draw), that and a
#: draw beside it, a draw, or nothing (codes and weights only).
Values = Literal["mean", "mean and draw", "draw", "none"]

#: Memory for one chunk, bytes: what stays near a core, and what keeps a GPU busy.
BYTE_BUDGET, GPU_BYTE_BUDGET = 64 * 2**20, 2**30
_HALVINGS = 6
Result = TypeVar("Result")


class WeightedDraws(NamedTuple):
    """K draws of a few rows from the posterior, by importance: draw k of row i counts softmax_k(log_weights)_ik.

    Attributes
    ----------
    rows
        Which rows of the table, shape (r,).
    z
        Codes, shape (K, r, L).
    x
        Completed rows, shape (K, r, p), observed cells unchanged; None when only the codes were asked for.
    log_weights
        Shape (K, r), nats.
    drawn
        The same rows with draws of x_mis given z in the place of means, shape (K, r, p), where both were asked for.
    """

    rows: Tensor
    z: Tensor
    x: Tensor | None
    log_weights: Tensor
    drawn: Tensor | None = None

    def with_rows(self, place: Tensor, others: "WeightedDraws") -> "WeightedDraws":
        """The same, float64, with other draws of the rows at these places."""
        merged = (_with_rows(*pair, place) for pair in zip(self[1:], others[1:], strict=True))
        return WeightedDraws(self.rows, *merged)


def _with_rows(values: Tensor | None, others: Tensor | None, place: Tensor) -> Any:
    return None if values is None or others is None else values.double().index_copy(1, place, others.double())


def draw_chunk(
    joint: Joint,
    batch: Batch,
    rows: Tensor,
    proposal: TorchDistribution | None,
    noise: BlockNoise,
    n_draws: int,
    first_draw: int,
    draws_at_once: int,
    values: Values,
) -> WeightedDraws:
    """Weighted draws of the rows ``rows`` of the table, ``batch`` holding these alone."""
    given: GivenCode | None = None

    def guide(batch: Batch) -> None:
        nonlocal given
        joint.guide(batch, proposal)
        given = joint.last_code

    parts: list[WeightedDraws] = []
    for start in range(0, n_draws, draws_at_once):
        count = min(draws_at_once, n_draws - start)
        joint.generator = noise.window(rows.tolist(), first_draw + start)
        try:
            model_trace, guide_trace = paired_traces(joint.model, guide, batch, count)
            log_w = log_weights(model_trace, guide_trace, (count, batch.n_rows))
            z = model_trace.nodes["z"]["value"]
            assert given is not None
            x, drawn = _completed(joint, batch, model_trace, given, values)
        finally:
            joint.generator = None
        parts.append(WeightedDraws(rows, z, x, log_w, drawn))
    _, *of_each_draw = zip(*parts, strict=True)
    return WeightedDraws(rows, *map(_put_together, of_each_draw))


def _put_together(parts: tuple[Tensor | None, ...]) -> Any:
    whole = [part for part in parts if part is not None]
    return torch.cat(whole) if whole else None


def draw_missing(joint: Joint, batch: Batch, z: Tensor, rows: RowDistribution) -> Tensor:
    """Rows completed with one draw of x_mis for each code, from p(x_mis | z, s, x_obs), shape (K, n, p).

    For models in which z carries the whole weight: see :func:`code_carries_weight`.
    """
    return torch.where(batch.observed, batch.x, joint.missing_given_code(z, rows, batch).rsample())


def code_carries_weight(joint: Joint, batch: Batch) -> bool:
    """Whether the weight is a function of z alone, so that x_mis can be drawn, or averaged, after it."""
    target = joint.head is not None and batch.y is not None
    return not target and (joint.collapsed or not joint.has_mask_term)


def _completed(
    joint: Joint, batch: Batch, model_trace: poutine.Trace, given: GivenCode, values: Values
) -> tuple[Tensor | None, Tensor | None]:
    """The completed rows to average, never by the decoder's means, which ignore s; and draws beside exact means."""
    if values == "none":
        return None, None
    if "x_mis" in model_trace.nodes:
        return torch.where(batch.observed, batch.x, _among_inner_draws(joint, model_trace, values)), None
    if values == "draw":
        return draw_missing(joint, batch, given.z, given.rows), None
    part = joint.missing_given_code(given.z, given.rows, batch)
    drawn = torch.where(batch.observed, batch.x, part.rsample()) if values == "mean and draw" else None
    return torch.where(batch.observed, batch.x, part.mean), drawn


def _among_inner_draws(joint: Joint, model_trace: poutine.Trace, values: Values) -> Tensor:
    """The draw of x_mis; of several, their weighted mean, or one chosen by weight."""
    x_mis: Tensor = model_trace.nodes["x_mis"]["value"]
    log_inner = log_inner_weights(model_trace)
    if log_inner is None:
        return x_mis
    share = torch.softmax(log_inner, -1)
    if values != "draw":
        return (share.unsqueeze(-1) * x_mis).sum(-2)
    level = uniform((*share.shape[:-1], 1), share, joint.generator)
    chosen = (share.cumsum(-1) < level).sum(-1, keepdim=True).clamp(max=share.shape[-1] - 1)
    index = chosen.unsqueeze(-1).expand(*chosen.shape, x_mis.shape[-1])
    return x_mis.gather(-2, index).squeeze(-2)


def cell_bytes(joint: Joint, batch: Batch) -> int:
    """About how much memory one draw of one row takes while it is made, bytes."""
    sizes: list[int] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel())

    hooks = [module.register_forward_hook(note) for module in joint.decoder.modules()]
    try:
        with torch.no_grad():
            joint.decoder(batch.x.new_zeros(1, 1, joint.latent_dim))
    finally:
        for hook in hooks:
            hook.remove()
    # Inside the network no more than two layers are held at a time.
    widest = 2 * max(sizes, default=0)
    return batch.x.element_size() * (widest + (12 + 4 * joint.n_inner) * batch.x.shape[1] + 4 * joint.latent_dim)


def within_memory(function: Callable[[int], Result], byte_budget: int) -> Result:
    """``function(bytes)``, with half the budget each time that memory runs out, up to six times."""
    for _ in range(_HALVINGS):
        try:
            return function(byte_budget)
        except (MemoryError, torch.OutOfMemoryError):
            pass
        except RuntimeError as error:
            # torch's CPU allocator has no error class of its own.
            if "can't allocate memory" not in str(error):
                raise
        byte_budget = max(1, byte_budget // 2)
    return function(byte_budget)
