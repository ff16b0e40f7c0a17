"""Gradients through draws that make discrete choices: exact in expectation, where the path derivative alone is not."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pyro
import pytest
import torch

from pyro_mnar.data.columns import Group, Layout
from pyro_mnar.errors import UnsupportedModelError
from pyro_mnar.inference.importance import ImportanceBound, choice_log_prob, paired_traces, score_surrogate
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import MLPEncoder
from pyro_mnar.model.heads import GaussianHead
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import MixedLikelihood
from pyro_mnar.model.likelihoods.bernoulli import BernoulliChoice
from pyro_mnar.model.likelihoods.categorical import CategoricalChoice
from pyro_mnar.model.mechanisms import Ignorable, Linear, Mechanism, SelfMasking
from pyro_mnar.model.networks import mlp
from pyro_mnar.numerics.masked_normal import TiltedNormal
from tests.support.pairs import info

LAYOUT = Layout(continuous=(0,), binary=(1,), groups=(Group((2, 3, 4)),))


def mixed_pair(mechanism: Mechanism, layout: Layout = LAYOUT, **options: object) -> tuple[Joint, Batch]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mechanism.setup(info(5))
        joint = Joint(
            MLPEncoder(5, 2, (6,)),
            mlp(2, (6,)),
            MixedLikelihood(6, layout),
            mechanism,
            2,
            torch.ones(5, dtype=torch.bool),
            GaussianHead(5, (4,)),
            **options,  # type: ignore[arg-type]
        ).double()
        with torch.no_grad():
            for parameter in joint.parameters():
                parameter += 0.5 * torch.randn_like(parameter)
    observed = torch.tensor([[False, False, False, True, False]])
    return joint, Batch(torch.zeros(1, 5).double(), observed, torch.tensor([1.0]).double())


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, torch.Tensor]]:
    """Discrete draws become what the test puts here."""
    prescribed: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(BernoulliChoice, "rsample", lambda self, shape=(): prescribed["binary"])
    monkeypatch.setattr(CategoricalChoice, "rsample", lambda self, shape=(): prescribed["group"])
    yield prescribed


def gradient_of(value: torch.Tensor, joint: Joint) -> torch.Tensor:
    """The gradient with respect to all parameters as one vector."""
    parameters = list(joint.parameters())
    found = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    return torch.cat(
        [torch.zeros(p.numel()) if g is None else g.flatten() for p, g in zip(parameters, found, strict=True)]
    )


@pytest.mark.parametrize("n_draws", [1, 2])
@pytest.mark.parametrize("mechanism", [Ignorable, SelfMasking, Linear])
def test_expected_gradient_is_the_gradient_of_the_expectation(
    mechanism: type[Mechanism], n_draws: int, outcomes: dict[str, torch.Tensor]
) -> None:
    joint, batch = mixed_pair(mechanism())
    bound = ImportanceBound(n_draws)
    estimate = path_only = torch.zeros(1, dtype=torch.float64)
    expectation = torch.zeros((), dtype=torch.float64)
    total = 0.0
    categories = torch.eye(3).double()[[0, 2]]  # the middle one is seen to be 0
    for picks in itertools.product(itertools.product((0.0, 1.0), (0, 1)), repeat=n_draws):
        outcomes["binary"] = torch.tensor([[[b]] for b, _ in picks]).double()
        outcomes["group"] = torch.stack([categories[c] for _, c in picks]).unsqueeze(1)

        def seeded() -> None:
            joint.generator = torch.Generator().manual_seed(3)

        seeded()
        choices = choice_log_prob(paired_traces(joint.model, joint.guide, batch, n_draws)[1])
        assert choices is not None
        probability = choices.sum().exp()
        seeded()
        value = bound.row_bounds(joint.model, joint.guide, batch).sum()
        expectation = expectation + probability * value
        total += float(probability.detach())
        seeded()
        probability = probability.detach()
        estimate = estimate + probability * gradient_of(
            -bound.differentiable_loss(joint.model, joint.guide, batch), joint
        )
        path_only = path_only + probability * gradient_of(value, joint)
    assert total == pytest.approx(1.0, abs=1e-12)
    exact = gradient_of(expectation, joint)
    torch.testing.assert_close(estimate, exact, rtol=1e-9, atol=1e-11)
    # The test can fail: the path derivative alone is not the gradient.
    assert float((path_only - exact).abs().max()) > 1e-3


@pytest.mark.parametrize("n_draws", [1, 2, 5])
def test_each_choice_counts_by_what_its_draw_adds_to_the_bound_of_the_others(n_draws: int) -> None:
    weights = torch.rand(n_draws, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
    choices = torch.zeros(n_draws, 3, dtype=torch.float64, requires_grad=True)
    surrogate = score_surrogate(weights.log(), choices)
    assert surrogate.item() == 0
    expected = torch.empty(n_draws, 3, dtype=torch.float64)
    for k, i in itertools.product(range(n_draws), range(3)):
        column = weights[:, i].tolist()
        others = column[:k] + column[k + 1 :]
        expected[k, i] = math.log(sum(column) / n_draws) - (math.log(sum(others) / len(others)) if others else 0.0)
    torch.testing.assert_close(torch.autograd.grad(surrogate, choices)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n_draws", [1, 2, 5])
def test_a_factor_that_all_draws_share_leaves_the_gradient_if_there_are_others_to_compare_with(n_draws: int) -> None:
    joint, batch = mixed_pair(SelfMasking())

    def shifted(batch: Batch) -> None:
        pyro.sample("factor", pyro.distributions.Unit(torch.full((n_draws, 1), -7.0).double()))
        joint.model(batch)

    gradients = []
    for model in (joint.model, shifted):
        joint.generator = torch.Generator().manual_seed(4)
        gradients.append(gradient_of(ImportanceBound(n_draws).differentiable_loss(model, joint.guide, batch), joint))
    assert float(gradients[0].abs().max()) > 1e-2
    change = float((gradients[0] - gradients[1]).abs().max())
    assert change > 1 if n_draws == 1 else change < 1e-12


def test_draws_of_a_logistic_cell_have_an_unbiased_gradient() -> None:
    start = torch.tensor([0.2, 0.9, 1.8, 0.4], dtype=torch.float64, requires_grad=True)

    def distribution() -> TiltedNormal:
        return TiltedNormal(start[0], start[1], start[2], start[3], "logistic")

    def question(x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(1.5 * x) + x**2

    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    exact = torch.autograd.grad(
        (distribution().log_prob(grid).exp() * question(grid)).sum() * (grid[1] - grid[0]), start
    )[0]
    n, parts = 100_000, []
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        x = distribution().sample(torch.rand(3, n, generator=generator, dtype=torch.float64))
        with_path = question(x)
        score = distribution().node_log_prob(x.detach())
        surrogate = with_path.mean() + ((with_path.detach() - 1.5) * score).mean()
        parts.append(torch.autograd.grad(surrogate, start)[0])
    estimate = torch.stack(parts)
    z = (estimate.mean(0) - exact) / (estimate.std(0) / 20**0.5)
    assert float(z.abs().max()) < 4


def test_doubly_reparameterised_gradient_refuses_discrete_choices() -> None:
    joint, batch = mixed_pair(SelfMasking())
    with pytest.raises(UnsupportedModelError, match="discrete choices"):
        ImportanceBound(4, "dreg").differentiable_loss(joint.model, joint.guide, batch)


def test_without_a_target_the_collapsed_pair_makes_no_choices() -> None:
    joint, batch = mixed_pair(SelfMasking())
    assert choice_log_prob(paired_traces(joint.model, joint.guide, batch.without_target(), 4)[1]) is None


@pytest.mark.parametrize("one_cell", [False, True])
def test_collapsed_and_sampled_mask_terms_agree(one_cell: bool) -> None:
    layout = Layout(continuous=(0,), binary=(1,), groups=(Group((2, 3, 4), one_cell),))
    groups = [(2, 3, 4)] if one_cell else []
    values = []
    for collapse, n_draws in ((True, 2_000), (False, 60_000)):
        joint, batch = mixed_pair(SelfMasking(), layout, collapse=collapse, one_cell_groups=groups)
        if one_cell:
            batch = Batch(batch.x, torch.tensor([[False, True, False, False, False]]), batch.y)
        joint.generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            values.append(
                [float(ImportanceBound(n_draws).row_bounds(joint.model, joint.guide, batch)) for _ in range(10)]
            )
    collapsed, sampled = (torch.tensor(v) for v in values)
    error = (collapsed.var() / 10 + sampled.var() / 10).sqrt()
    assert abs(float((collapsed.mean() - sampled.mean()) / error)) < 4


def test_generated_masks_of_one_cell_groups_are_common() -> None:
    joint, _ = mixed_pair(SelfMasking(), Layout((0,), (1,), (Group((2, 3, 4), True),)), one_cell_groups=[(2, 3, 4)])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = joint.likelihood(torch.zeros(1, 500, 6).double()).rsample()
        rows = Batch(torch.zeros(500, 6).double(), torch.zeros(500, 6, dtype=torch.bool))
        s = joint.mask_given_row(x, torch.zeros(1, 500, 1).double(), rows).sample()
    assert torch.equal(s[..., 2], s[..., 3]) and torch.equal(s[..., 2], s[..., 4])
    assert 0 < float(s[..., 2].double().mean()) < 1
