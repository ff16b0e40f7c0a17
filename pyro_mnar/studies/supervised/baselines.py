"""What is done without this package: impute or flag, then a linear model; boosted trees on the table with NaN."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pyro_mnar.studies.supervised.metrics import Metrics, class_metrics, value_metrics
from pyro_mnar.studies.supervised.tasks import FloatArray, Task

#: Boosted trees without early stopping; these are chosen by three-fold cross-validation on the training part.
BOOSTING_RATE = 0.03
BOOSTING_ROUNDS = (100, 200, 300)
BOOSTING_LEAVES = (15, 31)
#: Least rows in a leaf of a forest on the table with NaN; chosen by the rows that each tree did not see.
FOREST_LEAF = (1, 2, 5, 10)
FOREST_TREES = 100


def imputation_baselines(task: Task, seed: int) -> dict[str, Metrics]:
    """Mean, MICE and mean with missing indicators, each before the linear model, and that model on complete data."""
    imputers = {
        "mean + linear": SimpleImputer(keep_empty_features=True),
        "MICE + linear": IterativeImputer(max_iter=10, random_state=seed, keep_empty_features=True),
        "mean, indicators + linear": SimpleImputer(keep_empty_features=True, add_indicator=True),
    }
    found = {
        name: scored(task, make_pipeline(imputer, StandardScaler(), linear_model(task)), task.train, task.test)
        for name, imputer in imputers.items()
    }
    oracle = make_pipeline(StandardScaler(), linear_model(task))
    return found | {"oracle, linear": scored(task, oracle, task.train_complete, task.test_complete)}


def forest_baseline(task: Task, seed: int) -> dict[str, Metrics]:
    """A tuned random forest on the table with NaN."""
    start = time.perf_counter()
    leaf = tuned_leaf(task, seed)
    found = scored(task, forest(task, seed, leaf), task.train, task.test, start)
    return {"random forest on NaN": found | {"min_samples_leaf": leaf}}


def boosting_baselines(task: Task, seed: int) -> dict[str, Metrics]:
    """Tuned boosted trees on the table with NaN, and on complete data."""
    found = {}
    for name, train, test in (
        ("boosted trees on NaN", task.train, task.test),
        ("oracle, boosted trees", task.train_complete, task.test_complete),
    ):
        start = time.perf_counter()
        settings = tuned_boosting(task, train, seed)
        found[name] = scored(task, boosting(task, seed, **settings), train, test, start) | settings
    return found


def scored(
    task: Task,
    model: Any,
    train: pd.DataFrame | FloatArray,
    test: pd.DataFrame | FloatArray,
    start: float | None = None,
) -> Metrics:
    """Fit a model of scikit-learn's kind and measure it on the test part."""
    start = time.perf_counter() if start is None else start
    model.fit(train, task.y_train)
    if task.classifies:
        metrics = class_metrics(task.y_test, model.predict_proba(test), model.classes_)
    else:
        residual = task.y_train - model.predict(train)
        metrics = value_metrics(task.y_test, model.predict(test), np.full(len(task.y_test), residual.std()))
    return metrics | {"seconds": time.perf_counter() - start}


def linear_model(task: Task) -> Any:
    """Logistic regression or ridge regression, with scikit-learn's own settings."""
    return LogisticRegression(max_iter=300) if task.classifies else Ridge()


def boosting(task: Task, seed: int, **settings: int) -> Any:
    """Boosted trees with early stopping off."""
    make: Callable[..., Any] = HistGradientBoostingClassifier if task.classifies else HistGradientBoostingRegressor
    return make(learning_rate=BOOSTING_RATE, early_stopping=False, random_state=seed, **settings)


def tuned_boosting(task: Task, train: pd.DataFrame, seed: int) -> dict[str, int]:
    """Rounds and leaves with the least cross-validated loss on the training part."""
    folds = (StratifiedKFold if task.classifies else KFold)(3, shuffle=True, random_state=seed)
    X, y = train.to_numpy(), task.y_train
    loss: dict[tuple[int, int], float] = dict.fromkeys(
        ((rounds, leaves) for leaves in BOOSTING_LEAVES for rounds in BOOSTING_ROUNDS), 0.0
    )
    for fit, check in folds.split(X, y):
        for leaves in BOOSTING_LEAVES:
            model = boosting(task, seed, max_iter=max(BOOSTING_ROUNDS), max_leaf_nodes=leaves).fit(X[fit], y[fit])
            stages: Any = model.staged_predict_proba(X[check]) if task.classifies else model.staged_predict(X[check])
            for rounds, predicted in enumerate(stages, start=1):
                if rounds in BOOSTING_ROUNDS:
                    loss[rounds, leaves] += _loss(task, y[check], predicted, model)
    rounds, leaves = min(loss, key=lambda setting: loss[setting])
    return {"max_iter": rounds, "max_leaf_nodes": leaves}


def forest(task: Task, seed: int, leaf: int, **settings: Any) -> Any:
    """A random forest."""
    make: Callable[..., Any] = RandomForestClassifier if task.classifies else RandomForestRegressor
    return make(FOREST_TREES, max_features=0.4, min_samples_leaf=leaf, random_state=seed, **settings)


def tuned_leaf(task: Task, seed: int) -> int:
    """The least number of rows in a leaf with the least loss on rows of the training part that a tree did not see."""
    X, y = task.train.to_numpy(), task.y_train
    loss = {}
    for leaf in FOREST_LEAF:
        model = forest(task, seed, leaf, oob_score=True).fit(X, y)
        unseen = model.oob_decision_function_ if task.classifies else model.oob_prediction_
        loss[leaf] = _loss(task, y, unseen, model)
    return min(loss, key=lambda leaf: loss[leaf])


def _loss(task: Task, y: npt.NDArray[np.int64], predicted: FloatArray, model: Any) -> float:
    if task.classifies:
        return float(log_loss(y, predicted, labels=model.classes_))
    return float(np.mean((y - predicted) ** 2))
