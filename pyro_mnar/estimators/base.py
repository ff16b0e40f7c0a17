"""What the estimators share: reading a table, building the pair, fitting it, and questions to the fitted pair."""

import copy
import threading
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import nn

from pyro_mnar import mechanisms
from pyro_mnar.batch import Batch
from pyro_mnar.columns import ColumnInfo, FloatArray, describe, standardise
from pyro_mnar.encoders import MLPEncoder
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.importance import Gradient
from pyro_mnar.joint import Joint
from pyro_mnar.likelihoods import GaussianLikelihood
from pyro_mnar.networks import mlp
from pyro_mnar.posterior import posterior_mean
from pyro_mnar.progress import training_bar
from pyro_mnar.report import mechanism_table
from pyro_mnar.training import TrainingSettings, fit

# torch initialises layers from its global generator: it is forked, seeded and put back, one thread at a time.
_INITIALISATION = threading.Lock()


class JointEstimator(BaseEstimator):
    """Base of the estimators: the constructor's parameters and the fitted pair ``joint_``."""

    def __init__(
        self,
        mechanism: str | mechanisms.Mechanism = "self-masking",
        *,
        decoder: Literal["mlp", "linear"] = "mlp",
        latent_dim: int | None = None,
        hidden_units: Sequence[int] = (128, 128),
        min_scale: float = 0.1,
        n_draws: int = 20,
        n_draws_posterior: int = 1000,
        max_iter: int = 500,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        mechanism_learning_rate: float = 3e-2,
        collapse: bool | Literal["auto"] = "auto",
        n_inner: int = 1,
        gradient: Gradient = "standard",
        validation_fraction: float = 0.0,
        tol: float = 1e-3,
        n_iter_no_change: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: bool = False,
    ) -> None:
        self.mechanism = mechanism
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.min_scale = min_scale
        self.n_draws = n_draws
        self.n_draws_posterior = n_draws_posterior
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.mechanism_learning_rate = mechanism_learning_rate
        self.collapse = collapse
        self.n_inner = n_inner
        self.gradient = gradient
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def mechanism_report(self) -> pd.DataFrame:
        """The fitted mechanism in original units, one row per column of the table.

        Returns
        -------
        DataFrame
            feature; missing_rate (training); and for self-masking mechanisms slope (change of the logit of "missing"
            per original unit), slope_per_sd (per observed standard deviation), threshold (value at which half of the
            cells are missing, original units) and direction ("high" values go missing, or "low").

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        return mechanism_table(self.joint_, self.columns_)

    def score(self, X: npt.ArrayLike, y: object = None) -> float:
        """Importance-weighted bound on log p(x_obs, s), mean over rows, nats per row (standardised scale).

        Raises
        ------
        NotFittedError
            Before ``fit``.
        """
        return float(self._complete(self._check(X, reset=False))[1].mean())

    def _check(self, X: npt.ArrayLike, reset: bool) -> FloatArray:
        if isinstance(X, pd.DataFrame):
            for name in X.columns:
                if not pd.api.types.is_numeric_dtype(X[name]):
                    raise InvalidInputError(
                        f"column {name!r} has type {X[name].dtype}, not numbers; drop it or encode it as numbers first"
                    )
        if not reset:
            check_is_fitted(self)
        table: FloatArray = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan")
        return table

    def _names(self) -> list[str]:
        names = getattr(self, "feature_names_in_", None)
        return [f"x{j}" for j in range(self.n_features_in_)] if names is None else [str(name) for name in names]

    def _fit_joint(self, table: FloatArray) -> None:
        self._seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.columns_ = describe(table, self._names())
        observed = ~np.isnan(table)
        data = self._batch(table)
        with _INITIALISATION, torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            joint = self._build(self.columns_, torch.as_tensor(~observed.all(0)))
        self.joint_ = joint.to(self.device)
        settings = TrainingSettings(
            max_iter=self.max_iter,
            batch_size=self.batch_size,
            n_draws=self.n_draws,
            learning_rate=self.learning_rate,
            mechanism_learning_rate=self.mechanism_learning_rate,
            gradient=self.gradient,
            validation_fraction=self.validation_fraction,
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            seed=self._seed,
        )
        with training_bar(self.verbose) as report:
            self.history_ = fit(self.joint_, data, settings, report)
        self.n_iter_ = self.history_.n_iter

    def _build(self, columns: ColumnInfo, active: torch.Tensor) -> Joint:
        p = len(columns.names)
        latent_dim = max(1, p - 1) if self.latent_dim is None else self.latent_dim
        mechanism = copy.deepcopy(mechanisms.by_name(self.mechanism))
        mechanism.setup(columns)
        hidden = tuple(self.hidden_units)
        linear = self.decoder == "linear"
        decoder: nn.Module = nn.Identity() if linear else mlp(latent_dim, hidden)
        width = latent_dim if linear or not hidden else hidden[-1]
        likelihood = GaussianLikelihood(width, p, "shared" if linear else "free", self.min_scale)
        encoder = MLPEncoder(p, latent_dim, hidden)
        return Joint(
            encoder,
            decoder,
            likelihood,
            mechanism,
            latent_dim,
            active,
            collapse=self.collapse,
            n_inner=self.n_inner,
        )

    def _batch(self, table: FloatArray) -> Batch:
        x = torch.as_tensor(standardise(table, self.columns_))
        return Batch(x, torch.as_tensor(~np.isnan(table))).to(self.device, torch.float32)

    def _complete(self, table: FloatArray) -> tuple[FloatArray, FloatArray]:
        completed, evidence = posterior_mean(self.joint_, self._batch(table), self.n_draws_posterior, self._seed)
        return completed.double().cpu().numpy(), evidence.double().cpu().numpy()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
