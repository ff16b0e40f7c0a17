"""MNARImputer: from a table with holes to a completed table."""

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.impute import MissingIndicator
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from pyro_mnar.data.arguments import truth_value, whole_number
from pyro_mnar.data.exact import check_exact
from pyro_mnar.data.foreign import check_distinct
from pyro_mnar.data.kinds.declared import Types
from pyro_mnar.data.kinds.schema import Cells
from pyro_mnar.data.raw import BoolArray
from pyro_mnar.data.sources import is_source
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.completion import Imputer
from pyro_mnar.estimators.parameters import check_parameters, short_signature
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.streaming import complete_source, fit_source
from pyro_mnar.model.mechanisms import Given


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
        error), or one random draw, which alone keeps the spread of the values. Counts and ordered levels hold the
        possible value nearest to the mean, of all possible ones the best under squared error, or the median, also
        possible; labels without an order and columns of two values hold the likeliest value, most often right, under
        both. Means that are not rounded, and probabilities of labels, are in ``posterior(X).mean()``.
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
        Dimension L of z; None takes one less than the number of columns, of which one of labels counts as one for
        each label as long as no more than 16 dimensions come of it.
    hidden_units : sequence of int
        Widths of encoder and decoder.
    max_iter : int or None
        Passes over the data; None takes as many as make 700 steps. 1,000 steps lower the error at random by up to
        4 % where there are more than 500 rows, and many more raise it where there are few hundred.
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

    # Where an answer is written is no metadata to be routed.
    __metadata_request__transform: ClassVar[dict[str, Any]] = dict.fromkeys(("out", "overwrite", "n_jobs"), UNUSED)
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Imputer._parameter_constraints,
        **Imputer._table_constraints,
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

    def fit(self, X: Any, y: object = None) -> "MNARImputer":
        """Fit the joint model of values and mask to a table.

        Parameters
        ----------
        X : array-like, path, glob, pyarrow.dataset.Dataset or polars.LazyFrame
            Shape (n, p), of any columns: numbers, booleans, text, categories, dates; NaN, None, NA and NaT are
            missing. What each column is taken for is in ``schema_``, and can be said in ``types``.

            A path or a glob names Parquet, Arrow or CSV files of the same columns, which need not fit in memory (the
            extra ``large``). From more rows than the steps of a fit see (700 of ``batch_size``: 179,200 by default,
            64,000 at least) so many are drawn at random, which is what the steps would see of shuffled rows; passes of
            ``max_iter`` are passes over these. Levels, ends and row numbers are found in one pass over all.
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
        if is_source(X):
            return fit_source(self, X)
        cells = self._read(X, reset=True)
        rows = self._modelled(cells, reset=True)
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(np.where(cells.missing, np.nan, 0.0))
            check_distinct(list(self.get_feature_names_out()), "of the output (add_indicator adds one per column)")
        self._fit_joint(rows)
        return self

    def transform(
        self, X: Any, out: str | os.PathLike[str] | None = None, *, overwrite: bool = False, n_jobs: int = 1
    ) -> Any:
        """The completed table: missing cells hold what ``strategy`` names, observed cells are unchanged bit for bit.

        Rows whose importance weights are too uneven are given proposals of their own first. UnreliableWeightsWarning
        says where that did not suffice for more than one row in a hundred.

        Parameters
        ----------
        X : array-like, path, glob, pyarrow.dataset.Dataset or polars.LazyFrame
            Shape (n, p), original units, with the columns of the table that was fitted. Of a table on the disk other
            columns are copied.
        out : path or None
            Where the completed rows of a table on the disk are written, as Parquet, Arrow or CSV by the end of its
            name. A block of rows is in memory at a time; finished ones are kept in a folder beside it, named as it is
            with ".parts", so that the same call goes on after a kill.
        overwrite : bool
            Whether ``out`` may replace a file.
        n_jobs : int
            Processes that complete blocks of a table on the disk.

        Returns
        -------
        DataFrame, ndarray or Path
            The kind that was given (an array if only the new table has names), shape (n, columns given back), original
            units, in the order given; or ``out``. Every imputed value is one that its column can have (``schema_``),
            and columns of a DataFrame or a file keep their type.

        Raises
        ------
        InvalidInputError
            Columns that are not those of the fitted table, cells that break a stated rule, and an ``out`` that is
            missing, is there already, or is what is read.
        NotFittedError
            Before ``fit``.

        Warns
        -----
        ImputationWarning
            More than 1 % of a column's imputed values lie more than five standard deviations of its observed values
            beyond the smallest or largest of them, on the scale on which the column is modelled.
        """
        overwrite, n_jobs = truth_value("overwrite", overwrite), whole_number("n_jobs", n_jobs)
        if is_source(X):
            return complete_source(self, X, out, overwrite, n_jobs)
        if out is not None:
            raise InvalidInputError("out is for tables on the disk, and X is in memory: write what transform returns")
        check_is_fitted(self)
        return self._complete(X)[0]

    def _read(self, X: npt.ArrayLike, reset: bool) -> Cells:
        table = super()._read(X, reset)
        check_exact(X, self._schema.numbers(table))
        return table

    def _numeric(self) -> list[int]:
        """Positions of the model's columns that hold numbers."""
        return [*self.layout_.continuous, *(atoms.column for atoms in self.layout_.atoms)]

    def _indicators(self, missing: BoolArray) -> dict[str, BoolArray]:
        if not self.add_indicator:
            return {}
        names = self.indicator_.get_feature_names_out(self._input_names())
        return dict(zip(names, self.indicator_.transform(np.where(missing, np.nan, 0.0)).T, strict=True))
