"""MNARImputer: from a table with holes to a completed table."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from pyro_mnar.columns import original
from pyro_mnar.estimators.base import JointEstimator


class MNARImputer(OneToOneFeatureMixin, TransformerMixin, JointEstimator):
    """Impute values that are missing because of their own values (not-MIWAE; MIWAE with ``mechanism="ignorable"``).

    Parameters
    ----------
    mechanism : str or Mechanism
        "self-masking", "linear", "nonlinear", "ignorable", or an instance such as ``SelfMasking(direction="high")``.
        Data alone cannot choose the mechanism: give what is known, and vary what is not.
    decoder : {"mlp", "linear"}
        "linear" with one noise scale is probabilistic PCA.
    latent_dim : int or None
        Dimension L of z; None takes one less than the number of columns.
    hidden_units : sequence of int
        Widths of encoder and decoder.
    min_scale : float
        Floor under the noise scale of p(x|z), in observed standard deviations.
    n_draws, n_draws_posterior : int
        Importance draws K per row in training and when asking.
    max_iter, batch_size, learning_rate, mechanism_learning_rate, gradient, validation_fraction, tol, n_iter_no_change
        See :class:`~pyro_mnar.training.TrainingSettings`.
    collapse : {"auto", True, False}
        Integrate x_mis out of the mask term exactly, where that is possible.
    n_inner : int
        Draws of x_mis per z where it is not.
    random_state : int, RandomState or None
        Of initialisation, minibatches and draws; global generators are left alone.
    device : str
        torch device.
    verbose : bool
        Show a progress bar.

    Attributes
    ----------
    joint_ : Joint
        The fitted Pyro model/guide pair.
    history_ : History
        Bounds over training, nats per row.
    n_iter_ : int
        Passes over the data that were run.
    columns_ : ColumnInfo
        Names, observed means and standard deviations, missing rates.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> bool(np.isnan(MNARImputer(max_iter=2, random_state=0).fit_transform(X)).any())
    False
    """

    def fit(self, X: npt.ArrayLike, y: object = None) -> "MNARImputer":
        """Fit the joint model of values and mask to a table, shape (n, p), with NaN in missing cells.

        Raises
        ------
        InvalidInputError
            A column that is not numeric, and other input that breaks a stated rule.
        """
        self._fit_joint(self._check(X, reset=True))
        return self

    def transform(self, X: npt.ArrayLike) -> Any:
        """The completed table: missing cells hold E[x_mis | x_obs, s], observed cells are unchanged bit for bit.

        Returns
        -------
        ndarray or DataFrame
            The kind that was given, shape (n, p), original units.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        table = self._check(X, reset=False)
        completed = table
        if np.isnan(table).any():
            values = original(self._complete(table)[0], self.columns_)
            completed = np.where(np.isnan(table), values, table)
        if isinstance(X, pd.DataFrame):
            return pd.DataFrame(completed, index=X.index, columns=X.columns)
        return completed
