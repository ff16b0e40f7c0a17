"""Every public function and method refuses, by name, what none of its parameters can be.

The public face is walked: a new function, method or parameter is tried as soon as it is there, and one that has no call
below fails the test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.exceptions import NotFittedError

import pyro_mnar
from pyro_mnar import MNARImageImputer, MNARImputer, errors, kinds, mechanisms
from pyro_mnar.analysis import checks, comparison, metrics, plots, pooling, sensitivity
from pyro_mnar.datasets import SelfMasked, amputation
from pyro_mnar.estimators.replicates import simulate
from pyro_mnar.inference.posterior import Posterior
from tests.support.estimators import small_classifier, small_images, small_imputer, small_regressor, table

#: What no parameter can be; more by the name of the parameter.
NEVER: tuple[Any, ...] = (object(), 1j, np.zeros((2, 2, 2)))
WHOLE: tuple[Any, ...] = (0, -1, 1.5, "3", None, np.nan, True, 2**70)
SEED: tuple[Any, ...] = (-1, 1.5, "a", True)
TRUTH: tuple[Any, ...] = (None, "yes", 2, np.nan)
SHARE: tuple[Any, ...] = (0, 1, -0.5, np.nan, "x", None, True)
BY_NAME: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("n", "m", "n_tables", "n_samples", "n_imputations", "n_rows", "max_cells", "n_jobs"), WHOLE),
    **dict.fromkeys(("max_patterns", "n_draws_mask"), WHOLE),
    "n_draws": (0, -1, 1.5, "3", np.nan, True, 2**70),
    **dict.fromkeys(("random_state", "seed"), SEED),
    **dict.fromkeys(
        ("refine", "return_std", "overwrite", "at_random", "skewed", "mixed", "shared", "own_value"), TRUTH
    ),
    **dict.fromkeys(("level", "coverage"), SHARE),
    "q": (-1, 2, "x", np.nan, [], None),
    "rate": (-0.1, 1.0, np.nan, "x", np.array("x")),
    "estimator": (None, 5, "x", MNARImputer, pd.DataFrame()),
    "models": ({}, None, [], {"a": 5}),
    "estimators": ([], {}, None, 5, [5]),
    "X": (None, 5, "x", [[1, 2], [3]]),
    "column": ("unknown", -1, 99, [["a"]]),
    "ax": (5, "x"),
    "quantity": (5, [1], "unknown"),
    "slopes": ([], "3", ["3"], 5, None, [np.nan]),
    "deltas": ([], "3", ["3"], 5, None, [np.inf]),
    "table": (None, pd.DataFrame(), "x"),
    "reference": ("x", np.nan),
    "path": (5, None, ""),
    **dict.fromkeys(("folder", "data_home"), (5, "")),
    "name": (5, None, "unknown"),
    "rows": (0, -1, 1.5, "3", np.nan, True, 2**70),
    "direction": (5, "up", [5], np.array("x")),
    "slope": ("3", np.nan, np.inf),
    "link": ("cauchit", 5),
    "shape": ("round", 5),
    "depends_on": (0, "", "unknown", [5]),
    "mechanism_features": (0, "", "unknown", [5]),
    "hidden_units": (None, 5, "ab", [0], [1.5], [-1]),
    "columns": (5, None, []),
    "levels": (5, "ab", [["a"], ["b"]]),
    "low": ("x", None, np.nan, True),
    "high": ("x", None, np.nan, True),
    "at": ("x", None, [], np.nan),
    "probability": (5, "x"),
    "function": (5, "x", lambda x: 5),
}
#: (call, parameter): what may be anything, or these values after all, and why.
ALLOWED: dict[tuple[str, str], str] = {
    ("JointEstimator.score", "y"): "scikit-learn's: a target that is not looked at",
    ("MNARImputer.fit", "y"): "scikit-learn's: a target that is not looked at",
    ("MNARImageImputer.fit", "y"): "scikit-learn's: a target that is not looked at",
    ("Completing.get_feature_names_out", "input_features"): "scikit-learn's own ValueError",
    ("JointEstimator.set_params", "params"): "scikit-learn's own ValueError for an unknown name; values are for fit",
    ("TrainingSettings.filled", "defaults"): "the package's own defaults, for its own use",
    ("OneHot", "columns"): "refused where it is made; tested with the kinds",
}
#: These values are fine for the parameter of this call.
FINE: dict[tuple[str, str], tuple[Any, ...]] = {
    ("mcar", "columns"): (None,),
    ("mar", "columns"): (None,),
    ("mar", "depends_on"): (None,),
    ("MNARImageImputer.fit", "X"): (NEVER[2],),
    ("self_mask", "columns"): (None,),
    ("self_mask", "rate"): (None,),
    ("self_mask", "slope"): (None,),
    ("Explained.mechanism_report", "X"): (None,),
    ("Explained.mechanism_sensitivity", "X"): (None,),
    ("Ordinal", "levels"): (None,),
    ("assess", "quantity"): (None,),
}


@pytest.fixture(scope="module")
def given() -> Iterator[dict[str, Any]]:
    """Give what the calls need: a table, fitted models, completed tables."""
    frame = pd.DataFrame(table(), columns=list("abcd"))
    complete = frame.fillna(0.5)
    y = np.arange(40) % 2
    imputer = small_imputer(mechanism="self-masking").fit(frame)
    images = np.random.default_rng(0).uniform(size=(12, 4, 4))
    images[:, 1, 1] = np.nan
    draws = imputer.posterior(frame).sample(2)
    swept = pd.DataFrame({"low": [0.0, 1.0], "high": [1.0, 2.0], "estimate": [0.5, 1.5]}, index=[0.0, 1.0])
    swept.attrs["quantity"] = "a"
    yield {
        "frame": frame,
        "full": complete.to_numpy(),
        "y": y,
        "imputer": imputer,
        "classifier": small_classifier().fit(frame, y),
        "regressor": small_regressor().fit(frame, y.astype(float)),
        "images": small_images().fit(images),
        "pictures": images,
        "draws": draws,
        "completed": [complete, complete + 1],
        "swept": swept,
        "simulated": simulate(imputer, frame, 5),
        "made": pyro_mnar.datasets.make_self_masked(20),
    }
    plt.close("all")


def mean_of_a(completed: pd.DataFrame) -> tuple[float, float]:
    return float(completed["a"].mean()), 0.1


Call = tuple[Callable[..., Any], dict[str, Any]]
#: By the name of each public function or method: what to call, and arguments with which it works.
CALLS: dict[str, Callable[[dict[str, Any]], Call]] = {
    "assess": lambda g: (pyro_mnar.assess, {"X": g["frame"], "quantity": "a"}),
    "load": lambda g: (pyro_mnar.load, {"folder": "nowhere"}),
    "save": lambda g: (pyro_mnar.save, {"estimator": g["imputer"], "folder": "no-folder/model"}),
    "mcar": lambda g: (amputation.mcar, {"X": g["full"], "rate": 0.3}),
    "mar": lambda g: (amputation.mar, {"X": g["full"], "rate": 0.3, "columns": [0], "depends_on": [1]}),
    "self_mask": lambda g: (amputation.self_mask, {"X": g["full"]}),
    "load_table": lambda g: (pyro_mnar.datasets.load_table, {"name": "cmc", "data_home": "nowhere"}),
    "make_household_survey": lambda g: (pyro_mnar.datasets.make_household_survey, {"n": 5}),
    "make_mixed_survey": lambda g: (pyro_mnar.datasets.make_mixed_survey, {"n": 5}),
    "make_survey": lambda g: (pyro_mnar.datasets.make_survey, {"n": 5}),
    "make_self_masked": lambda g: (pyro_mnar.datasets.make_self_masked, {"n_rows": 5}),
    "compare": lambda g: (comparison.compare, {"models": {"a": g["imputer"]}, "X": g["frame"], "n_draws_mask": 5}),
    "elpd": lambda g: (comparison.elpd, {"models": {"a": g["imputer"]}, "X": g["frame"], "n_draws": 100}),
    "imputation_rmse": lambda g: (
        metrics.imputation_rmse,
        {"x_true": g["full"], "x_imputed": g["full"], "observed": g["frame"].notna().to_numpy()},
    ),
    "interval_coverage": lambda g: (
        metrics.interval_coverage,
        {"x_true": g["full"], "lower": g["full"], "upper": g["full"], "observed": g["frame"].notna().to_numpy()},
    ),
    "pool": lambda g: (pooling.pool, {"estimates": [1.0, 2.0], "variances": [1.0, 1.0]}),
    "check": lambda g: (checks.check, {"estimator": g["imputer"], "X": g["frame"], "n_tables": 5}),
    "summarise": lambda g: (checks.summarise, {"simulated": g["simulated"]}),
    "jointly_missing": lambda g: (checks.jointly_missing, {"observed": g["simulated"].observed}),
    "shift_where_missing": lambda g: (
        checks.shift_where_missing,
        {"values": g["simulated"].values, "observed": g["simulated"].observed},
    ),
    "sweep": lambda g: (
        sensitivity.sweep,
        {"estimator": g["imputer"], "X": g["frame"], "quantity": mean_of_a, "column": "a", "slopes": [0.0]},
    ),
    "delta_adjustment": lambda g: (
        sensitivity.delta_adjustment,
        {"completed": g["completed"], "X": g["frame"], "quantity": mean_of_a, "column": "a", "deltas": [0.0]},
    ),
    "tipping_point": lambda g: (sensitivity.tipping_point, {"table": g["swept"]}),
    "sensitivity": lambda g: (plots.sensitivity, {"table": g["swept"]}),
    "mechanism_comparison": lambda g: (
        plots.mechanism_comparison,
        {"table": comparison.compare({"a": g["imputer"]}, g["frame"], n_draws_mask=5)},
    ),
    "missing_pattern": lambda g: (plots.missing_pattern, {"X": g["frame"]}),
    "training_history": lambda g: (plots.training_history, {"estimator": g["imputer"]}),
    "weight_health": lambda g: (plots.weight_health, {"estimator": g["imputer"], "X": g["frame"], "n_draws": 100}),
    "latent": lambda g: (plots.latent, {"estimator": g["imputer"], "X": g["frame"]}),
    "ppc_mask": lambda g: (plots.ppc_mask, {"estimator": g["imputer"], "X": g["frame"], "n_tables": 5}),
    "mechanism_curves": lambda g: (
        plots.mechanism_curves,
        {"estimators": g["imputer"], "X": g["frame"], "column": "a"},
    ),
    **{
        name: lambda g, name=name: (
            getattr(plots, name),
            {"estimator": g["imputer"], "X": g["frame"], "column": "a"},
        )
        for name in ("imputation_intervals", "imputed_distribution", "ppc_observed")
    },
    "SelfMasked.quantile": lambda g: (g["made"].quantile, {"q": 0.5}),
    "SelfMasked.interval": lambda g: (g["made"].interval, {}),
    "SelfMasked.mean": lambda g: (g["made"].mean, {}),
    "Pooled.to_frame": lambda g: (pooling.pool([1.0, 2.0], [1.0, 1.0]).to_frame, {}),
    "Assessment.to_html": lambda g: (lambda path: pyro_mnar.Assessment.to_html(None, path), {"path": "no-folder/x"}),  # type: ignore[arg-type]
    "Imputer.completed_tables": lambda g: (
        g["imputer"].completed_tables,
        {"X": g["frame"], "draws": g["draws"]},
    ),
    "Imputer.multiple_impute": lambda g: (g["imputer"].multiple_impute, {"X": g["frame"], "m": 2}),
    "Completing.transform": lambda g: (g["images"].transform, {"X": g["pictures"]}),
    "MNARImageImputer.fit": lambda g: (small_images().fit, {"X": g["pictures"]}),
    "MNARImputer.fit": lambda g: (small_imputer().fit, {"X": g["frame"]}),
    "MNARClassifier.fit": lambda g: (small_classifier().fit, {"X": g["frame"], "y": g["y"]}),
    "MNARRegressor.fit": lambda g: (small_regressor().fit, {"X": g["frame"], "y": g["y"]}),
    **{
        f"{owner}.{name}": lambda g, which=which, name=name: (getattr(g[which], name), {"X": g["frame"]})
        for owner, which, names in (
            ("JointEstimator", "imputer", "batch posterior score score_samples table take_kinds_from"),
            ("Explained", "imputer", "mechanism_report mechanism_sensitivity to_inference_data"),
            ("MNARImputer", "imputer", "transform"),
            ("MNARClassifier", "classifier", "predict predict_proba"),
            ("MNARRegressor", "regressor", "predict predict_interval"),
        )
        for name in names.split()
    },
    **{
        f"Posterior.{name}": lambda g, name=name, how=how: (getattr(g["imputer"].posterior(g["frame"]), name), how)
        for name, how in (
            ("codes", {"m": 2, "generator": torch.Generator()}),
            ("expectation", {"function": lambda x: x}),
            ("more_draws", {"n_draws": 30}),
            ("quantile", {"q": 0.5}),
            ("refine", {}),
            ("sample", {}),
        )
    },
    "Posterior.predictive": lambda g: (g["classifier"].posterior(g["frame"]).predictive, {"function": None}),
    # Mechanisms and kinds: what they are given is checked where they are made, or before training.
    **{
        name: lambda g, made=made, more=more: (
            lambda **how: small_imputer(mechanism=made(**how)).fit(g["frame"]),
            more,
        )
        for name, made, more in (
            *((name, getattr(mechanisms, name), {}) for name in ("Latent", "Linear", "Nested", "Nonlinear")),
            ("SelfMasking", mechanisms.SelfMasking, {}),
            ("Fixed", mechanisms.Fixed, {"slope": 1.0, "threshold": 0.0}),
            ("Censored", mechanisms.Censored, {"lower": -100.0}),
        )
    },
    **{
        name: lambda g, made=made: (lambda **how: small_imputer(types={"a": made(**how)}).fit(g["frame"]), {})
        for name, made in (
            ("Bounded", kinds.Bounded),
            ("Semicontinuous", kinds.Semicontinuous),
            ("Ordinal", kinds.Ordinal),
        )
    },
    "Count": lambda g: (kinds.Count, {"high": 23}),
    "OneHot": lambda g: (kinds.OneHot, {"columns": ["a", "b"]}),
}
#: Public classes that are no functions of users' arguments, and the classes whose methods are walked.
RECORDS = {
    "Assessment",
    "Ignorable",
    "Pooled",
    "SelfMasked",
    "Curve",
    "Mechanism",
    "PerColumn",
    "Direction",
    "COLOURS",
    "Interval",
}
WALKED = (
    *(MNARImputer, pyro_mnar.MNARClassifier, pyro_mnar.MNARRegressor, MNARImageImputer, pyro_mnar.TrainingSettings),
    *(Posterior, SelfMasked, pooling.Pooled, pyro_mnar.Assessment),
)
DOORS = (pyro_mnar, amputation, comparison, checks, kinds, mechanisms, metrics, plots, pooling, sensitivity)


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def public() -> dict[str, list[str]]:
    """Every public function and method that takes something, and its parameters."""
    found: dict[str, list[str]] = {}
    for door in (*DOORS, pyro_mnar.datasets):
        for name in door.__all__:
            part = getattr(door, name)
            estimator = part in WALKED
            if name not in RECORDS and not estimator and callable(part):
                found[name] = parameters(part)
    for owner in WALKED:
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if not name.startswith("_") and method.__module__.startswith("pyro_mnar"):
                found.setdefault(method.__qualname__, parameters(method))
    return {name: taken for name, taken in found.items() if taken}


PUBLIC = public()
CASES = [(name, taken) for name, all_taken in PUBLIC.items() for taken in all_taken if (name, taken) not in ALLOWED]


def test_the_walk_finds_the_public_face() -> None:
    assert len(PUBLIC) > 70 and len(CASES) > 170
    assert {name for name, _ in (*ALLOWED, *FINE)} <= set(PUBLIC), "an exception for what is not there"


CONSTRUCTORS = {
    "MNARImputer": (small_imputer, MNARImputer),
    "MNARClassifier": (small_classifier, pyro_mnar.MNARClassifier),
    "MNARRegressor": (small_regressor, pyro_mnar.MNARRegressor),
    "MNARImageImputer": (small_images, MNARImageImputer),
    "TrainingSettings": (small_imputer, pyro_mnar.TrainingSettings),
}
#: Parameters of constructors that may be anything: ``MNARImputer(missing_values=...)`` is a value to look for.
ANY = {("MNARImputer", "missing_values"), ("MNARImageImputer", "missing_values")}
BUILT = [
    (name, parameter)
    for name, (_, made) in CONSTRUCTORS.items()
    for parameter in inspect.signature(made.__init__).parameters
    if parameter != "self" and (name, parameter) not in ANY
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "parameter"), BUILT, ids=[f"{name}-{parameter}" for name, parameter in BUILT])
def test_a_parameter_that_is_nonsense_is_refused_before_training(
    name: str, parameter: str, given: dict[str, Any]
) -> None:
    make, _ = CONSTRUCTORS[name]
    X = given["pictures"] if name == "MNARImageImputer" else given["frame"]
    y = (np.arange(len(X)) % 2,) if name in ("MNARClassifier", "MNARRegressor") else ()
    for value in (*NEVER[:2], {"unknown": 1j}):
        with pytest.raises(errors.MNARError):
            estimator = make().set_params(training=value) if parameter == "training" else make(**{parameter: value})
            estimator.fit(X, *y)
            pytest.fail(f"{name}({parameter}={value!r}) was accepted")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "parameter"), CASES, ids=[f"{name}-{parameter}" for name, parameter in CASES])
def test_nonsense_is_refused_by_name(name: str, parameter: str, given: dict[str, Any]) -> None:
    assert name in CALLS, f"give a call of {name} that works, so that its arguments can be tried"
    fine = FINE.get((name, parameter), ())
    wrong = [value for value in (*NEVER, *BY_NAME.get(parameter, ())) if not any(value is each for each in fine)]
    for value in wrong:
        function, arguments = CALLS[name](given)
        with pytest.raises((errors.MNARError, NotFittedError)) as raised:
            function(**{**arguments, parameter: value})
            pytest.fail(f"{name}({parameter}={value!r}) was accepted")
        assert "\n" not in str(raised.value)
