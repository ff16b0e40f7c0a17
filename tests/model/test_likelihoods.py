"""Binary and categorical columns against brute-force enumeration of their values."""

from __future__ import annotations

import itertools

import pytest
import torch

from pyro_mnar.data.columns import Group, Layout
from pyro_mnar.model.curve import Curve
from pyro_mnar.model.likelihoods import BernoulliRows, CategoricalRows, MaskedRows, MixedLikelihood, MixedRows
from pyro_mnar.model.likelihoods.categorical import log_allowed
from pyro_mnar.model.likelihoods.mixed import Block

K, GROUP, PAIR = 3, [2, 0, 4], [1, 3]

# Complete rows: columns 2, 0, 4 are one group, columns 1 and 3 binary.
ROWS = torch.tensor(
    [[1.0, 0, 0, 1, 0], [0, 1, 1, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [1, 1, 0, 0, 0]], dtype=torch.float64
)
SEEN = torch.tensor([[0, 0, 1, 1, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 1, 1]]) == 1


def rows_of(one_cell: bool) -> tuple[MixedRows, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    binary, group = (2 * torch.randn(K, 5, c, generator=generator, dtype=torch.float64) for c in (2, 3))
    blocks = [
        Block(torch.tensor(PAIR), BernoulliRows(binary, generator)),
        Block(torch.tensor(GROUP), CategoricalRows(group, generator), one_cell),
    ]
    seen = SEEN.clone()
    if one_cell:
        seen[:, GROUP] = SEEN[:, :1]
    return MixedRows(blocks), seen


def curve_of(link: str, shared: bool = False) -> Curve:
    generator = torch.Generator().manual_seed(1)
    slope, intercept = (torch.randn(1 if shared else 5, generator=generator, dtype=torch.float64) for _ in range(2))
    return Curve(2 * slope, intercept, link)  # type: ignore[arg-type]


def values() -> list[torch.Tensor]:
    """All complete rows that the kinds of the columns allow."""
    found = []
    for a, b, c in itertools.product((0, 1), (0, 1), range(3)):
        row = torch.zeros(5, dtype=torch.float64)
        row[1], row[3], row[GROUP[c]] = a, b, 1
        found.append(row)
    return found


def enumerated(
    rows: MixedRows, curve: Curve, seen: torch.Tensor, active: torch.Tensor, one_cell: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """log p(x_obs|z), log p(x_obs, s|z) and E[x | x_obs, s, z], by summing over all complete rows."""
    log_x, log_xs, possible = [], [], values()
    for row in possible:
        agrees = torch.where(seen, row == ROWS, True).all(-1)
        log_p = torch.where(agrees, rows.log_prob(row.expand(5, 5)), -torch.inf)
        cells = torch.where(seen, curve.log_observed(row), curve.log_missing(row)) * active
        if one_cell:
            present = GROUP[int(row[GROUP].argmax())]
            cells[:, GROUP] = 0
            at_one = torch.where(
                seen[:, GROUP[0]],
                curve.log_observed(torch.ones(5)).expand(5)[present],
                curve.log_missing(torch.ones(5)).expand(5)[present],
            )
            cells[:, GROUP[0]] = at_one * active[GROUP[0]]
        log_x.append(log_p)
        log_xs.append(log_p + cells.sum(-1))
    joint = torch.stack(log_xs)
    mean = torch.einsum("vkn,vp->knp", joint.softmax(0), torch.stack(possible))
    return torch.stack(log_x).logsumexp(0), joint.logsumexp(0), mean


@pytest.mark.parametrize("one_cell", [False, True])
@pytest.mark.parametrize("link", ["probit", "logistic"])
@pytest.mark.parametrize("active", [[1, 1, 1, 1, 1], [1, 0, 1, 1, 0]])
@pytest.mark.parametrize("shared", [False, True])
def test_mask_term_is_the_sum_over_all_values(link: str, one_cell: bool, active: list[int], shared: bool) -> None:
    rows, seen = rows_of(one_cell)
    curve, has_term = curve_of(link, shared), torch.tensor(active) == 1
    shown = torch.where(seen, ROWS, 0.0)
    log_x, log_xs, mean = enumerated(rows, curve, seen, has_term, one_cell)
    masked = MaskedRows(curve, shown, seen, has_term)
    seen_part = rows.observed_part(seen).log_prob(shown)
    torch.testing.assert_close(seen_part, log_x, rtol=0, atol=1e-10)
    mask = rows.mask_term(masked).log_prob(seen)
    torch.testing.assert_close(seen_part + mask, log_xs, rtol=0, atol=1e-10)
    tilted = rows.missing_given_mask(masked).mean
    torch.testing.assert_close(torch.where(seen, mean, tilted), mean, rtol=0, atol=1e-10)


def test_a_missing_cell_of_a_group_whose_one_is_seen_is_zero() -> None:
    rows, seen = rows_of(False)
    part = rows.missing_part(torch.where(seen, ROWS, 0.0), seen)
    assert torch.equal(part.mean[:, 1, GROUP], ROWS[1, GROUP].expand(K, 3))
    assert torch.equal(part.rsample()[:, 1, GROUP], ROWS[1, GROUP].expand(K, 3))


def test_draws_follow_the_conditional_law() -> None:
    rows, seen = rows_of(False)
    shown = torch.where(seen, ROWS, 0.0)
    part = rows.missing_part(shown, seen, torch.Generator().manual_seed(2))
    draws = part.rsample(torch.Size([20_000]))
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    hidden = (~seen).expand(K, 5, 5)
    assert float((draws.mean(0) - part.mean)[hidden].abs().max()) < 4 * 0.5 / 20_000**0.5
    # A row of draws has a probability, and those of all possible rows sum to one.
    total = torch.stack([part.log_prob(row.expand(K, 5, 5)) for row in values()]).exp()
    possible = torch.stack(
        [torch.where(seen[:, GROUP], row[GROUP] == shown[:, GROUP], True).all(-1) for row in values()]
    )
    binary_seen = seen[:, PAIR].sum(-1)
    torch.testing.assert_close(
        (total * possible[:, None]).sum(0) / 2.0**binary_seen, torch.ones(K, 5, dtype=torch.float64)
    )


def test_allowed_categories() -> None:
    x = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    observed = torch.tensor([[False, True, True], [False, True, False]])
    assert torch.equal(log_allowed(x, observed).exp(), torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))


def test_complete_rows_from_the_likelihood() -> None:
    layout = Layout(continuous=(0, 4), binary=(2,), groups=(Group((1, 5, 3)),))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rows = MixedLikelihood(6, layout)(torch.randn(40, 7, 6))
        x = rows.rsample()
    assert x.shape == (40, 7, 6) and rows.log_prob(x).shape == (40, 7)
    assert torch.equal(x[..., [1, 5, 3]].sum(-1), torch.ones(40, 7))
    assert set(x[..., 2].unique().tolist()) == {0.0, 1.0} and len(x[..., 0].unique()) == 280
    everything = torch.ones(7, 6, dtype=torch.bool)
    torch.testing.assert_close(rows.observed_part(everything).log_prob(x), rows.log_prob(x))
