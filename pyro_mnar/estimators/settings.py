"""TrainingSettings: how an estimator trains, for those who want to say so."""

import os
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from pyro_mnar.estimators.parameters import short_signature
from pyro_mnar.inference.importance import Gradient
from pyro_mnar.inference.processes import Devices


@short_signature
class TrainingSettings(BaseEstimator):
    """How an estimator trains: ``MNARImputer(training=TrainingSettings(learning_rate=3e-3))``.

    Searches reach a setting as ``training__learning_rate``. Where a setting is None the estimator has a value of its
    own: the first number is that of the imputers, the second that of :class:`~pyro_mnar.MNARClassifier` and
    :class:`~pyro_mnar.MNARRegressor`.

    Parameters
    ----------
    batch_size : int or None
        Rows per step at most; the steps of a pass have one size, or nearly so. None: for
        :class:`~pyro_mnar.MNARImputer` a quarter of the rows, 128 at least and 256 at most, else 128.
    learning_rate : float or None
        Adam's rate for the networks; None: 0.01 (0.001 for images) and 0.003.
    mechanism_learning_rate : float
        Adam's rate for the mechanism. At the networks' rate it is too slow: the data model bends before the mask
        becomes steep.
    decoder_weight_decay : float or None
        Decoupled weight decay of the decoder's hidden layers, per step and unit of ``learning_rate``, times the rows
        of the table: a normal prior on their weights, which draws a small table towards the linear model. None: 300
        for :class:`~pyro_mnar.MNARImputer`, else 0.
    final_rate : float or None
        The rates fall to this share along a half cosine over ``max_iter``; None: 0.05 and 0.01.
    n_draws : int or None
        Importance draws K per row in training; None: 5 and 20.
    gradient : {"standard", "dreg"} or None
        See :class:`~pyro_mnar.inference.importance.ImportanceBound`; None: "dreg" ("standard" where
        cells of levels have to be drawn) and "standard".
    start : {"cliff", "neutral"} or None
        Where a self-masking mechanism starts; None: "cliff". "cliff": each column from the normal
        distribution that, having lost values on one side, best explains the values that are left and the number of
        missing ones; the column is standardised by the mean and spread of that distribution. A column of unknown
        direction takes the side of its cliff, or the one on which most columns' cliffs agree; without one it starts
        like "neutral". For images with a shared mechanism "cliff" finds the curve first, with networks that are thrown
        away. "neutral": the observed mean and spread, and no slope.
    min_scale : float
        Floor under the noise scale of p(x|z), in units of ``columns_.scale`` (for images: of the standard deviation of
        all pixels).
    collapse : {"auto", True, False}
        Integrate x_mis out of the mask term exactly, where that is possible.
    n_inner : int
        Draws of x_mis per z where it is not.
    validation_fraction : float
        Share of rows held out to watch the bound; 0 trains on all and keeps the last weights.
    tol : float
        Least gain of the held-out bound, in nats per row, that counts as one.
    n_iter_no_change : int or None
        Stop after so many passes without such a gain; None never stops early. The best weights are kept either way.
    checkpoint_dir : path or None
        A folder for the state of training, written every 30 seconds. The same fit, started again after a kill, goes on
        from there and ends at the same weights; it needs a ``random_state`` that is a number. The file goes when
        training ends.
    devices : int or Fabric
        Processes that train together, one per device of the estimator's ``device`` ("cpu": each a share of the
        threads; "cuda": a GPU each). Every batch is divided among them; weights and bound are those of one process,
        but for rounding. Needs Lightning Fabric (``pip install "pyro-mnar[parallel]"``); starting takes some seconds.
        A launched ``Fabric`` makes use of processes that are there, on one machine or several: all of them make the
        same fit of the same table.

    Examples
    --------
    >>> TrainingSettings(batch_size=64)
    TrainingSettings(batch_size=64)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), None],
        "mechanism_learning_rate": [Interval(Real, 0, None, closed="neither")],
        "decoder_weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "final_rate": [Interval(Real, 0, 1, closed="right"), None],
        "n_draws": [Interval(Integral, 1, None, closed="left"), None],
        "gradient": [StrOptions({"standard", "dreg"}), None],
        "start": [StrOptions({"cliff", "neutral"}), None],
        "min_scale": [Interval(Real, 0, None, closed="left")],
        "collapse": ["boolean", StrOptions({"auto"})],
        "n_inner": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "checkpoint_dir": [str, os.PathLike, None],
        "devices": [Interval(Integral, 1, None, closed="left"), HasMethods(["launch", "broadcast"])],
    }

    def __init__(
        self,
        *,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        mechanism_learning_rate: float = 3e-2,
        decoder_weight_decay: float | None = None,
        final_rate: float | None = None,
        n_draws: int | None = None,
        gradient: Gradient | None = None,
        start: Literal["cliff", "neutral"] | None = None,
        min_scale: float = 0.1,
        collapse: bool | Literal["auto"] = "auto",
        n_inner: int = 1,
        validation_fraction: float = 0.0,
        tol: float = 1e-3,
        n_iter_no_change: int | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        devices: Devices = 1,
    ) -> None:
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.mechanism_learning_rate = mechanism_learning_rate
        self.decoder_weight_decay = decoder_weight_decay
        self.final_rate = final_rate
        self.n_draws = n_draws
        self.gradient = gradient
        self.start = start
        self.min_scale = min_scale
        self.collapse = collapse
        self.n_inner = n_inner
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.checkpoint_dir = checkpoint_dir
        self.devices = devices

    def filled(self, defaults: Mapping[str, Any]) -> "TrainingSettings":
        """A copy with the values of ``defaults``, an estimator's own, where a setting is None."""
        own: dict[str, Any] = self.get_params(deep=False)
        missing = {key: value for key, value in defaults.items() if own[key] is None}
        return TrainingSettings(**own | missing)


def with_training(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """An estimator's parameters from a flat table of them and of the settings of training, as studies record it.

    Examples
    --------
    >>> with_training({"latent_dim": 2, "tol": 0.1})
    {'latent_dim': 2, 'training': TrainingSettings(tol=0.1)}
    """
    names = TrainingSettings().get_params(deep=False)
    flat = {key: value for key, value in parameters.items() if key not in names}
    inner = {key: value for key, value in parameters.items() if key in names}
    return {**flat, "training": TrainingSettings(**inner)} if inner else flat


def flat_parameters(estimator: Any) -> dict[str, Any]:
    """An estimator's parameters, the settings of training as it uses them among them: what a study records."""
    own: dict[str, Any] = estimator.get_params(deep=False)
    del own["training"]
    return own | estimator.training_used.get_params(deep=False)
