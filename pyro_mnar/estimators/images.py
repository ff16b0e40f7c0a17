"""Images as rows of pixels: read, checked against the model's size, and the networks for them."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from pyro_mnar.data.columns import ColumnInfo, FloatArray
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.start.plan import passes
from pyro_mnar.inference.training import History, TrainingSettings, fit, is_shared
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import ConvEncoder
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import Likelihood
from pyro_mnar.model.likelihoods.pixels import CENTER, PixelScale, SigmoidGaussianLikelihood
from pyro_mnar.model.networks import ConvUp, coarsest_side

#: Steps in which the curve that all pixels share is found; on faces it is there after 150.
_CURVE_STEPS = 500

ImageShape = tuple[int, int]


class ImageParts(NamedTuple):
    """The networks of a pair for images."""

    encoder: ConvEncoder
    decoder: nn.Module
    likelihood: SigmoidGaussianLikelihood


def check_image_parameters(parameters: Mapping[str, Any]) -> None:
    """See that what is for images alone, or for tables alone, is not asked of the other.

    Parameters
    ----------
    parameters : mapping
        The estimator's; not every estimator has all that matter here.

    Raises
    ------
    InvalidInputError
        The message names the parameter.
    """
    images = parameters["decoder"] == "conv"
    for name, default in (("likelihood", "auto"), ("pixel_noise", "shared")):
        value = parameters.get(name, default)
        if value != default and not images:
            raise InvalidInputError(f"{name} is {value!r}, which is for images: set decoder='conv', or leave it out")
    if images and parameters.get("add_indicator", False):
        raise InvalidInputError("add_indicator=True appends columns, which images do not have; set it to False")


def image_rows(X: Any, fitted: ImageShape | None, channels: Sequence[int]) -> tuple[npt.NDArray[Any], ImageShape]:
    """Images as rows of pixels, and their shape (h, w).

    Parameters
    ----------
    X : array-like
        Grey images, shape (n, h, w), NaN = missing.
    fitted : tuple or None
        Shape of the images that the model was fitted to, which these must have; None in ``fit``.
    channels : sequence of int
        Of the convolutions: both sides must be divisible by 2 once for each.

    Returns
    -------
    rows : ndarray
        Shape (n, h * w), type of ``X``.
    shape : tuple
        (h, w).

    Raises
    ------
    InvalidInputError
        Not (n, h, w), or images of another size than the model's, or of a size that the convolutions do not divide.

    Examples
    --------
    >>> rows, shape = image_rows(np.zeros((3, 8, 4)), None, (16, 32))
    >>> rows.shape, shape
    ((3, 32), (8, 4))
    """
    images = np.asarray(X)
    if images.ndim != 3 or 0 in images.shape:
        raise InvalidInputError(
            f"X has shape {images.shape}; with decoder='conv' it must hold grey images, shape (n, h, w)"
        )
    shape = (int(images.shape[1]), int(images.shape[2]))
    if fitted is not None and shape != fitted:
        raise InvalidInputError(
            f"X holds images of {shape[0]} x {shape[1]} pixels, the model was fitted to {fitted[0]} x {fitted[1]}; "
            "resize them, or fit again"
        )
    for side in shape:
        coarsest_side(side, channels)
    return images.reshape(len(images), -1), shape


def describe_pixels(table: FloatArray, names: Sequence[str]) -> ColumnInfo:
    """One centre and one unit for all pixels: the middle and the length of their range [0, 1].

    Raises
    ------
    InvalidInputError
        An observed value outside [0, 1].
    """
    low, high = float(np.nanmin(table)), float(np.nanmax(table))
    if low < 0 or high > 1:
        raise InvalidInputError(
            f"pixels lie between {low:g} and {high:g}; with decoder='conv' they must lie in [0, 1]: divide by the "
            "largest value that a pixel can have, such as 255"
        )
    p = table.shape[1]
    return ColumnInfo(tuple(names), np.full(p, CENTER), np.ones(p), np.isnan(table).mean(0))


def image_parts(
    shape: ImageShape, latent_dim: int, channels: Sequence[int], parameters: Mapping[str, Any]
) -> ImageParts:
    """Encoder, decoder and likelihood for images of this shape, by the estimator's parameters."""
    scale: PixelScale = parameters.get("pixel_noise", "shared")
    likelihood = SigmoidGaussianLikelihood(shape[0] * shape[1], scale)
    return ImageParts(
        ConvEncoder(shape, latent_dim, channels),
        ConvUp(latent_dim, shape, channels, likelihood.n_maps),
        likelihood,
    )


def set_noise_floor(likelihood: Likelihood, min_scale: float, table: FloatArray) -> None:
    """The floor under a pixel's noise scale: ``min_scale`` standard deviations of all observed pixels together."""
    assert isinstance(likelihood, SigmoidGaussianLikelihood)
    likelihood.floor.fill_(min_scale * float(np.nanstd(table)))


def shared_curve(joint: Joint, data: Batch, settings: TrainingSettings, history: History) -> dict[str, Tensor]:
    """The state of a mechanism that all pixels share, found from a neutral start by networks that are thrown away.

    Networks that learn beside a flat curve fill lost pixels with dark values, and keep a part of that when the curve
    has become steep: the curve is found first, in a few passes, and the networks of ``joint`` then learn beside it.

    Parameters
    ----------
    joint : Joint
        The untrained pair, which is not changed.
    data : Batch
        All rows.
    settings : TrainingSettings
        Of the fit that will follow.
    history : History
        Gets the path of the curve.

    Returns
    -------
    dict
        State of the mechanism; the given one where no curve is learned that all pixels share.
    """
    if not (joint.has_mask_term and is_shared(joint.mechanism.curve())):
        return joint.mechanism.state_dict()
    pilot, path = copy.deepcopy(joint), History()
    n_passes = min(settings.max_iter, passes(_CURVE_STEPS, data.n_rows, settings.batch_size))
    fit(pilot, data, replace(settings, max_iter=n_passes, validation_fraction=0.0, n_iter_no_change=None), None, path)
    history.shared_curve.extend(path.shared_curve)
    return pilot.mechanism.state_dict()
