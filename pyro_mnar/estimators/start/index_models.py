"""Three regressions on the other columns, with the evidence of each: of a mask, of a column that ends, of both.

With u the other columns (and their masks) of a row, and a cut c beyond which nothing was observed:

* mask: P(missing | u) = Phi(u . a); any loss that depends on other columns.
* ended: x | u ~ N(u . b, s^2), observed below c only; a column whose values end at c, whatever made cells missing.
* hidden: the same x | u, and a cell is missing exactly where x > c, so that P(missing | u) = Phi((u . b - c) / s).

A pile at the other end (zeros of an amount) stands for everything at or below it, as in a Tobit model.

"hidden" is "ended" and "mask" with one and the same index, a = b / s: what the others say about the value and what
they say about the mask must then be one thing. That the column is not normal hurts "hidden" and "ended" alike.
All are convex in (b / s, 1 / s); their evidence is Laplace's, under a normal prior on standardised coefficients.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri

from pyro_mnar.data.columns import FloatArray

BoolArray = NDArray[np.bool_]
#: A value, its gradient and its Hessian.
Expansion = tuple[float, FloatArray, FloatArray]

_HALF_LOG_TAU = 0.5 * float(np.log(2 * np.pi))
#: Prior precision of the intercept, of which little is known.
_VAGUE = 1e-2
_LEAST_PRECISION = 1e-6
_MOST_STEPS = 40
#: Prior precisions of standardised coefficients among which a mask's regression chooses.
_PRECISIONS = (1.0, 10.0, 100.0)
#: Nats that a step has to gain for another one.
_LEAST_STEP = 1e-2


def mask_evidence(u: FloatArray, missing: BoolArray) -> float:
    """Log evidence that the mask depends on these columns, over that of a constant rate.

    The best of several prior precisions: with one that suits few columns, many weak ones would seem to say nothing.

    Parameters
    ----------
    u : ndarray
        Shape (n, d), standardised.
    missing : ndarray
        Shape (n,).

    Examples
    --------
    >>> u = np.random.default_rng(0).normal(size=(300, 2))
    >>> mask_evidence(u, u[:, 0] > 0.3) > 50, mask_evidence(u[::-1], u[:, 0] > 0.3) < 0
    (True, True)
    """
    design = _with_intercept(u)
    return max(_mask(design, missing, precision) for precision in _PRECISIONS) - _constant(missing)


def hidden_evidence(u: FloatArray, z: FloatArray, missing: BoolArray, cut: float, pile: float | None = None) -> float:
    """How much of the mask the columns explain THROUGH the value they predict, if missing means above the cut.

    Parameters
    ----------
    u : ndarray
        Shape (n, d), standardised.
    z : ndarray
        Shape (n,): the column, standardised; NaN in missing cells.
    missing : ndarray
        Shape (n,).
    cut : float
        Largest observed value.
    pile : float or None
        Smallest observed value, where many are equal to it.

    Returns
    -------
    float
        Log evidence of "hidden" over that of "ended" and a constant rate, nats; compare with :func:`mask_evidence`.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u = rng.normal(size=(300, 2))
    >>> x = u[:, 0] + 0.5 * rng.normal(size=300)
    >>> missing = x > 0.3
    >>> hidden_evidence(u, np.where(missing, np.nan, x), missing, 0.3) > mask_evidence(u, missing) > 0
    True
    """
    design = _with_intercept(u)
    seen, lost = ~missing, missing
    piled = seen & (z <= pile) if pile is not None else np.zeros_like(seen)
    spread = seen & ~piled
    rest = np.column_stack([design[spread], -z[spread]])
    below = np.column_stack([-design[piled], np.full(piled.sum(), 0.0 if pile is None else pile)])
    inside = np.column_stack([-design[seen], np.full(seen.sum(), cut)])
    beyond = np.column_stack([design[lost], np.full(lost.sum(), -cut)])

    def observed(q: FloatArray) -> Expansion:
        if q[-1] <= _LEAST_PRECISION:
            return np.inf, q, np.eye(len(q))
        residual = rest @ q
        gradient, hessian = rest.T @ residual, rest.T @ rest
        gradient[-1] -= len(rest) / q[-1]
        hessian[-1, -1] += len(rest) / q[-1] ** 2
        expansion = 0.5 * float(residual @ residual) - len(rest) * float(np.log(q[-1])), gradient, hessian
        return _add(expansion, _minus_log_phi(below, q), 1.0) if piled.any() else expansion

    def ended(q: FloatArray) -> Expansion:
        return _add(observed(q), _minus_log_phi(inside, q), -1.0)

    def hidden(q: FloatArray) -> Expansion:
        return _add(observed(q), _minus_log_phi(beyond, q), 1.0)

    precision = np.append(_prior(design.shape[1]), _VAGUE)
    start, _ = _maximise(observed, np.append(np.zeros(design.shape[1]), 1.0), precision)
    _, of_ended = _maximise(ended, start, precision)
    _, of_hidden = _maximise(hidden, start, precision)
    return of_hidden - of_ended - _constant(missing)


def _mask(design: FloatArray, missing: BoolArray, precision: float) -> float:
    signed = np.where(missing, 1.0, -1.0)[:, None] * design
    start = np.zeros(design.shape[1])
    start[-1] = ndtri(np.clip(missing.mean(), 1e-3, 1 - 1e-3))
    return _maximise(lambda q: _minus_log_phi(signed, q), start, _prior(design.shape[1], precision))[1]


def _constant(missing: BoolArray) -> float:
    """Log evidence of a constant rate."""
    return _mask(np.ones((len(missing), 1)), missing, 1.0)


def _with_intercept(u: FloatArray) -> FloatArray:
    return np.column_stack([u, np.ones(len(u))])


def _prior(width: int, precision: float = 1.0) -> FloatArray:
    """Precisions of the coefficients, the last of which is the intercept's."""
    return np.append(np.full(width - 1, precision), _VAGUE)


def _hazard(t: FloatArray) -> FloatArray:
    """D log Phi(t) / dt."""
    hazard: FloatArray = np.exp(-0.5 * t**2 - _HALF_LOG_TAU - log_ndtr(t))
    return hazard


def _minus_log_phi(a: FloatArray, q: FloatArray) -> Expansion:
    """Minus the sum of log Phi(a . q)."""
    t = a @ q
    hazard = _hazard(t)
    return -float(log_ndtr(t).sum()), -(a.T @ hazard), (a.T * (hazard * (hazard + t))) @ a


def _add(first: Expansion, second: Expansion, weight: float) -> Expansion:
    return first[0] + weight * second[0], first[1] + weight * second[1], first[2] + weight * second[2]


def _maximise(
    minus: Callable[[FloatArray], Expansion], start: FloatArray, precision: FloatArray
) -> tuple[FloatArray, float]:
    """Newton's method with halved steps: the best parameters, and the log evidence but for a constant of the data."""

    def penalised(q: FloatArray) -> Expansion:
        value, gradient, hessian = minus(q)
        hessian = hessian + np.diag(precision + 1e-9 * np.trace(hessian))
        return value + 0.5 * float(precision @ q**2), gradient + precision * q, hessian

    place, current = start, penalised(start)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(current[2], current[1])
        for part in 0.5 ** np.arange(12):
            new = penalised(place - part * step)
            if new[0] < current[0]:
                break
        else:
            break
        gained, place, current = current[0] - new[0], place - part * step, new
        if gained < _LEAST_STEP:
            break
    spread = float(np.linalg.slogdet(current[2])[1])
    return place, -current[0] + 0.5 * (float(np.log(precision).sum()) - spread)
