"""Images: networks and likelihoods for pixels, the imputer on (n, h, w) arrays, a shared mechanism that is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pyro_mnar import MNARImageImputer, TrainingSettings
from pyro_mnar.errors import DataWarning, InvalidInputError
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.inference.importance import ImportanceBound
from pyro_mnar.inference.training import fit
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.encoders import ConvEncoder
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods.pixels import SigmoidGaussianLikelihood
from pyro_mnar.model.mechanisms import Fixed, SelfMasking
from pyro_mnar.model.networks import ConvUp
from pyro_mnar.persistence import load, save
from tests.support.pairs import info


def blobs(n: int, side: int = 16, seed: int = 0) -> np.ndarray:
    """Smooth images in [0, 1] with a bright spot each, on a background that varies from image to image."""
    random = np.random.default_rng(seed)
    at = np.arange(side)
    row, column, width = (random.uniform(low, high, (n, 1, 1)) for low, high in ((3, 13), (3, 13), (3, 6)))
    spot = np.exp(-((at[:, None] - row) ** 2 + (at - column) ** 2) / (2 * width**2))
    base, height = random.uniform(0.2, 0.5, (n, 1, 1)), random.uniform(0.3, 0.5, (n, 1, 1))
    return np.clip(base + height * spot + 0.02 * random.normal(size=(n, side, side)), 0, 1)


def clipped(images: np.ndarray, slope: float = 50.0, threshold: float = 0.75, seed: int = 1) -> np.ndarray:
    p_lost = 1 / (1 + np.exp(-slope * (images - threshold)))
    return np.where(np.random.default_rng(seed).random(images.shape) < p_lost, np.nan, images)


def image_joint(side: int, scale: str = "shared") -> Joint:
    likelihood = SigmoidGaussianLikelihood(side * side, scale)  # type: ignore[arg-type]
    mechanism = SelfMasking(shared=True, link="logistic")
    mechanism.setup(info(side * side))
    with torch.no_grad():
        mechanism.slope_parameter += 2.0
    return Joint(
        ConvEncoder((side, side), 3, (4, 8, 8)),
        ConvUp(3, (side, side), (4, 8, 8), likelihood.n_maps),
        likelihood,
        mechanism,
        3,
        torch.ones(side * side, dtype=torch.bool),
    )


def image_batch(side: int, n: int = 5) -> Batch:
    x = torch.rand(n, side * side) - 0.5
    observed = torch.rand(n, side * side) > 0.3
    return Batch(torch.where(observed, x, torch.zeros_like(x)), observed)


@pytest.mark.parametrize("side", [32, 28])
@pytest.mark.parametrize("scale", ["shared", "image"])
def test_shapes_and_a_gradient_to_every_parameter(side: int, scale: str) -> None:
    joint, batch = image_joint(side, scale), image_batch(side)
    q = joint.encoder(batch.x, batch.observed)
    assert q.batch_shape == (5,) and q.event_shape == (3,)
    assert joint.likelihood(joint.decoder(torch.zeros(2, 5, 3))).mean.shape == (2, 5, side * side)
    assert joint.collapsed
    ImportanceBound(4).differentiable_loss(joint.model, joint.guide, batch).backward()
    without = [name for name, p in joint.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_hidden_pixels_do_not_reach_the_encoder() -> None:
    encoder, batch = ConvEncoder((32, 32), 3, (4, 8)), image_batch(32)
    other = torch.where(batch.observed, batch.x, torch.full_like(batch.x, 7.0))
    assert torch.equal(encoder(batch.x, batch.observed).loc, encoder(other, batch.observed).loc)


def test_networks_do_not_depend_on_the_batch() -> None:
    joint, batch = image_joint(16), image_batch(16)
    joint.train()
    alone = torch.cat([joint.encoder(batch.x[i : i + 1], batch.observed[i : i + 1]).loc for i in range(5)])
    torch.testing.assert_close(alone, joint.encoder(batch.x, batch.observed).loc, rtol=1e-4, atol=1e-6)


def tiny(**other: object) -> MNARImageImputer:
    settings: dict[str, object] = dict(
        latent_dim=4, hidden_units=(4, 8), max_iter=2, n_draws=2, n_draws_posterior=20, random_state=0
    )
    mechanism = SelfMasking(direction="high", shared=True)
    return MNARImageImputer(mechanism, **with_training(settings | other))  # type: ignore[arg-type]


@pytest.mark.parametrize("noise", ["shared", "image"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_images_come_back_as_images(dtype: str, noise: str) -> None:
    images = clipped(blobs(20)[:, :, :8]).astype(dtype)
    images[:, 3, 4] = np.nan
    kept = images.copy()
    imputer = tiny(pixel_noise=noise, start="neutral")
    completed = imputer.fit(images).transform(images)
    assert completed.shape == images.shape and completed.dtype == images.dtype
    seen = ~np.isnan(images)
    assert np.array_equal(completed[seen], images[seen]) and not np.isnan(completed).any()
    np.testing.assert_array_equal(images, kept)
    # One curve for all pixels.
    assert imputer.mechanism_report()["slope"].nunique() == 1
    assert len(imputer.history_.shared_curve) == 2


def test_a_saved_model_of_images_imputes_the_same(tmp_path: Path) -> None:
    images = clipped(blobs(12))
    imputer = tiny(pixel_noise="image", min_scale=0.3).fit(images)
    save(imputer, tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").transform(images), imputer.transform(images))


def test_the_curve_is_found_first_and_the_networks_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    images = clipped(blobs(40))
    begun = []

    def watched(joint: Joint, *rest: object) -> object:
        begun.append({name: value.clone() for name, value in joint.state_dict().items()})
        return fit(joint, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("pyro_mnar.estimators.images.fit", watched)
    monkeypatch.setattr("pyro_mnar.estimators.base.fit", watched)
    imputer = tiny(start="cliff", batch_size=10, max_iter=3, mechanism_learning_rate=0.1).fit(images)
    pilot, own = begun
    for name, value in pilot.items():
        assert name.startswith("mechanism.") or torch.equal(value, own[name])
    assert pilot["mechanism.slope_parameter"].item() == 0 and own["mechanism.slope_parameter"].item() != 0
    # Both parts of the path are kept: 4 steps a pass, 3 passes each.
    path = np.array(imputer.history_.shared_curve)
    assert len(path) == 24 and imputer.n_iter_ == 3
    assert np.exp(own["mechanism.slope_parameter"].item()) == pytest.approx(path[11, 0], rel=1e-6)


def test_nothing_is_found_first_where_no_curve_is_learned() -> None:
    images = clipped(blobs(20))
    for mechanism in (Fixed(slope=50.0, threshold=0.75), "ignorable"):
        plain, first = (tiny(start=start).set_params(mechanism=mechanism).fit(images) for start in ("neutral", "cliff"))
        np.testing.assert_array_equal(plain.transform(images), first.transform(images))


def test_rows_of_pixels_are_the_same_images() -> None:
    images = 255 * clipped(blobs(12)[:, :, :10])
    settings = {"pixel_range": (0, 255)}
    stack = tiny(**settings).fit(images)
    rows = tiny(image_shape=(16, 10), **settings).fit(images.reshape(12, -1))
    assert rows.image_shape_ == (16, 10)
    np.testing.assert_array_equal(rows.transform(images.reshape(12, -1)), stack.transform(images).reshape(12, -1))
    np.testing.assert_array_equal(rows.transform(images), stack.transform(images))


def test_the_range_of_pixels_is_a_unit_and_nothing_else() -> None:
    images = clipped(blobs(12))
    grey, bright = tiny().fit(images), tiny(pixel_range=(0, 256)).fit(256 * images)
    np.testing.assert_allclose(bright.transform(256 * images), 256 * grey.transform(images), rtol=1e-5)


def test_rows_without_a_shape_are_squares_or_lines() -> None:
    assert tiny().fit(clipped(blobs(6)).reshape(6, -1)).image_shape_ == (16, 16)
    with pytest.warns(DataWarning, match="rows of 80 numbers, which are no squares"):
        assert tiny().fit(clipped(blobs(6)).reshape(6, -1)[:, :80]).image_shape_ == (1, 80)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0, 0], "Expected 2D array, got 1D array"),
        (lambda x: x[None], "dim 4"),
        (lambda x: 255 * x, r"pixels lie between .* pixel_range is \(0, 1\); give the range"),
        (lambda x: x - 1, r"pixel_range is \(0, 1\)"),
        (lambda x: x[:0], "must hold grey images"),
        (lambda x: x * np.nan, "every cell of the table"),
    ],
)
def test_what_is_no_image_is_refused_before_training(change: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tiny().fit(change(blobs(5)))  # type: ignore[operator]


def test_other_sizes_than_the_fitted_one_are_refused() -> None:
    imputer = tiny().fit(clipped(blobs(12)))
    with pytest.raises(InvalidInputError, match=r"20 x 16 pixels, the model is for 16 x 16"):
        imputer.transform(np.zeros((2, 20, 16)))
    with pytest.raises(InvalidInputError, match=r"X has 255 features, but MNARImageImputer is expecting 256"):
        imputer.transform(np.zeros((2, 255)))
    with pytest.raises(InvalidInputError, match=r"rows of 256 pixels, image_shape is 8 x 8"):
        tiny(image_shape=(8, 8)).fit(np.zeros((2, 256)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pixel_range": (1, 0)}, "'pixel_range' .* two numbers"),
        ({"pixel_range": (0, "1")}, "'pixel_range' .* two numbers"),
        ({"image_shape": (16,)}, "'image_shape' .* two whole numbers"),
        ({"image_shape": (256, 0)}, "'image_shape' .* two whole numbers"),
        ({"hidden_units": ()}, "'hidden_units' .* at least one"),
        ({"pixel_noise": "free"}, "'pixel_noise' .*Got 'free'"),
        ({"start": "unscaled"}, "'start' parameter of TrainingSettings"),
    ],
)
def test_parameters_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        tiny(**settings).fit(np.zeros((4, 16, 16)))


@pytest.mark.parametrize(("direction", "rate"), [("high", 0.1), (None, 0.4)])
def test_clipping_is_found_from_a_neutral_start(direction: str | None, rate: float) -> None:
    images = blobs(400)
    holed = clipped(images)
    imputer = MNARImageImputer(
        SelfMasking(direction=direction, link="logistic", shared=True),  # type: ignore[arg-type]
        latent_dim=6,
        hidden_units=(8, 16),
        n_draws_posterior=20,
        max_iter=50,
        training=TrainingSettings(n_draws=1, batch_size=40, learning_rate=3e-3, mechanism_learning_rate=rate),
        random_state=0,
    ).fit(holed)
    found = imputer.mechanism_report().iloc[0]
    assert abs(found["threshold"] - 0.75) < 0.02
    assert 30 < found["slope"] < 75
    some = slice(0, 100)
    missing = np.isnan(holed[some])
    error = np.sqrt(np.mean((imputer.transform(holed[some]) - images[some])[missing] ** 2))
    assert error < 0.9 * images[some][missing].std()
