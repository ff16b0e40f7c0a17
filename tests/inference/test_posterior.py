"""The posterior's answers: what they may depend on, what they never may, and the remedy for uneven weights."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

from pyro_mnar import MNARImputer, TrainingSettings
from pyro_mnar.errors import InvalidInputError, UnreliableWeightsWarning, UnsupportedModelError
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.posterior.proposals import StudentRows, log_joint
from pyro_mnar.inference.posterior.refine import Refinement
from pyro_mnar.model.heads import CategoricalHead, GaussianHead
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Ignorable, Linear, SelfMasking
from pyro_mnar.numerics.distributions import DiagonalNormal
from pyro_mnar.numerics.random_streams import BlockNoise, normal, uniform
from tests.support.exact import ExactEncoder, P, as_batch, exact_joint, simulate, solve
from tests.support.pairs import info, small_batch, small_joint

pytestmark = pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
LITTLE = Refinement(steps=30, rounds=(120,), n_draws=300)


def asked(joint: Joint, rows: slice | list[int] = slice(None), **options: object) -> Posterior:
    batch = small_batch(n=9)
    index = torch.arange(9)[rows]
    return Posterior(joint, batch.rows(index), info(4), n_draws=200, **options)  # type: ignore[arg-type]


PAIRS = {
    "collapsed": lambda: small_joint(SelfMasking()),
    "logistic": lambda: small_joint(SelfMasking(link="logistic")),
    "ignorable": lambda: small_joint(Ignorable()),
    "sampled": lambda: small_joint(Linear()),
    "inner draws": lambda: small_joint(Linear(), n_inner=3),
}


@pytest.mark.parametrize("refined", ["no", "all rows", "for means"])
@pytest.mark.parametrize("kind", PAIRS)
def test_answers_depend_neither_on_chunks_nor_on_other_rows(kind: str, refined: str) -> None:
    rows = [7, 2, 4]

    def answers(post: Posterior) -> list[np.ndarray]:
        if refined == "all rows":
            post.refine(np.ones(post.n_rows, bool), LITTLE)
        elif refined == "for means":
            post.refine_means()
        return [post.mean(), post.quantile([0.1, 0.5]), post.log_evidence, post.ess]

    joint, near = PAIRS[kind](), 1e-12 if refined == "no" else 1e-10
    whole = answers(asked(joint))
    # 20,000 bytes hold fewer draws of one row than there are.
    for a, b in zip(whole, answers(asked(joint, byte_budget=20_000)), strict=True):
        np.testing.assert_allclose(a, b, rtol=near, atol=near)
    for a, b in zip(whole, answers(asked(joint, rows)), strict=True):
        part = a[:, rows] if a.ndim == 3 else a[rows]
        np.testing.assert_allclose(part, b, rtol=near, atol=near)


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_single_precision_gives_the_same_answers_for_each_row_alone(kind: str, refined: bool) -> None:
    joint, rows = PAIRS[kind](), [7, 2, 4]
    some = [asked(joint), asked(joint, single=True), asked(joint, rows, single=True)]
    if refined:
        some = [post.refine(np.ones(post.n_rows, bool), LITTLE) for post in some]
    double, single, alone = ([post.mean(), post.log_evidence, post.ess] for post in some)
    for a, b in zip(double, single, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    for a, b in zip(single, alone, strict=True):
        np.testing.assert_allclose(a[rows], b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", PAIRS)
def test_refining_some_rows_leaves_the_answers_of_the_others(kind: str) -> None:
    some = np.isin(np.arange(9), [7, 2, 4])

    def answers(post: Posterior) -> list[np.ndarray]:
        return [post.mean(), post.quantile([0.1, 0.5]), post.sample(3), post.log_evidence[:, None], post.ess[:, None]]

    joint = PAIRS[kind]()
    plain, refined = answers(asked(joint)), answers(asked(joint).refine(some, LITTLE))
    for a, b in zip(plain, refined, strict=True):
        # Up to the order of sums: the rows are cut into other chunks.
        np.testing.assert_allclose(a[..., ~some, :], b[..., ~some, :], rtol=1e-12, atol=1e-12)
        assert np.abs(a[..., some, :] - b[..., some, :]).max() > 1e-3


@pytest.mark.parametrize("kind", PAIRS)
def test_imputations_do_not_depend_on_chunks_and_are_independent_between_rows(kind: str) -> None:
    joint = PAIRS[kind]()
    np.testing.assert_allclose(asked(joint).sample(4), asked(joint, byte_budget=20_000).sample(4), atol=1e-12)
    assert not np.allclose(asked(joint).sample(4), asked(joint).sample(4, seed=1))
    batch = small_batch(n=1)
    twins = type(batch)(batch.x.repeat(2, 1), batch.observed.repeat(2, 1))
    twins.observed[:, 0] = False
    draws = Posterior(joint, twins, info(4), n_draws=200).sample(100)[:, :, 0]
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.35
    assert np.allclose(*Posterior(joint, twins, info(4), n_draws=200).mean())


@pytest.mark.parametrize("budget", [64 * 2**20, 20_000])
@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("kind", PAIRS)
def test_imputations_by_the_weights_of_the_judgement_are_those_of_a_pass_of_their_own(
    kind: str, refined: bool, budget: int
) -> None:
    joint = PAIRS[kind]()
    posts = [asked(joint), asked(joint, independent=True, byte_budget=budget)]
    if refined:
        posts = [post.refine(np.arange(9) % 2 == 0, LITTLE) for post in posts]
    near = 1e-10 if refined else 1e-12
    np.testing.assert_allclose(*(post.sample(7) for post in posts), rtol=near, atol=near)
    np.testing.assert_allclose(*(post.sample(2, seed=5) for post in posts), rtol=near, atol=near)


@pytest.mark.parametrize("kind", PAIRS)
def test_rows_that_single_precision_cannot_weigh_are_weighed_in_double(kind: str) -> None:
    joint, batch = PAIRS[kind](), small_batch(n=6)
    batch.x[1] *= 1e6
    batch.x[4, 3] = 1e25
    batch = batch._replace(x=torch.where(batch.observed, batch.x, 0.0))
    double, single = (Posterior(joint, batch, info(4), n_draws=200, single=how) for how in (False, True))
    for post in (double, single):
        assert np.isfinite(post.mean()).all()
    np.testing.assert_allclose(single.mean(), double.mean(), rtol=1e-4, atol=1e-4)
    far = [1, 4]
    assert (double.log_evidence[far] < -1e6).all()
    np.testing.assert_allclose(single.log_evidence[far], double.log_evidence[far], rtol=1e-12)
    np.testing.assert_allclose(single.ess[far], double.ess[far], rtol=1e-9)


def test_observed_cells_come_back_bit_for_bit() -> None:
    table = np.where(small_batch(n=9).observed.numpy(), np.random.default_rng(0).normal(size=(9, 4)), np.nan)
    post = Posterior(small_joint(SelfMasking()), small_batch(n=9), info(4), table=table, n_draws=50)
    seen = ~np.isnan(table)
    for answer in (post.mean(), post.median(), *post.sample(2)):
        assert np.array_equal(answer[seen], table[seen]) and np.isfinite(answer).all()


def test_global_generators_and_the_pair_are_left_alone(untouched_generators) -> None:
    joint = small_joint(SelfMasking()).float()
    with untouched_generators():
        asked(joint).refine(np.ones(9, bool), LITTLE).sample(2)
    assert joint.generator is None and next(joint.parameters()).dtype == torch.float32


def test_memory_running_out_halves_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyro_mnar.inference.posterior import draws, sampler

    joint, budgets = small_joint(SelfMasking()), []
    expected = asked(joint).mean()

    def short(*arguments: object) -> object:
        budgets.append(arguments[1].n_rows)  # type: ignore[attr-defined]
        if len(budgets) < 3:
            raise MemoryError
        return draws.draw_chunk(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sampler, "draw_chunk", short)
    post = asked(joint, byte_budget=9 * 200 * 1000)
    np.testing.assert_allclose(post.mean(), expected, atol=1e-12)
    assert budgets[0] > budgets[2]
    monkeypatch.setattr(sampler, "draw_chunk", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        asked(joint).mean()


def test_one_warning_with_a_count_and_more_draws_for_those_rows_alone() -> None:
    x, observed = simulate(40, "probit", 0)
    post = Posterior(exact_joint("probit"), as_batch(x, observed), info(P), n_draws=110)
    bad = ~post.reliable
    assert 0 < bad.sum() < 40
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = post.mean()
        post.median(), post.sample(1)
    assert [str(w.message) for w in caught if w.category is UnreliableWeightsWarning] == [str(caught[0].message)]
    assert f"{bad.sum()} of 40 rows" in str(caught[0].message)
    after = post.more_draws(5000).mean()
    assert np.array_equal(post.n_draws, np.where(bad, 5000, 110)) and post.reliable[bad].all()
    assert np.array_equal(before[~bad], after[~bad]) and not np.array_equal(before[bad], after[bad])
    assert post.log_weights.shape == (5000, 40)


@pytest.mark.parametrize("kind", PAIRS)
def test_refined_rows_have_the_same_posterior_and_better_weights(kind: str) -> None:
    joint = PAIRS[kind]()
    plain = asked(joint).more_draws(20_000, np.ones(9, bool))
    refined = asked(joint).refine(np.ones(9, bool), Refinement(n_draws=4000))
    missing = ~small_batch(n=9).observed.numpy()
    assert np.abs(plain.mean() - refined.mean())[missing].max() < 0.12
    assert np.abs(plain.log_evidence - refined.log_evidence).max() < 0.2
    assert np.median(refined.ess / refined.n_draws) > np.median(plain.ess / plain.n_draws)


@pytest.mark.parametrize("kind", ["collapsed", "sampled"])
def test_evidence_of_refined_rows_is_that_of_a_grid_over_z(kind: str) -> None:
    joint, batch = PAIRS[kind](), small_batch(n=9)
    refined = asked(joint).refine(np.ones(9, bool), Refinement(n_draws=4000))
    joint.n_inner = 400 if kind == "sampled" else 1
    joint.generator = torch.Generator().manual_seed(1)
    line = torch.linspace(-6, 6, 41, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)[:, None].expand(-1, 9, -1)
    with torch.no_grad():
        grid = torch.cat([log_joint(joint, batch, part) for part in z.split(200)])
    exact = grid.logsumexp(0) + 2 * torch.log(line[1] - line[0])
    np.testing.assert_allclose(refined.log_evidence, exact.numpy(), atol=0.03)


def test_refinement_leaves_good_rows_alone_and_judges_on_draws_of_its_own() -> None:
    x, observed = simulate(60, "probit", 1)
    post = Posterior(exact_joint("probit"), as_batch(x, observed), info(P), n_draws=1000).refine()
    assert post.reliable.all()
    assert set(post.n_draws) == {1000, 2400}
    few = Posterior(exact_joint("probit"), as_batch(x, observed), info(P), n_draws=50).refine()
    assert set(few.n_draws) == {50}


class Narrow(ExactEncoder):
    """Too narrow by six for rows that miss the first column."""

    def forward(self, x: torch.Tensor, observed: torch.Tensor) -> DiagonalNormal:
        q = super().forward(x, observed)
        return DiagonalNormal(q.mean, torch.where(observed[:, :1], q.scale, q.scale / 6))


def test_means_of_uneven_rows_are_refined_and_those_of_even_rows_kept() -> None:
    x, observed = simulate(40, "probit", 1)
    joint = exact_joint("probit")
    joint.encoder = Narrow()
    plain, refined = (Posterior(joint, as_batch(x, observed), info(P), n_draws=1000) for _ in range(2))
    uneven = ~plain.reliable
    assert 5 < uneven.sum() < 35
    with pytest.warns(UnreliableWeightsWarning, match=f"{uneven.sum()} of 40 rows.*refine"):
        before = plain.mean()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnreliableWeightsWarning)
        means = refined.refine_means().mean()
    kept = refined.n_draws == 1000
    assert refined.reliable.all() and np.array_equal(kept & (before == means).all(1), ~uneven)
    for i in np.flatnonzero(uneven):
        for j, cell in solve(x[i], observed[i], "probit")[1].items():
            assert abs(means[i, j] - cell.mean) < 4 * cell.sd / np.sqrt(refined.ess[i])


def test_a_warning_names_what_is_left_to_do() -> None:
    def advice(post: Posterior) -> str:
        with pytest.warns(UnreliableWeightsWarning) as caught:
            post.mean()
        return str(caught[0].message)

    # No proposal makes 110 draws worth 100.
    assert "posterior.refine()" in advice(asked(small_joint(SelfMasking())).more_draws(110, np.ones(9, bool)))
    few = asked(small_joint(SelfMasking()))
    every = np.ones(9, bool)
    few.refine(every, Refinement(steps=1, rounds=(1,), n_draws=1)).more_draws(110, every)
    told = advice(few)
    assert "refined already" in told and "raise n_draws_posterior" in told and "posterior.refine()" not in told


def test_a_row_without_a_finite_mode_keeps_the_encoders_proposal() -> None:
    joint = small_joint(Ignorable())

    class Broken(torch.nn.Module):
        """Beyond |z| = 1e-9 the decoder gives NaN when asked for gradients."""

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            hidden = decoder(z)
            return hidden * float("nan") if z.requires_grad else hidden

    decoder, joint.decoder = joint.decoder, Broken()
    post = asked(joint).refine(np.ones(9, bool), LITTLE)
    assert np.isfinite(post.mean()).all() and np.isfinite(post.log_evidence).all()


def test_student_rows_density_and_draws() -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(1, 3, 3, generator=generator, dtype=torch.float64).tril() + 2 * torch.eye(3)
    q = StudentRows(torch.ones(1, 3, dtype=torch.float64), root, generator).expand(torch.Size((200_000, 1)))
    z = q.rsample()[:, 0]
    from scipy import stats

    distribution = stats.multivariate_t(np.ones(3), (root @ root.mT)[0].numpy(), df=10)
    np.testing.assert_allclose(q.log_prob(z[:50, None])[:, 0], distribution.logpdf(z[:50].numpy()), rtol=1e-10)
    np.testing.assert_allclose(torch.cov(z.T), 10 / 8 * (root @ root.mT)[0], atol=0.1)
    assert stats.kstest(((z[:, 0] - 1) / root[0, 0, 0]).numpy(), stats.t(10).cdf).pvalue > 1e-3


def test_predictive_never_uses_the_target() -> None:
    for head, y in ((CategoricalHead(4, 3), "class"), (GaussianHead(4), "real")):
        joint = small_joint(SelfMasking(), head=head)
        known = Posterior(joint, small_batch(n=9, y=y), info(4), n_draws=400)
        unknown = Posterior(joint, small_batch(n=9), info(4), n_draws=400)
        assert torch.equal(known.predictive(), unknown.predictive())
        assert not np.allclose(known.mean(), unknown.mean())
    assert torch.allclose(unknown.predictive(lambda d: d.loc), unknown.predictive())
    with pytest.raises(UnsupportedModelError, match="head"):
        asked(small_joint(SelfMasking())).predictive()


def test_expectation_sees_completed_rows_in_original_units() -> None:
    post = asked(small_joint(Ignorable()))
    post.columns = post.columns._replace(center=np.full(4, 10.0), scale=np.full(4, 2.0))
    # The mean is exact given z, the expectation averages draws: equal up to their noise.
    assert np.abs(post.expectation(lambda x: x).numpy() - post.mean()).max() < 0.6
    assert post.expectation(lambda x: (x[..., 0] > 10).double()).shape == (9,)


def test_a_number_of_draws_below_one_is_refused() -> None:
    joint = small_joint(SelfMasking())
    with pytest.raises(InvalidInputError, match="n_draws"):
        Posterior(joint, small_batch(), info(4), n_draws=0)


def test_block_noise_is_uniform_and_addressed() -> None:
    like = torch.zeros((), dtype=torch.float64)
    block = BlockNoise(3, shared=False).window(range(5), 0).block((2, 40, 5, 3), like)
    again = BlockNoise(3, shared=False).window([3], 10).block((2, 30, 1, 3), like)
    assert torch.equal(block[:, 10:, 3:4], again)
    values = uniform((1000, 5, 20), like, BlockNoise(4, shared=False).window(range(5), 0)).flatten()
    assert abs(float(values.mean()) - 0.5) < 0.005 and abs(float(values.var()) - 1 / 12) < 0.002
    assert float(values.unique().numel()) == values.numel()
    assert normal((10, 5, 2), like, BlockNoise(4, shared=True)).shape == (10, 1, 2)


def test_codes_of_all_rows_are_quasi_random_however_they_are_cut() -> None:
    like = torch.zeros((), dtype=torch.float64)

    def codes(seed: int, first: int, count: int) -> torch.Tensor:
        return normal((count, 1, 5), like, BlockNoise(seed, shared=True).window([0], first))[:, 0]

    whole = codes(0, 0, 500)
    assert torch.equal(codes(0, 130, 70), whole[130:200]) and not torch.equal(codes(1, 0, 500), whole)
    # What was drawn afresh is another sequence.
    assert not torch.isclose(codes(0, 2**32, 500), whole).any()
    several = torch.stack([codes(seed, 0, 500) for seed in range(40)])
    # The mean of a smooth function: far nearer than random draws, whose error is 1 / sqrt(500), and unbiased.
    errors = several.sum(-1).div(5**0.5).mean(-1)
    assert float(errors.std()) < 0.3 / 500**0.5 and abs(float(errors.mean())) < 3 * float(errors.std()) / 40**0.5
    assert abs(float(several.var()) - 1) < 0.01
    # Sites after the codes, and noise of each row's own, are random.
    noise = BlockNoise(0, shared=True).window([0], 0)
    normal((500, 1, 5), like, noise)
    assert not torch.isclose(normal((500, 1, 5), like, noise)[:, 0], whole).any()


def test_estimators_posterior_score_and_imputations() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 1)) + 0.5 * rng.normal(size=(80, 3))
    frame = pd.DataFrame(np.where((x > 0.5) & (np.arange(3) < 2), np.nan, x), columns=list("abc"))
    # Hardly trained, so that some rows' weights are uneven.
    training = TrainingSettings(learning_rate=3e-3, decoder_weight_decay=0.0)
    imputer = MNARImputer(hidden_units=(8,), max_iter=5, n_draws_posterior=100, random_state=0, training=training)
    post = imputer.fit(frame).posterior(frame, refine=False)
    assert imputer.score_samples(frame).shape == (80,)
    assert imputer.score(frame) == pytest.approx(imputer.score_samples(frame).mean())
    np.testing.assert_allclose(imputer.transform(frame)[["a", "b"]], post.mean()[:, :2], atol=1e-4)
    # With as many draws as are usual, transform refines.
    imputer.set_params(n_draws_posterior=1000)
    holed = frame[frame.isna().any(axis=1)]
    assert not imputer.posterior(holed, refine=False).reliable.all()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnreliableWeightsWarning)
        means = imputer.transform(frame).loc[holed.index]
    np.testing.assert_allclose(
        means, imputer.posterior(holed, refine=False).refine_means().mean(), rtol=1e-4, atol=1e-4
    )
    for refit in (None, "bootstrap"):
        tables = imputer.multiple_impute(frame, 2, refit=refit)
        assert len(tables) == 2 and not tables[0].equals(tables[1])
        for table in tables:
            assert list(table) == list("abc") and table.notna().all().all()
            seen = frame.notna()
            assert table.where(seen).equals(frame)
    with pytest.raises(InvalidInputError, match="refit"):
        imputer.multiple_impute(frame, 2, refit="jackknife")  # type: ignore[arg-type]
