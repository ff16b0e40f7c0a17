"""A scikit-learn model as p(y | x), fitted to rows that the joint model has completed."""

from typing import Any

import numpy as np
import torch
from pyro.distributions import Categorical, Normal, TorchDistribution
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_val_predict
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, FloatArray, original
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.model.heads import Head

#: Parts of the rows, each predicted by a model of the others, to find the noise of a real target.
_PARTS = 3


class FinalHead(Head):
    """p(y | x) by a fitted scikit-learn model: its class probabilities, or N(its prediction, sigma^2).

    The model is for completed rows in original units, to which ``columns`` are the way, and class numbers or
    standardised targets; ``sigma`` is standardised too, and None for a classifier.
    """

    def __init__(self, model: Any, columns: ColumnInfo, sigma: float | None) -> None:
        super().__init__()
        self.model, self.columns, self.sigma = model, columns, sigma

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> TorchDistribution:
        """See :class:`~pyro_mnar.model.heads.Head`."""
        rows = original(x.detach().cpu().numpy().astype(np.float64), self.columns).reshape(-1, x.shape[-1])
        if self.sigma is None:
            probability = torch.as_tensor(self.model.predict_proba(rows)).to(x)
            return Categorical(probs=probability.reshape(*x.shape[:-1], -1), validate_args=False)
        loc = torch.as_tensor(self.model.predict(rows)).to(x).reshape(x.shape[:-1])
        return Normal(loc, torch.full_like(loc, self.sigma), validate_args=False)


def final_head(estimator: Any, posterior: Posterior, n_completed: int, seed: int) -> FinalHead:
    r"""Fit a clone of ``estimator`` to ``n_completed`` draws of each row from p(x_mis | x_obs, s, y).

    One step of Monte Carlo expectation maximisation for p(y | x), the rest of the joint model held as it is. A
    regressor's sigma^2 is the mean of (y - f(x))^2 over the completed rows, f fitted without the row.

    The estimator is unfitted; its ``random_state``, if it has one that is None, becomes ``seed``. M is ``n_completed``;
    the posterior is that of the training rows, with their target.
    """
    y = posterior.batch.y
    assert y is not None
    model = clone(estimator)
    if "random_state" in model.get_params(deep=False) and model.get_params(deep=False)["random_state"] is None:
        model.set_params(random_state=seed)
    tables: FloatArray = posterior.sample(n_completed)
    rows, target = tables.reshape(-1, tables.shape[-1]), np.tile(y.cpu().numpy(), n_completed)
    sigma = None
    if y.is_floating_point():
        # The draws of one row stay together: a model that has seen one of them has seen the target.
        groups = np.tile(np.arange(posterior.n_rows), n_completed)
        predicted = cross_val_predict(model, rows, target, groups=groups, cv=GroupKFold(_PARTS))
        sigma = float(np.sqrt(np.mean((target - predicted) ** 2)))
    return FinalHead(model.fit(rows, target), posterior.columns, sigma)
