"""Columns with t errors that go missing by errors of the same scale: every closed form against quadrature over g."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import gamma, norm
from scipy.stats import t as student

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import GaussianRows, MaskedRows, StudentRows
from pyro_mnar.model.mechanisms import SelfMasking, by_name
from pyro_mnar.numerics.student import log_student_cdf, log_student_density
from tests.model.test_kinds_of_rows import K, N, normals
from tests.support.pairs import info

FREEDOM = torch.tensor([3.0, 40.0], dtype=torch.float64)
OTHERS = torch.tensor([5.0, 30.0], dtype=torch.float64)
SLOPE = torch.tensor([1.5, -0.8], dtype=torch.float64)
HIDDEN, SHOWN = torch.zeros(N, 2, dtype=torch.bool), torch.ones(N, 2, dtype=torch.bool)
ACTIVE = torch.tensor([True, True])
SOME = ((0, 0), (1, 2), (2, 3))


def rows(freedom: torch.Tensor = FREEDOM) -> StudentRows:
    return StudentRows(normals(K, N, 2, seed=5), 0.2 + normals(K, N, 2, seed=6).exp(), freedom)


def curve(per_code: bool) -> Curve:
    intercept = normals(K, N, 2, seed=7) if per_code else torch.tensor([0.4, -1.0], dtype=torch.float64)
    return Curve(SLOPE, intercept, "probit")


def over_scales(function: Any, nu: float) -> float:
    """E f(g), g ~ Gamma(nu / 2, nu / 2), by quadrature over log g."""
    of_g = gamma(nu / 2, scale=2 / nu)
    return float(quad(lambda u: function(np.exp(u)) * of_g.pdf(np.exp(u)) * np.exp(u), -30, 6, limit=400)[0])


@pytest.mark.parametrize("nu", [1.0, 2.1, 5.0, 101.0])
def test_the_distribution_of_t_in_both_tails_and_its_derivatives(nu: float) -> None:
    x = np.concatenate([-np.logspace(2.4, -3, 50), [0.0], np.logspace(-3, 3, 40)])
    t, freedom = torch.tensor(x, requires_grad=True), torch.tensor(nu, dtype=torch.float64, requires_grad=True)
    value = log_student_cdf(t, freedom)
    np.testing.assert_allclose(value.detach(), student.logcdf(x, nu), atol=1e-9)
    density = log_student_density(t, freedom).detach()
    np.testing.assert_allclose(density, student.logpdf(x, nu), atol=1e-9)
    by_t, by_freedom = torch.autograd.grad(value.sum(), (t, freedom))
    np.testing.assert_allclose(by_t, (density - value).detach().exp(), rtol=1e-6, atol=1e-12)
    moved = student.logcdf(x, nu + 1e-4) - student.logcdf(x, max(nu - 1e-4, 0.5))
    assert by_freedom.item() == pytest.approx(moved.sum() / 2e-4, rel=1e-3)
    single = log_student_cdf(torch.tensor(x, dtype=torch.float32), torch.tensor(nu))
    np.testing.assert_allclose(single, student.logcdf(x, nu), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("per_code", "degrees"), [(False, FREEDOM), (True, FREEDOM), (False, OTHERS)])
def test_mask_term_mean_and_density_against_quadrature(per_code: bool, degrees: torch.Tensor) -> None:
    r, c = rows(degrees), curve(per_code)
    masked = MaskedRows(c, torch.zeros(N, 2).double(), HIDDEN, ACTIVE)
    hidden, part, x = r.mask_term(masked).log_prob(HIDDEN), r.missing_given_mask(masked), normals(K, N, 2, seed=9)
    density, mean = part.log_density(x), part.mean
    shown = r.mask_term(masked._replace(x=x[0], observed=SHOWN)).log_prob(SHOWN)
    joint = shown + r.observed_part(SHOWN).log_prob(x[0])
    for k, i in SOME:
        log_hidden = log_joint = 0.0
        for j in range(2):
            m, s, nu, w = (float(v) for v in (r.loc[k, i, j], r.scale[k, i, j], degrees[j], SLOPE[j]))
            a, at, seen = (
                float((c.intercept[k, i] if per_code else c.intercept)[j]),
                float(x[k, i, j]),
                float(x[0, i, j]),
            )

            def of_seen(
                g: float, at: float, sign: float, m: float = m, s: float = s, w: float = w, a: float = a
            ) -> Any:
                return norm.pdf(at, m, s / np.sqrt(g)) * norm.cdf(sign * np.sqrt(g) * (w * at + a))

            z = over_scales(lambda g: norm.cdf(np.sqrt(g) * (w * m + a) / np.hypot(1, w * s)), nu)  # noqa: B023
            log_hidden += math.log(z)
            log_joint += math.log(over_scales(lambda g: of_seen(g, seen, -1.0), nu))  # noqa: B023
            here = over_scales(lambda g: of_seen(g, at, 1.0), nu)  # noqa: B023
            assert density[k, i, j].item() == pytest.approx(math.log(here / z), abs=1e-6)

            def of_value(e: float, m: float = m, s: float = s, w: float = w, a: float = a, nu: float = nu) -> float:
                return student.pdf(e, nu) * student.cdf((w * (m + s * e) + a) * np.sqrt((nu + 1) / (nu + e**2)), nu + 1)

            total, first = (quad(f, -np.inf, np.inf, limit=400)[0] for f in (of_value, lambda e: e * of_value(e)))
            assert total == pytest.approx(z, abs=1e-6)
            assert mean[k, i, j].item() == pytest.approx(m + s * first / total, abs=1e-5)
        assert hidden[k, i].item() == pytest.approx(log_hidden, abs=1e-6)
        assert joint[k, i].item() == pytest.approx(log_joint, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_many_degrees_of_freedom_are_the_normal(dtype: torch.dtype) -> None:
    loc, scale, x = (v.to(dtype) for v in (rows().loc, rows().scale, normals(K, N, 2, seed=9)[0]))
    many, normal = StudentRows(loc, scale, torch.full((2,), 1e6, dtype=dtype)), GaussianRows(loc, scale)
    c = Curve(*(v.to(dtype) for v in curve(False)[:2]), "probit")
    tight = 2e-5 if dtype == torch.float64 else 1e-4
    for observed in (HIDDEN, SHOWN):
        masked = MaskedRows(c, x, observed, ACTIVE)
        terms = [of.mask_term(masked).log_prob(observed.to(dtype)) for of in (many, normal)]
        np.testing.assert_allclose(*terms, atol=tight)
        values = [of.observed_part(observed).log_prob(x) for of in (many, normal)]
        np.testing.assert_allclose(*values, atol=tight, rtol=tight)
    masked = MaskedRows(c, x, HIDDEN, ACTIVE)
    np.testing.assert_allclose(*(of.missing_given_mask(masked).mean for of in (many, normal)), atol=2 * tight)


def test_draws_follow_the_density_and_gradients_reach_every_parameter() -> None:
    r, c = rows(), curve(False)
    slope, freedom = SLOPE.clone().requires_grad_(), FREEDOM.clone().requires_grad_()
    r, c = StudentRows(r.loc, r.scale, freedom), c._replace(slope=slope)
    masked = MaskedRows(c, torch.zeros(N, 2).double(), HIDDEN, ACTIVE)
    n = 8000
    for part, tilted in ((r.missing_given_mask(masked, torch.Generator().manual_seed(0)), True), (r, False)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            draws = part.rsample(torch.Size((n,)))
        # Shares below three points, by the exact distribution.
        for k, i in SOME:
            for j in range(2):
                m, s, nu = float(r.loc[k, i, j]), float(r.scale[k, i, j]), float(FREEDOM[j])
                w, a = (float(SLOPE[j]), float(c.intercept[j])) if tilted else (0.0, 60.0)

                def density(e: float, m: float = m, s: float = s, w: float = w, a: float = a, nu: float = nu) -> float:
                    t = (w * (m + s * e) + a) * np.sqrt((nu + 1) / (nu + e**2))
                    return student.pdf(e, nu) * student.cdf(t, nu + 1)

                total = quad(density, -np.inf, np.inf, limit=400)[0]
                for e in (-2.0, 0.3, 2.5):
                    share = quad(density, -np.inf, e, limit=400)[0] / total
                    found = (draws[:, k, i, j] < m + s * e).double().mean().item()
                    assert abs(found - share) < 4.5 * math.sqrt(max(share * (1 - share), 0.0) / n) + 1e-4
        by_slope, by_freedom = torch.autograd.grad(draws.sum(), (slope, freedom), allow_unused=True)
        assert by_freedom is not None and bool(by_freedom.isfinite().all()) and (by_slope is not None) == tilted


def test_the_gradient_of_a_mean_over_draws_is_that_of_the_mean() -> None:
    """With the choices of nodes counted, d E x / d slope comes out as the closed form has it."""
    r, c = rows(), curve(False)
    slope = SLOPE.clone().requires_grad_()
    part = r.missing_given_mask(
        MaskedRows(c._replace(slope=slope), torch.zeros(N, 2).double(), HIDDEN, ACTIVE),
        torch.Generator().manual_seed(1),
    )
    gradients = []
    for _ in range(60):
        draws = part.rsample(torch.Size((500,)))
        inside = draws.clamp(-4, 4).sum(-1)
        surrogate = inside + inside.detach() * part.choice_log_prob(draws.detach())
        gradients.append(torch.autograd.grad(surrogate.mean(0).sum(), slope, retain_graph=True)[0].numpy())
    found, error = np.mean(gradients, 0), np.std(gradients, 0) / math.sqrt(len(gradients))

    def clamped_mean(w: torch.Tensor) -> float:
        p = r.missing_given_mask(MaskedRows(c._replace(slope=w), torch.zeros(N, 2).double(), HIDDEN, ACTIVE))
        u = torch.linspace(-8, 8, 1601, dtype=torch.float64).view(-1, 1, 1, 1)
        x = u.sinh().expand(-1, K, N, 2)
        return float((p.log_density(x).exp() * x.clamp(-4, 4) * u.cosh()).sum()) * 0.01

    for j in range(2):
        step = 0.01 * torch.eye(2, dtype=torch.float64)[j]
        exact = (clamped_mean(SLOPE + step) - clamped_mean(SLOPE - step)) / 0.02
        assert abs(found[j] - exact) < 4.5 * error[j] + 0.02 * abs(exact)


def test_a_mask_of_given_values_adds_up_to_one_and_heavy_tails_flatten_it() -> None:
    r, c, x = rows(), curve(True), normals(K, N, 2, seed=9)
    told = r.mask_given_values(c.bernoulli(x), c, x)
    e = (x - r.loc) / r.scale
    t = (SLOPE * x + c.intercept) * torch.sqrt((FREEDOM + 1) / (FREEDOM + e**2))
    np.testing.assert_allclose(1 - told.probs, student.cdf(t, FREEDOM + 1), atol=1e-9)
    inner = r.mask_given_values(c.bernoulli(x), c, x.unsqueeze(-2).expand(K, N, 3, 2))
    np.testing.assert_allclose(inner.probs[:, :, 1], told.probs)


def test_what_does_not_go_with_t_errors_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="errors is 'cauchy'; it must be"):
        SelfMasking(errors="cauchy")  # type: ignore[arg-type]
    for value in (2, 1.5, -3.0, 2e6):
        with pytest.raises(InvalidInputError, match=r"degrees_of_freedom is .* must lie above 2"):
            SelfMasking(errors="student-t", degrees_of_freedom=value)
    for value in (np.inf, np.nan, "5", True):
        with pytest.raises(InvalidInputError, match=r"degrees_of_freedom is .* a finite number"):
            SelfMasking(errors="student-t", degrees_of_freedom=value)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="errors 'normal' have none"):
        SelfMasking(degrees_of_freedom=5.0)
    for other in ({"shape": "two-sided"}, {"link": "logistic"}, {"shared": True}):
        with pytest.raises(InvalidInputError, match="leave shape, link and shared out"):
            SelfMasking(errors="student-t", **other)  # type: ignore[arg-type]
    columns = by_name({"x1": SelfMasking("high", errors="student-t"), "default": "auto"})
    columns.setup(info(3))
    told = columns.freedom()
    assert told is not None and told.isnan().tolist() == [False, True, False]
    mixed = by_name({"x1": SelfMasking(errors="student-t", degrees_of_freedom=5), "default": "auto"})
    mixed.setup(info(3))
    held = mixed.freedom()
    assert held is not None and held.tolist() == [np.inf, 5.0, np.inf]
    plain = by_name("auto")
    plain.setup(info(3))
    assert plain.freedom() is None
