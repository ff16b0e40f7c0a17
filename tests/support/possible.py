"""The values that a missing cell can have, with their probabilities given the code: by enumeration or quadrature."""

from __future__ import annotations

import numpy as np

from pyro_mnar import MNARImputer
from pyro_mnar.model.likelihoods import AtomRows, BernoulliRows, LevelRows, MixedRows


def possible_values(rows: MixedRows, imputer: MNARImputer, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of the model's column j in original units, and their log probabilities given z: shape (K, n, V) both.

    Two values are 0 and 1; a normal stands as 80 nodes of Gauss and Hermite's rule.
    """
    block, i = next((b, b.columns.tolist().index(j)) for b in rows.blocks if j in b.columns.tolist())
    part, info = block.rows, imputer.columns_
    if isinstance(part, LevelRows):
        levels = imputer.layout_.levels[i].values
        log_p = part.log_probability[..., i, : len(levels)].numpy()
        return np.broadcast_to(levels, log_p.shape), log_p
    if isinstance(part, BernoulliRows):
        logits = part.logits[..., i].numpy()
        log_p = np.stack([-np.logaddexp(0, logits), -np.logaddexp(0, -logits)], -1)
        return np.broadcast_to([0.0, 1.0], log_p.shape), log_p
    normal = part.rest if isinstance(part, AtomRows) else part
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    u = normal.loc[..., i, None].numpy() + normal.scale.expand_as(normal.loc)[..., i, None].numpy() * nodes
    values = info.transforms[j].inverse(info.center[j] + info.scale[j] * u)
    log_p = np.broadcast_to(np.log(weights / weights.sum()), values.shape)
    if not isinstance(part, AtomRows):
        return values, log_p
    share, atoms = part.log_share[..., i, :].numpy(), info.transforms[j].values
    at_atoms = np.broadcast_to(atoms, (*values.shape[:-1], len(atoms)))
    log_p = np.concatenate([log_p + share[..., :1], share[..., 1 : 1 + len(atoms)]], -1)
    return np.concatenate([values, at_atoms], -1), log_p
