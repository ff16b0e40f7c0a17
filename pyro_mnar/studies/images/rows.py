"""One row of the image study: a data set, a method and a seed, to an error, a mechanism and what the figures need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.impute import KNNImputer

from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators import MNARImageImputer, TrainingSettings
from pyro_mnar.model.mechanisms import Fixed, Ignorable, Mechanism, SelfMasking
from pyro_mnar.studies.sources.celeba import celeba
from pyro_mnar.studies.sources.images import FloatImages, photo_patches
from pyro_mnar.studies.study import Study

#: The clipping of Ipsen et al.: P(pixel observed) = sigmoid(W (x - b)).
TRUE_W, TRUE_B = -50.0, 0.75
MEAN, ONE, KNN = "mean", "constant 1", "KNN"
ORACLE_CONSTANT, ORACLE_PIXEL = "best constant (told the truth)", "per-pixel missing mean (told the truth)"
MIWAE, LEARNED, KNOWN = "MIWAE", "not-MIWAE, W and b learned", "not-MIWAE, W and b known"
UNSIGNED = "not-MIWAE, W and b learned, direction unknown"
SIMPLE = (MEAN, ONE, KNN, ORACLE_CONSTANT, ORACLE_PIXEL)
#: Bins of the histograms of missing pixels: 0 to 1.2, since a constant or a normal may leave the range.
BINS = np.linspace(0.0, 1.2, 61)
#: Pictures that a row keeps for the grid; never for faces.
SHOWN = 8
PATH_POINTS = 400
SEEDS = range(3)

#: What differs for patches: sky is smooth and roofs are not, and much of the sky has next to no pixel left.
_PATCHES: dict[str, Any] = {
    "min_seen": 0.05,
    "latent_dim": 128,
    "channels": (16, 32, 64),
    "pixel_noise": "image",
    "max_iter": 40,
    "learning_rate": 1e-3,
}

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ImageRow:
    """Every setting of one row.

    ``n_train`` and ``n_test`` are how many images of each part (None: all), ``n_donors`` among how many KNN looks, and
    ``min_seen`` is the share of pixels that an image must have left: the others say next to nothing. ``channels`` are
    the ``hidden_units`` of :class:`~pyro_mnar.MNARImageImputer`, whose parameters, and those of its TrainingSettings,
    the others are. The error is computed with twice ``n_draws_posterior`` draws too; the device "auto" is a GPU where
    there is one.
    """

    data: str
    method: str
    seed: int
    size: int = 32
    n_train: int | None = None
    n_test: int | None = None
    n_donors: int = 2000
    min_seen: float = 0.25
    latent_dim: int = 256
    channels: tuple[int, ...] = (32, 64, 128)
    pixel_noise: str = "shared"
    min_scale: float = 0.1
    start: str = "cliff"
    n_draws: int = 1
    max_iter: int = 30
    batch_size: int = 64
    learning_rate: float = 2e-3
    mechanism_learning_rate: float = 1e-1
    final_rate: float = 0.02
    n_draws_posterior: int = 30
    device: str = "auto"


class Clipped(NamedTuple):
    """Images and what the clipping left: ``observed`` is a mask of their shape (n, h, w)."""

    images: FloatImages
    observed: Mask

    @property
    def holed(self) -> FloatImages:
        """The images with NaN in lost pixels."""
        return np.where(self.observed, self.images, np.nan)


def image_study(data: str, quick: bool = False) -> Study[ImageRow]:
    """The rows for one data set, the slowest first; ``quick`` runs all methods on a handful of images.

    Examples
    --------
    >>> len(image_study("photo patches", quick=True).rows)
    9
    """
    # The headline first, and the variant that is told W and b with the same clipping soon after it.
    deep = [(LEARNED, seed) for seed in SEEDS]
    deep += [(method, seed) for seed in SEEDS for method in (KNOWN, MIWAE)]
    if data == "photo patches":
        deep.append((UNSIGNED, 0))
    rows = [ImageRow(data, method, seed) for method, seed in deep]
    rows += [ImageRow(data, method, seed) for method in SIMPLE for seed in SEEDS]
    if data == "photo patches":
        rows = [replace(row, **_PATCHES) for row in rows]
    else:
        # What MIWAE gets wrong is not a matter of training: it does not look at the mask.
        rows = [replace(row, max_iter=12) if row.method == MIWAE else row for row in rows]
    if quick:
        small: dict[str, Any] = {
            "size": 16,
            "n_train": 128,
            "n_test": 32,
            "n_donors": 50,
            "latent_dim": 8,
            "channels": (8, 16),
        }
        few: dict[str, Any] = {"max_iter": 6, "batch_size": 32, "n_draws_posterior": 10, "device": "cpu"}
        rows = [replace(row, **small, **few) for row in rows if row.seed == 0]
    return Study("celeba" if data == "celeba" else "images", tuple(rows), run_row)


def run_row(row: ImageRow, data_home: Path | None) -> dict[str, Any]:
    """Run one row: what JSON can hold of its results, in units of the range [0, 1]."""
    train, test = load(row, data_home)
    device = row.device if row.method not in SIMPLE else "cpu"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    lost = ~test.observed
    result: dict[str, Any] = {"device": device, "n_missing": int(lost.sum()), "missing_rate": float(lost.mean())}
    if row.method in SIMPLE:
        completed = simple(row, train, test)
    else:
        imputer = fitted(row, train.holed, device)
        # One posterior gives both the means and the bound; twice the draws show whether there were enough.
        posterior = imputer.posterior(test.holed)
        completed = posterior.mean().reshape(test.images.shape)
        twice = imputer.posterior(test.holed, n_draws=2 * row.n_draws_posterior).mean()
        result |= {"bound": float(posterior.log_evidence.mean())} | learned(imputer)
        result |= {"rmse_twice_the_draws": rmse(twice.reshape(test.images.shape), test)}
    truth, imputed = test.images[lost], completed[lost]
    result |= {
        "rmse": rmse(completed, test),
        "bias": float((imputed - truth).mean()),
        "true_counts": np.histogram(truth, BINS)[0].tolist(),
        "imputed_counts": np.histogram(np.clip(imputed, BINS[0], BINS[-1]), BINS)[0].tolist(),
    }
    if row.data != "celeba" and row.method in (MIWAE, LEARNED) and row.seed == 0:
        result["pictures"] = pictures(test, completed)
    return result


def load(row: ImageRow, data_home: Path | None) -> tuple[Clipped, Clipped]:
    """Training and test part, clipped."""
    if row.data not in ("celeba", "photo patches"):
        raise InvalidInputError(f"data is {row.data!r}; it must be 'celeba' or 'photo patches'")
    found = celeba(data_home, size=row.size) if row.data == "celeba" else photo_patches(size=row.size)
    random = np.random.default_rng(row.seed)
    parts = []
    for name, limit in (("train", row.n_train), ("test", row.n_test)):
        part = clip(found.scaled(name), random)
        enough = part.observed.mean((1, 2)) >= row.min_seen
        part = Clipped(part.images[enough], part.observed[enough])
        if limit is not None and limit < len(part.images):
            some = np.sort(random.choice(len(part.images), limit, replace=False))
            part = Clipped(part.images[some], part.observed[some])
        parts.append(part)
    return parts[0], parts[1]


def clip(images: FloatImages, random: np.random.Generator) -> Clipped:
    """Lose each pixel with probability 1 - sigmoid(W (x - b)), at the true W and b."""
    p_seen = 1 / (1 + np.exp(-TRUE_W * (images - TRUE_B)))
    return Clipped(images, random.random(images.shape) < p_seen)


def rmse(completed: FloatImages, part: Clipped) -> float:
    """Root mean squared error over the missing pixels."""
    error = (completed - part.images)[~part.observed]
    return float(np.sqrt(np.mean(error**2)))


def fitted(row: ImageRow, holed: FloatImages, device: str) -> MNARImageImputer:
    """The imputer of a deep method, fitted; W and b start from a neutral value, or are told."""
    mechanisms: dict[str, Callable[[], Mechanism]] = {
        MIWAE: Ignorable,
        LEARNED: lambda: SelfMasking(direction="high", link="logistic", shared=True),
        UNSIGNED: lambda: SelfMasking(link="logistic", shared=True),
        KNOWN: lambda: Fixed(slope=-TRUE_W, threshold=TRUE_B),
    }
    if row.method not in mechanisms:
        raise InvalidInputError(f"method is {row.method!r}; it must be one of {[*SIMPLE, *mechanisms]}")
    imputer = MNARImageImputer(
        mechanisms[row.method](),
        latent_dim=row.latent_dim,
        hidden_units=row.channels,
        pixel_noise=row.pixel_noise,  # type: ignore[arg-type]
        n_draws_posterior=row.n_draws_posterior,
        max_iter=row.max_iter,
        training=TrainingSettings(
            min_scale=row.min_scale,
            start=row.start,  # type: ignore[arg-type]
            n_draws=row.n_draws,
            batch_size=row.batch_size,
            learning_rate=row.learning_rate,
            mechanism_learning_rate=row.mechanism_learning_rate,
            final_rate=row.final_rate,
            gradient="standard",
        ),
        random_state=row.seed,
        device=device,
    )
    return imputer.fit(holed)


def learned(imputer: MNARImageImputer) -> dict[str, Any]:
    """How training went, and the path of W and b if learned; W with the sign of P(observed), logistic units."""
    history = imputer.history_
    result: dict[str, Any] = {
        "training_bound": history.bound,
        "fit_seconds": history.seconds[-1],
        "passes": history.n_iter,
    }
    if history.shared_curve:
        path = np.array(history.shared_curve)
        steps = np.unique(np.r_[0:200, np.linspace(0, len(path) - 1, PATH_POINTS).astype(int)])
        steps = steps[steps < len(path)]
        # The model's scale is x - 1/2.
        w, b = -path[steps, 0], 0.5 - path[steps, 1] / path[steps, 0]
        result |= {"steps": len(path), "path": {"step": (steps + 1).tolist(), "W": w.tolist(), "b": b.tolist()}}
        result |= {"W": float(w[-1]), "b": float(b[-1])}
    return result


def simple(row: ImageRow, train: Clipped, test: Clipped) -> FloatImages:
    """Complete by a rule; the two oracles look at the true values of the missing test pixels."""
    lost_truth = np.where(test.observed, 0.0, test.images)
    count = (~test.observed).sum(0)
    constant = lost_truth.sum() / max(count.sum(), 1)
    if row.method == KNN:
        imputer = KNNImputer(keep_empty_features=True).fit(train.holed[: row.n_donors].reshape(row.n_donors, -1))
        filled: FloatImages = imputer.transform(test.holed.reshape(len(test.images), -1))
        return filled.reshape(test.images.shape)
    fill: FloatImages | float = {
        MEAN: np.nan_to_num(np.where(train.observed, train.images, 0).sum(0) / np.maximum(train.observed.sum(0), 1)),
        ONE: 1.0,
        ORACLE_CONSTANT: constant,
        ORACLE_PIXEL: np.where(count > 0, lost_truth.sum(0) / np.maximum(count, 1), constant),
    }[row.method]
    return np.where(test.observed, test.images, fill)


def pictures(test: Clipped, completed: FloatImages) -> dict[str, Any]:
    """A few test images of many lost pixels: original, mask, completed; grey values 0 to 255."""
    rate = (~test.observed).mean((1, 2))
    candidates = np.flatnonzero((rate > 0.2) & (rate < 0.7))
    if not len(candidates):
        candidates = np.argsort(-rate)
    chosen = candidates[np.linspace(0, len(candidates) - 1, min(SHOWN, len(candidates))).astype(int)]
    grey = np.rint(255 * np.clip(completed[chosen], 0, 1)).astype(int)
    original = np.rint(255 * test.images[chosen]).astype(int)
    return {"original": original.tolist(), "seen": test.observed[chosen].tolist(), "completed": grey.tolist()}
