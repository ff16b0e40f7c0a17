"""How far the answers for each row can be trusted, and the warning where they cannot."""

import warnings

import numpy as np
from torch import Tensor

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.inference.importance import log_mean
from pyro_mnar.inference.weights import are_reliable, ess, pareto_k

#: Effective draws below which a row is not called reliable.
MIN_ESS = 100.0
#: Share of unreliable rows above which the user is told.
TOLERATED_SHARE = 0.01


def diagnose(log_weights: Tensor) -> dict[str, FloatArray]:
    """Evidence, effective draws, k-hat and verdict of each row, from weights (K, n)."""
    k_hat, effective = pareto_k(log_weights), ess(log_weights)
    found = {
        "log_evidence": log_mean(log_weights),
        "ess": effective,
        "pareto_k": k_hat,
        "reliable": are_reliable(k_hat, effective, len(log_weights), MIN_ESS),
    }
    return {name: value.double().cpu().numpy() for name, value in found.items()}


def warn_of(bad: np.ndarray, refined: np.ndarray, remedy: str) -> bool:
    """Warn where more than one row in a hundred is unreliable: what that means, and what is left to do."""
    count = int(bad.sum())
    if count <= TOLERATED_SHARE * len(bad):
        return False
    if not (bad & ~refined).any():
        remedy = "their proposals are refined already: raise n_draws_posterior, or use these rows with care"
    remedy = remedy or "give them proposals of their own with posterior.refine(), as estimator.posterior(X) does"
    warnings.warn(
        f"the answers for {count} of {len(bad)} rows rest on fewer than {MIN_ESS:.0f} effective draws or a few large "
        f"weights (Pareto k-hat above its limit), so chance may move them noticeably: {remedy}",
        UnreliableWeightsWarning,
        stacklevel=4,
    )
    return True
