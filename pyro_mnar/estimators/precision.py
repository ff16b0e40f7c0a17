r"""How precisely the data tell the curve of each column: standard errors of its slope and threshold.

By Fisher's identity the score of a row is the posterior mean of d log p(s | z, x_obs) / d (w_j, c_j), and the sum of
the scores' outer products estimates the information (Berndt, Hall, Hall & Hausman 1974). The networks count as known,
so that these are lower bounds; the threshold's follows by the delta method.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.model.batch import Batch
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.likelihoods.base import MaskedRows

#: Step of the numerical derivative, relative to the size of the parameter and at least this.
_STEP = 1e-3
#: Largest condition number of an information matrix that tells both parameters.
_WORST = 1e10


class CurveErrors(NamedTuple):
    """Standard errors, model's scale; NaN where the data do not tell (the slope of a cut), or nothing is to tell."""

    #: Probits or logits per standard deviation, and standard deviations, shape (p,) each.
    slope: FloatArray
    threshold: FloatArray


@torch.no_grad()
def curve_errors(joint: Joint, batch: Batch, codes: Tensor) -> CurveErrors:
    """Standard errors of a mechanism with a closed form, from the rows, standardised.

    ``codes`` are draws of the rows' codes that count equally, shape (m, n, L).
    """
    p = batch.x.shape[-1]
    errors = CurveErrors(np.full(p, np.nan), np.full(p, np.nan))
    curve = joint.mechanism.curve_of_rows(batch, codes)
    if curve is None or not joint.collapsed or curve.slope.shape != (p,):
        return errors
    own = joint.active if curve.flat is None else joint.active & ~curve.flat
    rows = joint.rows_given_code(codes)
    slopes, intercepts = curve.slope, joint.mechanism.curve()
    assert intercepts is not None
    for j in own.nonzero()[:, 0].tolist():
        alone = torch.arange(p, device=own.device) == j

        def of_rows(by_w: float, by_c: float, alone: Tensor = alone) -> Tensor:
            moved = curve._replace(slope=slopes + by_w * alone, intercept=curve.intercept + by_c * alone)
            return rows.mask_term(MaskedRows(moved, batch.x, batch.observed, alone)).log_prob(batch.observed).mean(0)

        w, c = float(slopes[j]), float(intercepts.intercept[j])
        step_w, step_c = (_STEP * max(1.0, abs(value)) for value in (w, c))
        of_slope = of_rows(step_w, 0.0) - of_rows(-step_w, 0.0)
        of_intercept = of_rows(0.0, step_c) - of_rows(0.0, -step_c)
        scores = torch.stack([of_slope / (2 * step_w), of_intercept / (2 * step_c)], -1).double().cpu().numpy()
        information = scores.T @ scores
        if not np.isfinite(information).all() or np.linalg.cond(information) > _WORST:
            continue
        covariance = np.linalg.inv(information)
        # The threshold is -c / w.
        gradient = np.array([c / w**2, -1 / w]) if w else np.zeros(2)
        errors.slope[j] = np.sqrt(covariance[0, 0])
        errors.threshold[j] = np.sqrt(gradient @ covariance @ gradient) if w else np.nan
    return errors
