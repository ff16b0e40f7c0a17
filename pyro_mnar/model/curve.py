"""A mechanism in which each cell goes missing by its own value: one curve per column, which has closed forms."""

from typing import NamedTuple

import torch
from pyro.distributions import Bernoulli, TorchDistribution
from torch import Tensor, nn
from torch.distributions.utils import lazy_property

from pyro_mnar.numerics.links import Link
from pyro_mnar.numerics.normal_tails import log_ndtr
from pyro_mnar.numerics.truncated_normal import log_interval

#: A logistic curve of slope 1.702 w is within 0.0095 of the probit curve of slope w everywhere (Camilli 1994).
LOGISTIC_PER_PROBIT = 1.702
#: Per standard deviation; far below any slope that data could tell from 0.
SMALLEST_SLOPE = 1e-3
#: Stands for a second end that is not there; finite, since it has a gradient.
NO_GAP = 1e6


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
    gap
        shape (p,), positive: cell j goes missing where 0 < slope_j x_j + intercept_j + e < gap_j, e ~ N(0, 1), with the
        probability F(t) - F(t - gap); None where there is no second end (probit link only).
    ends
        bool, shape (p,): with ``gap``, the columns that go missing outside of that interval rather than inside.
    """

    slope: Tensor
    intercept: Tensor
    link: Link
    flat: Tensor | None = None
    gap: Tensor | None = None
    ends: Tensor | None = None

    def at(self, columns: Tensor) -> "Curve":
        """The curve of ``columns``, indices of shape (q,) (one that all columns share stays as it is)."""
        slope, intercept = (v if v.ndim == 0 or v.shape[-1] == 1 else take(v, columns) for v in self[:2])
        flat, gap, ends = (None if v is None else v[columns] for v in self[3:])
        return Curve(slope, intercept, self.link, flat, gap, ends)

    def where(self, chosen: Tensor, other: "Curve") -> "Curve":
        """The curve itself if ``chosen``, a bool that no processor has to wait for, and ``other`` if not."""
        numbers = zip((*self[:2], *self[3:]), (*other[:2], *other[3:]), strict=True)
        slope, intercept, *rest = (None if a is None or b is None else torch.where(chosen, a, b) for a, b in numbers)
        assert slope is not None and intercept is not None
        return Curve(slope, intercept, self.link, *rest)

    def of_cells(self, cells: Tensor, n_features: int) -> "Curve":
        """The curve of the cells at these positions of the flattened rows, shape (m,)."""
        column = cells % n_features
        if self.intercept.ndim < 2:
            return self.at(column)
        return self.at(column)._replace(intercept=take(self.intercept.flatten(-2), cells), flat=None)

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
        t = self.slope * x + self.intercept
        if self.gap is None:
            return self._log_cdf(t)
        return self.log_between(t, torch.ones_like(t))

    def log_between(self, mean: Tensor, scale: Tensor, observed: bool = False) -> Tensor:
        """Log P(s_j = 0) for slope x + intercept + e ~ N(mean, scale^2), where there is a gap; or of s_j = 1."""
        assert self.gap is not None and self.ends is not None
        inside = log_interval(mean, scale, torch.zeros_like(mean), self.gap)
        outside = torch.logaddexp(log_ndtr(-mean / scale), log_ndtr((mean - self.gap) / scale))
        return torch.where(self.ends != observed, outside, inside)

    def log_missing_at(self, values: Tensor) -> Tensor:
        """Log P(s_j = 0 | value) for each of V values that a column can have, (p, V): shape (p, V), or (K, n, p, V)."""
        slope, intercept = (v if v.ndim == 0 else v.unsqueeze(-1) for v in (self.slope, self.intercept))
        gap, ends = (None if v is None else v.unsqueeze(-1) for v in (self.gap, self.ends))
        return Curve(slope, intercept, self.link, None, gap, ends).log_missing(values)

    def log_observed(self, x: Tensor) -> Tensor:
        """Log P(s_j = 1 | x_j), shape of ``x``."""
        t = self.slope * x + self.intercept
        if self.gap is None:
            return self._log_cdf(-t)
        return self.log_between(t, torch.ones_like(t), observed=True)

    def bernoulli(self, x: Tensor) -> Bernoulli:
        """p(s | x), shape of ``x``."""
        if self.gap is not None:
            return Bernoulli(logits=self.log_observed(x) - self.log_missing(x), validate_args=False)
        argument = self.slope * x + self.intercept
        if self.link == "probit":
            return ProbitBernoulli(argument)
        return Bernoulli(logits=-argument, validate_args=False)

    def of_row(self, x: Tensor, z: Tensor) -> Bernoulli:
        """:meth:`bernoulli` of rows (K, n, p) with codes z (K, n, L), or with draws of x, (K, n, M, p)."""
        if x.ndim > z.ndim and self.intercept.ndim > 1:
            return self._replace(intercept=self.intercept.unsqueeze(-2)).bernoulli(x)
        return self.bernoulli(x)

    def _log_cdf(self, t: Tensor) -> Tensor:
        return log_ndtr(t) if self.link == "probit" else nn.functional.logsigmoid(t)


class ProbitBernoulli(Bernoulli):
    """s in {0, 1} with P(s = 0) = Phi(t), t of any shape: a Bernoulli that evaluates only the tail that s asks for."""

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
