"""Likelihoods of pixels in a known range: what a convolutional decoder puts out, read as distributions of [0, 1]."""

import math
from typing import ClassVar, Literal

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from pyro_mnar.model.likelihoods.base import Likelihood, RowDistribution
from pyro_mnar.model.likelihoods.gaussian import GaussianRows

#: The middle of the range [0, 1], which is 0 on the model's scale.
CENTER = 0.5

#: A scale is one number among a network's thousands: at the network's rate it would lag behind what that has learned.
GAIN = 10.0

#: What softplus turns into 0.1 of the range, about the spread of a pixel.
RAW_START = -2.25

PixelScale = Literal["free", "image", "feature", "shared"]


class SigmoidGaussianLikelihood(Likelihood):
    r"""p(x|z) = N(x; sigmoid(f(z)), diag sigma^2) for pixels in [0, 1]; the model's scale is x - 1/2.

    The mean respects the range, the density does not: with a small sigma next to none of its mass is outside.

    Parameters
    ----------
    n_features
        p pixels.
    scale
        "free" gives sigma(z) per pixel, from a second map of the decoder; "image" one sigma(z) for all pixels of an
        image, for images of which some are smooth and others are not; "feature" one learned sigma per pixel, "shared"
        one for all. A free scale is wide where pixels are missing and pulls what is imputed there upwards.
    min_scale
        floor under sigma, in units of the range.
    truncated
        Cut the normal to [0, 1] (:class:`TruncatedRows`), so that the density respects the range too.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, section 4.3.

    Examples
    --------
    >>> SigmoidGaussianLikelihood(6)(torch.zeros(10, 5, 6)).mean.shape
    torch.Size([10, 5, 6])
    """

    floor: Tensor

    def __init__(
        self, n_features: int, scale: PixelScale = "shared", min_scale: float = 0.02, truncated: bool = False
    ) -> None:
        super().__init__()
        self.n_features = n_features
        self.scale = scale
        # A buffer, since it may come from the images: it is then saved with the weights.
        self.register_buffer("floor", torch.tensor(float(min_scale)))
        self.truncated = truncated
        if scale in ("free", "image"):
            self.raw_scale = None
        else:
            self.raw_scale = nn.Parameter(torch.full((n_features if scale == "feature" else 1,), RAW_START / GAIN))

    @property
    def n_maps(self) -> int:
        """Numbers per pixel that the decoder must give."""
        return 1 if self.raw_scale is not None else 2

    def numbers(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """See :class:`Likelihood`; ``hidden`` has shape (K, n, n_maps * p), and nothing is left to do."""
        return (hidden,)

    def rows(self, *numbers: Tensor) -> "GaussianRows | TruncatedRows":
        """See :class:`Likelihood`."""
        (hidden,) = numbers
        loc = torch.sigmoid(hidden[..., : self.n_features]) - CENTER
        if self.raw_scale is None:
            raw = hidden[..., self.n_features :] + RAW_START
            raw = raw.mean(-1, keepdim=True).expand_as(loc) if self.scale == "image" else raw
        else:
            raw = GAIN * self.raw_scale
        scale = nn.functional.softplus(raw) + self.floor
        return TruncatedRows(loc, scale) if self.truncated else GaussianRows(loc, scale)


class TruncatedRows(RowDistribution):
    r"""Independent normals cut to the range, -1/2 to 1/2 on the model's scale.

    .. math:: \log p(x) = \sum_j \log N(x_j; m_j, s_j^2) - \log [\Phi((1/2 - m_j)/s_j) - \Phi((-1/2 - m_j)/s_j)]

    Parameters
    ----------
    loc, scale
        Of the normals before the cut, shape (..., p) and broadcastable to it; every loc lies within the range.
    counted
        bool, broadcastable to ``loc``: the pixels that enter the density; None counts all.
    generator
        Source of the draws.

    Examples
    --------
    >>> rows = TruncatedRows(torch.tensor([0.45]), torch.tensor([0.2]))
    >>> bool(rows.mean < 0.45), bool(rows.sample().abs() <= 0.5)
    (True, True)
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.independent(constraints.interval(-CENTER, 1 - CENTER), 1)
    has_rsample = True

    def __init__(
        self, loc: Tensor, scale: Tensor, counted: Tensor | None = None, generator: torch.Generator | None = None
    ) -> None:
        self.loc, self.scale, self.counted, self.generator = loc, scale, counted, generator
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """E[x | z], shape of ``loc``."""
        low, high = self._cuts()
        density = (torch.exp(-0.5 * low**2) - torch.exp(-0.5 * high**2)) / math.sqrt(2 * math.pi)
        return self.loc + self.scale * density / (torch.special.ndtr(high) - torch.special.ndtr(low))

    def observed_part(self, observed: Tensor) -> "TruncatedRows":
        """See :class:`RowDistribution`."""
        return TruncatedRows(self.loc, self.scale, observed)

    def missing_part(self, x: Tensor, observed: Tensor, generator: torch.Generator | None = None) -> TorchDistribution:
        """See :class:`RowDistribution`."""
        return TruncatedRows(self.loc, self.scale, ~observed, generator)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "TruncatedRows":
        """The same distribution with a larger batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return TruncatedRows(self.loc.expand(shape), self.scale, self.counted, self.generator)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density of the counted pixels, shape (...), in nats."""
        per_pixel = self.log_density(value)
        return (per_pixel if self.counted is None else per_pixel * self.counted).sum(-1)

    def log_density(self, value: Tensor) -> Tensor:
        """Log density of each pixel, shape of ``loc``, in nats."""
        low, high = self._cuts()
        # loc lies between the cuts, so the difference is between numbers on both sides of 1/2 and loses nothing.
        log_mass = torch.log(torch.special.ndtr(high) - torch.special.ndtr(low))
        standard = (value - self.loc) / self.scale
        return -0.5 * standard**2 - self.scale.log() - 0.5 * math.log(2 * math.pi) - log_mass

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:  # noqa: B008
        """Reparameterised draws by the inverse CDF, shape ``sample_shape`` + (..., p)."""
        low, high = (torch.special.ndtr(cut) for cut in self._cuts())
        shape = torch.Size(sample_shape) + self.loc.shape
        uniform = torch.rand(shape, generator=self.generator, dtype=self.loc.dtype, device=self.loc.device)
        tiny = torch.finfo(self.loc.dtype).eps
        level = (low + (high - low) * uniform).clamp(tiny, 1 - tiny)
        return (self.loc + self.scale * torch.special.ndtri(level)).clamp(-CENTER, 1 - CENTER)

    def _cuts(self) -> tuple[Tensor, Tensor]:
        """The ends of the range in standard deviations from loc."""
        return (-CENTER - self.loc) / self.scale, (1 - CENTER - self.loc) / self.scale
