"""The closed-form mask integral and the distribution of a missing cell, against quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.func import hessian, vmap

from pyro_mnar.numerics.links import SCALES, WEIGHTS
from pyro_mnar.numerics.logistic import log_expected_sigmoid
from pyro_mnar.numerics.masked_normal import TiltedNormal, log_missing
from pyro_mnar.numerics.normal_tails import half_erfcx, log_ndtr, log_ndtri, truncated_variance
from pyro_mnar.numerics.probit import log_expected_probit
from tests.support.panels import cdf, draws, icdf, moments

LINKS = ("probit", "logistic")
SPREADS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 100.0)
DISTANCES = np.linspace(-8, 8, 33)


def log_link(argument, link):
    return special.log_ndtr(argument) if link == "probit" else -np.logaddexp(0, -argument)


def reference(distance, slope, link):
    """Grid over x (m = 0, v = 1, b = -distance), its step, and the log of the integrand on it.

    Sums on the grid are exact to rounding: the step is far below both the normal's width and the link's.
    """
    step = min(0.02, 0.2 / abs(slope))
    x = np.arange(-18, 18 + step, step)
    return x, step, -0.5 * x**2 - 0.5 * math.log(2 * math.pi) + log_link(slope * (x + distance), link)


def tensor(*values, dtype=torch.float64):
    return [torch.tensor(value, dtype=dtype) for value in values]


def test_the_reference_agrees_with_adaptive_quadrature():
    for slope, distance, link in ((2.0, -3.0, "logistic"), (-30.0, 1.5, "logistic"), (0.5, 8.0, "probit")):
        _, step, log_f = reference(distance, slope, link)
        value, _ = integrate.quad(
            lambda t, w=slope, d=distance, k=link: np.exp(-0.5 * t**2 + log_link(w * (t + d), k)),
            -18,
            18,
            points=[-distance, 0.0],
            epsabs=0,
            epsrel=1e-10,
            limit=400,
        )
        value /= math.sqrt(2 * math.pi)
        assert math.isclose(special.logsumexp(log_f) + math.log(step), math.log(value), abs_tol=1e-9)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("sign", [1, -1])
def test_against_quadrature_over_the_grid(link, sign):
    worst = 0.0
    for spread in SPREADS:
        slope = sign * spread
        exact = []
        for distance in DISTANCES:
            _, step, log_f = reference(distance, slope, link)
            exact.append(special.logsumexp(log_f) + math.log(step))
        scale = 2.5  # only slope times scale and the distance in scales may matter
        arguments = tensor(3 + scale * DISTANCES, scale, slope / scale, 3.0)
        found = log_missing(*arguments, link)
        worst = max(worst, float((found - torch.tensor(exact)).abs().max()))
        loc, width, tilt, threshold = arguments
        total = torch.logaddexp(found, log_missing(loc, width, -tilt, threshold, link))
        assert torch.allclose(total, torch.zeros_like(total), atol=1e-6)
    assert worst <= (1e-11 if link == "probit" else 1e-6)


def test_the_mixture_keeps_its_bound_where_it_is_used():
    """For a >= -c^2/2 the seven nodes are within 1e-7, relatively, of E sigmoid(a + c e), whatever c."""
    scales, weights = np.array(SCALES), np.array(WEIGHTS)
    weights = weights / weights.sum()
    worst = 0.0
    for c in np.geomspace(0.03, 200, 60):
        for a in np.concatenate([-0.5 * c * c * np.linspace(0, 1, 9), np.linspace(0, 25 + 3 * c, 25)]):
            step = min(0.2, c / 8)
            high = max(90, a + 10 * c, min(45 * c * c / -a, 12 * c) if a < 0 else 0)
            t = np.arange(max(a - 10 * c, -90), high, step)
            log_f = -np.logaddexp(0, -t) - 0.5 * ((t - a) / c) ** 2
            exact = special.logsumexp(log_f) + math.log(step / c / math.sqrt(2 * math.pi))
            terms = special.log_ndtr(scales * a / np.sqrt(1 + (scales * c) ** 2))
            worst = max(worst, abs(special.logsumexp(terms, b=weights) - exact))
    assert worst <= 1e-7


@pytest.mark.parametrize("link", LINKS)
def test_first_and_second_derivatives(link):
    generator = torch.Generator().manual_seed(0)
    arguments = [
        3 * torch.randn(3, 4, generator=generator, dtype=torch.float64),
        0.2 + torch.rand(3, 4, generator=generator, dtype=torch.float64),
        *tensor([3.0, -2.0, 0.7, -0.1], [0.4, -1.0, 2.0, 0.0]),
    ]
    arguments = [argument.requires_grad_() for argument in arguments]
    assert torch.autograd.gradcheck(lambda *a: log_missing(*a, link), arguments)
    assert torch.autograd.gradgradcheck(lambda *a: log_missing(*a, link), arguments)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_hessians_through_torch_func(link):
    scale, slope, threshold = tensor([0.7, 1.3], [3.0, -1.0], [0.2, 0.4])

    def total(loc):
        return log_missing(loc, scale, slope, threshold, link).sum()

    locs = torch.linspace(-4, 4, 10, dtype=torch.float64).view(5, 2)
    found = vmap(hessian(total))(locs)
    expected = torch.stack([torch.autograd.functional.hessian(total, loc) for loc in locs])
    assert torch.allclose(found, expected, rtol=1e-9, atol=1e-12)
    # Tweedie: the variance of the distribution is v + v^2 d^2 log Z / dm^2.
    variance = scale**2 + scale**4 * torch.diagonal(found, dim1=-2, dim2=-1)
    assert torch.allclose(variance, moments(TiltedNormal(locs, scale, slope, threshold, link))[1], atol=2e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("link", LINKS)
def test_extreme_input_stays_finite_up_to_the_second_derivative(link, dtype):
    loc = torch.tensor([-1e4, -300.0, -8.0, -1e-8, 0.0, 8.0, 300.0, 1e4], dtype=dtype).view(-1, 1)
    for slope in (0.0, 1e-6, -1e-6, 0.1, -0.1, 1.0, -1.0, 100.0, -100.0):
        for scale in (1e-4, 1.0, 100.0):
            arguments = [loc.clone(), *tensor(scale, slope, 0.0, dtype=dtype)]
            arguments = [argument.requires_grad_() for argument in arguments]
            value = log_missing(*arguments, link)
            once = torch.autograd.grad(value.sum(), arguments, retain_graph=True)
            first = torch.autograd.grad(value.sum(), arguments, create_graph=True)
            (second,) = torch.autograd.grad(first[0].sum(), arguments[0])
            assert (value <= 0).all()
            assert all(part.isfinite().all() for part in (value, *once, *first, second))
            distribution = TiltedNormal(*arguments, link)
            mean, variance = moments(distribution)
            assert all(part.isfinite().all() for part in (mean, variance, draws(distribution, (3,), seed=0)))
            assert (variance > 0).all()


@pytest.mark.parametrize("link", LINKS)
def test_float32_agrees_with_float64(link):
    spread, distance = torch.meshgrid(*tensor(SPREADS, DISTANCES), indexing="ij")
    results = []
    for dtype in (torch.float64, torch.float32):
        loc = distance.to(dtype).requires_grad_()
        slope = spread.to(dtype).requires_grad_()
        value = log_missing(loc, torch.ones((), dtype=dtype), slope, torch.zeros((), dtype=dtype), link)
        results.append([value.detach(), *torch.autograd.grad(value.sum(), [loc, slope])])
    for double, single in zip(*results, strict=True):
        assert torch.allclose(single.double(), double, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("link", LINKS)
def test_moments_against_quadrature(link):
    for spread in SPREADS:
        for slope in (spread, -spread):
            for distance in DISTANCES[::4]:
                x, _, log_f = reference(distance, slope, link)
                density = np.exp(log_f - special.logsumexp(log_f))
                expected = density @ x
                mean, variance = moments(TiltedNormal(*tensor(0.0, 1.0, slope, -distance), link))
                assert math.isclose(float(mean), expected, abs_tol=1e-6)
                assert math.isclose(float(variance), density @ (x - expected) ** 2, rel_tol=1e-5)


@pytest.mark.parametrize("link", LINKS)
def test_cdf_and_quantiles_against_quadrature(link):
    spots = torch.tensor([1e-3, 0.05, 0.5, 0.9, 0.999], dtype=torch.float64)
    for slope in (0.1, -1.0, 4.0, -30.0, 100.0):
        for distance in (-8.0, -2.0, 0.0, 3.0, 8.0):
            x, _, log_f = reference(distance, slope, link)
            density = np.exp(log_f - special.logsumexp(log_f))
            distribution = TiltedNormal(*tensor(0.0, 1.0, slope, -distance), link)
            quantiles = icdf(distribution, spots)
            assert torch.allclose(cdf(distribution, quantiles), spots, atol=1e-10)
            # Half of the last point's weight makes the running sum a trapezoid rule.
            at = np.interp(quantiles.numpy(), x, np.cumsum(density) - density / 2)
            assert np.allclose(at, spots.numpy(), atol=2e-3)
            width = 1e-4 * moments(distribution)[1].sqrt()
            rate = (cdf(distribution, quantiles + width) - cdf(distribution, quantiles - width)) / (2 * width)
            assert torch.allclose(rate.log(), distribution.log_prob(quantiles), atol=1e-5)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(
    ("slope", "distance"), [(1.0, 0.0), (3.0, -3.0), (-2.0, 4.0), (0.5, -8.0), (50.0, -5.0), (-50.0, -1.0), (1.0, 6.0)]
)
def test_samples_follow_the_exact_law(link, slope, distance):
    distribution = TiltedNormal(*tensor(0.0, 1.0, slope, -distance), link)
    drawn = draws(distribution, (4000,), seed=1)
    assert stats.kstest(cdf(distribution, drawn).numpy(), "uniform").pvalue > 1e-3
    # Where the mask says something, the normal that ignores it is rejected.
    if abs(float(moments(distribution)[0])) > 0.3:
        assert stats.kstest(drawn.numpy(), "norm").pvalue < 1e-6


def test_a_slope_of_zero_is_the_plain_normal():
    for link in LINKS:
        distribution = TiltedNormal(*tensor([1.0, -2.0], 0.5, 0.0, 7.0), link)
        half, tail = tensor(0.5, 0.975)
        mean, variance = moments(distribution)
        assert torch.allclose(mean, distribution.loc)
        assert torch.allclose(variance, half**2)
        assert torch.allclose(icdf(distribution, tail), distribution.loc + 0.5 * 1.959963984540054)
        assert torch.allclose(cdf(distribution, distribution.loc), half)


def test_draws_are_differentiable_given_their_noise():
    noise = torch.rand(3, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    arguments = [
        argument.requires_grad_()
        for argument in tensor([0.3, -4.0, 2.0], [1.0, 0.4, 2.0], [1.5, 3.0, -0.7], [0.2, 0.0, 1.0])
    ]
    for link in LINKS:
        assert torch.autograd.gradcheck(lambda *a, link=link: TiltedNormal(*a, link).sample(noise), arguments)


def test_noise_that_rows_share_gives_them_the_same_draws():
    for link, n_noise in (("probit", 2), ("logistic", 3)):
        distribution = TiltedNormal(torch.zeros(5, 2), torch.ones(2), torch.ones(2), torch.zeros(2), link)
        drawn = distribution.sample(torch.full((n_noise, 1, 2), 0.5))
        assert drawn.shape == (5, 2)
        assert torch.equal(drawn[0], drawn[4])


def test_inverse_of_log_ndtr():
    u = torch.cat([-torch.logspace(-3, 4, 60), torch.linspace(0, 5, 30)]).double()
    assert torch.allclose(log_ndtri(log_ndtr(u)), u, rtol=1e-9, atol=1e-9)
    (far,) = tensor(-1e5)
    assert torch.allclose(truncated_variance(far), far**-2, rtol=1e-8)


def test_an_unknown_link_is_named():
    one = torch.ones(1)
    with pytest.raises(ValueError, match="cauchit"):
        log_missing(one, one, one, one, "cauchit")
    with pytest.raises(ValueError, match="cauchit"):
        TiltedNormal(one, one, one, one, "cauchit")


@pytest.mark.parametrize("integral", [log_expected_probit, log_expected_sigmoid])
def test_the_fused_gradient_is_the_differentiable_one(integral):
    """Value and gradient of one pass, in both precisions, against autograd through the formula's own terms."""
    generator = torch.Generator().manual_seed(5)
    # w (m - b) is as large as 500 here, and known to 3e-5 in float32.
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-4)):
        distance = 10 * torch.randn(400, generator=generator, dtype=torch.float64)
        scale = torch.logspace(-1, 1, 400, dtype=torch.float64)
        slope = 20 * torch.randn(400, generator=generator, dtype=torch.float64)
        arguments = [part.to(dtype).requires_grad_() for part in (distance, scale, slope)]
        value = integral(*arguments)
        fused = torch.autograd.grad(value.sum(), arguments)
        double = [part.detach().double().requires_grad_() for part in arguments]
        written_out = torch.autograd.grad(integral(*double).sum(), double, create_graph=True)
        for found, expected in zip(fused, written_out, strict=True):
            assert torch.allclose(
                found.double(), expected, rtol=tolerance, atol=1e-30 if dtype is torch.float64 else 1e-12
            )


def test_the_fast_tail_function():
    y = torch.cat([torch.linspace(0, 30, 4000), torch.logspace(1.5, 6, 100)])
    assert torch.allclose(half_erfcx(y).double(), half_erfcx(y.double()), rtol=5e-7, atol=0)


def test_the_mixture_of_nodes_is_close_to_the_logistic_law_in_total_variation():
    weights = np.array(WEIGHTS)[:, None] / sum(WEIGHTS)
    worst = 0.0
    for c in np.geomspace(0.1, 100, 13):
        for a in -0.5 * c * c * np.linspace(0, 1, 7):
            t = np.arange(
                max(a - 10 * c, -90), max(90, a + 10 * c, min(-45 * c * c / (a - 1e-9), 12 * c)), min(0.2, c / 8)
            )
            prior = -0.5 * ((t - a) / c) ** 2
            distributions = (
                prior - np.logaddexp(0, -t),
                prior + special.logsumexp(special.log_ndtr(np.array(SCALES)[:, None] * t), b=weights, axis=0),
            )
            exact, mixed = (np.exp(distribution - special.logsumexp(distribution)) for distribution in distributions)
            worst = max(worst, 0.5 * np.abs(exact - mixed).sum())
    assert worst < 2e-5
