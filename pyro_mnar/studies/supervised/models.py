"""What this package does: imputation in a first stage, and one joint model of values, mask and target."""

import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pyro_mnar.errors import UnreliableWeightsWarning
from pyro_mnar.estimators import MNARClassifier, MNARImputer, MNARRegressor
from pyro_mnar.estimators.final_estimator import final_head
from pyro_mnar.estimators.settings import with_training
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.studies.supervised.baselines import forest, linear_model
from pyro_mnar.studies.supervised.metrics import Metrics, class_metrics, value_metrics
from pyro_mnar.studies.supervised.tasks import FloatArray, Task

N_IMPUTATIONS = 10
#: Importance draws of each row for the forest, which takes far longer than a network to predict from one.
FOREST_DRAWS = 100


def joint_model(
    task: Task, name: str, settings: dict[str, Any], forest_name: str = "", leaf: int | None = None
) -> dict[str, Metrics]:
    """One fit of the classifier or the regressor, and its figures on the test part, under ``name``.

    ``settings`` are the estimator's parameters, and those of its TrainingSettings. With a ``leaf``, the least number of
    completed rows in a leaf, a random forest then takes the place of the head; its figures are under ``forest_name``.
    """
    start = time.perf_counter()
    made = MNARClassifier if task.classifies else MNARRegressor
    estimator: Any = made(types=task.types, **with_training(settings))
    with warnings.catch_warnings():
        # In these tables a few hundred draws are few for some rows; the averages are what the study measures.
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        estimator.fit(task.train, task.y_train)
        trained = time.perf_counter() - start
        found = {name: predicted(task, estimator)}
        seconds = time.perf_counter() - start
        found[name] |= {"seconds": seconds, "train_seconds": trained, "bound": estimator.history_.bound[-1]}
        if leaf is not None:
            begin = time.perf_counter()
            # What final_estimator does, without training the joint model a second time.
            put_forest(task, estimator, leaf)
            estimator.set_params(n_draws_posterior=FOREST_DRAWS)
            found[forest_name] = predicted(task, estimator)
            found[forest_name]["seconds"] = trained + time.perf_counter() - begin
    return found


def predicted(task: Task, estimator: Any) -> Metrics:
    """Figures of a fitted classifier or regressor on the test part."""
    if task.classifies:
        return class_metrics(task.y_test, estimator.predict_proba(task.test), estimator.classes_)
    mean, deviation = estimator.predict(task.test, return_std=True)
    return value_metrics(task.y_test, mean, deviation)


def put_forest(task: Task, estimator: Any, leaf: int) -> None:
    """Put a random forest in the place of the head of a fitted estimator."""
    if task.classifies:
        target = torch.as_tensor(np.searchsorted(estimator.classes_, task.y_train))
    else:
        target = torch.as_tensor((task.y_train - estimator.y_center_) / estimator.y_scale_)
    rows = estimator.batch(task.train)._replace(y=target)
    table, seed = estimator.table(task.train), int(estimator.random_state)
    posterior = Posterior(estimator.joint_, rows, estimator.columns_, table=table, n_draws=FOREST_DRAWS, seed=seed)
    estimator.joint_.head = final_head(forest(task, seed, leaf), posterior, N_IMPUTATIONS, seed)


def two_stage(task: Task, settings: dict[str, Any]) -> dict[str, Metrics]:
    """not-MIWAE imputation, then the linear model: on the conditional mean, and on multiple imputations.

    With multiple imputations one linear model is fitted to each completed training part and asked about each completed
    test part of the same number; their predictions are averaged.
    """
    start = time.perf_counter()
    imputer = MNARImputer(types=task.types, discrete_output="probability", **with_training(settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreliableWeightsWarning)
        imputer.fit(task.train)
        # Plain draws, as for the predictions of the joint models; refined ones take ten times as long as the fit.
        train, test = (imputer.posterior(rows, refine=False) for rows in (task.train, task.test))
        point = [(train.mean(), test.mean())]
        shared = time.perf_counter() - start
        several = list(zip(train.sample(N_IMPUTATIONS), test.sample(N_IMPUTATIONS), strict=True))
    found = {}
    for name, tables in (("two-stage + linear", point), ("multiple imputation + linear", several)):
        begin = time.perf_counter()
        found[name] = averaged(task, tables) | {"seconds": shared + time.perf_counter() - begin}
    return found


def averaged(task: Task, tables: list[tuple[FloatArray, FloatArray]]) -> Metrics:
    """The linear model fitted to each completed training part; predictions averaged over the completed test parts."""
    outputs, spread = [], []
    classes = np.unique(task.y_train)
    for train, test in tables:
        model = make_pipeline(StandardScaler(), linear_model(task)).fit(train, task.y_train)
        outputs.append(model.predict_proba(test) if task.classifies else model.predict(test))
        if not task.classifies:
            spread.append(np.var(task.y_train - model.predict(train)))
    mean = np.mean(outputs, axis=0)
    if task.classifies:
        return class_metrics(task.y_test, mean, classes)
    # Total variance: noise within, and disagreement between, the completed tables.
    deviation = np.sqrt(np.mean(spread) + np.var(outputs, axis=0))
    return value_metrics(task.y_test, mean, deviation)
