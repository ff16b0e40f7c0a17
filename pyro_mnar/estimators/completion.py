"""What estimators that complete data share, and imputers of any data: the posterior of the missing cells, filled in."""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import TransformerMixin, clone
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import MissingValues, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from pyro_mnar.data.arguments import numbers, whole_number
from pyro_mnar.data.columns import FloatArray, most_likely, possible
from pyro_mnar.data.exact import with_exact_cells
from pyro_mnar.data.foreign import shown
from pyro_mnar.data.kinds.schema import Cells
from pyro_mnar.data.raw import BoolArray, has_text_names
from pyro_mnar.data.rows import Rows, between_limits
from pyro_mnar.data.write import write_table
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.guard import warn_far


class Completing(TransformerMixin, JointEstimator):
    """Base of the estimators that give completed tables, from the posterior of the missing cells."""

    # Parameters of the imputers; the others have these values.
    strategy: Literal["mean", "median", "sample"] = "mean"
    discrete_output: Literal["value", "probability"] = "value"
    keep_empty_features: bool = False
    add_indicator: bool = False

    #: Whether single precision is enough for means and draws.
    _single: ClassVar[bool] = False

    def transform(self, X: npt.ArrayLike) -> Any:
        """The completed table: missing cells hold what ``strategy`` names, observed cells are unchanged bit for bit.

        Estimators with a target have no ``strategy``: they give E[x_mis | x_obs, s], without y, and of labels the
        likeliest. Columns of a table that had no observed value in training are left out.

        Rows whose importance weights are too uneven are given proposals of their own first. UnreliableWeightsWarning
        says where that did not suffice for more than one row in a hundred.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, with the columns of the table that was fitted.

        Returns
        -------
        DataFrame or ndarray
            The kind that was given (an array if only the new table has names), shape (n, columns given back), original
            units, in the order given. Every imputed value is one that its column can have (``schema_``), and columns of
            a DataFrame keep their type.

        Raises
        ------
        InvalidInputError
            Columns that are not those of the fitted table, and cells that break a stated rule.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return self._complete(X)[0]

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> npt.NDArray[np.object_]:
        """Names of the columns that ``transform`` gives back, one per column.

        Parameters
        ----------
        input_features : sequence of str or None
            Names of the p columns; must be those of the fitted table, if that had names.

        Raises
        ------
        ValueError
            Other names, or another number of them, than those of the fitted table.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept: npt.NDArray[np.object_] = names[self._given_back()]
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)]) if self.add_indicator else kept

    def _complete(self, X: npt.ArrayLike, first_row: int = 0) -> tuple[Any, BoolArray]:
        """The completed table, and which of its cells were filled, shape (n, p).

        ``first_row`` counts the incomplete rows before these in a table of which ``X`` is a part.
        """
        table = self._cells_to_complete(X)
        rows = self._modelled(table, reset=False)
        values = self._imputed(rows, first_row) if np.isnan(rows.values).any() else rows.values
        warn_far(rows.values, values, self.columns_, self._numeric())
        return self._given(X, table, self._completed(table, values)), self._schema.filled(table.missing)

    def _cells_to_complete(self, X: npt.ArrayLike) -> Cells:
        """All columns of a table that is given back."""
        return self._read(X, reset=False)

    def _imputed(self, rows: Rows, first_row: int = 0) -> FloatArray:
        """The modelled columns with what ``strategy`` names in missing cells, original units."""
        if self.strategy == "sample":
            return self._tidied(rows, self._draws(rows, 1, first_row)[0])
        holes, values = np.asarray(np.isnan(rows.values).any(1)), rows.values.copy()
        posterior = self._posterior(rows.at(holes), single=self._single and self.strategy == "mean")
        means = (posterior.refine_means() if self.strategy == "mean" else posterior.refine()).mean()
        values[holes] = posterior.median() if self.strategy == "median" else means
        # What has no middle value has a likeliest one.
        discrete = np.isin(np.arange(values.shape[1]), self.layout_.discrete)
        values[np.ix_(holes, discrete)] = means[:, discrete]
        return self._tidied(rows, values)

    def _draws(self, rows: Rows, m: int, first_row: int = 0) -> FloatArray:
        """The modelled columns with draws in missing cells, shape (m, n, p), original units."""
        holes = np.asarray(np.isnan(rows.values).any(1))
        if not holes.any():
            return np.broadcast_to(rows.values, (m, *rows.values.shape))
        posterior = self._posterior(rows.at(holes), single=self._single, independent=True, first_row=first_row)
        drawn = posterior.refine().sample(m)
        result = np.repeat(rows.values[None], m, axis=0)
        result[:, holes] = drawn
        return result

    def _numeric(self) -> list[int]:
        """Positions of the model's columns of which imputed values may lie too far out."""
        return []

    def _tidied(self, rows: Rows, values: FloatArray) -> FloatArray:
        """The values of missing cells as they are given back: such as their columns, and their limits, can have."""
        if self.discrete_output == "value":
            values = most_likely(values, self.layout_)
        imputed = between_limits(possible(values, self.columns_), rows, self.columns_)
        return np.where(np.isnan(rows.values), imputed, rows.values)

    def _completed(self, table: Cells, values: FloatArray) -> FloatArray:
        """All columns of the table with the model's values, as the schema reads them; 0 where there are none."""
        completed = np.nan_to_num(table.values)
        completed[:, self._schema.modelled] = self._schema.contract(values)
        return completed

    def _given(self, X: npt.ArrayLike, table: Cells, completed: FloatArray) -> Any:
        """The completed table in the container that was given: the columns given back, then the indicators."""
        # Names that the fitted table did not have were not checked, so they are not given back either.
        container = np.asarray(X) if has_text_names(X) and not hasattr(self, "feature_names_in_") else X
        filled, kept = self._schema.filled(table.missing), self._given_back()
        written = write_table(container, completed, filled, kept, self._indicators(table.missing), self._schema)
        return with_exact_cells(X, written, filled, kept)

    def _given_back(self) -> BoolArray:
        return np.ones(self.n_features_in_, bool) if self.keep_empty_features else self._schema.has_values

    def _indicators(self, missing: BoolArray) -> dict[str, BoolArray]:
        """Columns to append, by name."""
        return {}


class Imputer(Completing):
    """Base of the imputers: completed data as ``strategy`` says, and several completed tables."""

    keep_empty_features: bool = True

    _single: ClassVar[bool] = True
    _steps: ClassVar[int] = 700
    _training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-2,
        "decoder_weight_decay": 300.0,
        "final_rate": 0.05,
        "n_draws": 5,
        "gradient": "dreg",
        "start": "cliff",
    }
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **JointEstimator._parameter_constraints,
        "strategy": [StrOptions({"mean", "median", "sample"})],
        "missing_values": [MissingValues(numeric_only=True), None],
    }

    def multiple_impute(self, X: npt.ArrayLike, m: int = 20, refit: Literal["bootstrap"] | None = None) -> list[Any]:
        """Several completed tables, with other draws in the missing cells of each, which keep their uncertainty.

        Analyse each table, and combine the answers with :func:`pyro_mnar.analysis.pooling.pool`.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units.
        m : int
            Number of tables.
        refit : {"bootstrap"} or None
            None draws from the fitted model, as if its parameters were known: intervals are somewhat too narrow.
            "bootstrap" fits the model anew for each table, on rows of ``X`` drawn with replacement, which makes the
            imputations proper; it takes m fits.

        Returns
        -------
        list
            m tables of the kind that :meth:`transform` gives.

        Raises
        ------
        InvalidInputError
            ``m`` below 1, an unknown ``refit``, and what :meth:`transform` and :meth:`fit` raise.
        NotFittedError
            Before ``fit``.

        References
        ----------
        Rubin 1987, chapter 4 (proper imputation); van Buuren 2018, section 2.3.
        """
        check_is_fitted(self)
        m = whole_number("m", m)
        if refit is not None and not (isinstance(refit, str) and refit == "bootstrap"):
            raise InvalidInputError(f"refit is {shown(refit)}; it must be None or 'bootstrap'")
        if refit is None:
            return self.completed_tables(X, self._draws(self._check(X, reset=False), m))
        generator, n_rows = np.random.default_rng(self._seed), len(self._read(X, reset=False).values)
        tables = []
        for _ in range(m):
            other = clone(self).set_params(random_state=int(generator.integers(2**31))).take_kinds_from(X)
            other.fit(_safe_indexing(X, generator.integers(n_rows, size=n_rows)))
            tables += other.multiple_impute(X, 1)
        return tables

    def completed_tables(self, X: npt.ArrayLike, draws: FloatArray) -> list[Any]:
        """Completed tables from values of the model's columns, such as those of ``posterior(X).sample(m)``.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units.
        draws : ndarray
            Shape (m, n, columns of the model), original units: draws, or quantiles.

        Returns
        -------
        list
            m tables of the kind that :meth:`transform` gives; every value is one that its column can have.

        Raises
        ------
        InvalidInputError
            ``draws`` are of another shape; and what :meth:`transform` raises.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        table = self._read(X, reset=False)
        rows = self._modelled(table, reset=False)
        draws = numbers("draws", draws)
        if np.shape(draws)[1:] != rows.values.shape:
            raise InvalidInputError(
                f"draws have shape {np.shape(draws)}; they must be (m, {', '.join(map(str, rows.values.shape))})"
            )
        complete = [self._completed(table, self._tidied(rows, draw)) for draw in draws]
        return [self._given(X, table, values) for values in complete]

    def _given(self, X: npt.ArrayLike, table: Cells, completed: FloatArray) -> Any:
        found = ~table.missing.all(0) & ~self._schema.has_values
        if found.any() and not self.keep_empty_features:
            warnings.warn(
                f"columns {list(self._input_names()[found])} have values now but had none in training; they are "
                "dropped: fit again, or set keep_empty_features=True",
                DataWarning,
                stacklevel=3,
            )
        return super()._given(X, table, completed)
