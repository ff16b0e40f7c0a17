"""Selection models as special cases of this package: an imputer, and its parameters in the textbook's words."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pyro_mnar.data.transforms import FloatArray
from pyro_mnar.estimators import MNARImputer, TrainingSettings
from pyro_mnar.model.likelihoods import MixedRows, RowDistribution
from pyro_mnar.model.mechanisms import SelfMasking


def fitted(X: FloatArray, errors: Any = "normal", freedom: float | None = None, **other: Any) -> MNARImputer:
    """A linear decoder with one mask that depends on v, and on w beside the model, trained on all rows at once.

    Parameters
    ----------
    X : ndarray
        Columns v, y and w, shape (n, 3), as :func:`~pyro_mnar.studies.selection.textbook.simulate` makes them.
    errors : str
        "normal" or "student-t"; normal ones take more draws and fewer passes.
    freedom : float or None
        Degrees of freedom that are held.
    other
        Settings of the imputer.
    """
    heavy = errors == "student-t"
    training = TrainingSettings(
        batch_size=len(X),
        # One normal scale for both columns makes v tell the code sharply: few draws leave the bound loose, and b1 low.
        n_draws=5 if heavy else 50,
        learning_rate=0.2,
        mechanism_learning_rate=0.2,
        final_rate=0.02 if heavy else 0.01,
        min_scale=0.05 if heavy else 0.01,
        # Scales of the observed values alone.
        start="neutral",
    )
    mechanism = SelfMasking(
        depends_on={"x1": ["x0"]}, mechanism_features={"x1": ["x2"]}, errors=errors, degrees_of_freedom=freedom
    )
    settings: dict[str, Any] = {
        "types": "continuous",
        "log_columns": None,
        "decoder": "linear",
        "latent_dim": 1,
        "hidden_units": (),
        "max_iter": 400 if heavy else 200,
        "random_state": 0,
        "training": training,
        **other,
    }
    return MNARImputer(mechanism, **settings).fit(X)


def parameters_of(model: MNARImputer) -> FloatArray:
    """The textbook's parameters from those of a fitted imputer, by the mapping that ``SelfMasking`` states.

    Returns
    -------
    ndarray
        (b0, b1, log d, artanh r, g0, g1, g2), and log nu where it was learned.
    """
    joint, columns = model.joint_, model.columns_
    assert columns.beside is not None
    with torch.no_grad():
        rows = joint.rows_given_code(torch.tensor([[0.0], [1.0]]))
        mean, loading = rows.mean[0].double().numpy(), (rows.mean[1] - rows.mean[0]).double().numpy()
        of_v, of_y, nu = _scales(rows)
        curve, weights = joint.mechanism.curve(), joint.mechanism.observed_weights
    assert curve is not None and weights is not None
    (center_v, center_y), (unit_v, unit_y) = columns.center, columns.scale
    b1 = loading[1] * loading[0] / (loading[0] ** 2 + of_v**2) * unit_y / unit_v
    b0 = center_y + unit_y * mean[1] - b1 * (center_v + unit_v * mean[0])
    # What v leaves of the code is part of the error; with t errors training makes it small.
    d = unit_y * np.hypot(of_y, loading[1] * of_v / np.hypot(loading[0], of_v))
    # P(s = 0) = Phi(a y + by_v v + by_w w + c), original units; the weights are (x0, x1, x2, then where missing).
    a, by_v = float(curve.slope[1]) / unit_y, float(weights[1, 0]) / unit_v
    by_w = float(weights[1, 2]) / columns.beside.scale[0]
    c = float(curve.intercept[1]) - a * center_y - by_v * center_v - by_w * columns.beside.center[0]
    r = -a * d / np.sqrt(1 + (a * d) ** 2)
    root = np.sqrt(1 - r**2)
    g = (-root * c + r * b0 / d, -root * by_v + r * b1 / d, -root * by_w)
    assert isinstance(model.mechanism, SelfMasking)
    learned = nu is not None and model.mechanism.degrees_of_freedom is None
    return np.array([b0, b1, np.log(d), np.arctanh(r), *g, *([np.log(nu)] if learned and nu else [])])


def _scales(rows: RowDistribution) -> tuple[float, float, float | None]:
    """Of the errors of v and y, and degrees of freedom; both columns are normal with one scale, or y is a t."""
    if not isinstance(rows, MixedRows):
        scale = float(rows.scale.reshape(-1)[0])
        return scale, scale, None
    normal, heavy = (block.rows for block in rows.blocks)
    return float(normal.scale.reshape(-1)[0]), float(heavy.scale[0, 0]), float(heavy.freedom)
