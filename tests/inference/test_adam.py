"""The package's Adam: torch's numbers, bit for bit, without what torch's class brings along."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from pyro_mnar.inference.adam import Adam, Parameters

GROUPS = (("a", "b", 0.03, 0.0), ("c", "d", 0.2, 0.1))


def parameters(dtype: torch.dtype) -> dict[str, Tensor]:
    noise = torch.Generator().manual_seed(0)
    shapes = {"a": (3, 2), "b": (5,), "c": (2, 2), "d": ()}
    return {name: torch.randn(shape, generator=noise, dtype=dtype).requires_grad_() for name, shape in shapes.items()}


def loss(values: Sequence[Tensor], step: int) -> Tensor:
    return sum(((value - step % 3) ** 4).sum() for value in values)  # type: ignore[return-value]


def own(values: dict[str, Tensor], betas: tuple[float, float]) -> Adam:
    return Adam(
        [Parameters(params=[values[a], values[b]], lr=lr, weight_decay=decay) for a, b, lr, decay in GROUPS], betas
    )


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.9, 0.99)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_step_is_that_of_torch(dtype: torch.dtype, betas: tuple[float, float]) -> None:
    ours, theirs = parameters(dtype), parameters(dtype)
    adam = own(ours, betas)
    groups = [{"params": [theirs[a], theirs[b]], "lr": lr, "weight_decay": decay} for a, b, lr, decay in GROUPS]
    reference = torch.optim.AdamW(groups, betas=betas, fused=True)
    for step in range(20):
        for optimiser, values in ((adam, ours), (reference, theirs)):
            optimiser.zero_grad()
            # A parameter that plays no part in a step keeps its place and its moments.
            loss([value for name, value in values.items() if name != "b" or step % 2], step).backward()
            optimiser.param_groups[0]["lr"] = 0.03 / (1 + step)
            optimiser.step()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_goes_on_from_a_state() -> None:
    whole, broken = parameters(torch.float64), parameters(torch.float64)
    optimisers = [own(values, (0.9, 0.999)) for values in (whole, broken)]
    for step in range(6):
        if step == 3:
            state = {i: {k: v.clone() for k, v in own_.items()} for i, own_ in optimisers[1].state().items()}
            optimisers[1] = own(broken, (0.9, 0.999))
            optimisers[1].load_state(state)
        for adam, values in zip(optimisers, (whole, broken), strict=True):
            adam.zero_grad()
            loss(list(values.values()), step).backward()
            adam.step()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)


def test_a_state_of_other_parameters_is_refused() -> None:
    adam = own(parameters(torch.float64), (0.9, 0.999))
    state = adam.state()
    with pytest.raises(ValueError, match="that of other parameters"):
        adam.load_state({place: state[place] for place in list(state)[:-1]})
    with pytest.raises(ValueError, match="parameter 0 has other parts"):
        adam.load_state({**state, 0: {"step": state[0]["step"]}})


def test_a_fit_and_what_is_asked_of_it_do_not_import_the_compiler() -> None:
    check = (
        "import sys, numpy as np\n"
        "from pyro_mnar import MNARImputer\n"
        "x = np.random.default_rng(0).normal(size=(60, 3))\n"
        "x[x[:, 0] > 0.5, 0] = np.nan\n"
        "imputer = MNARImputer(max_iter=2, n_draws_posterior=200, random_state=0).fit(x)\n"
        "imputer.multiple_impute(x, 2)\n"
        "imputer.posterior(x, refine=False).refine(np.ones(60, bool))\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", check], check=False).returncode == 0
