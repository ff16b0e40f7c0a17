"""The learned chance that a cell is missing, as its value varies."""

import numpy as np
import torch

from pyro_mnar.data.columns import FloatArray, standardise
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.batch import Batch


def missing_probability(
    estimator: JointEstimator, posterior: Posterior, n_rows: int, own: list[int], grid: FloatArray
) -> FloatArray:
    """P(s = 0) of a cell set to each value of the grid, the rest of the row left, shape (n_rows, g).

    The other values are those of the first ``n_rows`` rows of ``posterior``. ``own`` are the model's columns that stand
    for the cell, and the grid their values, shape (g, len(own)), or (g,) for one, original units. InvalidInputError
    where the model has no mechanism for them.
    """
    joint, first = estimator.joint_, own[0]
    if not joint.has_mask_term or not bool(joint.active[first]):
        raise InvalidInputError(
            f"the model has no mechanism for column {estimator.columns_.names[first]!r}: it is ignorable or "
            "censored, or the column was complete in training"
        )
    like = next(joint.parameters())
    varied = np.repeat(posterior.mean()[:n_rows, None], len(grid), axis=1)
    varied[..., own] = grid.reshape(len(grid), len(own))
    # standardise knows tables of two dimensions only.
    standard = standardise(varied.reshape(-1, varied.shape[-1]), estimator.columns_).reshape(varied.shape)
    codes = posterior.codes(1, torch.Generator().manual_seed(0))[0, :n_rows, None]
    with torch.no_grad():
        x, z = torch.as_tensor(standard).to(like), codes.to(like).expand(-1, len(grid), -1)
        batch = posterior.batch.to(x.device, x.dtype).rows(slice(n_rows))
        beside = None if batch.beside is None else batch.beside[:, None]
        rows = Batch(batch.x[:, None], batch.observed[:, None], beside=beside)
        observed = joint.mask_given_row(x, z, rows, n_inner=1).bernoulli.probs[..., first]
    missing: FloatArray = (1 - observed).double().cpu().numpy()
    return missing
