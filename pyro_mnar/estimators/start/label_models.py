"""A column of labels that may hide themselves: a regression on the other columns, jointly with a rate for each label.

With u the other columns (and their masks) of a row, c its label, and r_c the probability that a label c is missing:

* ``P(c | u)`` is a multinomial logistic regression, P(missing | c) = r_c, and labels that are missing are summed out.

Its evidence is compared with that of labels given u and of a mask that has nothing to do with them, so that it can be
held against :func:`~pyro_mnar.estimators.start.index_models.mask_evidence`: a mask that depends on other columns in
any other way. Both are Laplace's, under normal priors on standardised coefficients and on the logits of the rates.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from pyro_mnar.data.columns import FloatArray

#: Prior precisions of standardised coefficients, and of intercepts, of which little is known.
_PRECISION, _VAGUE = 1.0, 1e-2
#: Prior standard deviation of the logits of the rates around that of the whole column.
_RATE_SPREAD = 2.0
#: Logits by which a label's rate starts above that of the column, where it is tried as the one that hides, and by which
#: the others' start below.
_ABOVE, _BELOW = 1.5, 0.5
#: Nats by which the first search may fall short for others to follow.
_FAR = 20.0
#: Share of the log posterior that a step of a search has to gain for another one: at its end, and from each start.
_EXACT, _ROUGH = 1e-9, 1e-5
_LEAST_EIGENVALUE, _LEAST_CHANCE = 1e-3, 1e-300


class HiddenLabels(NamedTuple):
    """What speaks for labels that hide themselves.

    Attributes
    ----------
    evidence : float
        Log evidence over that of a mask of constant rate, nats.
    rates : ndarray
        P(missing | label), shape (C,).
    shares : ndarray
        P(label) in all rows, shape (C,).
    """

    evidence: float
    rates: FloatArray
    shares: FloatArray


class _Rows(NamedTuple):
    """The rows, with an intercept behind the columns; ``label`` is -1 where it is missing."""

    design: FloatArray
    label: NDArray[np.int64]
    n_labels: int

    @property
    def missing(self) -> NDArray[np.bool_]:
        return self.label < 0

    @property
    def precision(self) -> FloatArray:
        """Of the coefficients' priors, shape (d, C)."""
        columns = np.append(np.full(self.design.shape[1] - 1, _PRECISION), _VAGUE)
        return np.repeat(columns[:, None], self.n_labels, 1)

    @property
    def center(self) -> float:
        """Logit of the missing rate."""
        return float(logit(self.missing.mean()))

    def split(self, q: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coefficients, shape (d, C), and logits of the rates, shape (C,)."""
        return q[: -self.n_labels].reshape(-1, self.n_labels), q[-self.n_labels :]


def hidden_labels(u: FloatArray, label: NDArray[np.int64], n_labels: int, needed: float = -np.inf) -> HiddenLabels:
    """How much of the mask goes through the label that the columns predict.

    Parameters
    ----------
    u : ndarray
        Shape (n, d), standardised.
    label : ndarray
        Shape (n,), 0 to C - 1, each of them observed somewhere; -1 where it is missing.
    n_labels : int
        C.
    needed : float
        Evidence, nats, far below which it is not looked for everywhere: the posterior has several peaks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u = rng.normal(size=(600, 2))
    >>> label = (u[:, 0] + 0.3 * rng.normal(size=600) > 0).astype(int)
    >>> label[(label == 1) & (rng.random(600) < 0.6)] = -1
    >>> found = hidden_labels(u, label, 2)
    >>> found.evidence > 20, found.rates.round(1)
    (True, array([0. , 0.6]))
    """
    rows = _Rows(np.column_stack([u, np.ones(len(u))]), label, n_labels)
    seen = _Rows(rows.design[~rows.missing], label[~rows.missing], n_labels)
    apart, of_apart = _best(seen, np.zeros(rows.design.shape[1] * n_labels), rates=False)
    rate = float(rows.missing.mean())
    constant = len(label) * (rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) - 0.5 * np.log(len(label))
    without = -of_apart + _volume(seen, apart.reshape(-1, n_labels), None) + constant

    def found_from(start: FloatArray, least_gain: float) -> tuple[float, FloatArray]:
        place, value = _best(rows, start, rates=True, least_gain=least_gain)
        return -value + _volume(rows, *rows.split(place)) - without, place

    evidence, place = found_from(np.append(apart, np.full(n_labels, rows.center)), _ROUGH)
    if evidence > needed - _FAR:
        hiding = np.where(np.eye(n_labels, dtype=bool), rows.center + _ABOVE, rows.center - _BELOW)
        others = (found_from(np.append(apart, start), _ROUGH) for start in hiding)
        _, place = max([(evidence, place), *others], key=lambda one: one[0])
    evidence, place = found_from(place, _EXACT)
    coefficients, logits = rows.split(place)
    log_p = log_softmax(rows.design @ coefficients, axis=1)
    shares = np.where(rows.missing[:, None], softmax(log_p + log_expit(logits), axis=1), np.eye(n_labels)[label])
    return HiddenLabels(float(evidence), expit(logits), shares.mean(axis=0))


def _best(rows: _Rows, start: FloatArray, rates: bool, least_gain: float = _EXACT) -> tuple[FloatArray, float]:
    """Where minus the log posterior is least, and its value; with rates also of the mask."""
    n_labels, n_missing, precision = rows.n_labels, int(rows.missing.sum()), rows.precision
    # Labels by rows, the missing ones first: copies of parts would cost as much as the sums themselves.
    order = np.argsort(~rows.missing, kind="stable")
    design, across = rows.design[order], np.ascontiguousarray(rows.design[order].T)
    seen = (rows.label[order][n_missing:], np.arange(n_missing, len(order)))
    counts = np.bincount(seen[0], minlength=n_labels)

    def minus(q: FloatArray) -> tuple[float, FloatArray]:
        coefficients, logits = rows.split(q) if rates else (q.reshape(-1, n_labels), None)
        value = 0.5 * float((precision * coefficients**2).sum())
        slope = coefficients.T @ across
        slope -= slope.max(axis=0)
        value -= float(slope[seen].sum())
        np.exp(slope, out=slope)
        total = slope.sum(axis=0)
        slope /= total
        value += float(np.log(total[n_missing:]).sum())
        slope[seen] -= 1.0
        of_rates = np.empty(0)
        if logits is not None:
            hidden = slope[:, :n_missing] * expit(logits)[:, None]
            lost = np.maximum(hidden.sum(axis=0), _LEAST_CHANCE)
            hidden /= lost
            slope[:, :n_missing] -= hidden
            off = logits - rows.center
            value -= float(counts @ log_expit(-logits)) + float(np.log(lost).sum())
            value += 0.5 * float(off @ off) / _RATE_SPREAD**2
            of_rates = counts * expit(logits) - hidden.sum(axis=1) * expit(-logits) + off / _RATE_SPREAD**2
        return value, np.append(((slope @ design).T + precision * coefficients).ravel(), of_rates)

    found = minimize(minus, start, jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": least_gain})
    return found.x, float(found.fun)


def _volume(rows: _Rows, coefficients: FloatArray, logits: FloatArray | None) -> float:
    """What Laplace's method adds to the log posterior at its maximum, without the factors of 2 pi."""
    n_labels, missing, size = rows.n_labels, rows.missing, coefficients.size
    p = softmax(rows.design @ coefficients, axis=1)
    hessian = np.diag(rows.precision.ravel())
    by_label = hessian.reshape(-1, n_labels, len(rows.design[0]), n_labels)
    hidden = rows.design[missing]
    among = softmax(np.log(p[missing] + 1e-300) + log_expit(logits), axis=1) if logits is not None else p[missing]
    for c in range(n_labels):
        for e in range(c, n_labels):
            weight = p[:, c] * ((c == e) - p[:, e])
            weight[missing] -= among[:, c] * ((c == e) - among[:, e])
            block = (rows.design * weight[:, None]).T @ rows.design
            by_label[:, c, :, e] += block
            if e > c:
                by_label[:, e, :, c] += block
    prior = float(np.log(rows.precision).sum())
    if logits is None:
        return 0.5 * (prior - _log_determinant(hessian))
    r, q = expit(logits), expit(-logits)
    counts = np.bincount(rows.label[~missing], minlength=n_labels)
    spread = among.T @ among
    of_rates = spread * np.outer(q, q) - np.diag((among * q**2).sum(axis=0))
    of_rates += np.diag(counts * r * q + (among * r * q).sum(axis=0) + 1 / _RATE_SPREAD**2)
    cross = np.empty((size // n_labels, n_labels, n_labels))
    for c in range(n_labels):
        for e in range(n_labels):
            cross[:, e, c] = -q[c] * (hidden.T @ (among[:, c] * ((c == e) - among[:, e])))
    flat = cross.reshape(size, n_labels)
    hessian = np.block([[hessian, flat], [flat.T, of_rates]])
    return 0.5 * (prior - 2 * n_labels * np.log(_RATE_SPREAD) - _log_determinant(hessian))


def _log_determinant(hessian: FloatArray) -> float:
    """Of a matrix that rounding, or a search that ended early, may have left with eigenvalues below 0."""
    try:
        return 2 * float(np.log(np.diag(np.linalg.cholesky(hessian))).sum())
    except np.linalg.LinAlgError:
        return float(np.log(np.maximum(np.linalg.eigvalsh(hessian), _LEAST_EIGENVALUE)).sum())
