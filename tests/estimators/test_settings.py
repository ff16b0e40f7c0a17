"""The constructors: few parameters, the settings of training within reach of scikit-learn's tools, and `help`."""

from __future__ import annotations

import inspect
import pydoc
import re
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from pyro_mnar import MNARClassifier, MNARImageImputer, MNARImputer, MNARRegressor, TrainingSettings
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.settings import flat_parameters, with_training
from pyro_mnar.inference.training import FitSettings
from tests.support.estimators import SMALL, small_imputer, table

CLASSES = [MNARImputer, MNARImageImputer, MNARClassifier, MNARRegressor]
every_class = pytest.mark.parametrize("cls", CLASSES)


@every_class
def test_there_are_at_most_twenty_parameters(cls: Any) -> None:
    assert len(cls().get_params(deep=False)) <= 20


def test_no_setting_is_a_parameter_too() -> None:
    for cls in CLASSES:
        assert not set(cls().get_params(deep=False)) & set(TrainingSettings().get_params())


@every_class
def test_help_shows_names_in_place_of_types(cls: Any) -> None:
    text = pydoc.render_doc(cls, renderer=pydoc.plaintext)
    # From Python 3.13 on, a long signature stands on several lines.
    signature = re.search(rf"{cls.__name__}\([\s|]*mechanism=.*?\)( -> \w+)?\n", text, re.DOTALL)
    assert signature is not None and len(re.sub(r"[\s|]+", " ", signature[0])) < 400
    assert "numpy._typing" not in text and "collections.abc" not in text
    assert " Parameters\n" in text and " Other Parameters\n" in text
    own = inspect.getdoc(cls) or ""
    assert own.index("Parameters\n----") < own.index("Other Parameters\n----") < own.index("Attributes\n----")


def test_a_search_reaches_a_setting_whether_or_not_there_is_an_object() -> None:
    for training in (None, TrainingSettings(n_draws=2)):
        imputer = small_imputer().set_params(training=training)
        grid = {"training__learning_rate": [1e-3, 0.1], "training__batch_size": [8]}
        search = GridSearchCV(imputer, grid, cv=2, error_score="raise").fit(table())
        scores = search.cv_results_["mean_test_score"]
        assert np.isfinite(scores).all() and scores[0] != scores[1]
        best = search.best_estimator_.training
        assert best.batch_size == 8 and best.n_draws == (None if training is None else 2)
        assert (imputer.training is None) == (training is None), "the estimator that was given is as before"


def test_clones_have_settings_of_their_own() -> None:
    given = TrainingSettings(tol=0.5)
    imputer = MNARImputer(training=given)
    twin = clone(imputer).set_params(training__tol=0.1)
    assert given.tol == 0.5 and twin.training.tol == 0.1 and imputer.training is given
    assert imputer.get_params()["training__tol"] == 0.5


@every_class
def test_settings_are_an_object(cls: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"'training' parameter of {cls.__name__} must be an instance of"):
        cls(training={"tol": 0.1}).fit(table(), np.arange(40) % 2)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[FitSettings]:
    """The settings of the fits that follow, none of which trains."""
    settings: list[FitSettings] = []

    def watched(joint: Any, data: Any, own: FitSettings, *rest: Any) -> None:
        settings.append(own)
        rest[1].bound.append(0.0)

    monkeypatch.setattr("pyro_mnar.estimators.base.fit", watched)
    return settings


def test_settings_are_those_of_the_fit(used: list[FitSettings]) -> None:
    MNARImputer(random_state=0).fit(table())
    MNARImputer(random_state=0, training=TrainingSettings(n_draws=7, final_rate=1.0, tol=0.5)).fit(table())
    MNARRegressor(random_state=0).fit(table(), np.arange(40.0))
    assert [(s.n_draws, s.learning_rate, s.final_rate, s.gradient, s.tol) for s in used] == [
        (5, 1e-2, 0.05, "dreg", 1e-3),
        (7, 1e-2, 1.0, "dreg", 0.5),
        (20, 3e-3, 0.01, "standard", 1e-3),
    ]


def test_the_decay_of_the_decoder_is_that_of_the_rows(used: list[FitSettings]) -> None:
    X = np.random.default_rng(0).normal(size=(600, 3))
    for rows, settings in ((600, {}), (60, {}), (10, {}), (600, {"decoder_weight_decay": 0.0})):
        MNARImputer(random_state=0, training=TrainingSettings(**settings)).fit(X[:rows])
    MNARRegressor(random_state=0).fit(X, X[:, 0])
    # No step takes away more than a tenth of a weight, however few rows there are.
    assert [settings.decoder_weight_decay for settings in used] == [0.5, 5.0, 10.0, 0.0, 0.0]


def test_decay_draws_the_decoder_towards_the_linear_model() -> None:
    X = np.random.default_rng(0).normal(size=(100, 3))
    plain, decayed = (
        MNARImputer(**with_training(SMALL | {"max_iter": 30, "decoder_weight_decay": decay})).fit(X).joint_.decoder
        for decay in (0.0, 1e3)
    )
    large, small = (sum(float(p.detach().norm()) for p in net.parameters() if p.ndim > 1) for net in (plain, decayed))
    assert small < 0.7 * large


def test_a_flat_table_and_back() -> None:
    flat = flat_parameters(MNARImputer(**with_training(SMALL)))
    assert flat["n_draws"] == SMALL["n_draws"] and flat["gradient"] == "dreg" and "training" not in flat
    assert MNARImputer(**with_training(flat)).training.n_draws == SMALL["n_draws"]
