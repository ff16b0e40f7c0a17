"""MNARImputer: from a table with holes to a completed table; and what imputers of other data share with it."""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import TransformerMixin, clone
from sklearn.impute import MissingIndicator
from sklearn.utils import _safe_indexing
from sklearn.utils._param_validation import MissingValues, StrOptions
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from pyro_mnar.data.arguments import whole_number
from pyro_mnar.data.columns import FloatArray, most_likely, possible
from pyro_mnar.data.exact import check_exact, with_exact_cells
from pyro_mnar.data.foreign import check_distinct
from pyro_mnar.data.kinds.declared import Types
from pyro_mnar.data.kinds.schema import Cells
from pyro_mnar.data.raw import BoolArray, has_text_names
from pyro_mnar.data.rows import Rows, between_limits
from pyro_mnar.data.write import write_table
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.guard import warn_far
from pyro_mnar.estimators.parameters import check_parameters, short_signature
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.model.mechanisms import Given


class Imputer(TransformerMixin, JointEstimator):
    """Base of the imputers: completed data from the posterior of the missing cells."""

    strategy: Literal["mean", "median", "sample"]
    # Parameters of the imputer of tables; the others have these values.
    keep_empty_features: bool = True
    add_indicator: bool = False

    #: Whether single precision is enough for means and draws.
    _single: ClassVar[bool] = True
    _training_defaults: ClassVar[dict[str, Any]] = {
        "learning_rate": 3e-3,
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

    def transform(self, X: npt.ArrayLike) -> Any:
        """The completed table: missing cells hold what ``strategy`` names, observed cells are unchanged bit for bit.

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

        Warns
        -----
        ImputationWarning
            More than 1 % of a column's imputed values lie more than five standard deviations of its observed values
            beyond the smallest or largest of them, on the scale on which the column is modelled.
        """
        check_is_fitted(self)
        table = self._read(X, reset=False)
        rows = self._modelled(table, reset=False)
        values = self._imputed(rows) if np.isnan(rows.values).any() else rows.values
        warn_far(rows.values, values, self.columns_, self._numeric())
        return self._given(X, table, self._completed(table, values))

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
        if refit not in (None, "bootstrap"):
            raise InvalidInputError(f"refit is {refit!r}; it must be None or 'bootstrap'")
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
        if np.shape(draws)[1:] != rows.values.shape:
            raise InvalidInputError(
                f"draws have shape {np.shape(draws)}; they must be (m, {', '.join(map(str, rows.values.shape))})"
            )
        complete = [self._completed(table, self._tidied(rows, draw)) for draw in draws]
        return [self._given(X, table, values) for values in complete]

    def _completed(self, table: Cells, values: FloatArray) -> FloatArray:
        """All columns of the table with the model's values, as the schema reads them; 0 where there are none."""
        completed = np.nan_to_num(table.values)
        completed[:, self._schema.modelled] = self._schema.contract(values)
        return completed

    def _given(self, X: npt.ArrayLike, table: Cells, completed: FloatArray) -> Any:
        """The completed table in the container that was given."""
        self._warn_values_in_empty(table.missing)
        filled = self._schema.filled(table.missing)
        # Names that the fitted table did not have were not checked, so they are not given back either.
        container = np.asarray(X) if has_text_names(X) and not hasattr(self, "feature_names_in_") else X
        kept = self._given_back()
        written = write_table(container, completed, filled, kept, self._indicators(table.missing), self._schema)
        return with_exact_cells(X, written, filled, kept)

    def get_feature_names_out(self, input_features: Sequence[str] | None = None) -> npt.NDArray[np.object_]:
        """Names of the columns that ``transform`` gives back, one per column.

        Parameters
        ----------
        input_features : sequence of str or None
            Names of the p columns; must be those of the fitted table, if that had names.

        Returns
        -------
        ndarray of str

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

    def _imputed(self, rows: Rows) -> FloatArray:
        """The modelled columns with what ``strategy`` names in missing cells, original units."""
        if self.strategy == "sample":
            return self._tidied(rows, self._draws(rows, 1)[0])
        holes, values = np.asarray(np.isnan(rows.values).any(1)), rows.values.copy()
        posterior = self._posterior(rows.at(holes), single=self._single and self.strategy == "mean")
        means = (posterior.refine_means() if self.strategy == "mean" else posterior.refine()).mean()
        values[holes] = posterior.median() if self.strategy == "median" else means
        # What has no middle value has a likeliest one.
        discrete = np.isin(np.arange(values.shape[1]), self.layout_.discrete)
        values[np.ix_(holes, discrete)] = means[:, discrete]
        return self._tidied(rows, values)

    def _draws(self, rows: Rows, m: int) -> FloatArray:
        """The modelled columns with draws in missing cells, shape (m, n, p), original units."""
        holes = np.asarray(np.isnan(rows.values).any(1))
        if not holes.any():
            return np.broadcast_to(rows.values, (m, *rows.values.shape))
        drawn = self._posterior(rows.at(holes), single=self._single, independent=True).refine().sample(m)
        result = np.repeat(rows.values[None], m, axis=0)
        result[:, holes] = drawn
        return result

    def _numeric(self) -> list[int]:
        """Positions of the model's columns of which imputed values may lie too far out."""
        return []

    def _tidied(self, rows: Rows, values: FloatArray) -> FloatArray:
        """The values of missing cells as they are given back: such as their columns, and their limits, can have."""
        imputed = between_limits(possible(values, self.columns_), rows, self.columns_)
        return np.where(np.isnan(rows.values), imputed, rows.values)

    def _given_back(self) -> BoolArray:
        return np.ones(self.n_features_in_, bool) if self.keep_empty_features else self._schema.has_values

    def _indicators(self, missing: BoolArray) -> dict[str, BoolArray]:
        """Columns to append, by name."""
        return {}

    def _warn_values_in_empty(self, missing: BoolArray) -> None:
        found = ~missing.all(0) & ~self._schema.has_values
        if found.any() and not self.keep_empty_features:
            warnings.warn(
                f"columns {list(self._input_names()[found])} have values now but had none in training; they are "
                "dropped: fit again, or set keep_empty_features=True",
                DataWarning,
                stacklevel=3,
            )


@short_signature
class MNARImputer(Imputer):
    """Impute values that are missing because of their own values (not-MIWAE; MIWAE with ``mechanism="ignorable"``).

    Parameters
    ----------
    mechanism : str, Mechanism or mapping
        "auto", "self-masking", "latent", "linear", "nonlinear", "ignorable", "censored", or an instance such as
        ``SelfMasking(direction="high")``; a mapping gives columns one each, and "default" the others:
        ``{"crp": Censored(upper=0.5), "income": SelfMasking("high"), "default": "auto"}``; columns in one key, as
        ``{("q1", "q2"): "latent"}``, go missing together. "auto" takes a column for
        missing because of its own values only where the table shows it (``mechanism_report`` says why, or why not).
        Data alone cannot choose the mechanism: give what is known, and vary what is not.
    strategy : {"mean", "median", "sample"}
        What missing cells hold: the mean of x_mis given x_obs and s (best under squared error), the median (absolute
        error), or one random draw, which alone keeps the spread of the values.
    types : mapping, str, kind or None
        What columns are, where that is not found from their values: ``{"age": "count", "score": Bounded(0, 100)}``, by
        name or position, with the kinds of :mod:`pyro_mnar.kinds` or their short names; one kind for all columns, such
        as "continuous"; ``{"soil": OneHot(["clay", "sand"])}`` for columns of 0 and 1 that are one variable.
        ``schema_`` shows what was found.
    log_columns : "auto", sequence of str or int, or None
        Positive columns that are modelled by their logarithm; "auto" takes those of which the observed cells, and the
        number of missing ones, are better explained so. Means, quantiles and draws are in original units either way.
    random_state : int, RandomState or None
        Of initialisation, minibatches and draws; global generators are left alone.
    verbose : bool or None
        Whether to show what is being done, how far it has come and the time left. None shows it in a terminal or a
        notebook, for what takes more than two seconds, and nowhere else; True shows the bound too, at once; False
        nothing.

    Other Parameters
    ----------------
    decoder : {"residual", "mlp", "linear"}
        "residual" is a tanh network ("mlp") with a linear map beside it, which goes on where values were lost and the
        network alone would bend to a constant. "linear" with one noise scale is probabilistic PCA.
    latent_dim : int or None
        Dimension L of z; None takes one less than the number of columns.
    hidden_units : sequence of int
        Widths of encoder and decoder.
    max_iter : int or None
        Passes over the data; None takes as many as make 500 steps.
    n_draws_posterior : int
        Importance draws K per row when asking.
    training : TrainingSettings or None
        Rates, batches, where the mechanism starts, early stopping, checkpoints; None takes the defaults.
    device : str
        torch device.
    discrete_output : {"value", "probability"}
        What missing cells of binary and categorical columns hold: 0 or 1 (in a group, the likeliest category), or the
        probability of 1.
    missing_values : float, None or NA
        A number that marks missing cells; NaN, None and NA mark them in any case when it is one of the three.
    keep_empty_features : bool
        Give columns without any observed value in training back, filled with 0, rather than drop them.
    add_indicator : bool
        Append one column per column that had missing values in training: whether the cell is missing.

    Attributes
    ----------
    joint_ : Joint
        The fitted Pyro model/guide pair.
    history_ : History
        Bounds over training, nats per row.
    n_iter_ : int
        Passes over the data that were run.
    columns_ : ColumnInfo
        Names, means and standard deviations (observed, or of the complete distribution that "cliff" found), missing
        rates, of the columns that have observed values.
    schema_ : DataFrame
        What each column of the table was taken for: column, kind, why, support and transform.
    indicator_ : MissingIndicator
        With ``add_indicator`` only.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

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

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Imputer._parameter_constraints,
        **Imputer._table_constraints,
        "log_columns": [StrOptions({"auto"}), "array-like", None],
        "discrete_output": [StrOptions({"value", "probability"})],
        "keep_empty_features": ["boolean"],
        "add_indicator": ["boolean"],
    }

    def __init__(
        self,
        mechanism: Given = "auto",
        *,
        strategy: Literal["mean", "median", "sample"] = "mean",
        types: Types = None,
        log_columns: Literal["auto"] | Sequence[str | int] | None = "auto",
        decoder: Literal["mlp", "residual", "linear"] = "residual",
        latent_dim: int | None = None,
        hidden_units: Sequence[int] = (128, 128),
        max_iter: int | None = None,
        n_draws_posterior: int = 1000,
        training: TrainingSettings | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: bool | None = None,
        discrete_output: Literal["value", "probability"] = "value",
        missing_values: float | None = np.nan,
        keep_empty_features: bool = False,
        add_indicator: bool = False,
    ) -> None:
        self.mechanism = mechanism
        self.strategy = strategy
        self.types = types
        self.log_columns = log_columns
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.max_iter = max_iter
        self.n_draws_posterior = n_draws_posterior
        self.training = training
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.discrete_output = discrete_output
        self.missing_values = missing_values
        self.keep_empty_features = keep_empty_features
        self.add_indicator = add_indicator

    def fit(self, X: npt.ArrayLike, y: object = None) -> "MNARImputer":
        """Fit the joint model of values and mask to a table.

        Parameters
        ----------
        X : array-like
            Shape (n, p), of any columns: numbers, booleans, text, categories, dates; NaN, None, NA and NaT are
            missing. What each column is taken for is in ``schema_``, and can be said in ``types``.
        y : object
            Ignored.

        Returns
        -------
        MNARImputer
            Itself.

        Raises
        ------
        InvalidInputError
            A parameter, a column or a cell that breaks a stated rule; before training.
        FitDivergedError
            Losses stopped being finite, and half the learning rate did not help.
        KeyboardInterrupt
            Ctrl-C; the estimator has the best weights so far and can be used.
        """
        check_parameters(self)
        cells = self._read(X, reset=True)
        rows = self._modelled(cells, reset=True)
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(np.where(cells.missing, np.nan, 0.0))
            check_distinct(list(self.get_feature_names_out()), "of the output (add_indicator adds one per column)")
        self._fit_joint(rows)
        return self

    def _read(self, X: npt.ArrayLike, reset: bool) -> Cells:
        table = super()._read(X, reset)
        check_exact(X, self._schema.numbers(table))
        return table

    def _numeric(self) -> list[int]:
        """Positions of the model's columns that hold numbers."""
        return [*self.layout_.continuous, *(atoms.column for atoms in self.layout_.atoms)]

    def _tidied(self, rows: Rows, values: FloatArray) -> FloatArray:
        if self.discrete_output == "value":
            values = most_likely(values, self.layout_)
        return super()._tidied(rows, values)

    def _indicators(self, missing: BoolArray) -> dict[str, BoolArray]:
        if not self.add_indicator:
            return {}
        names = self.indicator_.get_feature_names_out(self._input_names())
        return dict(zip(names, self.indicator_.transform(np.where(missing, np.nan, 0.0)).T, strict=True))
