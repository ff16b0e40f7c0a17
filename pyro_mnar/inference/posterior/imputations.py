"""Multiple imputations from weighted draws, by sampling-importance-resampling with noise of each row's own."""

import torch
from torch import Tensor

from pyro_mnar.data.arguments import instance_only
from pyro_mnar.inference.posterior.draws import WeightedDraws, code_carries_weight, draw_missing
from pyro_mnar.inference.posterior.sampler import Sampler
from pyro_mnar.inference.resampling import resample
from pyro_mnar.inference.weights import psis_smooth
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.numerics.random_streams import BlockNoise

#: The site of the block of noise at which imputations are chosen.
_CHOICES = 100


def imputed_by_weight(joint: Joint, batch: Batch, draws: WeightedDraws, m: int, noise: BlockNoise) -> Tensor:
    """Some completed rows, m for each row of ``draws``: shape (r, m, p), float64, standardised.

    The draws have smoothed weights, and codes alone where these carry the weight; ``noise`` is the source of the
    choices, and of values given the code.
    """
    noise.window(draws.rows.tolist(), 0, site=_CHOICES)
    chosen = resample(draws.log_weights, m, generator=noise).unsqueeze(-1)
    if not code_carries_weight(joint, batch):
        assert draws.x is not None
        return draws.x.gather(0, chosen.expand(-1, -1, draws.x.shape[-1])).movedim(0, 1).double()
    codes = draws.z.gather(0, chosen.expand(-1, -1, draws.z.shape[-1])).double()
    joint.generator = noise
    try:
        return draw_missing(joint, batch.rows(draws.rows), codes, joint.rows_given_code(codes)).movedim(0, 1)
    finally:
        joint.generator = None


@torch.no_grad()
def imputed_by_known_weights(sampler: Sampler, log_weights: Tensor, m: int, noise: BlockNoise) -> Tensor:
    """The same for all rows, (n, m, p), where the weights of the same codes are known, (K, n): none is decoded anew."""
    batch = sampler.batch
    result = batch.x.new_empty((batch.n_rows, m, batch.x.shape[1]), device="cpu")
    for rows, z in sampler.codes(noise, m):
        place = rows.cpu()
        smooth = psis_smooth(log_weights[: len(z), place]).to(z.device)
        result[place] = imputed_by_weight(sampler.joint, batch, WeightedDraws(rows, z, None, smooth), m, noise).cpu()
    return result


def codes_by_weight(sampler: Sampler, log_weights: Tensor, m: int, generator: torch.Generator) -> Tensor:
    """Codes z that count equally, from draws of which the weights are known, shape (m, n, L)."""
    instance_only("generator", generator, torch.Generator, "a torch.Generator")
    result = torch.empty(m, log_weights.shape[1], sampler.joint.latent_dim, dtype=torch.float64)
    for rows, z in sampler.codes(sampler.point_noise()):
        place = rows.cpu()
        smooth = psis_smooth(log_weights[: len(z), place])
        chosen = resample(smooth, m, generator=generator).unsqueeze(-1)
        result[:, place] = z.cpu().gather(0, chosen.expand(-1, -1, z.shape[-1]))
    return result
