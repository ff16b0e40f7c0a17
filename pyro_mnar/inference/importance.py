r"""From the traces of a model/guide pair to per-row log importance weights, and the bound that is trained.

    log w_ik = sum of the model's log densities - sum of the guide's,  one number for each draw k and row i
    L_K      = sum_i E[ log 1/K sum_k w_ik ]  <=  sum_i log p(x_obs_i, s_i [, y_i]),  non-decreasing in K

Log weights are computed here and nowhere else; training, imputation, prediction and diagnostics all consume them.
"""

import functools
import math
import threading
from collections.abc import Callable
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from pyro import poutine
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.infer import RenyiELBO
from pyro.poutine.indep_messenger import IndepMessenger
from torch import Tensor

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import MaskGivenRow
from pyro_mnar.numerics.distributions import DiagonalNormal, WithChoices

Gradient = Literal["standard", "dreg"]
PairFunction = Callable[[Batch], None]
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

# Pyro keeps its handlers in one list for the whole process: while one thread traces, others must wait.
_TRACING = threading.RLock()


def _one_thread_at_a_time(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    @functools.wraps(function)
    def alone(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with _TRACING:
            return function(*args, **kwargs)

    return alone


@_one_thread_at_a_time
def paired_traces(
    model: PairFunction, guide: PairFunction, batch: Batch, n_draws: int
) -> tuple[poutine.Trace, poutine.Trace]:
    """Traces of the model, replayed on the guide's draws, and of the guide, with ``n_draws`` draws in dimension -2."""
    with _Draws(n_draws) as guide_draws:
        guide(batch)
    with _Draws(n_draws, replayed=guide_draws.trace) as model_draws:
        model(batch)
    return model_draws.trace, guide_draws.trace


def log_weights(
    model_trace: poutine.Trace, guide_trace: poutine.Trace, shape: tuple[int, int], stop_proposal_gradient: bool = False
) -> Tensor:
    """Log importance weights, shape (K, n), in nats.

    Parameters
    ----------
    model_trace, guide_trace : Trace
        From :func:`paired_traces`.
    shape : tuple
        (K, n); every site must have a log density of this shape, since a site outside the row plate would silently turn
        the bound into a far looser one.
    stop_proposal_gradient : bool
        Treat the parameters of q(z|x_obs) as constants in its density (the doubly reparameterised gradient).

    Raises
    ------
    UnsupportedModelError
        A site whose log density has another shape.
    """
    total: Tensor | float = 0.0
    for name, site in model_trace.nodes.items():
        if not _is_drawn(site):
            continue
        proposal = guide_trace.nodes.get(name)
        if proposal is not None and site["fn"] is proposal["fn"]:
            continue  # The guide draws this site from the model's own distribution: the densities cancel.
        total = total + _site_log_prob(name, site["fn"], site["value"], shape)
        if proposal is not None:
            q = proposal["fn"]
            if stop_proposal_gradient:
                if not isinstance(q, DiagonalNormal):
                    raise UnsupportedModelError("gradient='dreg' needs a proposal q(z|x_obs) that is a DiagonalNormal")
                q = q.detached()
            total = total - _site_log_prob(name, q, proposal["value"], shape)
    assert isinstance(total, Tensor)
    return total


def log_inner_weights(model_trace: poutine.Trace) -> Tensor | None:
    """Log weights of the inner draws of x_mis given z, shape (K, n, M), not normalised; None where there is one draw.

    Given s (and y), the draws x_1 .. x_M of one z are not equally likely: each counts by p(s|x_m) p(y|x_m).
    """
    nodes = model_trace.nodes
    if "x_mis" not in nodes or nodes["x_mis"]["value"].ndim < 4:
        return None
    total: Tensor = nodes["x_mis"]["value"].new_zeros(nodes["x_mis"]["value"].shape[:-1])
    if "s" in nodes and isinstance(nodes["s"]["fn"], MaskGivenRow):
        total = total + nodes["s"]["fn"].log_prob_inner(nodes["s"]["value"])
    if "y" in nodes:
        total = total + nodes["y"]["fn"].component_distribution.log_prob(nodes["y"]["value"].unsqueeze(-1))
    return total


class ImportanceBound(RenyiELBO):
    r"""The importance-weighted bound per row, with gradients that a torch optimiser can use.

    Equal to ``RenyiELBO(alpha=0, num_particles=K, vectorize_particles=True)`` in value, for pairs whose sites all lie
    in one plate of rows. It adds ``differentiable_loss`` (so ``bound(model, guide)`` is an ``ELBOModule`` that can be
    trained) and ``row_bounds``, and computes each cancelling density not twice but never.

    Parameters
    ----------
    n_draws : int
        K.
    gradient : {"standard", "dreg"}
        "standard" is the reparameterised gradient of the bound. "dreg" is the doubly reparameterised one: unbiased too,
        and its signal-to-noise ratio for the encoder does not vanish as K grows; prefer it for large K. The gradient of
        decoder, likelihood and mechanism is the same.

    References
    ----------
    Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519; Rainforth et al. 2018, arXiv:1802.04537; Tucker et al. 2019,
    arXiv:1810.04152, equation 8.
    """

    def __init__(self, n_draws: int, gradient: Gradient = "standard") -> None:
        super().__init__(alpha=0, num_particles=n_draws, max_plate_nesting=1, vectorize_particles=True)
        self.gradient = gradient

    def row_bounds(self, model: PairFunction, guide: PairFunction, batch: Batch) -> Tensor:
        """Log 1/K sum_k w_ik for each row, shape (n,), in nats."""
        shape = (self.num_particles, batch.n_rows)
        return log_mean(log_weights(*paired_traces(model, guide, batch, self.num_particles), shape))

    @torch.no_grad()
    def loss(self, model: PairFunction, guide: PairFunction, batch: Batch) -> float:
        """Minus the bound, summed over rows, in nats."""
        return -self.row_bounds(model, guide, batch).sum().item()

    def differentiable_loss(self, model: PairFunction, guide: PairFunction, batch: Batch) -> Tensor:
        """Minus the bound, summed over rows, in nats, with the gradient that ``gradient`` names."""
        shape = (self.num_particles, batch.n_rows)
        traces = paired_traces(model, guide, batch, self.num_particles)
        choices = choice_log_prob(traces[1])
        if self.gradient == "standard":
            log_w = log_weights(*traces, shape)
            loss = -log_mean(log_w).sum()
            return loss if choices is None else loss - score_surrogate(log_w.detach(), choices)
        if choices is not None:
            raise UnsupportedModelError(
                "gradient='dreg' has no form for proposals that make discrete choices (binary or categorical cells, or "
                "the logistic link, with a head or a sampled mask term); use gradient='standard'"
            )
        weights = log_weights(*traces, shape, stop_proposal_gradient=True)
        normalised = torch.softmax(weights.detach(), dim=0)
        z = traces[1].nodes["z"]["value"]
        if z.requires_grad:
            # sum_k a_k d/dtheta log w_k through the parameters, sum_k a_k^2 d log w_k/dz dz/dphi through z.
            z.register_hook(lambda grad: grad * normalised.unsqueeze(-1))
        surrogate = (normalised * weights).sum()
        return -(log_mean(weights.detach()).sum() + surrogate - surrogate.detach())

    def loss_and_grads(self, model: PairFunction, guide: PairFunction, batch: Batch) -> float:
        """Minus the bound, after adding its gradient to the parameters' ``grad``."""
        loss = self.differentiable_loss(model, guide, batch)
        loss.backward()
        return loss.item()


def log_mean(log_w: Tensor) -> Tensor:
    """Log 1/K sum_k exp(log_w_k) over the first axis."""
    return log_w.logsumexp(0) - math.log(log_w.shape[0])


def choice_log_prob(guide_trace: poutine.Trace) -> Tensor | None:
    """Log probability of the discrete choices in the guide's draws, shape (K, n); None if it makes none."""
    found: Tensor | None = None
    for site in guide_trace.nodes.values():
        if _is_drawn(site) and isinstance(site["fn"], WithChoices):
            term = site["fn"].choice_log_prob(site["value"])
            if term.requires_grad:
                found = term if found is None else found + term
    return found


def score_surrogate(log_w: Tensor, choices: Tensor) -> Tensor:
    r"""Zero, with the gradient that the path derivative of the bound leaves out where draws make discrete choices.

    .. math:: \sum_{ik} \Big( \log \tfrac1K \sum_l w_{il} - \log \tfrac1{K-1} \sum_{l \ne k} w_{il} \Big)
              \nabla \log r(c_{ik}), \quad r \text{ the probability of the choices } c_{ik} \text{ given } z_{ik}

    Unbiased: what is subtracted does not depend on draw k, and keeps the factor of order 1/K. One draw (K = 1) has
    no others to compare with, and gets the plain score function.

    Parameters
    ----------
    log_w, choices
        Shape (K, n); ``log_w`` without gradient.

    References
    ----------
    Mnih & Rezende 2016, "Variational inference for Monte Carlo objectives", arXiv:1602.06725, equation 5.
    """
    n_draws = log_w.shape[0]
    signal = log_mean(log_w).expand_as(log_w)
    if n_draws > 1:
        itself = torch.eye(n_draws, dtype=torch.bool, device=log_w.device).unsqueeze(-1)
        others = torch.where(itself, -torch.inf, log_w).logsumexp(1) - math.log(n_draws - 1)
        signal = signal - others
    surrogate = (signal * choices).sum()
    return surrogate - surrogate.detach()


class _Draws(IndepMessenger):
    """A plate of draws in dimension -2, ``poutine.trace`` and ``poutine.replay`` in one, without subsampling.

    It does per site what the three handlers do, at a fraction of their price, which counts in small batches.
    """

    def __init__(self, n_draws: int, replayed: poutine.Trace | None = None) -> None:
        super().__init__("draws", n_draws, dim=-2)
        self.trace = poutine.Trace()
        self.replayed = {} if replayed is None else replayed.nodes

    def _process_message(self, msg: Any) -> None:
        super()._process_message(msg)
        if not _is_drawn(msg):
            return
        rows = msg["fn"].batch_shape[-1:] or (1,)
        msg["fn"] = msg["fn"].expand((self.size, *rows))
        drawn = self.replayed.get(msg["name"])
        if drawn is not None and not msg["is_observed"]:
            msg["value"], msg["infer"], msg["done"] = drawn["value"], drawn["infer"], True

    def _postprocess_message(self, msg: Any) -> None:
        if _is_drawn(msg):
            self.trace.add_node(msg["name"], **msg)


def _is_drawn(site: Any) -> bool:
    return site["type"] == "sample" and isinstance(site["fn"], TorchDistributionMixin)


def _site_log_prob(name: str, fn: object, value: Tensor, shape: tuple[int, int]) -> Tensor:
    log_prob: Tensor = fn.log_prob(value)  # type: ignore[attr-defined]
    if log_prob.shape != shape:
        raise UnsupportedModelError(
            f"site {name!r} has a log density of shape {tuple(log_prob.shape)}; each site must lie in the plate of "
            f"rows and give one number per draw and row, shape {shape}"
        )
    return log_prob
