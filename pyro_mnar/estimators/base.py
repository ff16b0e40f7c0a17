"""What the estimators share: reading a table, building the pair, fitting it, and questions to the fitted pair."""

import threading
import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from pyro_mnar.data.arguments import truth_value
from pyro_mnar.data.censored import with_beside, with_limits
from pyro_mnar.data.columns import ColumnInfo, FloatArray, Layout, check_discrete, reject_far, standardise
from pyro_mnar.data.foreign import check_distinct, reading
from pyro_mnar.data.kinds.declared import KINDS, Kind, Types
from pyro_mnar.data.kinds.schema import Cells, Schema, find_schema
from pyro_mnar.data.raw import BoolArray, RawColumn, marks_with_number, read_columns
from pyro_mnar.data.rows import Rows, standardised_limits
from pyro_mnar.data.transforms import Identity, Log, Transform
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.explained import Explained
from pyro_mnar.estimators.masks import check_blocks, check_order, student_columns, with_blocks
from pyro_mnar.estimators.parameters import check_parameters, check_size, checked_device, code_size, drawn_seed
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.start.begin import Described, begin, chosen_scales
from pyro_mnar.estimators.start.censored_scale import with_censored_scales
from pyro_mnar.estimators.start.log_scale import check_positive
from pyro_mnar.estimators.start.plan import passes, rows_per_step, set_up
from pyro_mnar.inference.forks import check_process
from pyro_mnar.inference.history import History
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.progress import progress, training_report
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model import mechanisms
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import Encoder, MLPEncoder
from pyro_mnar.model.heads import Head
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood, Likelihood, MixedLikelihood
from pyro_mnar.model.mechanisms import Mechanism
from pyro_mnar.model.networks import decoder_network
from pyro_mnar.model.per_column import declared_limits

# torch initialises layers from its global generator: it is forked, seeded and put back, one thread at a time.
_INITIALISATION = threading.Lock()


class Parts(NamedTuple):
    """The networks of a pair: proposal of z, decoder of z, and p(x|z) from what that puts out."""

    encoder: Encoder
    decoder: nn.Module
    likelihood: Likelihood


class JointEstimator(Explained, BaseEstimator):
    """Base of the estimators: reads a table, builds the pair ``joint_`` for it, and trains it.

    A kind of data that is no table of columns replaces the steps ``_read``, ``_found_schema``, ``_describe``,
    ``_can_be_missing``, ``_parts`` and ``_start``.
    """

    mechanism: mechanisms.Given
    training: TrainingSettings | None
    latent_dim: int | None
    hidden_units: Sequence[int]
    n_draws_posterior: int
    max_iter: int | None
    random_state: int | np.random.RandomState | None
    device: str
    verbose: bool | None
    # Parameters of the estimators for tables.
    types: Types
    decoder: Literal["mlp", "residual", "linear"]
    log_columns: Literal["auto"] | Sequence[str | int] | None
    # A parameter of the imputers; the others have this value.
    missing_values: float | None = None

    #: What None stands for in the estimator's TrainingSettings.
    _training_defaults: ClassVar[dict[str, Any]]
    #: Steps of training where ``max_iter`` is None.
    _steps: ClassVar[int] = 500

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "mechanism": [str, Mechanism, Mapping],
        "training": [TrainingSettings, None],
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_units": ["array-like"],
        "n_draws_posterior": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "device": [str],
        "verbose": ["boolean", None],
    }
    _table_constraints: ClassVar[dict[str, list[Any]]] = {
        "types": [StrOptions(set(KINDS)), Mapping, *get_args(Kind), None],
        "log_columns": [StrOptions({"auto"}), "array-like", None],
        "decoder": [StrOptions({"mlp", "residual", "linear"})],
    }

    def set_params(self, **params: Any) -> Self:
        """Set parameters, those of ``training`` as ``training__learning_rate``, also where it is None so far.

        Parameters
        ----------
        **params
            Names and values.

        Raises
        ------
        ValueError
            A name that is no parameter.
        """
        if params.get("training", self.training) is None and any(name.startswith("training__") for name in params):
            params["training"] = TrainingSettings()
        super().set_params(**params)
        return self

    def posterior(self, X: npt.ArrayLike, n_draws: int | None = None, refine: bool = True) -> Posterior:
        """The posterior of the missing cells of ``X``: means, quantiles, draws, and how far they can be trusted.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.
        n_draws : int or None
            Importance draws per row; None takes ``n_draws_posterior``.
        refine : bool
            Give rows whose weights are too uneven a proposal of their own: about four times the time where all rows
            need it, next to none where no row does. Nothing is refined below 100 draws, where nothing can be judged.

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        refine = truth_value("refine", refine)
        posterior = self._posterior(self._check(X, reset=False), n_draws)
        return posterior.refine() if refine else posterior

    def score_samples(self, X: npt.ArrayLike) -> FloatArray:
        """Log p(x_obs, s) of each row of ``X`` by importance sampling, shape (n,), nats (standardised scale)."""
        return self.posterior(X).log_evidence

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Mean of :meth:`score_samples` of ``X``, nats per row: a lower bound on average, tighter with more draws."""
        return float(self.score_samples(X).mean())

    def table(self, X: npt.ArrayLike) -> FloatArray:
        """The columns of ``X`` that the model has, as checked numbers: shape (n, p), NaN = missing, original units."""
        return self._check(X, reset=False).values

    def take_kinds_from(self, X: npt.ArrayLike) -> Self:
        """Let the next fits take the columns for what they are in ``X``, of which they get samples of the rows.

        Names that are each there once are no names in a sample in which rows are drawn twice, and rare levels may be
        absent from it.

        Parameters
        ----------
        X : array-like
            Shape (n, p), NaN = missing.

        Returns
        -------
        JointEstimator
            Itself; ``clone`` forgets it.
        """
        self._known_schema: Schema | None = self._found_schema(self._raw(X))
        return self

    def batch(self, X: npt.ArrayLike) -> Batch:
        """The rows of ``X``, shape (n, p), as ``joint_.model`` and ``joint_.guide`` take them, for Pyro's tools."""
        return self._batch(self._check(X, reset=False))

    @property
    def schema_(self) -> pd.DataFrame:
        """What each column of the table was taken for: column, kind, why, support and transform."""
        check_is_fitted(self)
        return self._schema.frame(self.columns_)

    def _check(self, X: npt.ArrayLike, reset: bool) -> Rows:
        """The columns that the model has; parameters are checked too when ``reset``."""
        if reset:
            check_parameters(self)
        else:
            check_is_fitted(self)
        return self._modelled(self._read(X, reset), reset)

    def _read(self, X: npt.ArrayLike, reset: bool) -> Cells:
        """All columns of the table, as the schema reads them."""
        raw = self._raw(X)
        with reading("X", lines=True):
            validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            known: Schema | None = getattr(self, "_known_schema", None)
            self._schema = (known or self._found_schema(raw)).renamed(list(self._input_names()))
        return self._schema.read(raw)

    def _raw(self, X: npt.ArrayLike) -> list[RawColumn]:
        """The columns of the table, with what the mechanism says of them."""
        mechanism = mechanisms.by_name(self.mechanism)
        declared = declared_limits(mechanism)
        raw = with_limits(read_columns(X, self.missing_values, self, declared), declared)
        return with_beside(raw, mechanism.beside)

    def _found_schema(self, raw: Sequence[RawColumn]) -> Schema:
        """What the columns are."""
        return find_schema(raw, self.types)

    def _modelled(self, table: Cells, reset: bool) -> Rows:
        if reset:
            if table.missing.all():
                raise InvalidInputError(
                    f"every cell of the table, shape {table.values.shape}, is missing; there is nothing to learn from"
                )
            if not self._schema.modelled.any():
                kinds = {column.name: column.kind for column in self._schema.columns}
                raise InvalidInputError(f"no column can be modelled: {kinds}; declare one in 'types'")
            empty = self._input_names()[~self._schema.has_values]
            if len(empty):
                warnings.warn(
                    f"columns without any observed value are left out of the model: {list(empty)}",
                    DataWarning,
                    stacklevel=4,
                )
            check_distinct(self._schema.model_names(), "of the model")
        rows = self._schema.rows(table)
        if not reset:
            reject_far(rows.values, self.columns_)
            if rows.beside is not None and self.columns_.beside is not None:
                reject_far(rows.beside, self.columns_.beside)
            check_discrete(rows.values, self.layout_, self.columns_.names)
            check_blocks(rows.values, self.joint_.mechanism.blocks, self.columns_.names)
            self._warn_untrained(table, rows)
        return rows

    def _warn_untrained(self, table: Cells, rows: Rows) -> None:
        """Say which columns are missing for the first time, where the model has a mechanism."""
        if isinstance(self.joint_.mechanism, mechanisms.Ignorable):
            return
        masked = self.joint_.mechanism.masked()
        trained = self.joint_.active.cpu().numpy() | (False if masked is None else ~masked.cpu().numpy())
        for group in self.joint_.one_cell_groups:
            trained[group] = trained[group[0]]
        new = [
            self._schema.columns[j].name
            for j, start in self._schema.starts().items()
            if not trained[start] and (table.missing[:, j] & ~rows.censored[:, start]).any()
        ]
        if new:
            warnings.warn(
                f"columns {new} have missing values now but had none in training: how they go missing was not learnt, "
                "and they are treated as missing at random",
                DataWarning,
                stacklevel=5,
            )

    def _input_names(self) -> npt.NDArray[np.object_]:
        names = getattr(self, "feature_names_in_", None)
        return np.array([f"x{j}" for j in range(self.n_features_in_)], object) if names is None else names

    def _fit_joint(self, rows: Rows, target: torch.Tensor | None = None, head_weight_decay: float = 0.0) -> None:
        """Build the pair and train it, with a head where there is a target."""
        check_process()
        self._seed = drawn_seed(self.random_state)
        table = rows.values
        check_size(self, table.shape, len(self._schema.starts()))
        described = self._describe(table, self._schema.describe_beside(rows.beside))
        if rows.limits is not None:
            described = described._replace(columns=with_censored_scales(rows, described.layout, described.columns))
        self.layout_, self.columns_, self.findings_ = described.layout, described.columns, described.findings
        data = self._batch(rows)._replace(y=target).to(self.device, torch.float32)
        self.joint_ = self._new_joint(torch.as_tensor(self._can_be_missing(table)))
        check_blocks(table, self.joint_.mechanism.blocks, self.columns_.names)
        settings = self._fit_settings(len(table), head_weight_decay)
        self.history_ = History()
        try:
            self._start(described, table, data, settings)
            with progress(self.verbose) as report:
                told = training_report(report, bool(self.verbose))
                training = self.training_used
                fit(self.joint_, data, settings, told, self.history_, training.checkpoint_dir, training.devices)
        finally:
            self.n_iter_ = self.history_.n_iter

    @property
    def training_used(self) -> TrainingSettings:
        """``training`` with the estimator's own values where it has None."""
        return (self.training or TrainingSettings()).filled(self._training_defaults)

    def _fit_settings(self, n_rows: int, head_weight_decay: float) -> FitSettings:
        training, chosen = self.training_used, None if self.training is None else self.training.gradient
        assert training.learning_rate and training.final_rate and training.n_draws and training.gradient
        return FitSettings(
            max_iter=passes(self._steps, n_rows, training.batch_size) if self.max_iter is None else self.max_iter,
            batch_size=rows_per_step(training.batch_size, n_rows),
            n_draws=training.n_draws,
            learning_rate=training.learning_rate,
            mechanism_learning_rate=training.mechanism_learning_rate,
            final_rate=training.final_rate,
            # Bounded, so that a step never takes away more than a tenth of a weight.
            decoder_weight_decay=min((training.decoder_weight_decay or 0.0) / n_rows, 0.1 / training.learning_rate),
            head_weight_decay=head_weight_decay,
            gradient=chosen or ("standard" if self._choices_are_drawn() else training.gradient),
            validation_fraction=training.validation_fraction,
            tol=training.tol,
            n_iter_no_change=training.n_iter_no_change,
            seed=self._seed,
        )

    def _choices_are_drawn(self) -> bool:
        """Whether missing cells are drawn in training and some are choices, for which "dreg" has no form."""
        layout, joint = self.layout_, self.joint_
        drawn = joint.has_mask_term and not joint.collapsed
        return drawn and bool(layout.discrete or layout.levels or layout.atoms)

    def _describe(self, table: FloatArray, beside: ColumnInfo | None) -> Described:
        """Kinds, scales and the mechanism's start of the model's columns, shape (n, p), NaN = missing."""
        layout, columns = self._schema.describe(table)
        scales = self._scales(table, layout, beside)
        if scales:
            layout, columns = self._schema.describe(table, scales)
        columns = columns._replace(beside=beside)
        if self.training_used.start == "cliff" and self.training_used.collapse is not False:
            return begin(table, layout, columns, mechanisms.by_name(self.mechanism), self._seed)
        return Described(layout, columns)

    def _can_be_missing(self, table: FloatArray) -> BoolArray:
        """The columns that have a mask term, shape (p,)."""
        return np.asarray(np.isnan(table).any(0))

    def _start(self, described: Described, table: FloatArray, data: Batch, settings: FitSettings) -> None:
        """Bring the new pair to where training starts."""
        if described.mechanism is not None:
            # What belongs to the code is new in every pair.
            new = self.joint_.mechanism.state_dict()
            self.joint_.mechanism.load_state_dict({**new, **described.mechanism.state_dict()})

    def _scales(self, table: FloatArray, layout: Layout, beside: ColumnInfo | None) -> dict[int, Transform]:
        """Transforms of continuous columns, where something else decides than the shape of the observed values."""
        names = self._schema.model_names()
        if isinstance(self.log_columns, str):
            found = chosen_scales(table, layout, names, mechanisms.by_name(self.mechanism), beside)
        else:
            logged = self._schema.positions(self.log_columns or (), "log_columns")
            check_positive(table, logged, layout.continuous, names)
            found = {j: Log() if j in logged else Identity() for j in layout.continuous}
        bounded = {start for j, start in self._schema.starts().items() if self._schema.columns[j].kind == "bounded"}
        return {j: g for j, g in found.items() if j not in bounded}

    def _new_joint(self, active: torch.Tensor) -> Joint:
        """An untrained pair for ``columns_``, the same for the same seed; ``active`` as in Joint."""
        with _INITIALISATION, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            joint = self._build(self.columns_, active)
        return joint.to(checked_device(self.device), torch.float32)

    def _new_head(self, n_features: int) -> Head | None:
        """An untrained p(y|x); None for estimators without a target."""
        return None

    def _build(self, columns: ColumnInfo, active: torch.Tensor) -> Joint:
        p, training = len(columns.names), self.training_used
        latent_dim = code_size(self.latent_dim, p, len(self._schema.starts()))
        mechanism = set_up(mechanisms.by_name(self.mechanism), columns)
        mechanism.setup_code(latent_dim)
        check_order(mechanism.parents, columns.names, mechanism.blocks)
        student = student_columns(mechanism, active, self.layout_, columns.names)
        return Joint(
            *self._parts(p, latent_dim, tuple(self.hidden_units), student),
            mechanism,
            latent_dim,
            active,
            self._new_head(p),
            collapse=training.collapse,
            n_inner=training.n_inner,
            one_cell_groups=with_blocks(
                [group.columns for group in self.layout_.groups if group.one_cell], mechanism.blocks
            ),
        )

    def _parts(self, p: int, latent_dim: int, hidden: tuple[int, ...], student: Mapping[int, float]) -> Parts:
        """The networks for p columns, some of which have Student's t errors."""
        decoder, width = decoder_network(self.decoder, latent_dim, hidden)
        scale: Literal["shared", "free"] = "shared" if self.decoder == "linear" else "free"
        min_scale = self.training_used.min_scale
        likelihood: Likelihood
        if student or len(self.layout_.continuous) < p:
            likelihood = MixedLikelihood(width, self.layout_, scale, min_scale, student)
        else:
            likelihood = GaussianLikelihood(width, p, scale, min_scale)
        return Parts(MLPEncoder(p, latent_dim, hidden), decoder, likelihood)

    def _batch(self, rows: Rows) -> Batch:
        x, limits = torch.as_tensor(standardise(rows.values, self.columns_)), standardised_limits(rows, self.columns_)
        batch = Batch(x, torch.as_tensor(~np.isnan(rows.values)))
        batch = batch if limits is None else batch._replace(limits=torch.as_tensor(limits))
        if rows.beside is not None and self.columns_.beside is not None:
            beside = [standardise(rows.beside, self.columns_.beside), np.isnan(rows.beside)]
            batch = batch._replace(beside=torch.as_tensor(np.hstack(beside)))
        return batch.to(self.device, torch.float32)

    def _posterior(
        self,
        rows: Rows,
        n_draws: int | None = None,
        single: bool = False,
        independent: bool = False,
        first_row: int = 0,
        target: torch.Tensor | None = None,
    ) -> Posterior:
        return Posterior(
            self.joint_,
            self._batch(rows)._replace(y=target),
            self.columns_,
            table=rows.values,
            limits=rows.limits,
            n_draws=self.n_draws_posterior if n_draws is None else n_draws,
            seed=self._seed,
            show=self.verbose,
            single=single,
            independent=independent,
            first_row=first_row,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = not marks_with_number(self.missing_values)
        return tags
