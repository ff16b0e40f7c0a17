"""A mechanism in which each cell goes missing by its own value: one curve per column, which has closed forms."""

from typing import NamedTuple

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor, nn
from torch.distributions.utils import lazy_property

from pyro_mnar.numerics.links import Link
from pyro_mnar.numerics.normal_tails import log_ndtr

#: A logistic curve of slope 1.702 w is within 0.0095 of the probit curve of slope w everywhere (Camilli 1994).
LOGISTIC_PER_PROBIT = 1.702
#: Per standard deviation; far below any slope that data could tell from 0.
SMALLEST_SLOPE = 1e-3


class Curve(NamedTuple):
    """A mechanism in which cell j is missing with probability F(slope_j x_j + intercept_j), x standardised.

    Attributes
    ----------
    slope
        shape (p,); positive where high values go missing.
    intercept
        shape (p,), or (K, n, p) where it depends on the code.
    link
        "probit" (F = Phi) or "logistic" (F = sigmoid).
    flat
        bool, shape (p,): the columns whose own values do not matter, P(s_j = 0) = F(c_j), which costs no integral;
        None where every slope may move (a slope of 0 that is being learned is not flat).
    """

    slope: Tensor
    intercept: Tensor
    link: Link
    flat: Tensor | None = None

    def at(self, columns: Tensor) -> "Curve":
        """The curve of ``columns``, indices of shape (q,) (one that all columns share stays as it is)."""
        slope, intercept = (v if v.ndim == 0 or v.shape[-1] == 1 else take(v, columns) for v in self[:2])
        return Curve(slope, intercept, self.link, None if self.flat is None else self.flat[columns])

    def of_cells(self, cells: Tensor, n_features: int) -> "Curve":
        """The curve of the cells at these positions of the flattened rows, shape (m,)."""
        column = cells % n_features
        if self.intercept.ndim < 2:
            return self.at(column)
        intercept = take(self.intercept.flatten(-2), cells)
        return Curve(self.at(column).slope, intercept, self.link)

    def log_mask_where_flat(self, observed: Tensor) -> Tensor:
        """Log P(s_j | c_j) as if all columns were flat, shape (K, n, p) or (n, p), for the mask ``observed`` (n, p)."""
        return self._log_cdf(torch.where(observed, -self.intercept, self.intercept))

    @property
    def slope_and_threshold(self) -> tuple[Tensor, Tensor]:
        """Slope w and threshold b, with w x + c = w (x - b)."""
        # A slope that passes through 0 has no threshold: keep it this far away in value, not in gradient.
        value = self.slope.detach()
        slope = self.slope + (value.abs().clamp(min=SMALLEST_SLOPE).copysign(value) - value)
        return slope, -self.intercept / slope

    def log_missing(self, x: Tensor) -> Tensor:
        """Log P(s_j = 0 | x_j), shape of ``x``."""
        return self._log_cdf(self.slope * x + self.intercept)

    def log_missing_at(self, values: Tensor) -> Tensor:
        """Log P(s_j = 0 | value) for each of V values that a column can have, (p, V): shape (p, V), or (K, n, p, V)."""
        slope, intercept = (v if v.ndim == 0 else v.unsqueeze(-1) for v in (self.slope, self.intercept))
        return Curve(slope, intercept, self.link).log_missing(values)

    def log_observed(self, x: Tensor) -> Tensor:
        """Log P(s_j = 1 | x_j), shape of ``x``."""
        return self._log_cdf(-(self.slope * x + self.intercept))

    def bernoulli(self, x: Tensor) -> Bernoulli:
        """p(s | x), shape of ``x``."""
        argument = self.slope * x + self.intercept
        if self.link == "probit":
            return ProbitBernoulli(argument)
        return Bernoulli(logits=-argument, validate_args=False)

    def _log_cdf(self, t: Tensor) -> Tensor:
        return log_ndtr(t) if self.link == "probit" else nn.functional.logsigmoid(t)


class ProbitBernoulli(Bernoulli):
    """s in {0, 1} with P(s = 0) = Phi(t): a Bernoulli that evaluates only the tail that s asks for.

    Parameters
    ----------
    argument
        t, any shape.
    """

    def __init__(self, argument: Tensor) -> None:
        self.argument = argument
        TorchDistribution.__init__(self, argument.shape, validate_args=False)

    @lazy_property
    def logits(self) -> Tensor:
        """Log P(s = 1) - log P(s = 0)."""
        return log_ndtr(-self.argument) - log_ndtr(self.argument)

    def expand(self, batch_shape: torch.Size, _instance: object = None) -> "ProbitBernoulli":
        """The same distribution with a larger ``batch_shape``."""
        return ProbitBernoulli(self.argument.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log P(s = ``value``), shape of ``value``, in nats."""
        return log_ndtr(self.argument * (1 - 2 * value.to(self.argument.dtype)))


def inverse_cdf(probability: Tensor, link: Link) -> Tensor:
    """F^{-1} of the ``link``, elementwise: shape of ``probability``."""
    return torch.logit(probability) if link == "logistic" else torch.special.ndtri(probability)


def logistic_slope(slope: Tensor, link: Link) -> Tensor:
    """Slopes of a ``link`` in logistic units, the ones that reports use: shape of ``slope``."""
    return slope if link == "logistic" else slope * LOGISTIC_PER_PROBIT


def take(values: Tensor, index: Tensor) -> Tensor:
    """The entries of the last axis at ``index``, shape (..., m): a gather, eight times as fast as index_select here."""
    return values.gather(-1, index.expand((*values.shape[:-1], len(index))))
