"""What the estimators share: reading a table, building the pair, fitting it, and questions to the fitted pair."""

import os
import threading
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from pyro_mnar.data.columns import (
    ColumnInfo,
    FloatArray,
    check_discrete,
    describe,
    find_layout,
    standardise,
    transformed,
)
from pyro_mnar.data.encoding import Kinds, Labels
from pyro_mnar.data.tables import BoolArray, category_labels, marks_with_number, read_table, reject_far
from pyro_mnar.data.transforms import Identity, Log, Transform
from pyro_mnar.errors import DataWarning, InvalidInputError, InvalidTypeError
from pyro_mnar.estimators.explained import Explained
from pyro_mnar.estimators.images import (
    ImageShape,
    check_image_parameters,
    describe_pixels,
    image_parts,
    image_rows,
    set_noise_floor,
    shared_curve,
)
from pyro_mnar.estimators.parameters import check_parameters, checked_device, drawn_seed
from pyro_mnar.estimators.start.log_scale import check_positive, find_log_columns
from pyro_mnar.estimators.start.plan import passes, set_up, start_from_tails
from pyro_mnar.inference.importance import Gradient
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.progress import training_bar
from pyro_mnar.inference.training import History, TrainingSettings, fit
from pyro_mnar.model import mechanisms
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import Encoder, MLPEncoder
from pyro_mnar.model.heads import Head
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood, Likelihood, MixedLikelihood
from pyro_mnar.model.networks import decoder_network

#: Steps of training where ``max_iter`` is None.
STEPS = 3000
# torch initialises layers from its global generator: it is forked, seeded and put back, one thread at a time.
_INITIALISATION = threading.Lock()


class JointEstimator(Explained, BaseEstimator):
    """Base of the estimators: the constructor's parameters and the fitted pair ``joint_``."""

    # Parameters of the imputer alone; the others have these values.
    log_columns: Literal["auto"] | Sequence[str | int] | None = None
    start: Literal["cliff", "neutral", "unscaled"] = "neutral"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "mechanism": [str, mechanisms.Mechanism],
        "categorical": ["array-like", None],
        "binary": [StrOptions({"auto"}), "array-like"],
        "decoder": [StrOptions({"mlp", "residual", "linear", "conv"})],
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_units": ["array-like"],
        "min_scale": [Interval(Real, 0, None, closed="left")],
        "n_draws": [Interval(Integral, 1, None, closed="left")],
        "n_draws_posterior": [Interval(Integral, 1, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "final_rate": [Interval(Real, 0, 1, closed="right")],
        "mechanism_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "collapse": ["boolean", StrOptions({"auto"})],
        "n_inner": [Interval(Integral, 1, None, closed="left")],
        "gradient": [StrOptions({"standard", "dreg"})],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "device": [str],
        "checkpoint_dir": [str, os.PathLike, None],
        "verbose": ["boolean"],
    }

    def __init__(
        self,
        mechanism: str | mechanisms.Mechanism = "self-masking",
        *,
        categorical: Sequence[Sequence[str | int]] | None = None,
        binary: Literal["auto"] | Sequence[str | int] = "auto",
        decoder: Literal["mlp", "residual", "linear", "conv"] = "mlp",
        latent_dim: int | None = None,
        hidden_units: Sequence[int] = (128, 128),
        min_scale: float = 0.1,
        n_draws: int = 20,
        n_draws_posterior: int = 1000,
        max_iter: int | None = 500,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        final_rate: float = 1.0,
        mechanism_learning_rate: float = 3e-2,
        collapse: bool | Literal["auto"] = "auto",
        n_inner: int = 1,
        gradient: Gradient = "standard",
        validation_fraction: float = 0.0,
        tol: float = 1e-3,
        n_iter_no_change: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        verbose: bool = False,
    ) -> None:
        self.mechanism = mechanism
        self.categorical = categorical
        self.binary = binary
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.min_scale = min_scale
        self.n_draws = n_draws
        self.n_draws_posterior = n_draws_posterior
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.final_rate = final_rate
        self.mechanism_learning_rate = mechanism_learning_rate
        self.collapse = collapse
        self.n_inner = n_inner
        self.gradient = gradient
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.device = device
        self.checkpoint_dir = checkpoint_dir
        self.verbose = verbose

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
        return self._check(X, reset=False)

    def batch(self, X: npt.ArrayLike) -> Batch:
        """The rows of ``X``, shape (n, p), as ``joint_.model`` and ``joint_.guide`` take them, for Pyro's tools."""
        return self._batch(self.table(X))

    def _check(self, X: npt.ArrayLike, reset: bool) -> FloatArray:
        """The columns that the model has, shape (n, p), NaN = missing; parameters are checked too when ``reset``."""
        if reset:
            check_parameters(self)
            check_image_parameters(self.get_params(deep=False))
        else:
            check_is_fitted(self)
        return self._modelled(self._read(X, reset), reset)

    def _read(self, X: npt.ArrayLike, reset: bool) -> FloatArray:
        """All columns of the table, NaN = missing; images become rows of pixels."""
        if self.decoder == "conv":
            fitted: ImageShape | None = None if reset else self.image_shape_
            X, shape = image_rows(X, fitted, self.hidden_units)
            self.image_shape_: ImageShape = shape
        if reset:
            self._labels: Labels = category_labels(X)
        table = read_table(X, self._missing_marker(), self, self._labels)
        try:
            validate_data(self, X, reset=reset, skip_check_array=True)
        except TypeError as error:
            raise InvalidTypeError(str(error)) from error
        except ValueError as error:
            raise InvalidInputError(str(error)) from error
        return table

    def _missing_marker(self) -> float | None:
        marker: float | None = self.get_params(deep=False).get("missing_values")
        return marker

    def _modelled(self, table: FloatArray, reset: bool) -> FloatArray:
        missing = np.isnan(table)
        if reset:
            self._has_values: BoolArray = ~np.all(missing, axis=0)
            if self.decoder == "conv" and self._has_values.any():
                # A pixel that is always missing is still a pixel of the image.
                self._has_values = np.ones_like(self._has_values)
            if not self._has_values.any():
                raise InvalidInputError(
                    f"every cell of the table, shape {table.shape}, is missing; there is nothing to learn from"
                )
            empty = self._input_names()[~self._has_values]
            if len(empty):
                warnings.warn(
                    f"columns without any observed value are left out of the model: {list(empty)}",
                    DataWarning,
                    stacklevel=4,
                )
        modelled = self._kinds().expand(table)
        if not reset:
            reject_far(modelled, self.columns_)
            check_discrete(modelled, self.layout_, self.columns_.names)
            self._warn_untrained(np.isnan(modelled))
        return modelled

    def _warn_untrained(self, missing: BoolArray) -> None:
        """Say which columns are missing for the first time, where the model has a mechanism."""
        if isinstance(self.joint_.mechanism, mechanisms.Ignorable):
            return
        trained = self.joint_.active.cpu().numpy().copy()
        for group in self.joint_.one_cell_groups:
            trained[group] = trained[group[0]]
        new = missing.any(0) & ~trained
        if new.any():
            warnings.warn(
                f"columns {[self.columns_.names[j] for j in np.flatnonzero(new)]} have missing values now but had none "
                "in training: how they go missing was not learnt, and they are treated as missing at random",
                DataWarning,
                stacklevel=5,
            )

    def _input_names(self) -> npt.NDArray[np.object_]:
        names = getattr(self, "feature_names_in_", None)
        return np.array([f"x{j}" for j in range(self.n_features_in_)], object) if names is None else names

    def _kinds(self) -> Kinds:
        """How the model's columns come from those of the table."""
        return Kinds(self._input_names(), self._has_values, self._labels)

    def _names(self) -> list[str]:
        """Names of the columns that the model has."""
        return self._kinds().model_names()

    def _fit_joint(
        self,
        table: FloatArray,
        target: torch.Tensor | None = None,
        head_weight_decay: float = 0.0,
    ) -> None:
        """Build the pair and train it, with a head where there is a target."""
        self._seed = drawn_seed(self.random_state)
        images = self.decoder == "conv"
        self.layout_ = (
            find_layout(table, [], []) if images else self._kinds().layout(table, self.categorical, self.binary)
        )
        start = None
        if images:
            self.columns_ = describe_pixels(table, self._names())
        else:
            logged = self._log_columns(table)
            transforms: tuple[Transform, ...] = tuple(
                Log() if j in logged else Identity() for j in range(table.shape[1])
            )
            modelled = transformed(table, transforms)
            self.columns_ = describe(modelled, self._names(), self.layout_.discrete)._replace(transforms=transforms)
            if self.start == "unscaled":
                zeros = np.zeros(len(self.columns_.names))
                self.columns_ = self.columns_._replace(center=zeros, scale=zeros + 1)
            if self.start == "cliff" and self.collapse is not False:
                mechanism = mechanisms.by_name(self.mechanism)
                start = start_from_tails(modelled, self.columns_, mechanism, self.layout_.continuous)
                self.columns_ = self.columns_ if start is None else start.columns
        # A mechanism of images belongs to all pixels, those included that happened to be seen each time.
        active = np.isnan(table).any(0) | images
        data = Batch(*self._batch(table)[:2], target).to(self.device, torch.float32)
        self.joint_ = self._new_joint(torch.as_tensor(active))
        if images:
            set_noise_floor(self.joint_.likelihood, self.min_scale, table)
        if start is not None:
            self.joint_.mechanism.load_state_dict(start.mechanism.state_dict())
        settings = TrainingSettings(
            max_iter=self._passes(len(table)),
            batch_size=self.batch_size,
            n_draws=self.n_draws,
            learning_rate=self.learning_rate,
            mechanism_learning_rate=self.mechanism_learning_rate,
            final_rate=self.final_rate,
            head_weight_decay=head_weight_decay,
            gradient=self.gradient,
            validation_fraction=self.validation_fraction,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            seed=self._seed,
        )
        self.history_ = History()
        try:
            if images and self.start == "cliff":
                found = shared_curve(self.joint_, data, settings, self.history_)
                self.joint_.mechanism.load_state_dict(found)
            with training_bar(self.verbose) as report:
                fit(self.joint_, data, settings, report, self.history_, self.checkpoint_dir)
        finally:
            self.n_iter_ = self.history_.n_iter

    def _passes(self, n_rows: int) -> int:
        return passes(STEPS, n_rows, self.batch_size) if self.max_iter is None else self.max_iter

    def _log_columns(self, table: FloatArray) -> tuple[int, ...]:
        if self.log_columns is None:
            return ()
        if isinstance(self.log_columns, str):
            mechanism, known = mechanisms.by_name(self.mechanism), np.zeros(table.shape[1])
            if isinstance(mechanism, mechanisms.SelfMasking):
                mechanism = set_up(mechanism, describe(table, self._names(), self.layout_.discrete))
                known = np.broadcast_to(mechanism.sign.cpu().numpy(), table.shape[1])
            return find_log_columns(table, self.layout_.continuous, mechanism, known)
        positions = tuple(sorted(self._kinds().positions(self.log_columns, "log_columns")))
        check_positive(table, positions, self.layout_.discrete, self._names())
        return positions

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
        p = len(columns.names)
        latent_dim = max(1, p - 1) if self.latent_dim is None else self.latent_dim
        mechanism = set_up(mechanisms.by_name(self.mechanism), columns)
        hidden = tuple(self.hidden_units)
        linear = self.decoder == "linear"
        decoder, width = decoder_network(self.decoder, latent_dim, hidden)
        scale: Literal["shared", "free"] = "shared" if linear else "free"
        likelihood = self._likelihood(width, scale)
        encoder: Encoder = MLPEncoder(p, latent_dim, hidden)
        if self.decoder == "conv":
            parameters = self.get_params(deep=False)
            encoder, decoder, likelihood = image_parts(self.image_shape_, latent_dim, hidden, parameters)
        return Joint(
            encoder,
            decoder,
            likelihood,
            mechanism,
            latent_dim,
            active,
            self._new_head(p),
            collapse=self.collapse,
            n_inner=self.n_inner,
            one_cell_groups=[group.columns for group in self.layout_.groups if group.one_cell],
        )

    def _likelihood(self, width: int, scale: Literal["free", "shared"]) -> Likelihood:
        if self.layout_.discrete:
            return MixedLikelihood(width, self.layout_, scale, self.min_scale)
        return GaussianLikelihood(width, len(self.columns_.names), scale, self.min_scale)

    def _batch(self, table: FloatArray) -> Batch:
        x = torch.as_tensor(standardise(table, self.columns_))
        return Batch(x, torch.as_tensor(~np.isnan(table))).to(self.device, torch.float32)

    def _posterior(self, table: FloatArray, n_draws: int | None = None) -> Posterior:
        draws = self.n_draws_posterior if n_draws is None else n_draws
        return Posterior(self.joint_, self._batch(table), self.columns_, table=table, n_draws=draws, seed=self._seed)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = not marks_with_number(self._missing_marker())
        return tags
