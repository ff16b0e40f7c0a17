"""The row distributions against torch's own normal."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal
from torch.func import hessian, vmap

from pyro_mnar.numerics.distributions import DiagonalNormal, StandardNormal


def parts() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    value, loc, scale = (torch.randn(*shape, 4, generator=generator).double() for shape in ((3,), (2, 3), (2, 3)))
    counted = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]]).bool()
    return value, loc, scale.abs() + 0.1, counted


@pytest.mark.parametrize("shared_scale", [False, True])
def test_counted_entries_alone_enter_the_density(shared_scale: bool) -> None:
    value, loc, scale, counted = parts()
    scale = scale[0, 0, :1] if shared_scale else scale
    expected = (Normal(loc, scale).log_prob(value) * counted).sum(-1)
    torch.testing.assert_close(DiagonalNormal(loc, scale, counted).log_prob(value), expected)
    torch.testing.assert_close(DiagonalNormal(loc, scale).log_prob(value), Normal(loc, scale).log_prob(value).sum(-1))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_two_derivatives_of_the_counted_density() -> None:
    *arguments, counted = parts()
    arguments = [argument.requires_grad_() for argument in arguments]

    def log_prob(value: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return DiagonalNormal(loc, scale, counted).log_prob(value)

    assert torch.autograd.gradcheck(log_prob, arguments, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(log_prob, arguments)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_hessians_of_the_counted_density_row_by_row() -> None:
    value, loc, scale, counted = parts()

    def log_prob(loc: torch.Tensor, value: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        return DiagonalNormal(loc, scale[0, 0], counted).log_prob(value)

    found = vmap(hessian(log_prob))(loc[0], value, counted)
    torch.testing.assert_close(found, torch.diag_embed(-counted.double() / scale[0, 0] ** 2))


def test_the_standard_normal_is_the_one_with_mean_0_and_scale_1() -> None:
    z = torch.linspace(-3, 3, 6, dtype=torch.float64).view(2, 3)
    distribution = StandardNormal(z, 3).expand(torch.Size((5, 2)))
    torch.testing.assert_close(distribution.log_prob(z), DiagonalNormal(torch.zeros_like(z), torch.ones(1)).log_prob(z))
    assert distribution.rsample().shape == (5, 2, 3)
    assert distribution.rsample().dtype == torch.float64
