"""Mechanisms in which a cell goes missing because of its own value, alone or beside what its row has in common."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pyro_mnar.data.arguments import one_of, truth_value
from pyro_mnar.data.columns import ColumnInfo
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import LOGISTIC_PER_PROBIT, NO_GAP, Curve, Link, inverse_cdf
from pyro_mnar.model.given import Direction, Errors, check_degrees_of_freedom, direction_signs, fixed_slopes
from pyro_mnar.model.observed import Parents, WhatIsObserved
from pyro_mnar.model.on_observed import OnObserved

Shape = Literal["one-sided", "two-sided", "middle"]


class SelfMasking(OnObserved):
    """A cell goes missing because of its own value: P(s_j = 0 | x_j) = F(w_j (x_j - b_j)).

    Training starts from a neutral state: slope 0 (direction unknown) or 1 (known), and the column's missing rate, or
    with ``shared`` and a known direction the threshold in the middle of the data.

    Parameters
    ----------
    direction
        None leaves the sign of every w_j free. "high" (high values go missing) or "low" fixes it; a mapping
        from column name to direction, or a sequence with one entry per column, fixes some of them.
    link
        F, "probit" (normal CDF) or "logistic".
    shared
        one w and b for all columns (images: the same sensor behind each pixel).
    slope
        Slopes to hold fixed while the thresholds are learned, for a sensitivity analysis: one number, or a mapping from
        column name to number: logits per standard deviation of the observed values, positive where high values go
        missing, 0 where the value does not matter. They overrule ``direction``.
    shape
        "one-sided"; "two-sided" where both ends go missing, "middle" where the middle does. With e ~ N(0, 1) a cell is
        observed (missing) where x + e / w lies between two thresholds b and b', which has the probability
        Phi(w (x - b)) - Phi(w (x - b')), so that x_mis integrates out as before. Without a direction or a fixed slope,
        probit.
    depends_on
        Columns on whose observed cells the mask depends too, linearly (:class:`WhatIsObserved`): names, or a mapping
        from column to names. Where such a cell is itself missing it counts as the column's mean, with a number of its
        own for its being missing. The threshold that is reported is that of a row in the middle of them.
    mechanism_features
        Columns of the table that the mechanism alone reads, such as the interviewer or the mode of a survey: names, or
        a mapping as before. They are no part of the model of the values, and pass through; numbers count linearly as
        they are, labels with a number for each.

    errors
        "student-t": in the continuous columns that go missing, value and mask have heavy-tailed errors of one scale.
        Given the code the value is m + s T, T of Student's t with nu degrees of freedom, and a cell is missing where
        w (x - b) + u > 0, (T, u) a bivariate t. The slope and threshold are those at a scale of 1. Probit and
        one-sided.
    degrees_of_freedom
        nu of Student's t: a number above 2, held; None learns it, from 2 to 100, in each column.

    Notes
    -----
    **Heckman's selection model** is this mechanism, if the outcome y is normal given its covariates v. With
    y = b.v + e, s = 1 where g.v + h.w + u > 0, sd(e) = d, sd(u) = 1 and corr(e, u) = r,

    ``P(s = 0 | y, v, w) = Phi(-(r y / d + (g - r b / d) . v + h . w) / sqrt(1 - r^2))``,

    a probit in y with the intercept linear in what is observed: ``depends_on`` the covariates v,
    ``mechanism_features`` the exclusion variables w, the slope -r / (d sqrt(1 - r^2)), and back
    r = -a d / sqrt(1 + a^2 d^2) from a slope a. The decoder is linear, and columns stay on their own scale
    (``decoder="linear", log_columns=None``). Its covariates tell the code sharply, so that few draws leave the bound
    loose: take 50, and large steps over all rows (``TrainingSettings(batch_size=n, n_draws=50, learning_rate=0.2,
    mechanism_learning_rate=0.2, start="neutral")``). With ``errors="student-t"`` it is the selection-t model, with the
    same mapping, which stays unbiased under heavy tails.

    References
    ----------
    Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, equation 17; Heckman 1979, Econometrica 47; Marchenko & Genton
    2012, JASA 107 (selection under t errors).

    Examples
    --------
    >>> SelfMasking(direction={"income": "high"}).direction
    {'income': 'high'}
    >>> import numpy as np
    >>> import pandas as pd
    >>> from pyro_mnar import MNARImputer
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["age", "income", "mode"])
    >>> table.loc[table["mode"] > 0.5, "income"] = np.nan
    >>> mechanism = SelfMasking(depends_on={"income": ["age"]}, mechanism_features={"income": ["mode"]})
    >>> imputer = MNARImputer(mechanism, max_iter=2, random_state=0).fit(table)
    >>> imputer.columns_.names, bool(imputer.transform(table).isna().any(axis=None))
    (('age', 'income'), False)
    """

    sign: Tensor
    slope_is_fixed: Tensor
    fixed_slope: Tensor

    def __init__(
        self,
        direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None = None,
        link: Link = "probit",
        shared: bool = False,
        slope: float | Mapping[str, float] | None = None,
        shape: Shape = "one-sided",
        depends_on: Parents = None,
        mechanism_features: Parents = None,
        errors: Errors = "normal",
        degrees_of_freedom: float | None = None,
    ) -> None:
        super().__init__(depends_on, mechanism_features)
        one_of("shape", shape, ("one-sided", "two-sided", "middle"))
        one_of("link", link, ("probit", "logistic"))
        one_of("errors", errors, ("normal", "student-t"))
        shared = truth_value("shared", shared)
        if errors == "student-t" and (shape != "one-sided" or link != "probit" or shared):
            raise InvalidInputError(
                "errors='student-t' has one curve in each column, probit: leave shape, link and shared out"
            )
        check_degrees_of_freedom(degrees_of_freedom, errors)
        if shape != "one-sided" and (direction is not None or slope is not None or link != "probit" or shared):
            raise InvalidInputError(
                f"shape={shape!r} has two thresholds in each column: leave direction, slope and shared out, and "
                "the link probit"
            )
        self.direction = direction
        self.link: Link = link
        self.shared = shared
        self.slope = slope
        self.shape: Shape = shape
        self.errors: Errors = errors
        self.degrees_of_freedom = degrees_of_freedom
        if shared and (depends_on or mechanism_features):
            raise InvalidInputError(
                "shared=True has one curve for all columns: leave depends_on and mechanism_features out"
            )

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`.

        Raises
        ------
        InvalidInputError
            a direction that is not "high", "low" or None, or is for an unknown column, or of the
            wrong number of columns; a fixed slope that is not finite or for an unknown column; a mask that depends on
            an unknown column.
        """
        self.setup_observed(columns)
        fixed = fixed_slopes(self.slope, columns.names)
        signs = torch.tensor(direction_signs(self.direction, columns.names), dtype=torch.get_default_dtype())
        rates = torch.as_tensor(columns.missing_rate, dtype=torch.get_default_dtype())
        if self.shared:
            if len(set(signs.tolist())) > 1:
                raise InvalidInputError(
                    "shared=True has one slope for all columns: give one direction for all, or None"
                )
            if len({str(value) for value in fixed}) > 1:
                raise InvalidInputError("shared=True has one slope for all columns: give slope as one number")
            signs, rates, fixed = signs[:1], rates.mean(0, keepdim=True), fixed[:1]
        is_fixed = torch.tensor([value is not None for value in fixed])
        signs = torch.where(is_fixed, torch.zeros_like(signs), signs)
        if self.shape != "one-sided":
            # The slope is that at the lower threshold.
            signs = torch.ones_like(signs)
        self.register_buffer("sign", signs)
        # Not saved: they follow from the constructor's parameters.
        self.register_buffer("slope_is_fixed", is_fixed, persistent=False)
        per_unit = 1.0 if self.link == "logistic" else 1 / LOGISTIC_PER_PROBIT
        values = torch.tensor([per_unit * (value or 0.0) for value in fixed], dtype=signs.dtype)
        self.register_buffer("fixed_slope", values, persistent=False)
        start = inverse_cdf(rates.clamp(0.02, 0.98), self.link)
        # Known sign: (log |w|, b); free sign: (w, intercept), since a wrong sign in (w, b) can never turn round.
        self.slope_parameter = nn.Parameter(torch.zeros_like(signs))
        # A threshold that all columns share starts in the middle of the data: their rates say little of it.
        threshold = torch.zeros_like(start) if self.shared else -start * signs
        self.offset_parameter = nn.Parameter(torch.where(signs == 0, start, threshold))
        if self.shape != "one-sided":
            # With slope 1, as many cells of a standard normal are missing as were.
            rates = rates.clamp(0.02, 0.98)
            inside = 1 - rates if self.shape == "two-sided" else rates
            half = math.sqrt(2) * torch.special.ndtri((1 + inside) / 2)
            self.offset_parameter = nn.Parameter(-half)
            self.width_parameter = nn.Parameter((2 * half).log())

    @torch.no_grad()
    def lean(self, direction: Tensor) -> None:
        """Start columns of unknown direction from a slope of that sign, which stays free; call it after :meth:`setup`.

        ``direction`` is +1, -1, or 0 for columns to leave as they are, shape (p,).
        """
        free = (self.sign == 0) & (direction.to(self.sign) != 0) & ~self.slope_is_fixed
        self.slope_parameter.copy_(torch.where(free, direction.to(self.sign), self.slope_parameter))

    @torch.no_grad()
    def start_at(self, where: Tensor, slope: Tensor, threshold: Tensor) -> None:
        """Start some columns at a slope and threshold (standardised), shape (p,) each, and keep their direction.

        A network can bend far enough to turn a direction round, so one that was found by other means is held. ``where``
        is bool.
        """
        slope, threshold = slope.to(self.sign), threshold.to(self.sign)
        where = where.to(self.sign.device) & ~self.slope_is_fixed
        self.sign.copy_(torch.where(where, slope.sign(), self.sign))
        self.slope_parameter.copy_(torch.where(where, slope.abs().clamp(min=1e-2).log(), self.slope_parameter))
        self.offset_parameter.copy_(torch.where(where, threshold, self.offset_parameter))

    def curve(self, z: Tensor | None = None) -> Curve:
        known = self.sign != 0
        slope = torch.where(known, self.sign * self.slope_parameter.exp(), self.slope_parameter)
        slope = torch.where(self.slope_is_fixed, self.fixed_slope, slope)
        intercept = torch.where(known, -slope * self.offset_parameter, self.offset_parameter)
        if self.shape == "one-sided":
            return Curve(slope, intercept, self.link)
        ends = torch.full_like(known, self.shape == "two-sided")
        return Curve(slope, intercept, self.link, None, slope * self.width_parameter.exp(), ends)

    def freedom(self) -> Tensor | None:
        held = math.nan if self.degrees_of_freedom is None else float(self.degrees_of_freedom)
        return None if self.errors == "normal" else torch.full_like(self.sign, held)


class Nested(OnObserved):
    """A cell goes missing because of its own value, or of what its row has in common: it nests the two.

    ``P(s_j = 0 | x_j, z) = Phi(w_j x_j + v_j . z + c_j)``

    Given the code z the intercept is a number, so x_mis integrates out in closed form for every kind of column.
    w = v = 0 is loss completely at random, w = 0 a shared-parameter model (missing at random, as far as z is known from
    what is observed), v = 0 self-masking. A column has a slope of its own where a direction is told, or
    where the start of the fit finds evidence of it; every other column has the code's part alone.

    Parameters
    ----------
    direction
        As for :class:`SelfMasking`: these columns have a slope of their own from the start.
    slope
        As for :class:`SelfMasking`: slopes to hold fixed, for a sensitivity analysis, in these columns alone.
    depends_on, mechanism_features
        As for :class:`SelfMasking`. The search for evidence of a slope does not know of them.

    References
    ----------
    Little 1993; Vonesh & Follmann 1995 (shared-parameter models); Rubin 1976.
    """

    believed: Tensor
    two_sided: Tensor
    middle: Tensor
    held: Tensor

    def __init__(
        self,
        direction: Direction | Mapping[str, Direction] | Sequence[Direction | None] | None = None,
        slope: float | Mapping[str, float] | None = None,
        depends_on: Parents = None,
        mechanism_features: Parents = None,
    ) -> None:
        super().__init__(depends_on, mechanism_features)
        self.direction = direction
        self.slope = slope
        self.own = SelfMasking(direction, slope=slope, depends_on=depends_on, mechanism_features=mechanism_features)

    def setup(self, columns: ColumnInfo) -> None:
        """See :class:`Mechanism`; errors as for :class:`SelfMasking`."""
        self.own.setup(columns)
        self.register_buffer("believed", (self.own.sign != 0) | self.own.slope_is_fixed)
        self.register_buffer("two_sided", torch.zeros_like(self.believed))
        self.register_buffer("middle", torch.zeros_like(self.believed))
        self.register_buffer("held", torch.zeros_like(self.believed))
        self.width_parameter = nn.Parameter(torch.zeros_like(self.own.sign))
        self._has_gap: bool | None = None
        self.register_load_state_dict_post_hook(_forget_gap)

    def setup_code(self, latent_dim: int) -> None:
        self.loading = nn.Parameter(self.own.sign.new_zeros(len(self.own.sign), latent_dim))

    @torch.no_grad()
    def start_at(self, where: Tensor, slope: Tensor, threshold: Tensor) -> None:
        """Give some columns a slope of their own; arguments, shape (p,), as for :meth:`SelfMasking.start_at`."""
        self.own.start_at(where, slope, threshold)
        self.believed |= where.to(self.believed.device)

    @torch.no_grad()
    def start_between(self, where: Tensor, slope: Tensor, low: Tensor, high: Tensor, two_sided: Tensor) -> None:
        """Give some columns two thresholds, shape (p,) each, standardised scale; ``where`` is bool.

        So is ``two_sided``, which says in which of them the ends go missing rather than the middle.
        """
        where, two_sided = where.to(self.believed.device), two_sided.to(self.believed.device)
        self.start_at(where, slope, low)
        width = (high - low).to(self.width_parameter).clamp(min=1e-3).log()
        self.width_parameter.copy_(torch.where(where, width, self.width_parameter))
        self.two_sided |= where & two_sided
        self.middle |= where & ~two_sided
        self._has_gap = None

    @torch.no_grad()
    def hold(self, where: Tensor) -> None:
        """Keep the curves of some columns, bool, shape (p,), where they are: a network would bend along with them."""
        self.held |= where.to(self.held.device)

    @property
    def has_gap(self) -> bool:
        """Whether some column has two thresholds; looked up once, since each look would wait for a GPU."""
        if self._has_gap is None:
            self._has_gap = bool((self.two_sided | self.middle).any())
        return self._has_gap

    def curve(self, z: Tensor | None = None) -> Curve:
        slope, intercept, link = self.own.curve()[:3]
        slope = torch.where(self.believed, slope, torch.zeros_like(slope))
        slope, intercept = (torch.where(self.held, value.detach(), value) for value in (slope, intercept))
        if z is not None:
            shared = z @ torch.where(self.believed[:, None], torch.zeros_like(self.loading), self.loading).T
            intercept = intercept + shared
        if not self.has_gap:
            return Curve(slope, intercept, link, ~self.believed)
        width = torch.where(self.held, self.width_parameter.detach(), self.width_parameter)
        gap = torch.where(self.two_sided | self.middle, slope * width.exp(), NO_GAP)
        return Curve(slope, intercept, link, ~self.believed, gap, self.two_sided)

    @property
    def moved_by(self) -> WhatIsObserved | None:
        return self.own.observed


def _forget_gap(mechanism: nn.Module, _keys: object) -> None:
    """What was remembered of a mechanism's columns follows from the state that was loaded."""
    assert isinstance(mechanism, Nested)
    mechanism._has_gap = None
