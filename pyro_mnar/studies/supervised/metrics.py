"""Figures of merit of predicted probabilities and predicted values."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

Metrics = dict[str, Any]


def class_metrics(y: npt.NDArray[Any], probability: npt.NDArray[np.float64], classes: npt.NDArray[Any]) -> Metrics:
    """Accuracy, log loss (nats) and macro AUC (one against the rest); a column of ``probability`` for each class."""
    probability = np.clip(probability, 1e-15, None)
    probability = probability / probability.sum(1, keepdims=True)
    return {
        "accuracy": float(accuracy_score(y, classes[probability.argmax(1)])),
        "log_loss": float(log_loss(y, probability, labels=classes)),
        "auc": float(roc_auc_score(y, probability, multi_class="ovr", average="macro", labels=classes)),
    }


def value_metrics(y: npt.NDArray[Any], mean: npt.NDArray[np.float64], deviation: npt.NDArray[np.float64]) -> Metrics:
    """RMSE and CRPS, in the units of y, the CRPS of a normal distribution with these means and standard deviations.

    Examples
    --------
    >>> round(value_metrics(np.zeros(1), np.zeros(1), np.ones(1))["crps"], 4)
    0.2337
    """
    t = (y - mean) / deviation
    crps = deviation * (t * (2 * norm.cdf(t) - 1) + 2 * norm.pdf(t) - 1 / np.sqrt(np.pi))
    return {"rmse": float(np.sqrt(np.mean((y - mean) ** 2))), "crps": float(crps.mean())}
