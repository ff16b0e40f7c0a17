"""A fitted model's answers about a table as ArviZ InferenceData, with named rows and columns."""

from typing import Any

import arviz as az
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from pyro_mnar import __version__
from pyro_mnar.data.columns import original
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.estimators.fitted import Fitted
from pyro_mnar.estimators.replicates import Replicates, simulate
from pyro_mnar.inference.resampling import resample

_DRAWS = ("chain", "draw")
Variable = tuple[tuple[str, ...], Any]


def to_inference_data(
    estimator: Fitted,
    X: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    n_samples: int = 200,
    n_draws: int | None = None,
    random_state: int = 0,
) -> az.InferenceData:
    r"""What a fitted model says about the rows of ``X``, for ArviZ.

    Dimensions: chain (one), draw, row (the index of a DataFrame), column (names) and latent. Values of x are in
    original units; log probabilities in nats, densities of standardised values.

    - posterior: z, and the completed table x, given x_obs and s; draws resampled by weight, so that they count equally.
    - posterior_predictive, for the same rows, from those z: a new complete x, its mask s (1 = seen), and x_obs, the
      part of x that s shows (NaN elsewhere); with a head also y given the completed x of ``posterior``.
    - log_likelihood: x_obs, log p(x_obs|z), and s, log p(s|x), one number per draw and row.
    - sample_stats: log_weight (importance_draw, row); ess, pareto_k, reliable and log_evidence (row).
    - prior: z. prior_predictive: x, s, x_obs (and y) of new rows, as many as ``X`` has.
    - observed_data: x_obs (NaN where missing), s, and y if given. constant_data: observed, the mask again.

    ``az.summary(idata, var_names="x")`` describes the imputations (R-hat needs several chains and is NaN: these are
    independent draws, to be judged by ``sample_stats``); ``az.plot_ppc(idata, var_names="x_obs", coords={"column":
    ["income"]})`` compares observed values after selection. ``az.loo`` on ``log_likelihood`` is not meaningful here:
    each z belongs to one row, so leaving the row out leaves nothing. Compare models by
    :func:`pyro_mnar.analysis.comparison.compare`, or with ``az.compare`` by
    :func:`pyro_mnar.analysis.comparison.elpd`, on held-out rows.

    Parameters
    ----------
    estimator : MNARImputer, MNARClassifier or MNARRegressor
        Fitted.
    X : array-like
        The table, shape (n, p), NaN = missing.
    y : array-like or None
        The target, shape (n,), to be kept in observed_data; the posterior is the one without it.
    n_samples : int
        Draws in each group, at least 1.
    n_draws : int or None
        Importance draws per row that they are chosen from; None takes ``n_draws_posterior``.
    random_state : int
        Seed of the choice and of the simulated tables.

    Returns
    -------
    arviz.InferenceData

    Raises
    ------
    InvalidInputError
        ``n_samples`` below 1.
    NotFittedError
        Before ``fit``.

    Examples
    --------
    >>> from pyro_mnar import MNARImputer
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> imputer = MNARImputer(decoder="linear", latent_dim=1, max_iter=3, n_draws_posterior=100, random_state=0).fit(X)
    >>> to_inference_data(imputer, X, n_samples=10).posterior["x"].shape
    (1, 10, 100, 2)
    """
    if n_samples < 1:
        raise InvalidInputError(f"n_samples is {n_samples}; it must be at least 1")
    table = estimator.table(X)
    seen = ~np.isnan(table)
    coords = {"row": _row_names(X, len(table)), "column": list(estimator.columns_.names)}
    posterior = estimator.posterior(X, n_draws)
    joint = posterior.joint
    batch = posterior.batch
    codes = batch.x.new_zeros(n_samples, len(table), joint.latent_dim)
    rows = batch.x.new_zeros(n_samples, *table.shape)
    generator = torch.Generator().manual_seed(random_state)
    for draws in posterior.draws():
        assert draws.x is not None
        chosen = resample(draws.log_weights, n_samples, generator=generator).unsqueeze(-1)
        codes[:, draws.rows] = draws.z.gather(0, chosen.expand(-1, -1, codes.shape[-1]))
        rows[:, draws.rows] = draws.x.gather(0, chosen.expand(-1, -1, rows.shape[-1]))
    completed = np.where(seen, table, original(rows.cpu().numpy(), estimator.columns_))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        given = joint.rows_given_code(codes)
        likelihood = {"x_obs": given.observed_part(batch.observed).log_prob(batch.x)}
        if joint.has_mask_term:
            likelihood["s"] = joint.mask_given_row(rows, codes, n_inner=1).log_prob(batch.observed)
        head = None if joint.head is None else joint.head(rows).sample().cpu().numpy()
    replicated = simulate(estimator, X, n_samples, "posterior", random_state)
    new = simulate(estimator, X, n_samples, "prior", random_state)
    groups: dict[str, dict[str, Variable]] = {
        "posterior": {"z": _each("row", "latent", value=codes), "x": _each("row", "column", value=completed)},
        "posterior_predictive": _predicted(replicated, None if head is None else estimator._target_as_given(head)),
        "log_likelihood": {name: _each("row", value=value) for name, value in likelihood.items()},
        "sample_stats": {
            "log_weight": (("importance_draw", "row"), posterior.log_weights.numpy()),
            "ess": (("row",), posterior.ess),
            "pareto_k": (("row",), posterior.pareto_k),
            "reliable": (("row",), posterior.reliable),
            "log_evidence": (("row",), posterior.log_evidence),
        },
        "prior": {"z": _each("row", "latent", value=new.codes)},
        "prior_predictive": _predicted(new, None if new.target is None else estimator._target_as_given(new.target)),
        "observed_data": {
            "x_obs": (("row", "column"), table),
            "s": (("row", "column"), seen.astype(np.int8)),
            **({} if y is None else {"y": (("row",), np.asarray(y))}),
        },
        "constant_data": {"observed": (("row", "column"), seen)},
    }
    attributes = {"inference_library": "pyro_mnar", "inference_library_version": __version__}
    data = az.InferenceData()
    data.add_groups({name: _dataset(group, coords, attributes) for name, group in groups.items()})
    return data


def _each(*dims: str, value: Tensor | npt.NDArray[Any]) -> Variable:
    """A variable with one value per draw; there is one chain."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
    return (*_DRAWS, *dims), array[None]


def _predicted(tables: Replicates, target: npt.NDArray[Any] | None) -> dict[str, Variable]:
    group = {
        "x": _each("row", "column", value=tables.values),
        # As integers: ArviZ draws no pictures of truth values.
        "s": _each("row", "column", value=tables.observed.astype(np.int8)),
        "x_obs": _each("row", "column", value=np.where(tables.observed, tables.values, np.nan)),
    }
    if target is not None:
        group["y"] = _each("row", value=target)
    return group


def _dataset(group: dict[str, Variable], coords: dict[str, list[Any]], attributes: dict[str, str]) -> xr.Dataset:
    data = xr.Dataset(group, attrs=attributes)
    known = {str(name): coords.get(str(name), list(range(size))) for name, size in data.sizes.items()}
    return data.assign_coords(known)


def _row_names(X: npt.ArrayLike, n: int) -> list[Any]:
    """The index of a DataFrame if it is plain numbers or text, which every file format holds; else 0 .. n-1."""
    if isinstance(X, pd.DataFrame) and X.index.nlevels == 1:
        names = X.index.tolist()
        if all(isinstance(name, str) for name in names) or all(isinstance(name, int) for name in names):
            return names
    return list(range(n))
