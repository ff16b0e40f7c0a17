"""The probability that a normal cell is missing under self-masking, in closed form."""

from __future__ import annotations

from torch import Tensor

from pyro_mnar.tilted.fused import log_expected_sigmoid
from pyro_mnar.tilted.mixture import Link, check_link
from pyro_mnar.tilted.probit import log_expected_probit


def log_missing(loc: Tensor, scale: Tensor, slope: Tensor, threshold: Tensor, link: Link = "probit") -> Tensor:
    """Log probability that a normal cell is missing, with the cell's value integrated out.

        log int F(w (x - b)) N(x; m, v) dx

    Probit: exactly ``log Phi(w (m - b) / sqrt(1 + w^2 v))``. Logistic: seven such terms, at most 1e-6 nats from
    the integral for every slope, scale and distance. Both can be differentiated twice.

    Parameters
    ----------
    loc
        m, shape (K, n, p) or broadcastable to it, in the scale of x.
    scale
        sqrt(v), likewise, positive.
    slope
        w, either sign, shape (p,) or broadcastable, per unit of x.
    threshold
        b, shape (p,) or broadcastable, in the scale of x.
    link
        "probit" (F = Phi) or "logistic" (F = sigmoid).

    Returns
    -------
    Tensor
        Shape of the broadcast arguments, in nats.

    Raises
    ------
        InvalidInputError: the link is neither.

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


def log_observed(loc: Tensor, scale: Tensor, slope: Tensor, threshold: Tensor, link: Link = "probit") -> Tensor:
    """Log probability that a normal cell is observed, ``log int (1 - F(w (x - b))) N(x; m, v) dx``.

    Both links are symmetric, so this is :func:`log_missing` with the slope's sign changed; arguments, shapes and
    errors are the same.

    Examples
    --------
    >>> import torch
    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> log_observed(zero, one, one, one).exp()
    tensor([0.7602])
    """
    return log_missing(loc, scale, -slope, threshold, link)
