"""What a fitted estimator says of itself: its mechanism in words and numbers, and its answers for ArviZ."""

from typing import Any

import numpy.typing as npt
import pandas as pd
import torch
from sklearn.utils.validation import check_is_fitted

from pyro_mnar.data.columns import standardise
from pyro_mnar.estimators.fitted import Fitted
from pyro_mnar.estimators.precision import curve_errors
from pyro_mnar.estimators.readable import MechanismReport
from pyro_mnar.estimators.report import drawn_rows, mechanism_table, sensitivity_matrix
from pyro_mnar.inference.posterior import Posterior

#: Draws of a row's code over which its score is averaged.
_CODES = 50


class Explained(Fitted):
    """Base of the estimators that can be asked about their mechanism."""

    def mechanism_report(self, X: npt.ArrayLike | None = None) -> pd.DataFrame:
        """The fitted mechanism in original units, one row per column of the table.

        Parameters
        ----------
        X : array-like or None
            The table that was fitted, for standard errors; see also :meth:`mechanism_sensitivity`, which matters for a
            mechanism that sees the whole row.

        Returns
        -------
        DataFrame
            feature; missing_rate (training); for self-masking mechanisms slope (change of the logit of "missing"
            per original unit, dates and durations per day), slope_per_sd (per standard deviation, ``columns_.scale``),
            threshold (value at which half of the cells are missing, original units, dates in days since 1970; none for
            labels) and direction ("high" values go missing, or "low"; of two labels, the second or the first); and
            words, the same as a sentence. A column of labels without an order has no slope: its sentence says which are
            missing. Printed, the sentences come first, and whole. With ``X`` also slope_per_sd_se and threshold_se,
            standard errors with the networks taken as known (and so lower bounds), NaN where the data do not tell: no
            data say how steep a cut is.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        posterior = None if X is None else self.posterior(X)
        rows = self._rows_to_average(posterior)
        errors = None
        if posterior is not None:
            codes = posterior.codes(_CODES, torch.Generator().manual_seed(self._seed))
            errors = curve_errors(posterior.joint, posterior.batch, codes)
        return MechanismReport(mechanism_table(self.joint_, self._schema, self.columns_, rows, self.findings_, errors))

    def mechanism_sensitivity(self, X: npt.ArrayLike | None = None) -> pd.DataFrame:
        r"""Mean of d logit P(s_j = 0 | x) / d x_l: how each column's value (l) moves each column's missingness (j).

        Parameters
        ----------
        X : array-like or None
            Rows to average over, shape (n, p), completed by the model first; None takes 1,000 rows drawn from the
            model.

        Returns
        -------
        DataFrame
            Shape (p, p), logits per standard deviation (``columns_.scale``): one row per column that goes missing, one
            column per column whose value matters; positive where high values make cells go missing. NaN for columns
            that were complete in training.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        UnsupportedModelError
            The model has no mechanism.
        """
        check_is_fitted(self)
        rows = self._rows_to_average(None if X is None else self.posterior(X))
        return sensitivity_matrix(self.joint_, self.columns_, rows)

    def to_inference_data(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *, n_samples: int = 200, random_state: int = 0
    ) -> Any:
        """Posterior, predictive and prior draws, log likelihoods and weights for the rows of ``X``, for ArviZ.

        See :func:`pyro_mnar.estimators.arviz.to_inference_data`, which says what the groups hold.

        Parameters
        ----------
        X : array-like
            The table, shape (n, p), NaN = missing.
        y : array-like or None
            The target, shape (n,), to be kept in observed_data; the posterior is the one without it.
        n_samples : int
            Draws in each group, at least 1, of all chains together.
        random_state : int
            Seed of the choice of draws and of the simulated tables.

        Returns
        -------
        arviz.InferenceData, or xarray.DataTree with ArviZ 1.x

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        # Here, since ArviZ takes seconds to import.
        from pyro_mnar.estimators.arviz import to_inference_data

        return to_inference_data(self, X, y, n_samples=n_samples, random_state=random_state)

    def _rows_to_average(self, posterior: Posterior | None) -> torch.Tensor:
        """Complete rows, standardised: the model's completion of given ones, or rows drawn from it."""
        if posterior is None:
            return drawn_rows(self.joint_, 1000, self._seed)
        return torch.as_tensor(standardise(posterior.mean(), self.columns_))
