"""Likelihoods of pixels in a known range: what a convolutional decoder puts out, read as distributions of [0, 1]."""

from typing import Literal

import torch
from torch import Tensor, nn

from pyro_mnar.model.likelihoods.base import Likelihood
from pyro_mnar.model.likelihoods.gaussian import GaussianRows

#: The middle of the range [0, 1], which is 0 on the model's scale.
CENTER = 0.5

#: A scale is one number among a network's thousands: at the network's rate it would lag behind what that has learned.
GAIN = 10.0

#: What softplus turns into 0.1 of the range, about the spread of a pixel.
RAW_START = -2.25

PixelScale = Literal["image", "shared"]


class SigmoidGaussianLikelihood(Likelihood):
    r"""p(x|z) = N(x; sigmoid(f(z)), diag sigma^2) for pixels in [0, 1]; the model's scale is x - 1/2.

    The mean respects the range, the density does not: with a small sigma next to none of its mass is outside.

    Parameters
    ----------
    n_features
        p pixels.
    scale
        "shared" is one learned sigma for all pixels; "image" gives one sigma(z) for all pixels of an image, from a
        second map of the decoder, for images of which some are smooth and others are not. (A sigma(z) for each pixel
        would be wide where pixels are missing, and pull what is imputed there upwards.)
    min_scale
        floor under sigma, in units of the range.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, section 4.3.

    Examples
    --------
    >>> SigmoidGaussianLikelihood(6)(torch.zeros(10, 5, 6)).mean.shape
    torch.Size([10, 5, 6])
    """

    floor: Tensor

    def __init__(self, n_features: int, scale: PixelScale = "shared", min_scale: float = 0.02) -> None:
        super().__init__()
        self.n_features = n_features
        # A buffer, since it may come from the images: it is then saved with the weights.
        self.register_buffer("floor", torch.tensor(float(min_scale)))
        self.raw_scale = None if scale == "image" else nn.Parameter(torch.full((1,), RAW_START / GAIN))

    @property
    def n_maps(self) -> int:
        """Numbers per pixel that the decoder must give."""
        return 1 if self.raw_scale is not None else 2

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Likelihood`; ``hidden`` has shape (K, n, n_maps * p), and nothing is left to do."""
        return (hidden,)

    def rows(self, *numbers: Tensor) -> GaussianRows:
        (hidden,) = numbers
        loc = torch.sigmoid(hidden[..., : self.n_features]) - CENTER
        if self.raw_scale is None:
            raw = (hidden[..., self.n_features :] + RAW_START).mean(-1, keepdim=True).expand_as(loc)
        else:
            raw = GAIN * self.raw_scale
        scale = nn.functional.softplus(raw) + self.floor
        return GaussianRows(loc, scale)
