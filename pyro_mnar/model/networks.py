"""Plain feed-forward networks: tanh layers for tables, convolutions for images.

Model and guide both run the decoder, so a network here must give the same output for the same input:
no dropout and no batch normalisation (a measured 7.5 nats of noise per row otherwise).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pyro_mnar.numerics.functions import Function

#: Elements below which a call costs more than the arithmetic.
_SMALL = 16_384


class _FastTanh(Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sigmoid(2 * x).mul_(2).sub_(1)

    @staticmethod
    def setup_context(ctx, inputs, output):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(grad, y)

    @staticmethod
    def jvp(ctx, tangent):  # type: ignore[no-untyped-def]
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(tangent, y)


class Tanh(nn.Module):
    r"""tanh(x) = 2 sigmoid(2x) - 1, elementwise, to an absolute error of about 2e-7 in float32.

    On processors torch's sigmoid is about ten times as fast as its tanh, which took a quarter of a training step;
    elsewhere, and for small arrays, this is torch's own tanh.

    Examples
    --------
    >>> Tanh()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """

    def forward(self, x: Tensor) -> Tensor:
        """tanh(x), shape of ``x``."""
        if x.device.type != "cpu" or x.numel() < _SMALL:
            return torch.tanh(x)
        y: Tensor = _FastTanh.apply(x)
        return y


#: Rows that pass through a network at once when nothing is differentiated: their activations stay in a core's cache.
_ROWS_AT_ONCE = 1024


def in_slices(function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> tuple[Tensor, ...]:
    """``function(x)``, on processors and without gradients slice by slice of the rows of ``x``.

    Imputation decodes a thousand codes per row of the table; activations of all of them at once would go through main
    memory in every layer. So ``function``, from (*, inputs) to tensors (*, outputs), each row for itself, should end
    where few numbers are left.

    Examples
    --------
    >>> with torch.no_grad():
    ...     (double,) = in_slices(lambda x: (2 * x,), torch.ones(3, 5000, 2))
    >>> double.shape
    torch.Size([3, 5000, 2])
    """
    if x.shape[:-1].numel() <= _ROWS_AT_ONCE or torch.is_grad_enabled() or x.device.type != "cpu":
        return function(x)
    parts = [function(part) for part in x.reshape(-1, x.shape[-1]).split(_ROWS_AT_ONCE)]
    return tuple(torch.cat(slices).view(*x.shape[:-1], -1) for slices in zip(*parts, strict=True))


class SlicedSequential(nn.Sequential):
    """``nn.Sequential`` that takes many rows slice by slice: see :func:`in_slices`."""

    def forward(self, x: Tensor) -> Tensor:
        """From (*, inputs) to (*, outputs)."""
        return in_slices(lambda part: (nn.Sequential.forward(self, part),), x)[0] if len(self) else x


def mlp(n_inputs: int, hidden_units: Sequence[int]) -> nn.Sequential:
    """A tanh network from ``n_inputs`` features to the last of ``hidden_units``, shape (*, n_inputs) -> (*, h).

    With no hidden units it is the identity.
    """
    layers: list[nn.Module] = []
    for width in hidden_units:
        layers += [nn.Linear(n_inputs, width), Tanh()]
        n_inputs = width
    return SlicedSequential(*layers)


class Residual(nn.Module):
    """A tanh network's output with its input beside it: a linear layer on top is a linear map plus a network.

    Beyond the observed values a tanh network bends to a constant, where a line goes on. It has at least one layer.

    Examples
    --------
    >>> import torch
    >>> network = Residual(3, (8, 4))
    >>> network(torch.zeros(5, 3)).shape, network.n_outputs
    (torch.Size([5, 7]), 7)
    """

    def __init__(self, n_inputs: int, hidden_units: Sequence[int]) -> None:
        super().__init__()
        self.network = mlp(n_inputs, hidden_units)
        self.n_outputs = n_inputs + hidden_units[-1]

    def forward(self, x: Tensor) -> Tensor:
        """From (*, n_inputs) to (*, n_outputs)."""
        return torch.cat([self.network(x), x], -1)


def decoder_network(kind: str, latent_dim: int, hidden_units: Sequence[int]) -> tuple[nn.Module, int]:
    """What stands between z and the likelihood's linear layer, and how many features it gives.

    ``kind`` is "mlp" or "residual"; for any other, and without hidden units, there is nothing in between.

    Examples
    --------
    >>> decoder_network("residual", 3, (8, 4))[1], decoder_network("linear", 3, (8, 4))[1]
    (7, 3)
    """
    if kind == "residual" and hidden_units:
        residual = Residual(latent_dim, hidden_units)
        return residual, residual.n_outputs
    if kind == "mlp" and hidden_units:
        return mlp(latent_dim, hidden_units), hidden_units[-1]
    return nn.Identity(), latent_dim


def coarse_shape(image_shape: tuple[int, int], channels: Sequence[int]) -> tuple[int, int]:
    """Height and width after one stride-2 convolution for each of ``channels``, rounded up.

    Examples
    --------
    >>> coarse_shape((32, 28), (32, 64, 128))
    (4, 4)
    """
    factor = 2 ** len(channels)
    return -(-image_shape[0] // factor), -(-image_shape[1] // factor)


class ConvDown(nn.Module):
    """Stride-2 convolutions from an image to features, shape (n, c, h, w) -> (n, features).

    ``channels`` are those after each halving, finest first.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, appendix (convolutional encoder), without what depends on the batch.

    Examples
    --------
    >>> import torch
    >>> ConvDown(2, (32, 32), (4, 8))(torch.zeros(5, 2, 32, 32)).shape
    torch.Size([5, 512])
    """

    def __init__(self, n_channels: int, image_shape: tuple[int, int], channels: Sequence[int]) -> None:
        super().__init__()
        height, width = coarse_shape(image_shape, channels)
        factor = 2 ** len(channels)
        # Sides that cannot be halved so often get a margin of zeros, which is what missing pixels hold.
        self.margin = (0, width * factor - image_shape[1], 0, height * factor - image_shape[0])
        self.n_features = channels[-1] * height * width
        layers: list[nn.Module] = []
        for width_out in channels:
            layers += [nn.Conv2d(n_channels, width_out, 4, stride=2, padding=1), nn.ReLU()]
            n_channels = width_out
        self.layers = nn.Sequential(*layers, nn.Flatten())

    def forward(self, image: Tensor) -> Tensor:
        """Features, shape (n, features)."""
        features: Tensor = self.layers(nn.functional.pad(image, self.margin) if any(self.margin) else image)
        return features


class _ToMaps(nn.Unflatten):
    """Features to maps, with the channels of a pixel side by side: half the time in float64, and the same numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).contiguous(memory_format=torch.channels_last)


class ConvUp(nn.Module):
    """Transposed convolutions from a code to maps of the image's size, shape (..., L) -> (..., c * h * w).

    ``channels`` are those at each resolution, finest first (the encoder's order), and ``n_maps`` is c, the numbers per
    pixel that come out; the h * w of one map lie together.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, appendix (convolutional decoder), without what depends on the batch.

    Examples
    --------
    >>> import torch
    >>> ConvUp(3, (32, 32), (4, 8), 2)(torch.zeros(10, 5, 3)).shape
    torch.Size([10, 5, 2048])
    """

    def __init__(self, latent_dim: int, image_shape: tuple[int, int], channels: Sequence[int], n_maps: int) -> None:
        super().__init__()
        coarse = coarse_shape(image_shape, channels)
        self.image_shape = image_shape
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, channels[-1] * coarse[0] * coarse[1]),
            nn.ReLU(),
            _ToMaps(1, (channels[-1], *coarse)),
        ]
        finer = [n_maps, *channels]
        for k in range(len(channels), 0, -1):
            layers += [nn.ConvTranspose2d(finer[k], finer[k - 1], 4, stride=2, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])
        self.direct = nn.Linear(latent_dim, n_maps * image_shape[0] * image_shape[1])

    def forward(self, z: Tensor) -> Tensor:
        """Maps, shape (..., c * h * w)."""
        codes = z.reshape(-1, z.shape[-1])
        height, width = self.image_shape
        maps: Tensor = self.layers(codes)[..., :height, :width].flatten(1) + self.direct(codes)
        return maps.reshape(*z.shape[:-1], -1)
