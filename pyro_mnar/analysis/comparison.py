"""Compare fitted mechanisms on rows that none of them was fitted to."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from pyro_mnar.analysis.asked import check_estimator
from pyro_mnar.data.arguments import instance_only, whole_number
from pyro_mnar.data.columns import FloatArray, log_density_factor
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.arviz_library import elpd_of_rows
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.mask_at_random import mask_log_score, probability_from_other_rows
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.weights import pareto_k_limit
from pyro_mnar.model.joint import Joint

__all__ = ["compare", "elpd"]

#: A difference is called one from so many of its standard errors on.
_CLEAR = 2.0

#: One fit of each mechanism, or several from other seeds.
Models = Mapping[str, JointEstimator | Sequence[JointEstimator]]


@contextmanager
def _each_warning_once() -> Iterator[None]:
    """Every model reads the same rows, several times: what is to be said of them is said once, at the end."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for category, text in dict.fromkeys((warning.category, str(warning.message)) for warning in caught):
        warnings.warn(text, category, stacklevel=4)


def compare(
    models: Models,
    X: npt.ArrayLike,
    *,
    n_draws: int | None = None,
    n_draws_mask: int = 200,
) -> pd.DataFrame:
    r"""Rank fitted models by the bound on log p(x_obs, s) of held-out rows, nats per row, with paired differences.

    **What this cannot do.** Every model with values missing not at random has a counterpart with values missing at
    random that fits the observed cells and the mask equally well (Molenberghs et al. 2008). The ranking compares the
    models as they are, distributional assumptions included: a mechanism may win because it makes up for a likelihood
    that fits badly. So it can expose an assumption that contradicts the data, and it cannot prove one. What the missing
    values are remains an assumption; vary it with :mod:`pyro_mnar.analysis.sensitivity`.

    An ignorable model gives the mask no probability of its own. For the comparison it gets that of a logistic
    regression of each column's mask on the columns that are never missing, fitted on the other folds of ``X``.

    **Several fits.** The standard errors of one fit each are those of the rows: how a fit would have come out from
    another ``random_state`` is not in them, and can matter more (0.08 nats per row beside 0.02: 1,000 rows of house
    values, the default number of steps). Give a list of three or more fits for each name, and it is.

    Parameters
    ----------
    models : mapping from name to fitted estimator, or to a sequence of them
        At least one, all fitted to the same rows of the same columns. Of several fits of a name bounds are averaged.
    X : array-like
        Rows that were NOT used for fitting, shape (n, p), NaN = missing.
    n_draws : int or None
        Importance draws per row; None takes each estimator's ``n_draws_posterior``. The bound is below log p(x_obs, s),
        the closer the more draws: models with many unreliable rows are judged too low.
    n_draws_mask : int
        Draws per row for the predictions of the mask.

    Returns
    -------
    DataFrame
        One row per model, the best first:

        bound, bound_se
            Mean over the rows (and fits) and its standard error, nats per row, of values as the first model
            standardises them.
        difference, difference_se
            To the best model, per row: zero or negative; the standard error is that of the paired differences.
        verdict
            "best"; "worse" (by more than two standard errors); or "too close to call".
        mask_accuracy, mask_log_score
            Each cell's mask is predicted from the other columns (their values, and which of them are missing): share
            predicted right, and mean log probability in nats per cell, over the columns with a mechanism.
        unreliable
            Number of rows whose importance weights cannot be trusted; of several fits, the largest.
        n_fits
            How many fits the line is of.

    Raises
    ------
    InvalidInputError
        No model, or models fitted to other columns than the first.
    NotFittedError
        A model is not fitted.

    References
    ----------
    Molenberghs, Beunckens, Sotto & Kenward 2008, JRSS B 70: "Every missingness not at random model has a missingness at
    random counterpart with equal fit".

    Examples
    --------
    >>> from pyro_mnar import MNARImputer
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> quick = dict(decoder="linear", latent_dim=1, max_iter=5, n_draws_posterior=100, random_state=0)
    >>> models = {m: MNARImputer(m, **quick).fit(X[:100]) for m in ("ignorable", "self-masking")}
    >>> compare(models, X[100:]).columns.tolist()[:4]
    ['bound', 'bound_se', 'difference', 'difference_se']
    """
    fits = _fits(models)
    n_draws_mask = whole_number("n_draws_mask", n_draws_mask)
    with _each_warning_once():
        ground = _common(fits, X)
        bounds, lines = {}, {}
        for name, some in fits.items():
            found = [_line(ground, model, X, n_draws, n_draws_mask) for model in some]
            bounds[name] = np.stack([rows for rows, _ in found])
            masks = pd.DataFrame([line for _, line in found])
            lines[name] = {**masks.mean(), "unreliable": int(masks["unreliable"].max()), "n_fits": len(some)}
    best = max(bounds, key=lambda name: bounds[name].mean())
    for name, line in lines.items():
        difference = bounds[name].mean(0) - bounds[best].mean(0)
        among_fits = _of_fits(bounds[name]) + _of_fits(bounds[best])
        error = 0.0 if name == best else np.sqrt(_standard_error(difference) ** 2 + among_fits)
        clear = difference.mean() < -_CLEAR * error
        lines[name] = {
            "bound": bounds[name].mean(),
            "bound_se": np.sqrt(_standard_error(bounds[name].mean(0)) ** 2 + _of_fits(bounds[name])),
            "difference": difference.mean(),
            "difference_se": error,
            "verdict": "best" if name == best else "worse" if clear else "too close to call",
            **line,
        }
    return pd.DataFrame.from_dict(lines, orient="index").sort_values("bound", ascending=False)


def _line(
    ground: "_Ground", model: JointEstimator, X: npt.ArrayLike, n_draws: int | None, n_draws_mask: int
) -> tuple[FloatArray, dict[str, float]]:
    """The bounds of the rows under one fit, shape (n,), and how well it predicts their mask."""
    _, table, active, at_random = ground
    posterior = model.posterior(X, n_draws)
    bounds = _evidence(ground, model, posterior)
    own = _own_term(model)
    chance = np.where(own, _predicted_mask(model, X, n_draws_mask), at_random) if own.any() else at_random
    score = mask_log_score(chance, table)[:, active]
    right = ((chance > 0.5) == ~np.isnan(table))[:, active]
    return bounds, {
        "mask_accuracy": float(right.mean()) if active.any() else np.nan,
        "mask_log_score": float(score.mean()) if active.any() else np.nan,
        "unreliable": float((~posterior.reliable).sum()),
    }


def _of_fits(bounds: FloatArray) -> float:
    """Squared standard error of a mean over fits, which differ by their seeds; 0 where there is one, shape (m, n)."""
    return float(bounds.mean(1).var(ddof=1) / len(bounds)) if len(bounds) > 1 else 0.0


def _fits(models: Models) -> dict[str, list[JointEstimator]]:
    """The fits of each name, as lists, once it is seen that they are the package's."""
    instance_only("models", models, Mapping, "a mapping from names to fitted estimators, or to lists of them")
    if not models:
        raise InvalidInputError("models is empty; give at least one fitted estimator")
    several: dict[str, list[Any]] = {
        name: list(some) if isinstance(some, list | tuple) else [some] for name, some in models.items()
    }
    for name, some in several.items():
        if not some:
            raise InvalidInputError(f"model {name!r} has no fits; give at least one fitted estimator")
        for k, fit in enumerate(some):
            check_estimator(fit, f"model {f'{name}, fit {k}' if k else name!r}")
    return several


def elpd(models: Models, X: npt.ArrayLike, *, n_draws: int | None = None) -> dict[str, Any]:
    """The same bounds for ArviZ: ``az.compare(elpd(models, X_held_out))`` ranks and weighs the models.

    The rows were held out, so their log p(x_obs, s) is what leave-one-out cross-validation estimates for rows that were
    not; it goes by the name "loo" because that is the one that ``az.compare`` reads.

    Parameters
    ----------
    models, X, n_draws
        See :func:`compare`.

    Returns
    -------
    dict from name to arviz.ELPDData
        The sum over rows in nats, and each row's; p (not defined for held-out rows) is NaN; pareto_k is that of each
        row's importance weights.

    Raises
    ------
    InvalidInputError
        As :func:`compare`.
    """
    fits = _fits(models)
    result = {}
    with _each_warning_once():
        ground = _common(fits, X)
        for name, some in fits.items():
            posteriors = [model.posterior(X, n_draws) for model in some]
            of_fits = [_evidence(ground, *pair) for pair in zip(some, posteriors, strict=True)]
            pareto_k = np.max([posterior.pareto_k for posterior in posteriors], axis=0)
            n_draws_of = np.concatenate([posterior.n_draws for posterior in posteriors])
            limit = pareto_k_limit(int(n_draws_of.min()))
            uneven = any(bool((~posterior.reliable).any()) for posterior in posteriors)
            result[name] = elpd_of_rows(np.mean(of_fits, axis=0), pareto_k, int(n_draws_of.max()), limit, uneven)
    return result


class _Ground(NamedTuple):
    """What all fits are compared on: the rows, in units of the first fit, and what masks are judged on."""

    first: JointEstimator
    table: FloatArray
    #: bool, shape (p,): columns with a mechanism in any model.
    active: npt.NDArray[np.bool_]
    #: Mask probabilities of the ignorable models, shape (n, p).
    at_random: FloatArray


def _common(fits: Mapping[str, Sequence[JointEstimator]], X: npt.ArrayLike) -> _Ground:
    """What they are compared on, once it is seen that they can be."""
    first = next(iter(fits.values()))[0]
    table = first.table(X)
    active = np.zeros(table.shape[1], dtype=bool)
    for name, model in ((name, model) for name, models in fits.items() for model in models):
        model.table(X)
        if model.columns_.names != first.columns_.names:
            raise InvalidInputError(
                f"model {name!r} was fitted to the columns {list(model.columns_.names)}, the first model to "
                f"{list(first.columns_.names)}; compare models of the same table"
            )
        if _limited(model) != _limited(first):
            raise InvalidInputError(
                f"model {name!r} knows limits of the columns {_limited(model)}, the first model of {_limited(first)}: "
                "limits are data, so their bounds are not of the same; declare the same columns Censored in both"
            )
        active |= model.joint_.active.cpu().numpy()
    active[[first.columns_.names.index(name) for name in _limited(first)]] = False
    return _Ground(first, table, active, probability_from_other_rows(table, active, first.columns_.missing_rate))


def _limited(model: JointEstimator) -> list[str]:
    """The columns of which limits were known."""
    columns = model.columns_
    return [name for name, share in zip(columns.names, columns.within_limits, strict=False) if share]


def _own_term(model: JointEstimator) -> npt.NDArray[np.bool_]:
    """The columns of which the model itself says how they go missing, bool, shape (p,)."""
    own: npt.NDArray[np.bool_] = model.joint_.active.cpu().numpy() & model.joint_.has_mask_term
    for first, *others in model.joint_.one_cell_groups:
        own[others] = own[first]
    return own


def _evidence(ground: _Ground, model: JointEstimator, posterior: Posterior) -> FloatArray:
    """The bound on log p(x_obs, s) of each row, shape (n,), nats, x in units of the first model."""
    table, columns = ground.table, ground.first.columns_
    rows: FloatArray = (
        posterior.log_evidence + log_density_factor(table, model.columns_) - log_density_factor(table, columns)
    )
    unmodelled = ground.active & ~_own_term(model)
    return np.asarray(rows + mask_log_score(ground.at_random, table)[:, unmodelled].sum(1))


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


def _predicted_mask(model: JointEstimator, X: npt.ArrayLike, n_draws: int) -> FloatArray:
    """P(s_j = 1 | the values and the mask of the other columns) for each active column, shape (n, p)."""
    batch = model.batch(X)
    chance = np.ones(batch.x.shape)
    for j in np.flatnonzero(model.joint_.active.cpu().numpy()):
        joint = _without_mask_of(model.joint_, int(j))
        observed = batch.observed.clone()
        together = next((group for group in joint.one_cell_groups if group[0] == j), [int(j)])
        observed[:, together] = False
        x = torch.where(observed, batch.x, torch.zeros_like(batch.x))
        posterior = Posterior(joint, batch._replace(x=x, observed=observed), model.columns_, n_draws=n_draws)
        for draws in posterior.draws():
            assert draws.x is not None
            weights = torch.softmax(draws.log_weights, 0)
            with torch.no_grad():
                mask = posterior.joint.mask_given_row(draws.x, draws.z, posterior.batch.rows(draws.rows), n_inner=1)
                seen = (weights * mask.bernoulli.probs[..., j]).sum(0)
            for k in together:
                chance[draws.rows.cpu().numpy(), k] = seen.cpu().numpy()
    return chance


def _without_mask_of(joint: Joint, j: int) -> Joint:
    """The same pair, in which column j has no mask term: its cell says nothing about the row."""
    active = joint.active.clone()
    active[j] = False
    return Joint(
        joint.encoder,
        joint.decoder,
        joint.likelihood,
        joint.mechanism,
        joint.latent_dim,
        active,
        joint.head,
        "auto" if joint.collapsed else False,
        joint.n_inner,
        joint.one_cell_groups,
    )
