"""Ask the fitted pair: conditional means of the missing cells by self-normalised importance sampling."""

import torch
from torch import Tensor

from pyro_mnar.batch import Batch
from pyro_mnar.importance import log_mean, log_weights, paired_traces
from pyro_mnar.joint import Joint

BYTE_BUDGET = 256 * 2**20


@torch.no_grad()
def posterior_mean(joint: Joint, batch: Batch, n_draws: int, seed: int) -> tuple[Tensor, Tensor]:
    r"""E[x_mis | x_obs, s] ~ sum_k a_ik x_mis_ik in missing cells, and log p(x_obs, s) per row.

    Averages the DRAWS of x_mis, or their exact mean given z where there is one; never the decoder means, which ignore
    that s and x_mis of one draw depend on each other.

    Returns
    -------
    completed : Tensor
        Shape (n, p), standardised scale; observed cells as in ``batch``.
    log_evidence : Tensor
        Shape (n,), nats.
    """
    rows_at_once = max(1, BYTE_BUDGET // (n_draws * batch.x.shape[1] * batch.x.element_size() * 8))
    completed, evidence = [], []
    joint.generator = torch.Generator(batch.x.device).manual_seed(seed)
    try:
        for start in range(0, batch.n_rows, rows_at_once):
            part = batch.rows(slice(start, start + rows_at_once))
            model_trace, guide_trace = paired_traces(joint.model, joint.guide, part, n_draws)
            log_w = log_weights(model_trace, guide_trace, (n_draws, part.n_rows))
            values = missing_values(joint, part, model_trace)
            mean = torch.einsum("kn,knp->np", torch.softmax(log_w, 0), values)
            completed.append(torch.where(part.observed, part.x, mean))
            evidence.append(log_mean(log_w))
    finally:
        joint.generator = None
    return torch.cat(completed), torch.cat(evidence)


def missing_values(joint: Joint, batch: Batch, model_trace: object) -> Tensor:
    """What to average for E[x_mis]: given z, the exact mean if known, else the draw that the weight belongs to."""
    nodes = model_trace.nodes  # type: ignore[attr-defined]
    if "x_mis" in nodes:
        x_mis: Tensor = nodes["x_mis"]["value"]
        return x_mis if joint.n_inner == 1 else x_mis.mean(-2)
    rows = joint.likelihood(joint.decoder(nodes["z"]["value"]))
    return joint.missing_given_code(rows, batch).mean if joint.collapsed else rows.mean
