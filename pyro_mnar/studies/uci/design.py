"""What is run: data sets, methods and their settings, as rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

DATASETS = ("banknote", "concrete", "wine_red", "wine_white", "breast_cancer")
SEEDS = (0, 1, 2, 3, 4)
#: Their imputations do not depend on a seed.
DETERMINISTIC = ("mean", "knn", "mice")
ABLATION_DATASETS = ("banknote", "concrete")
PARITY_DATASETS = ("banknote", "breast_cancer")
PARITY_STEPS = 100_000
STEPS = 2_000
ABLATION_STEPS = 800
POSTERIOR_DRAWS = 500

Part = Literal["methods", "ablation", "parity"]
Settings = dict[str, Any]


@dataclass(frozen=True)
class UCIRow:
    """One fit.

    ``method`` is a baseline, or what the imputer is called in the tables; ``seed`` is of the fit (the masks are the
    same for all); ``part`` is the table that the row is for; ``rows`` takes only the first rows, for the quick form.
    ``settings`` are parameters of ``MNARImputer`` and its TrainingSettings where they are not the defaults, and empty
    for baselines: ``direction`` and ``link`` are those of the self-masking mechanism, ``steps`` stands for as many
    passes, and ``start="unscaled"`` for columns standardised by their complete values and by nothing else.
    """

    dataset: str
    method: str
    seed: int
    part: Part = "methods"
    settings: Settings = field(default_factory=dict)
    rows: int | None = None


# What the published methods are run with: the package's training, on columns standardised by their complete values as
# in the publication. Nobody could do so with a table of his own; the package's default is not given it.
_COMMON: Settings = {
    "types": "continuous",
    "decoder": "mlp",
    "start": "unscaled",
    "log_columns": None,
    "n_draws": 5,
    "steps": STEPS,
    "gradient": "standard",
}

BASELINES = ("mean", "knn", "mice", "missforest")
MODELS: dict[str, Settings] = {
    "miwae": {**_COMMON, "mechanism": "ignorable"},
    "self-masking": {**_COMMON, "mechanism": "self-masking"},
    "self-masking-known": {**_COMMON, "mechanism": "self-masking", "direction": "high"},
    "agnostic": {**_COMMON, "mechanism": "linear"},
    "nonlinear": {**_COMMON, "mechanism": "nonlinear"},
    "miwae-ppca": {**_COMMON, "mechanism": "ignorable", "decoder": "linear"},
    "self-masking-ppca": {**_COMMON, "mechanism": "self-masking", "decoder": "linear"},
    "self-masking-known-ppca": {**_COMMON, "mechanism": "self-masking", "direction": "high", "decoder": "linear"},
}
DEFAULTS: dict[str, Settings] = {"default": {}, "default-known": {"direction": "high"}}

_BASE: Settings = {
    **_COMMON,
    "mechanism": "self-masking",
    "direction": "high",
    "steps": ABLATION_STEPS,
    "n_draws": 20,
    "batch_size": 128,
    "learning_rate": 1e-3,
    "mechanism_learning_rate": 1e-2,
    "collapse": True,
    "gradient": "standard",
}
ABLATION: dict[str, Settings] = {
    "base": _BASE,
    "sampled x_mis": {**_BASE, "collapse": False},
    "mechanism rate x1": {**_BASE, "mechanism_learning_rate": 1e-3},
    "mechanism rate x3": {**_BASE, "mechanism_learning_rate": 3e-3},
    "mechanism rate x30": {**_BASE, "mechanism_learning_rate": 3e-2},
    "K = 5": {**_BASE, "n_draws": 5},
    "K = 100": {**_BASE, "n_draws": 100},
    "batch 16": {**_BASE, "batch_size": 16},
    "DReG": {**_BASE, "gradient": "dreg"},
}
#: What each part of the default brings, on every table.
DEFAULT_ABLATION: dict[str, Settings] = {
    "default, MLP decoder": {"decoder": "mlp"},
    "default, no logarithms": {"log_columns": None},
    "default, neutral start": {"start": "neutral"},
    "default, sampled x_mis": {"collapse": False},
}

# Settings of the authors' code: their rates, likelihood, link and averaging of decoder means.
PARITY: Settings = {
    "types": "continuous",
    "mechanism": "self-masking",
    "direction": "high",
    "link": "logistic",
    "start": "unscaled",
    "decoder": "mlp",
    "log_columns": None,
    "min_scale": 1e-3,
    "collapse": False,
    "n_draws": 20,
    "batch_size": 16,
    "steps": PARITY_STEPS,
    "learning_rate": 1e-3,
    "mechanism_learning_rate": 1e-3,
    "final_rate": 1.0,
    "gradient": "standard",
    "imputation": "decoder-mean",
}


def study_rows(seeds: int = len(SEEDS)) -> tuple[UCIRow, ...]:
    """All rows but parity: the defaults, then the first seed of every method, the ablation, and further seeds.

    Whenever a run is stopped, the seeds that are finished are the same for (almost) all methods of a kind.
    """
    rows = [
        UCIRow(dataset, method, seed, settings=settings)
        for seed in SEEDS[:seeds]
        for method, settings in DEFAULTS.items()
        for dataset in reversed(DATASETS)
    ]
    rows += [UCIRow(dataset, method, 0) for method in DETERMINISTIC for dataset in reversed(DATASETS)]
    rows += _models(0)
    rows += [
        UCIRow(dataset, variant, 0, "ablation", settings)
        for variants, some in ((DEFAULT_ABLATION, DATASETS), (ABLATION, ABLATION_DATASETS))
        for variant, settings in variants.items()
        for dataset in reversed(some)
    ]
    for seed in SEEDS[1:seeds]:
        rows += _models(seed)
    return tuple(rows)


def _models(seed: int) -> list[UCIRow]:
    rows = [
        UCIRow(dataset, method, seed, settings=settings)
        for method, settings in MODELS.items()
        for dataset in reversed(DATASETS)
    ]
    return rows + [UCIRow(dataset, "missforest", seed) for dataset in reversed(DATASETS)]


def parity_rows() -> tuple[UCIRow, ...]:
    """The authors' settings, of the first seed."""
    return tuple(UCIRow(dataset, "official settings", 0, "parity", PARITY) for dataset in PARITY_DATASETS)


def quick_rows() -> tuple[UCIRow, ...]:
    """One seed, few steps, few rows: whether everything works, not how well."""
    few: Settings = {"steps": 20}
    methods: tuple[tuple[str, Part, Settings], ...] = (
        ("mean", "methods", {}),
        ("mice", "methods", {}),
        ("miwae", "methods", {**MODELS["miwae"], **few}),
        ("default", "methods", {"steps": 20}),
        ("base", "ablation", {**ABLATION["base"], **few}),
        ("official settings", "parity", {**PARITY, **few}),
    )
    return tuple(
        UCIRow(dataset, method, 0, part, settings, 150)
        for dataset in ("breast_cancer", "banknote")
        for method, part, settings in methods
    )
