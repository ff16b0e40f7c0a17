"""Predictions against the exact p(y | x_obs, s), and the classifier and the regressor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsRegressor
from torch import nn

from pyro_mnar import MNARClassifier, MNARRegressor
from pyro_mnar.errors import InvalidInputError, UnsupportedModelError
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.inference.posterior import Posterior, mixture_quantile
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import Encoder
from pyro_mnar.model.heads import CategoricalHead, GaussianHead, Head
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods import GaussianLikelihood
from pyro_mnar.model.mechanisms import Ignorable, Mechanism, SelfMasking
from pyro_mnar.numerics.distributions import DiagonalNormal
from pyro_mnar.persistence import save
from tests.support.estimators import small_classifier, small_regressor
from tests.support.pairs import info

LOADING = torch.tensor([[1.0], [0.8], [-0.6]], dtype=torch.float64)
SIGMA = 0.7
SLOPE, INTERCEPT = torch.tensor([2.0, 3.0, -2.5]).double(), torch.tensor([-0.5, 0.3, 0.2]).double()
WEIGHT, BIAS = torch.tensor([[1.5, -1.0, 0.8], [-0.5, 1.2, 0.4]]).double(), torch.tensor([0.2, -0.1]).double()


class ExactEncoder(Encoder):
    """p(z | x_obs) of the linear-Gaussian model, L = 1."""

    def forward(self, x: torch.Tensor, observed: torch.Tensor) -> DiagonalNormal:
        loading = LOADING[:, 0] * observed.to(x.dtype)
        precision = 1 + (loading**2).sum(-1, keepdim=True) / SIGMA**2
        mean = (x * loading).sum(-1, keepdim=True) / SIGMA**2 / precision
        return DiagonalNormal(mean, precision**-0.5)


def true_joint(mechanism: Mechanism, head: Head, collapse: bool | str = "auto") -> Joint:
    mechanism.setup(info(3))
    likelihood = GaussianLikelihood(1, 3, "shared", 0.0)
    joint = Joint(
        ExactEncoder(), nn.Identity(), likelihood, mechanism, 1, torch.ones(3, dtype=torch.bool), head, collapse
    ).double()
    with torch.no_grad():
        likelihood.loc.weight.copy_(LOADING)
        likelihood.loc.bias.zero_()
        likelihood.raw_scale.fill_(float(np.log(np.expm1(SIGMA))))
        if isinstance(mechanism, SelfMasking):
            mechanism.slope_parameter.copy_(SLOPE)
            mechanism.offset_parameter.copy_(INTERCEPT)
        last = head.network.last  # type: ignore[union-attr]
        last.weight.copy_(WEIGHT[: len(last.weight)])
        last.bias.copy_(BIAS[: len(last.bias)])
    return joint


def rows(n: int = 20) -> Batch:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = z @ LOADING.T + SIGMA * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    lost = torch.rand(n, 3, generator=generator, dtype=torch.float64) < torch.sigmoid(SLOPE * x + INTERCEPT)
    return Batch(torch.where(lost, 0.0, x), ~lost)


def exact(batch: Batch, statistic: object, with_mask: bool = True) -> torch.Tensor:
    """E[statistic(x) | x_obs, s] by Gauss-Hermite quadrature over the missing cells."""
    nodes, weights = (torch.as_tensor(v) for v in np.polynomial.hermite_e.hermegauss(40))
    found = []
    for x, seen in zip(batch.x, batch.observed, strict=True):
        covariance = LOADING @ LOADING.T + SIGMA**2 * torch.eye(3, dtype=torch.float64)
        hidden = torch.nonzero(~seen)[:, 0]
        visible = torch.nonzero(seen)[:, 0]
        gain = covariance[hidden][:, visible] @ torch.linalg.inv(covariance[visible][:, visible])
        mean = gain @ x[visible]
        rest = covariance[hidden][:, hidden] - gain @ covariance[visible][:, hidden]
        if not len(hidden):
            found.append(statistic(x[None])[0])  # type: ignore[operator]
            continue
        # A tensor grid over the missing cells, in the coordinates where they are independent.
        grid = torch.cartesian_prod(*[nodes] * len(hidden)).reshape(-1, len(hidden))
        mass = torch.cartesian_prod(*[weights] * len(hidden)).reshape(len(grid), -1).prod(-1)
        points = x.repeat(len(grid), 1)
        points[:, hidden] = mean + grid @ torch.linalg.cholesky(rest).T
        if with_mask:
            mass = mass * torch.sigmoid(SLOPE * points + INTERCEPT)[:, hidden].prod(-1)
        found.append((mass[:, None] * statistic(points)).sum(0) / mass.sum())  # type: ignore[operator]
    return torch.stack(found)


def probabilities(x: torch.Tensor) -> torch.Tensor:
    return torch.softmax(x @ WEIGHT.T + BIAS, -1)


def mean(x: torch.Tensor) -> torch.Tensor:
    return (x @ WEIGHT[:1].T + BIAS[:1])[:, :1]


@pytest.mark.parametrize("collapse", ["auto", False])
def test_class_probabilities_are_exact(collapse: bool | str) -> None:
    batch = rows()
    joint = true_joint(SelfMasking(link="logistic"), CategoricalHead(3, 2), collapse)
    found = Posterior(joint, batch, info(3), n_draws=8_000).predictive()
    truth = exact(batch, probabilities)
    assert float((found - truth).abs().max()) < 0.01
    # Without the mask term the answer is visibly another one.
    without = Posterior(true_joint(Ignorable(), CategoricalHead(3, 2)), batch, info(3), n_draws=8_000).predictive()
    assert float((without - truth).abs().max()) > 0.1
    assert float((without - exact(batch, probabilities, with_mask=False)).abs().max()) < 0.01


@pytest.mark.parametrize("collapse", ["auto", False])
def test_means_of_a_real_target_are_exact(collapse: bool | str) -> None:
    batch = rows()
    joint = true_joint(SelfMasking(link="logistic"), GaussianHead(3), collapse)
    found = Posterior(joint, batch, info(3), n_draws=200_000).predictive()
    truth = exact(batch, mean)[:, 0]
    # To 0.01 of the target's standard deviation, which is about 2.2 here.
    scale = float(((WEIGHT[:1] @ LOADING) ** 2 + SIGMA**2 * (WEIGHT[0] ** 2).sum()) ** 0.5)
    assert float((found - truth).abs().max()) < 0.01 * scale
    without = Posterior(true_joint(Ignorable(), GaussianHead(3)), batch, info(3), n_draws=5_000).predictive()
    assert float((without - truth).abs().max()) > 0.3 * scale


def test_intervals_are_quantiles_of_the_mixture() -> None:
    batch = rows(8)
    posterior = Posterior(true_joint(SelfMasking(link="logistic"), GaussianHead(3)), batch, info(3), n_draws=2_000)
    bounds = mixture_quantile(posterior, [0.1, 0.5, 0.9])
    for position, level in enumerate((0.1, 0.5, 0.9)):
        below = torch.stack(
            [posterior.predictive(lambda y, b=b: y.cdf(b))[i] for i, b in enumerate(bounds[:, position])]
        )
        torch.testing.assert_close(below, torch.full((8,), level, dtype=torch.float64), rtol=0, atol=1e-9)
    with pytest.raises(UnsupportedModelError, match="Gaussian head"):
        mixture_quantile(Posterior(true_joint(Ignorable(), CategoricalHead(3, 2)), batch, info(3)), [0.5])


def problem(n: int = 600, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Three columns that lose high values, a real target and labels."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, 1))
    x = z @ LOADING.numpy().T + SIGMA * generator.normal(size=(n, 3))
    y = x @ np.array([1.5, -1.0, 0.8]) + 0.3 * generator.normal(size=n)
    lost = generator.random((n, 3)) < 1 / (1 + np.exp(-3 * (x - 0.5)))
    return pd.DataFrame(x, columns=list("abc")).mask(lost), y, np.where(y > 0, "up", "down")


def test_the_target_does_not_enter_predictions() -> None:
    X, y, labels = problem(60)
    for estimator, target in ((small_classifier(), labels), (small_regressor(), y)):
        estimator.fit(X, target)
        first = estimator.predict(X)
        assert len(first) == 60 and estimator.transform(X).notna().all(axis=None)
        assert np.isfinite(estimator.score_samples(X)).all() and len(estimator.mechanism_report()) == 3


def test_scores_are_those_of_scikit_learn() -> None:
    X, y, labels = problem(200)
    classifier = small_classifier().fit(X, labels)
    assert classifier.score(X, labels) == np.mean(classifier.predict(X) == labels)
    regressor = small_regressor().fit(X, y)
    residual = y - regressor.predict(X)
    assert regressor.score(X, y) == pytest.approx(1 - (residual**2).sum() / ((y - y.mean()) ** 2).sum())


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_knowing_how_values_go_missing_helps() -> None:
    X, y, labels = problem()
    new, y_new, labels_new = problem(1_000, seed=1)
    settings = {"head": "linear", "decoder": "linear", "latent_dim": 1, "random_state": 0}
    settings |= {"max_iter": 30, "batch_size": 64, "learning_rate": 1e-2, "n_draws": 5}
    losses = {}
    for mechanism in ("self-masking", "ignorable"):
        classifier = MNARClassifier(mechanism, **with_training(settings)).fit(X, labels)
        p = classifier.predict_proba(new)[np.arange(1_000), (labels_new == "up").astype(int)]
        regressor = MNARRegressor(mechanism, **with_training(settings)).fit(X, y)
        losses[mechanism] = (-np.log(p).mean(), np.sqrt(np.mean((regressor.predict(new) - y_new) ** 2)))
    assert losses["self-masking"][0] < losses["ignorable"][0] - 0.01
    assert losses["self-masking"][1] < losses["ignorable"][1] - 0.02
    mean_, std = regressor.predict(new, return_std=True)
    low, high = MNARRegressor(**with_training(settings)).fit(X, y).predict_interval(new, 0.9).T
    assert 0.85 < np.mean((low < y_new) & (y_new < high)) < 0.97
    assert (std > 0).all() and mean_.shape == (1_000,)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["b", "a", "c"], ["a", "b", "c"]),
        ([3, 1, 2], [1, 2, 3]),
        ([True, False, True], [False, True]),
        ([("x", 2), ("x", 1), ("a", 5)], [("a", 5), ("x", 1), ("x", 2)]),
        ([frozenset("q"), 1, "one"], [frozenset("q"), 1, "one"]),
        (pd.Categorical(["lo", "hi", "lo"]), ["hi", "lo"]),
    ],
)
def test_labels_of_any_hashable_type(labels: object, classes: list[object]) -> None:
    X = problem(30)[0]
    y = list(labels) * 10  # type: ignore[call-overload]
    classifier = small_classifier(max_iter=1).fit(X, y)
    assert list(classifier.classes_) == classes
    assert classifier.predict_proba(X).shape == (30, len(classes))
    assert set(classifier.predict(X)) <= set(classes)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (["a"] * 29, "29 entries"),
        (["a"] * 29 + [None], "None in row 29"),
        ([0.5] * 29 + [np.nan], "nan.* in row 29"),
        ([0.5] * 30, "use MNARRegressor"),
        ([["a", "b"]] * 30, "1d array"),
        ([0.0] * 29 + [np.inf], "infinity in row 29"),
    ],
)
def test_wrong_labels_are_named(y: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        small_classifier().fit(problem(30)[0], y)  # type: ignore[arg-type]


def test_wrong_numbers_are_named() -> None:
    X = problem(30)[0]
    with pytest.raises(InvalidInputError, match="use MNARClassifier"):
        small_regressor().fit(X, ["a"] * 30)
    with pytest.raises(InvalidInputError, match="coverage is 90"):
        small_regressor().fit(X, np.arange(30.0)).predict_interval(X, coverage=90)
    with pytest.raises(InvalidInputError, match="head_hidden_units"):
        small_regressor(head_hidden_units=(0,)).fit(X, np.arange(30.0))


def test_dropout_is_random_in_training_and_off_in_predictions() -> None:
    head = CategoricalHead(3, 2, (50,), dropout=0.5).double()
    x = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, second = (head(x, torch.Generator().manual_seed(s)).logits for s in (1, 2))
    again = head(x, torch.Generator().manual_seed(1)).logits
    assert torch.equal(first, again) and not torch.equal(first, second)
    head.eval()
    assert torch.equal(head(x).logits, head(x).logits)


def test_weight_decay_shrinks_the_head_alone() -> None:
    X, _, labels = problem(100)
    plain, decayed = (small_classifier(head_weight_decay=w).fit(X, labels).joint_ for w in (0.0, 3.0))
    large, small = (joint.head.network.last.weight.detach().norm() for joint in (plain, decayed))
    assert float(small) < 0.7 * float(large)


SHORT = {"head": "linear", "decoder": "linear", "latent_dim": 1, "random_state": 0, "max_iter": 15, "batch_size": 64}
SHORT |= {"learning_rate": 3e-2, "n_draws": 5, "n_draws_posterior": 200}


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_a_final_estimator_takes_the_place_of_the_head() -> None:
    X, y, labels = problem(400)
    new, y_new, labels_new = problem(500, seed=1)
    plain = MNARRegressor(**with_training(SHORT)).fit(X, y)
    refitted = MNARRegressor(final_estimator=LinearRegression(), **with_training(SHORT)).fit(X, y)
    # The same distribution of x, the same weights, and a model of the head's own family: equal predictions up to noise.
    assert np.sqrt(np.mean((plain.predict(new) - refitted.predict(new)) ** 2)) < 0.1 * y_new.std()
    low, high = refitted.predict_interval(new, 0.9).T
    assert 0.85 < np.mean((low < y_new) & (y_new < high)) < 0.97
    assert refitted.predict(new, return_std=True)[1].mean() == pytest.approx(
        plain.predict(new, return_std=True)[1].mean(), rel=0.1
    )
    losses = [
        log_loss(
            labels_new, MNARClassifier(final_estimator=final, **with_training(SHORT)).fit(X, labels).predict_proba(new)
        )
        for final in (None, LogisticRegression())
    ]
    assert losses[1] < min(losses[0] + 0.02, 0.55)


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_the_noise_of_a_final_regressor_is_that_of_rows_it_has_not_seen() -> None:
    X = problem(300)[0]
    noise = np.random.default_rng(5).normal(size=300)
    nearest = KNeighborsRegressor(1)
    regressor = MNARRegressor(final_estimator=nearest, **with_training(SHORT | {"max_iter": 2})).fit(X, noise)
    # The nearest of other rows is another draw of the noise: twice its variance, although the fit itself is exact.
    assert regressor.joint_.head.sigma == pytest.approx(2**0.5, rel=0.1)
    assert not hasattr(nearest, "n_features_in_")


@pytest.mark.filterwarnings("ignore::pyro_mnar.errors.UnreliableWeightsWarning")
def test_final_estimators_repeat_and_are_checked(tmp_path: Path) -> None:
    X, y, labels = problem(100)
    forest = RandomForestClassifier(10, min_samples_leaf=5)
    settings = SHORT | {"max_iter": 1, "n_completed": 2}
    first, second = (MNARClassifier(final_estimator=forest, **with_training(settings)).fit(X, labels) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert set(first.predict(X)) <= {"up", "down"} and forest.random_state is None
    with pytest.raises(InvalidInputError, match="final_estimator is a RandomForestClassifier, which cannot be saved"):
        save(first, tmp_path / "model")
    with pytest.raises(InvalidInputError, match="'final_estimator' parameter of MNARClassifier"):
        MNARClassifier(final_estimator=LinearRegression()).fit(X, labels)
    with pytest.raises(InvalidInputError, match="'n_completed' parameter of MNARRegressor"):
        MNARRegressor(n_completed=0).fit(X, y)
