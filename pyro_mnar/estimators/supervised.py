"""MNARClassifier and MNARRegressor: predict a target from tables with values missing not at random."""

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from pyro.distributions import Normal, TorchDistribution
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from pyro_mnar.data.arguments import truth_value, within_0_and_1
from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.exact import check_exact
from pyro_mnar.data.kinds.declared import Types
from pyro_mnar.data.kinds.schema import Cells
from pyro_mnar.data.rows import Rows
from pyro_mnar.data.targets import ClassCodes, read_classes, read_values
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.completion import Completing
from pyro_mnar.estimators.final_estimator import final_head
from pyro_mnar.estimators.parameters import check_widths, short_signature
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.start.plan import LEAST_BATCH
from pyro_mnar.inference.posterior import mixture_quantile
from pyro_mnar.model.heads import CategoricalHead, GaussianHead, Head
from pyro_mnar.model.mechanisms import Given


class SupervisedEstimator(Completing):
    """Base of the two: the joint model of values, mask and target, and completed tables."""

    _training_defaults: ClassVar[dict[str, Any]] = {
        "batch_size": LEAST_BATCH,
        "learning_rate": 3e-3,
        "final_rate": 0.01,
        "n_draws": 20,
        "gradient": "standard",
        "start": "cliff",
    }
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **JointEstimator._parameter_constraints,
        **JointEstimator._table_constraints,
        "head": [StrOptions({"linear", "mlp"})],
        "head_hidden_units": ["array-like"],
        "head_dropout": [Interval(Real, 0, 1, closed="left")],
        "head_weight_decay": [Interval(Real, 0, None, closed="left")],
        "final_estimator": [HasMethods(["fit", "predict"]), None],
        "n_completed": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        mechanism: Given = "self-masking",
        *,
        head: Literal["linear", "mlp"] = "mlp",
        head_hidden_units: Sequence[int] = (64,),
        head_dropout: float = 0.0,
        head_weight_decay: float = 0.0,
        final_estimator: Any = None,
        n_completed: int = 10,
        types: Types = None,
        log_columns: Literal["auto"] | Sequence[str | int] | None = "auto",
        decoder: Literal["mlp", "residual", "linear"] = "mlp",
        latent_dim: int | None = None,
        hidden_units: Sequence[int] = (128, 128),
        max_iter: int | None = 100,
        n_draws_posterior: int = 300,
        training: TrainingSettings | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: bool | None = None,
    ) -> None:
        self.mechanism = mechanism
        self.head = head
        self.head_hidden_units = head_hidden_units
        self.head_dropout = head_dropout
        self.head_weight_decay = head_weight_decay
        self.final_estimator = final_estimator
        self.n_completed = n_completed
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

    def _cells_to_complete(self, X: npt.ArrayLike) -> Cells:
        table = super()._cells_to_complete(X)
        check_exact(X, self._schema.numbers(table))
        return table

    def _predictive(
        self, X: npt.ArrayLike, function: Callable[[TorchDistribution], torch.Tensor] | None = None
    ) -> FloatArray:
        """Average of p(y | x) over completed rows, or of a statistic of it, shape (n, ...)."""
        average = self._posterior(self._check(X, reset=False)).predictive(function)
        return np.asarray(average.cpu().numpy(), dtype=np.float64)

    def _fit_with_target(self, rows: Rows, target: torch.Tensor) -> None:
        """Train the pair, and put the final estimator in its head's place."""
        self._fit_joint(rows, target, self.head_weight_decay)
        if self.final_estimator is not None:
            posterior = self._posterior(rows, target=target)
            self.joint_.head = final_head(self.final_estimator, posterior, self.n_completed, self._seed)

    def _head_widths(self) -> tuple[int, ...]:
        check_widths(self.head_hidden_units, "head_hidden_units", type(self).__name__)
        return tuple(self.head_hidden_units) if self.head == "mlp" else ()


@short_signature
class MNARClassifier(ClassifierMixin, SupervisedEstimator):
    """Classify rows with values missing because of themselves (sup-not-MIWAE; supMIWAE with ``"ignorable"``).

    ``p(y | x_obs, s) ~ sum_k a_k p(y | x_obs, x_mis_k)``,

    the weights a_k being those of the draws without y. Values, mask and target are trained together; what the mask says
    about y goes through the values that it hides.

    Parameters
    ----------
    mechanism, types, log_columns
        As for :class:`~pyro_mnar.MNARImputer`.
    head : {"linear", "mlp"}
        Softmax of a linear function of the completed row, or of a tanh network.
    head_hidden_units : sequence of int
        Widths of that network.
    final_estimator : estimator or None
        A scikit-learn classifier with ``predict_proba`` that takes the head's place once the joint model is trained, a
        random forest say: fitted to completed rows, original units, drawn from p(x_mis | x_obs, s, y); predictions are
        its probabilities averaged over draws from p(x_mis | x_obs, s). ``joint_.head.model`` is the fitted clone. It
        cannot be saved.
    random_state, verbose
        As for :class:`~pyro_mnar.MNARImputer`.

    Other Parameters
    ----------------
    head_dropout : float
        Share of the head's hidden units that each draw loses in training.
    head_weight_decay : float
        Decoupled decay of the head's weights, per step and unit of learning rate.
    n_completed : int
        Draws of each row that ``final_estimator`` is fitted to. A leaf of 10 rows then holds one row of the table, or
        a few.
    decoder, latent_dim, hidden_units
        As for :class:`~pyro_mnar.MNARImputer`.
    max_iter : int or None
        Passes over the data; None takes as many as make 3,000 steps.
    n_draws_posterior : int
        Importance draws per row in predictions: 100 or more.
    training : TrainingSettings or None
        Rates, batches, early stopping, checkpoints; None takes the defaults.
    device : str
        torch device.

    Attributes
    ----------
    classes_ : ndarray
        Labels in scikit-learn's order (sorted), shape (C,).
    joint_, history_, n_iter_, columns_, layout_
        As for :class:`~pyro_mnar.MNARImputer`.

    References
    ----------
    Ipsen, Mattei & Frellsen 2022, "How to deal with missing data in supervised deep learning?", ICLR. Wei & Tanner
    1990 (Monte Carlo EM, for ``final_estimator``).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = np.where(X[:, 0] > 0, "high", "low")
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> MNARClassifier(max_iter=2, random_state=0).fit(X, y).predict_proba(X).shape
    (60, 2)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **SupervisedEstimator._parameter_constraints,
        "final_estimator": [HasMethods(["fit", "predict_proba"]), None],
    }

    classes_: npt.NDArray[Any]

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> "MNARClassifier":
        """Fit the joint model of values, mask and label.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.
        y : array-like
            Labels of any hashable type, shape (n,), none missing.

        Returns
        -------
        MNARClassifier
            Itself.

        Raises
        ------
        InvalidInputError
            A parameter, a column or a label that breaks a stated rule; before training.
        """
        rows = self._check(X, reset=True)
        self._head_widths()
        codes: ClassCodes = read_classes(y, len(rows.values))
        self.classes_ = codes.classes
        self._fit_with_target(rows, torch.as_tensor(codes.codes))
        return self

    def _target_as_given(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        labels = self.classes_.astype(str) if self.classes_.dtype == object else self.classes_
        return np.asarray(labels)[values.astype(int)]

    def _new_head(self, n_features: int) -> Head:
        return CategoricalHead(n_features, len(self.classes_), self._head_widths(), self.head_dropout)

    def predict_proba(self, X: npt.ArrayLike) -> FloatArray:
        """p(y | x_obs, s) of each class in the order of ``classes_``, shape (n, C).

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.

        Raises
        ------
        InvalidInputError
            Columns that are not those of the fitted table, and cells that break a stated rule.
        NotFittedError
            Before ``fit``.
        """
        probability = self._predictive(X)
        return np.asarray(probability / probability.sum(1, keepdims=True), dtype=np.float64)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """The most probable class of each row of ``X``, shape (n,); errors as for ``predict_proba``."""
        check_is_fitted(self)
        labels: npt.NDArray[Any] = self.classes_[self.predict_proba(X).argmax(1)]
        return labels


@short_signature
class MNARRegressor(RegressorMixin, SupervisedEstimator):
    """Predict a number from rows with values missing because of themselves (sup-not-MIWAE; supMIWAE if ignorable).

    ``p(y | x_obs, s) ~ sum_k a_k N(y; f(x_obs, x_mis_k), sigma^2)``,

    the weights a_k being those of the draws without y.

    Parameters
    ----------
    mechanism, types, log_columns
        As for :class:`~pyro_mnar.MNARImputer`.
    head : {"linear", "mlp"}
        Mean of y given the completed row: linear, or a tanh network.
    final_estimator : estimator or None
        A scikit-learn regressor in the head's place, as for :class:`MNARClassifier`; sigma is then that of its
        cross-validated residuals.
    head_hidden_units, random_state, verbose
        As for :class:`MNARClassifier`.

    Other Parameters
    ----------------
    head_dropout, head_weight_decay, n_completed, decoder, latent_dim, hidden_units, max_iter, n_draws_posterior
        As for :class:`MNARClassifier`.
    training, device
        As for :class:`MNARClassifier`.

    Attributes
    ----------
    joint_, history_, n_iter_, columns_, layout_
        As for :class:`~pyro_mnar.MNARImputer`.
    y_center_, y_scale_ : float
        Mean and standard deviation of y in training; the head works on (y - center) / scale.

    References
    ----------
    Ipsen, Mattei & Frellsen 2022, "How to deal with missing data in supervised deep learning?", ICLR. Wei & Tanner
    1990 (Monte Carlo EM, for ``final_estimator``).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(60, 2))
    >>> y = X.sum(1)
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> mean, std = MNARRegressor(max_iter=2, random_state=0).fit(X, y).predict(X, return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((60,), True)
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> "MNARRegressor":
        """Fit the joint model of values, mask and target.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.
        y : array-like
            Numbers, shape (n,), none missing.

        Returns
        -------
        MNARRegressor
            Itself.

        Raises
        ------
        InvalidInputError
            A parameter, a column or a value that breaks a stated rule; before training.
        """
        rows = self._check(X, reset=True)
        self._head_widths()
        values = read_values(y, len(rows.values))
        self.y_center_, spread = float(values.mean()), float(values.std())
        self.y_scale_ = spread if spread > 0 else 1.0
        target = torch.as_tensor((values - self.y_center_) / self.y_scale_)
        self._fit_with_target(rows, target)
        return self

    def _target_as_given(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.asarray(values * self.y_scale_ + self.y_center_)

    def _new_head(self, n_features: int) -> Head:
        return GaussianHead(n_features, self._head_widths(), self.head_dropout)

    def predict(self, X: npt.ArrayLike, return_std: bool = False) -> FloatArray | tuple[FloatArray, FloatArray]:
        """E[y | x_obs, s], and on request the standard deviation of y, the units of y, shape (n,) each.

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.
        return_std : bool
            Give the standard deviation of the predictive distribution too: noise, and what is not known of x_mis.

        Raises
        ------
        InvalidInputError
            Columns that are not those of the fitted table, and cells that break a stated rule.
        NotFittedError
            Before ``fit``.
        """
        check_is_fitted(self)
        if not truth_value("return_std", return_std):
            return self._predictive(X) * self.y_scale_ + self.y_center_
        moments = self._predictive(X, _first_two_moments)
        deviation = np.sqrt(np.maximum(moments[:, 1] - moments[:, 0] ** 2, 0.0))
        return moments[:, 0] * self.y_scale_ + self.y_center_, deviation * self.y_scale_

    def predict_interval(self, X: npt.ArrayLike, coverage: float = 0.9) -> FloatArray:
        """Central interval of p(y | x_obs, s), the units of y, shape (n, 2).

        Parameters
        ----------
        X : array-like
            Shape (n, p), original units, NaN = missing.
        coverage : float
            Probability inside, in (0, 1); half of the rest lies on either side.

        Raises
        ------
        InvalidInputError
            ``coverage`` outside (0, 1), and what ``predict`` raises.
        NotFittedError
            Before ``fit``.
        """
        coverage = within_0_and_1("coverage", coverage)
        levels = [(1 - coverage) / 2, (1 + coverage) / 2]
        bounds = mixture_quantile(self._posterior(self._check(X, reset=False)), levels)
        return np.asarray(bounds.cpu().numpy() * self.y_scale_ + self.y_center_, dtype=np.float64)


def _first_two_moments(y: TorchDistribution) -> torch.Tensor:
    assert isinstance(y, Normal)
    return torch.stack([y.loc, y.loc**2 + y.scale.expand_as(y.loc) ** 2], -1)
