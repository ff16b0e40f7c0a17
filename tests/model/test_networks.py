"""The networks' own pieces against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.func import hessian, jacfwd, jacrev, vmap

from pyro_mnar.model.networks import Tanh, _FastTanh, in_slices, mlp


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 3e-7), (torch.float64, 1e-15)])
def test_tanh_is_tanh(dtype: torch.dtype, error: float) -> None:
    x = torch.cat([torch.linspace(-12, 12, 20_001), torch.tensor([-1e4, 1e4])]).to(dtype)
    torch.testing.assert_close(Tanh()(x).double(), x.double().tanh(), rtol=0, atol=error)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_tanh_has_two_derivatives_forwards_and_backwards() -> None:
    x = torch.linspace(-3, 3, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(_FastTanh.apply, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(_FastTanh.apply, x)
    for outer, inner in ((jacfwd, jacrev), (jacrev, jacrev)):
        found = vmap(outer(inner(_FastTanh.apply)))(x.detach())
        torch.testing.assert_close(found, -2 * x.detach().tanh() / x.detach().cosh() ** 2)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_hessians_go_through_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyro_mnar.model.networks._SMALL", 0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = mlp(3, (5, 1)).double()
        rows = torch.randn(4, 3, dtype=torch.float64)
    plain = torch.nn.Sequential(*[torch.nn.Tanh() if isinstance(m, Tanh) else m for m in network])
    found, expected = (vmap(hessian(lambda x, f=f: f(x)[0]))(rows) for f in (network, plain))
    torch.testing.assert_close(found, expected)


def test_slices_change_nothing() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = mlp(3, (5, 4)).double()
        rows = torch.randn(7, 450, 3, dtype=torch.float64)
    whole = network(rows)
    with torch.no_grad():
        torch.testing.assert_close(network(rows), whole.detach(), rtol=1e-13, atol=1e-14)
        assert mlp(3, ())(rows) is rows
        first, second = in_slices(lambda part: (part[..., :1], 2 * part), rows)
    assert torch.equal(first, rows[..., :1]) and torch.equal(second, 2 * rows)
