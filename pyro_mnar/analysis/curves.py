"""The learned chance that a cell is missing, as its value varies."""

import numpy as np
import torch

from pyro_mnar.data.columns import FloatArray, standardise
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.inference.posterior import Posterior


def missing_probability(
    estimator: JointEstimator, posterior: Posterior, n_rows: int, j: int, grid: FloatArray
) -> FloatArray:
    """P(s_j = 0) with column j set to each value of the grid and the rest of the row left.

    Parameters
    ----------
    estimator : JointEstimator
        Fitted, with a mechanism for column j.
    posterior : Posterior
        Of the rows from which the other values are taken.
    n_rows : int
        How many of these rows.
    j : int
        The model's column.
    grid : ndarray
        Values of it, shape (g,), original units.

    Returns
    -------
    ndarray
        Shape (rows, g).

    Raises
    ------
    InvalidInputError
        The model has no mechanism for the column.
    """
    joint = estimator.joint_
    if not joint.has_mask_term or not bool(joint.active[j]):
        raise InvalidInputError(
            f"the model has no mechanism for column {estimator.columns_.names[j]!r}: it is ignorable or censored, or "
            "the column was complete in training"
        )
    like = next(joint.parameters())
    varied = np.repeat(posterior.mean()[:n_rows, None], len(grid), axis=1)
    varied[..., j] = grid
    # standardise knows tables of two dimensions only.
    standard = standardise(varied.reshape(-1, varied.shape[-1]), estimator.columns_).reshape(varied.shape)
    codes = posterior.codes(1, torch.Generator().manual_seed(0))[0, :n_rows, None]
    with torch.no_grad():
        x, z = torch.as_tensor(standard).to(like), codes.to(like).expand(-1, len(grid), -1)
        observed = joint.mask_given_row(x, z, n_inner=1).bernoulli.probs[..., j]
    missing: FloatArray = (1 - observed).double().cpu().numpy()
    return missing
