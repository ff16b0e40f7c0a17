"""MNARImageImputer: from images with lost pixels to completed images."""

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils._param_validation import StrOptions
from torch import Tensor

from pyro_mnar.data.columns import ColumnInfo, FloatArray, Layout
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.kinds.schema import Cells, Schema
from pyro_mnar.data.raw import BoolArray, RawColumn
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.base import Parts
from pyro_mnar.estimators.completion import Imputer
from pyro_mnar.estimators.parameters import InvalidParameterError, short_signature
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.start.begin import Described
from pyro_mnar.estimators.start.plan import LEAST_BATCH, passes
from pyro_mnar.inference.history import History, is_shared
from pyro_mnar.inference.training import FitSettings, fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import ConvEncoder
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods.pixels import SigmoidGaussianLikelihood
from pyro_mnar.model.mechanisms import Mechanism
from pyro_mnar.model.networks import ConvUp

#: Steps in which the curve that all pixels share is found; on faces it is there after 150.
_CURVE_STEPS = 500

ImageShape = tuple[int, int]


@short_signature
class MNARImageImputer(Imputer):
    """Impute pixels that are missing because of their own values, as where bright ones are clipped.

    Grey images come in as (n, h, w), or as rows of pixels, and go out in the same form. Encoder and decoder are
    convolutional; all pixels have one centre, one unit, and p(x|z) = N(sigmoid(f(z)), sigma^2) on their range.

    Parameters
    ----------
    mechanism : str or Mechanism
        As for :class:`~pyro_mnar.MNARImputer`; ``SelfMasking(direction="high", shared=True)`` has one curve for all
        pixels.
    strategy : {"mean", "median", "sample"}
        What missing pixels hold: as for :class:`~pyro_mnar.MNARImputer`.
    pixel_range : tuple of float
        The least and the largest value that a pixel can have, such as (0, 255).
    image_shape : tuple of int or None
        (h, w), for rows of pixels; None takes that of the array, and reads rows as squares, or as one line of pixels
        each where their length is no square.
    pixel_noise : {"shared", "image"}
        One noise scale for all pixels of all images, or one for each image, for images of which some are smooth and
        others are not.
    random_state, verbose
        As for :class:`~pyro_mnar.MNARImputer`.

    Other Parameters
    ----------------
    latent_dim : int
        Dimension L of z.
    hidden_units : sequence of int
        Channels after each stride-2 convolution, finest first.
    max_iter : int or None
        Passes over the images; None takes as many as make 3,000 steps.
    n_draws_posterior : int
        Importance draws K per image when asking.
    training, device, missing_values
        As for :class:`~pyro_mnar.MNARImputer`.

    Attributes
    ----------
    image_shape_ : tuple of int
        (h, w).
    joint_, history_, n_iter_, columns_, n_features_in_, feature_names_in_
        As for :class:`~pyro_mnar.MNARImputer`; the columns are the pixels.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, section 4.3.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(20, 8, 8))
    >>> images[images > 0.7] = np.nan
    >>> imputer = MNARImageImputer(hidden_units=(4,), latent_dim=2, max_iter=1, n_draws_posterior=50)
    >>> imputer.fit_transform(images).shape
    (20, 8, 8)
    """

    _training_defaults: ClassVar[dict[str, Any]] = {
        **Imputer._training_defaults,
        "batch_size": LEAST_BATCH,
        "learning_rate": 1e-3,
        "decoder_weight_decay": 0.0,
    }
    _steps: ClassVar[int] = 3000
    # The few draws that carry the weight of an image do not average rounding out.
    _single: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **Imputer._parameter_constraints,
        "pixel_range": [tuple, list],
        "image_shape": [tuple, list, None],
        "pixel_noise": [StrOptions({"shared", "image"})],
    }

    def __init__(
        self,
        mechanism: str | Mechanism = "self-masking",
        *,
        strategy: Literal["mean", "median", "sample"] = "mean",
        pixel_range: tuple[float, float] = (0.0, 1.0),
        image_shape: ImageShape | None = None,
        pixel_noise: Literal["shared", "image"] = "shared",
        latent_dim: int = 32,
        hidden_units: Sequence[int] = (32, 64),
        max_iter: int | None = None,
        n_draws_posterior: int = 100,
        training: TrainingSettings | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str = "cpu",
        verbose: bool | None = None,
        missing_values: float | None = np.nan,
    ) -> None:
        self.mechanism = mechanism
        self.strategy = strategy
        self.pixel_range = pixel_range
        self.image_shape = image_shape
        self.pixel_noise = pixel_noise
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.max_iter = max_iter
        self.n_draws_posterior = n_draws_posterior
        self.training = training
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.missing_values = missing_values

    def fit(self, X: npt.ArrayLike, y: object = None) -> "MNARImageImputer":
        """Fit the joint model of pixels and mask to images.

        Parameters
        ----------
        X : array-like
            Grey images, shape (n, h, w), or rows of pixels, shape (n, h * w), in ``pixel_range``; NaN = missing.
        y : object
            Ignored.

        Returns
        -------
        MNARImageImputer
            Itself.

        Raises
        ------
        InvalidInputError
            A parameter, or images, that break a stated rule; before training.
        FitDivergedError
            Losses stopped being finite, and half the learning rate did not help.
        KeyboardInterrupt
            Ctrl-C; the estimator has the best weights so far and can be used.
        """
        self._fit_joint(self._check(X, reset=True))
        return self

    def _read(self, X: npt.ArrayLike, reset: bool) -> Cells:
        """The images as rows of pixels."""
        if reset:
            self._check_image_parameters()
        fitted: ImageShape | None = None if reset else self.image_shape_
        rows, shape = image_rows(X, self.image_shape if fitted is None else fitted)
        table = super()._read(rows, reset)
        n_pixels = table.values.shape[1]
        if reset:
            self.image_shape_: ImageShape = _row_shape(n_pixels) if shape is None else (shape[0], shape[1])
            if math.prod(self.image_shape_) != n_pixels:
                raise InvalidInputError(
                    f"X has rows of {n_pixels} pixels, image_shape is {self.image_shape_[0]} x "
                    f"{self.image_shape_[1]}; give the shape that the images have"
                )
        return table

    def _check_image_parameters(self) -> None:
        low_high = list(self.pixel_range)
        if len(low_high) != 2 or not all(isinstance(end, Real) for end in low_high) or not low_high[0] < low_high[1]:
            raise InvalidParameterError(
                f"The 'pixel_range' parameter of MNARImageImputer must be two numbers, the least and the largest value "
                f"of a pixel. Got {self.pixel_range!r} instead."
            )
        sides = [1, 1] if self.image_shape is None else list(self.image_shape)
        if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in sides):
            raise InvalidParameterError(
                f"The 'image_shape' parameter of MNARImageImputer must be None or two whole numbers of at least 1, "
                f"height and width. Got {self.image_shape!r} instead."
            )
        if len(self.hidden_units) == 0:
            raise InvalidParameterError(
                "The 'hidden_units' parameter of MNARImageImputer must have at least one entry, for a convolution."
            )

    def _found_schema(self, raw: Sequence[RawColumn]) -> Schema:
        others = [column for column in raw if column.holds not in ("number", "boolean")]
        if others:
            raise InvalidInputError(f"column {others[0].name!r} of X holds {others[0].holds}s; pixels must be numbers")
        # A pixel that is always missing is still a pixel of the image.
        return Schema(tuple(ColumnKind(column.name, "continuous", "a pixel") for column in raw))

    def _can_be_missing(self, table: FloatArray) -> BoolArray:
        # A mechanism of images belongs to all pixels, those included that happened to be observed each time.
        return np.ones(table.shape[1], bool)

    def _describe(self, table: FloatArray, beside: ColumnInfo | None) -> Described:
        """One centre and one unit for all pixels: the middle and the length of their range."""
        low, high = (float(end) for end in self.pixel_range)
        least, largest = float(np.nanmin(table)), float(np.nanmax(table))
        if least < low or largest > high:
            raise InvalidInputError(
                f"pixels lie between {least:g} and {largest:g}, pixel_range is ({low:g}, {high:g}); give the range "
                "that pixels can have, such as pixel_range=(0, 255)"
            )
        p = table.shape[1]
        center, unit = np.full(p, (low + high) / 2), np.full(p, high - low)
        columns = ColumnInfo(tuple(self._schema.model_names()), center, unit, np.isnan(table).mean(0))
        return Described(Layout(tuple(range(p))), columns)

    def _parts(self, p: int, latent_dim: int, hidden: tuple[int, ...], student: Mapping[int, float]) -> Parts:
        if student:
            raise InvalidInputError("errors='student-t' is for columns of a table; leave it out for images")
        likelihood = SigmoidGaussianLikelihood(p, self.pixel_noise)
        return Parts(
            ConvEncoder(self.image_shape_, latent_dim, hidden),
            ConvUp(latent_dim, self.image_shape_, hidden, likelihood.n_maps),
            likelihood,
        )

    def _start(self, described: Described, table: FloatArray, data: Batch, settings: FitSettings) -> None:
        likelihood = self.joint_.likelihood
        assert isinstance(likelihood, SigmoidGaussianLikelihood)
        spread = float(np.nanstd(table)) / float(described.columns.scale[0])
        likelihood.floor.fill_(self.training_used.min_scale * spread)
        if self.training_used.start == "cliff":
            found = shared_curve(self.joint_, data, settings, self.history_)
            self.joint_.mechanism.load_state_dict(found)

    def _given(self, X: npt.ArrayLike, table: Cells, completed: FloatArray) -> Any:
        if not _is_stack(X):
            return super()._given(X, table, completed)
        rows = super()._given(np.asarray(X).reshape(completed.shape), table, completed)
        return rows.reshape(-1, *self.image_shape_)


def image_rows(X: Any, shape: ImageShape | None) -> tuple[Any, ImageShape | None]:
    """Images (n, h, w) as rows of pixels, and their shape (h, w); anything else as it is, with the given ``shape``.

    InvalidInputError: images of another size than ``shape``, or without pixels.

    Examples
    --------
    >>> rows, shape = image_rows(np.zeros((3, 8, 4)), None)
    >>> rows.shape, shape
    ((3, 32), (8, 4))
    """
    if not _is_stack(X):
        return X, shape
    images = X if isinstance(X, np.ma.MaskedArray) else np.asarray(X)
    if 0 in images.shape:
        raise InvalidInputError(f"X has shape {images.shape}; it must hold grey images, shape (n, h, w)")
    found = (int(images.shape[1]), int(images.shape[2]))
    if shape is not None and found != tuple(shape):
        raise InvalidInputError(
            f"X holds images of {found[0]} x {found[1]} pixels, the model is for {shape[0]} x {shape[1]}; resize "
            "them, or fit again"
        )
    return images.reshape(len(images), -1), found


def shared_curve(joint: Joint, data: Batch, settings: FitSettings, history: History) -> dict[str, Tensor]:
    """The state of a mechanism that all pixels share, found from a neutral start by networks that are thrown away.

    Networks that learn beside a flat curve fill lost pixels with dark values, and keep a part of that when the curve
    has become steep: the curve is found first, in a few passes over ``data``, and the networks of ``joint``, which is
    not changed, then learn beside it. ``history`` gets the curve's path. Where no curve is learned that all pixels
    share, the state is the given one.
    """
    if not (joint.has_mask_term and is_shared(joint.mechanism.curve())):
        return joint.mechanism.state_dict()
    pilot, path = copy.deepcopy(joint), History()
    n_passes = min(settings.max_iter, passes(_CURVE_STEPS, data.n_rows, settings.batch_size))
    fit(pilot, data, replace(settings, max_iter=n_passes, validation_fraction=0.0, n_iter_no_change=None), None, path)
    history.shared_curve.extend(path.shared_curve)
    return pilot.mechanism.state_dict()


def _is_stack(X: Any) -> bool:
    """Whether X has the axes (n, h, w)."""
    return (X.ndim if hasattr(X, "ndim") else np.asarray(X, dtype=object).ndim) == 3


def _row_shape(p: int) -> ImageShape:
    """(h, w) of rows of p pixels of which nothing else is known."""
    side = math.isqrt(p)
    if side * side == p:
        return side, side
    warnings.warn(
        f"X holds rows of {p} numbers, which are no squares: each is taken for one line of pixels; for images of "
        "another shape give image_shape=(h, w)",
        DataWarning,
        stacklevel=5,
    )
    return 1, p
