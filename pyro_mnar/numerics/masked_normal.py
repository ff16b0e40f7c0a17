"""A normal cell under self-masking: the probability that it is missing, and its distribution given that it is.

``x ~ N(m, v)`` goes missing with probability ``F(w (x - b))``. :func:`log_missing` integrates ``x`` out;
:class:`TiltedNormal` is the distribution of ``x`` given that the cell is missing.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.numerics.links import Link, check_link, fold, nodes, standardised
from pyro_mnar.numerics.logistic import log_expected_sigmoid
from pyro_mnar.numerics.normal_tails import log_ndtr, log_ndtri
from pyro_mnar.numerics.probit import log_expected_probit


def log_missing(loc: Tensor, scale: Tensor, slope: Tensor, threshold: Tensor, link: Link = "probit") -> Tensor:
    """Log probability that a normal cell is missing, with the cell's value integrated out, in nats.

        log int F(w (x - b)) N(x; m, v) dx

    Probit: exactly ``log Phi(w (m - b) / sqrt(1 + w^2 v))``. Logistic: seven such terms, at most 1e-6 nats from the
    integral for every slope, scale and distance. Both can be differentiated twice.

    Parameters
    ----------
    loc, scale
        m and sqrt(v), positive; shape (K, n, p) or broadcastable to it.
    slope, threshold
        w, either sign, per unit of x, and b; shape (p,) or broadcastable.
    link
        "probit" (F = Phi) or "logistic" (F = sigmoid); InvalidInputError for another.

    References
    ----------
        Monahan and Stefanski (1989); Ipsen, Mattei and Frellsen (2021), equation 5 (the mask term).

    Examples
    --------
    >>> import torch
    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> log_missing(zero, one, 2 * one, zero, "logistic").exp()
    tensor([0.5000])
    """
    check_link(link)
    if link == "probit":
        return log_expected_probit(loc - threshold, scale, slope)
    return log_expected_sigmoid(loc - threshold, scale, slope)


@final
class TiltedNormal:
    """``x`` given that its cell is missing: density ``N(x; m, v) F(w (x - b)) / Z``.

    Arguments are those of :func:`log_missing`. For the probit link this is an extended skew-normal. For the logistic
    link it is a mixture of seven such distributions with weights ``p_i Phi(t_i) / Z``, ``t = w (m - b) / sqrt(1 + w^2
    v)`` (within 2e-5 in total variation of the exact one); where the logistic's linear tail carries the mass, of those
    with ``m + w v`` for ``m`` and ``-w`` for ``w``, which is the same density. A slope of 0 gives back the plain
    normal.

    ``log_prob`` is differentiable in all four arguments, and so is ``sample`` (given its noise). A logistic draw
    chooses one of the nodes, which its path derivative leaves out: ``node_log_prob`` accounts for that.

    References
    ----------
        Azzalini (2014), The Skew-Normal and Related Families, section 2.2 (extended skew-normal).

    Examples
    --------
    >>> distribution = TiltedNormal(torch.zeros(1), torch.ones(1), torch.ones(1), torch.zeros(1))
    >>> distribution.log_prob(torch.zeros(1))
    tensor([-0.9189])
    """

    def __init__(self, loc: Tensor, scale: Tensor, slope: Tensor, threshold: Tensor, link: Link = "probit") -> None:
        check_link(link)
        self.loc, self.scale, self.slope, self.threshold = torch.broadcast_tensors(loc, scale, slope, threshold)
        self.link: Link = link

    @property
    def shape(self) -> torch.Size:
        """The broadcast shape of the four arguments."""
        return self.loc.shape

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density at ``value``, with the link itself, not its mixture, in nats per unit of x."""
        standard = (value - self.loc) / self.scale
        log_normal = -0.5 * standard**2 - self.scale.log() - 0.5 * math.log(2 * math.pi)
        argument = self.slope * (value - self.threshold)
        log_link = log_ndtr(argument) if self.link == "probit" else torch.nn.functional.logsigmoid(argument)
        return log_normal + log_link - log_missing(self.loc, self.scale, self.slope, self.threshold, self.link)

    def sample(self, noise: Tensor) -> Tensor:
        """Exact draws, without rejection.

        The cell is missing when ``a = s w (x - b) + e > 0`` with ``e ~ N(0, 1)``. So ``a`` is drawn from a normal cut
        at 0 (by inversion, stable however unlikely ``a > 0`` is) and then ``x`` given ``a``, which is normal. The
        logistic link draws its node ``s`` first. ``noise`` are uniforms in (0, 1), two for each draw along the first
        axis, with the logistic link three; the other axes broadcast with ``shape``.
        """
        tiny = torch.finfo(noise.dtype).eps / 4
        noise = noise.clamp(tiny, 1 - 2 * tiny)
        log_share, loc, correlation, across, t = self._parts()
        if len(log_share) == 1:
            correlation, across, t = correlation[0], across[0], t[0]
        else:
            shape = np.broadcast_shapes(loc.shape, noise.shape[1:])
            share = log_share.exp()
            node = torch.zeros(shape, dtype=torch.int64, device=loc.device)
            total = torch.zeros_like(share[0])
            for part in share[:-1]:
                total = total + part
                node += noise[2] > total
            correlation, across, t = (_take(part, node) for part in (correlation, across, t))
        latent = -log_ndtri(noise[0].log() + log_ndtr(t))
        return loc + self.scale * (correlation * latent + across * torch.special.ndtri(noise[1]))

    def node_log_prob(self, value: Tensor) -> Tensor:
        r"""Log share of the node that a draw came from, averaged over the nodes that it can have come from, in nats.

        The gradient of E f(x) is that of f along the path of the draws with their nodes given, plus f(x) times the
        gradient of this, :math:`\sum_i P(i | x) \nabla \log \mathrm{share}_i`. Zero with the probit link. No gradient
        flows through the draws ``value``.
        """
        if self.link == "probit":
            return torch.zeros_like(value)
        log_share = self._parts()[0]
        log_share = log_share.reshape(len(log_share), *(1,) * (value.dim() - self.loc.dim()), *self.shape)
        with torch.no_grad():
            _, slope, _ = fold(self.loc - self.threshold, self.scale, self.slope)
            argument = slope * (value - self.threshold)
            scales, log_weights = nodes(self.link, self.loc)
            column = (-1,) + (1,) * argument.dim()
            came_from = torch.softmax(log_weights.view(column) + log_ndtr(scales.view(column) * argument), 0)
        return (came_from * log_share).sum(0)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Over the nodes (first axis): log shares, centre, ``rho``, ``sqrt(1 - rho^2)`` and ``t``.

        ``rho = s w sqrt(v) / D`` is the correlation of x with the latent variable ``a``.
        """
        loc, scale, slope, distance = self.loc, self.scale, self.slope, self.loc - self.threshold
        if self.link == "logistic":
            moved, slope, _ = fold(distance, scale, slope)
            loc, distance = loc + (moved - distance), moved
        scales, log_weights = nodes(self.link, loc)
        column = (-1,) + (1,) * loc.dim()
        slopes = scales.view(column) * slope
        t = standardised(distance, scale, slopes)
        length = torch.sqrt(1 + (slopes * scale) ** 2)
        log_share = torch.log_softmax(log_weights.view(column) + log_ndtr(t), 0)
        return log_share, loc, slopes * scale / length, 1 / length, t


def _take(values: Tensor, node: Tensor) -> Tensor:
    """``values[node]`` along the first axis, elementwise, with ``values[0]`` broadcast to the shape of ``node``."""
    aligned = values.reshape(len(values), *(1,) * (node.dim() + 1 - values.dim()), *values.shape[1:])
    return aligned.expand(-1, *node.shape).gather(0, node.unsqueeze(0)).squeeze(0)
