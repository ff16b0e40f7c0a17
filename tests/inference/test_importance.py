"""The bound and the weights against Pyro's own, and against closed forms."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from pyro.infer import Importance, Predictive, RenyiELBO

from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.importance import ImportanceBound, log_weights, paired_traces
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.heads import CategoricalHead, GaussianHead, Head
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Fixed, Ignorable, Linear, Mechanism, Nonlinear, SelfMasking
from pyro_mnar.numerics.distributions import DiagonalNormal
from tests.support.pairs import small_batch, small_joint

MECHANISMS = {
    "ignorable": Ignorable,
    "self-masking": SelfMasking,
    "known direction": lambda: SelfMasking(direction="high"),
    "logistic": lambda: SelfMasking(link="logistic"),
    "shared": lambda: SelfMasking(shared=True),
    "linear": Linear,
    "nonlinear": Nonlinear,
    "fixed": lambda: Fixed(slope=2.0, threshold=0.3),
    "fixed function": lambda: Fixed(probability=lambda x: torch.sigmoid(1.0 - x)),
}
HEADS = {None: lambda: None, "real": lambda: GaussianHead(4), "class": lambda: CategoricalHead(4, 3, (5,))}


def pair(mechanism: str, y: str | None = None, **options: object) -> tuple[Joint, Batch]:
    head: Head | None = HEADS[y]()
    made: Mechanism = MECHANISMS[mechanism]()
    return small_joint(made, head=head, **options), small_batch(y=y)  # type: ignore[arg-type]


@pytest.mark.parametrize("collapse", ["auto", False])
@pytest.mark.parametrize("y", [None, "real", "class"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_bound_equals_stock_renyi_elbo(mechanism: str, y: str | None, collapse: bool | str) -> None:
    joint, batch = pair(mechanism, y, collapse=collapse)
    with torch.random.fork_rng():
        pyro.set_rng_seed(1)
        ours = ImportanceBound(5).loss(joint.model, joint.guide, batch)
        pyro.set_rng_seed(1)
        stock = RenyiELBO(alpha=0, num_particles=5, max_plate_nesting=1, vectorize_particles=True)
        theirs = stock.loss(joint.model, joint.guide, batch)
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.parametrize("mechanism", ["known direction", "linear"])
def test_inner_draws_bound_equals_stock(mechanism: str) -> None:
    joint, batch = pair(mechanism, "real", collapse=False, n_inner=3)
    with torch.random.fork_rng():
        pyro.set_rng_seed(1)
        ours = ImportanceBound(5).loss(joint.model, joint.guide, batch)
        pyro.set_rng_seed(1)
        stock = RenyiELBO(alpha=0, num_particles=5, max_plate_nesting=1, vectorize_particles=True)
        theirs = stock.loss(joint.model, joint.guide, batch)
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_gradient_equals_that_of_stock_renyi_elbo() -> None:
    joint, batch = pair("known direction", "real", collapse=False)
    gradients = []
    for bound in (ImportanceBound(5), RenyiELBO(0, 5, max_plate_nesting=1, vectorize_particles=True)):
        joint.zero_grad()
        with torch.random.fork_rng():
            pyro.set_rng_seed(1)
            # Pyro collects gradients for the parameters in its store only; differentiate its loss by hand.
            if isinstance(bound, ImportanceBound):
                bound.loss_and_grads(joint.model, joint.guide, batch)
                gradients.append([p.grad.clone() for p in joint.parameters() if p.grad is not None])
            else:
                model_trace, guide_trace = next(iter(bound._get_traces(joint.model, joint.guide, (batch,), {})))
                log_w = sum(s["log_prob"] for s in model_trace.nodes.values() if s["type"] == "sample")
                log_w = log_w - sum(s["log_prob"] for s in guide_trace.nodes.values() if s["type"] == "sample")
                loss = -(log_w.logsumexp(0) - math.log(5)).sum()
                loss.backward()
                gradients.append([p.grad.clone() for p in joint.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mechanism", ["ignorable", "known direction", "linear"])
def test_weights_of_one_row_equal_those_of_pyro_importance(mechanism: str) -> None:
    joint, batch = pair(mechanism)
    row = batch.rows(slice(2, 3))
    with torch.random.fork_rng():
        pyro.set_rng_seed(3)
        theirs = torch.stack(list(Importance(joint.model, joint.guide, num_samples=6).run(row).log_weights))
        pyro.set_rng_seed(3)
        ours = torch.cat([log_weights(*paired_traces(joint.model, joint.guide, row, 1), (1, 1)) for _ in range(6)])
    torch.testing.assert_close(ours[:, 0], theirs.reshape(-1), rtol=1e-5, atol=1e-8)


def test_predictive_runs_on_the_pair() -> None:
    joint, batch = pair("linear")
    with torch.random.fork_rng():
        draws = Predictive(joint.model, guide=joint.guide, num_samples=3)(batch)
    assert draws["x_mis"].shape == (3, 7, 4)
    assert "z" not in draws or draws["z"].shape == (3, 7, 2)


def test_a_target_that_is_unknown_does_not_enter_the_weight() -> None:
    joint, batch = pair("known direction", "real")
    traces = paired_traces(joint.model, joint.guide, batch.without_target(), 4)
    assert "y" not in traces[0].nodes


def test_a_site_outside_the_row_plate_is_refused() -> None:
    joint, batch = pair("ignorable")

    def model(batch: Batch) -> None:
        pyro.sample("global", pyro.distributions.Normal(0.0, 1.0), obs=torch.tensor(1.0))
        joint.model(batch)

    with pytest.raises(UnsupportedModelError, match="'global'"):
        ImportanceBound(4).loss(model, joint.guide, batch)


def test_elbo_module_trains_with_a_torch_optimiser() -> None:
    joint, batch = pair("known direction")
    module = ImportanceBound(5)(joint.model, joint.guide)
    loss = module(batch)
    loss.backward()
    assert loss.shape == () and all(torch.isfinite(p.grad).all() for p in joint.parameters() if p.grad is not None)


@pytest.mark.parametrize("y", [None, "real", "class"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_parameter_gets_a_gradient(mechanism: str, y: str | None) -> None:
    joint, batch = pair(mechanism, y)
    ImportanceBound(5).differentiable_loss(joint.model, joint.guide, batch).backward()
    without = [name for name, p in joint.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("collapse", ["auto", False])
@pytest.mark.parametrize("y", [None, "real", "class"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_gradient_against_finite_differences(mechanism: str, y: str | None, collapse: bool | str) -> None:
    joint, batch = pair(mechanism, y, collapse=collapse)

    def loss() -> torch.Tensor:
        # With fixed noise the choices of a draw are fixed too: what they add to the gradient is tested in test_choices.
        joint.generator = torch.Generator().manual_seed(5)
        return -ImportanceBound(4).row_bounds(joint.model, joint.guide, batch).sum()

    loss().backward()
    direction = torch.Generator().manual_seed(6)
    parameters = [p for p in joint.parameters() if p.grad is not None]
    steps = [torch.randn(p.shape, generator=direction, dtype=p.dtype) for p in parameters]
    exact = sum((p.grad * s).sum() for p, s in zip(parameters, steps, strict=True))
    values = {}
    with torch.no_grad():
        for h in (-2e-5, -1e-5, 1e-5, 2e-5):
            for p, s in zip(parameters, steps, strict=True):
                p += h * s
            values[h] = loss()
            for p, s in zip(parameters, steps, strict=True):
                p -= h * s
    # Fourth-order central difference.
    numeric = (8 * (values[1e-5] - values[-1e-5]) - (values[2e-5] - values[-2e-5])) / (12 * 1e-5)
    assert float(numeric) == pytest.approx(float(exact), rel=1e-6, abs=1e-7)


def test_dreg_gives_the_same_decoder_gradient_and_an_unbiased_encoder_gradient() -> None:
    joint, batch = pair("known direction")
    means: dict[str, dict[str, torch.Tensor]] = {}
    spread: dict[str, dict[str, torch.Tensor]] = {}
    for kind in ("standard", "dreg"):
        bound, draws = ImportanceBound(4, kind), []  # type: ignore[arg-type]
        joint.generator = torch.Generator().manual_seed(7)
        for _ in range(400):
            joint.zero_grad()
            bound.differentiable_loss(joint.model, joint.guide, batch).backward()
            draws.append({name: p.grad.clone() for name, p in joint.named_parameters()})
        means[kind] = {name: torch.stack([d[name] for d in draws]).mean(0) for name in draws[0]}
        spread[kind] = {name: torch.stack([d[name] for d in draws]).std(0) / 20 for name in draws[0]}
    for name in means["standard"]:
        if not name.startswith("encoder"):
            torch.testing.assert_close(means["standard"][name], means["dreg"][name], rtol=1e-9, atol=1e-9)
        else:
            error = (spread["standard"][name] ** 2 + spread["dreg"][name] ** 2).sqrt()
            z = (means["standard"][name] - means["dreg"][name]).abs() / error.clamp(min=1e-12)
            assert float(z.max()) < 5
    noise = {k: sum(float(v.square().sum()) for n, v in spread[k].items() if n.startswith("encoder")) for k in spread}
    assert noise["dreg"] < noise["standard"]


def test_bound_rises_with_the_number_of_draws() -> None:
    joint, batch = pair("known direction")
    joint.generator = torch.Generator().manual_seed(8)
    values = [
        sum(ImportanceBound(k).loss(joint.model, joint.guide, batch) for _ in range(repeats)) / repeats
        for k, repeats in ((1, 2000), (5, 400), (50, 40), (500, 4))
    ]
    assert values == sorted(values, reverse=True)


def test_the_density_of_a_draw_is_the_same_however_it_is_asked_for() -> None:
    generator = torch.Generator().manual_seed(9)
    loc, scale = (torch.randn(3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    parameters = [loc.requires_grad_(), scale.abs().requires_grad_()]
    found = []
    for same in (True, False):
        q = DiagonalNormal(*parameters, generator=torch.Generator().manual_seed(10)).expand(torch.Size((5, 3)))
        z = q.rsample()
        log_q = q.log_prob(z if same else z.clone())
        found.append([log_q.detach(), *torch.autograd.grad((log_q * log_q.detach()).sum() + z.sum(), parameters)])
    for by_noise, by_value in zip(*found, strict=True):
        torch.testing.assert_close(by_noise, by_value, rtol=1e-12, atol=1e-12)
