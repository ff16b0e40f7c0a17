"""A fitted model's answers about a table for ArviZ, with named rows and columns."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from pyro_mnar import __version__
from pyro_mnar.data.arguments import column_of, seed_of, whole_number
from pyro_mnar.data.columns import FloatArray, log_density_factor, original
from pyro_mnar.estimators.arviz_library import grouped
from pyro_mnar.estimators.fitted import Fitted
from pyro_mnar.estimators.mask_at_random import mask_log_score, probability_from_other_rows
from pyro_mnar.estimators.replicates import Replicates, simulate
from pyro_mnar.inference.posterior import Posterior
from pyro_mnar.inference.posterior.draws import code_carries_weight, draw_missing
from pyro_mnar.inference.resampling import resample
from pyro_mnar.model.likelihoods import LimitEvidence

#: Draws are independent, so they can be dealt to as many chains; ArviZ's diagnostics ask for four.
_CHAINS = 4
Variable = tuple[tuple[str, ...], Any]


def to_inference_data(
    estimator: Fitted,
    X: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    *,
    n_samples: int = 200,
    random_state: int = 0,
) -> Any:
    r"""What a fitted model says about the rows of ``X``, for ArviZ: ``to_inference_data`` of the estimators.

    Dimensions: chain, draw, row (the index of a DataFrame), column (names) and latent. Draws are chosen independently,
    and so dealt to four chains of equal length (fewer if ``n_samples`` is no multiple of 4). Values of x are in
    original units; log probabilities in nats, densities of x in original units.

    - posterior: z, and the completed table x, given x_obs and s; draws resampled by weight, so that they count equally.
    - posterior_predictive, for the same rows, from those z: a new complete x, its mask s (1 = observed), and x_obs, the
      part of x that s shows (NaN elsewhere); with a head also y given the completed x of ``posterior``.
    - log_likelihood: x_obs_and_s, log p(x_obs, s) of each row, x_mis and z integrated out by the importance weights.
      Its draws differ by the Monte Carlo error of that integral alone, of variance 1/ESS - 1/K.
    - log_likelihood_parts: x_obs, log p(x_obs|z), and s, log p(s|x), for the z and x of ``posterior``.
    - sample_stats: log_weight (importance_draw, row); ess, pareto_k, reliable and log_evidence (row; of standardised
      values, as ``score_samples`` gives it).
    - prior: z. prior_predictive: x, s, x_obs (and y) of new rows, as many as ``X`` has.
    - observed_data: x_obs (NaN where missing), s, and y if given. constant_data: observed, the mask again.

    **Leaving a row out.** ``az.loo``, ``az.waic`` and ``az.compare`` read ``log_likelihood``. The code z belongs to its
    row, so the likelihood of a row that was left out is p(x_obs, s) with z integrated out, not p(x_obs, s|z). Trained
    parameters are held fixed: nothing is fitted anew without the row. On rows that were not used for fitting, elpd_loo
    is the expected log predictive density itself; on the training rows it is too high, as any training score. An
    ignorable model gives the mask the probability that a logistic regression on the complete columns does, as in
    :func:`pyro_mnar.analysis.comparison.compare`.

    ``az.summary(idata, var_names="x")`` describes the imputations; observed cells are constant and have no R-hat.
    ``az.plot_ppc(idata, var_names="x_obs", coords={"column": ["income"]})`` compares observed values after selection;
    in ArviZ 1.x it is ``az.plot_ppc_dist``.

    References
    ----------
    Vehtari, Gelman & Gabry 2017, Statistics and Computing 27 (leave-one-out).

    Examples
    --------
    >>> from pyro_mnar import MNARImputer
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> imputer = MNARImputer(decoder="linear", latent_dim=1, max_iter=3, n_draws_posterior=100, random_state=0).fit(X)
    >>> to_inference_data(imputer, X, n_samples=20).posterior["x"].shape
    (4, 5, 100, 2)
    """
    n_samples, random_state = whole_number("n_samples", n_samples), seed_of("random_state", random_state)
    table = estimator.table(X)
    target = None if y is None else column_of("y", y, len(table))
    observed = ~np.isnan(table)
    posterior = estimator.posterior(X)
    generator = torch.Generator().manual_seed(random_state)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_state)
        codes, rows, parts = _draws(posterior, n_samples, generator)
        head = None if posterior.joint.head is None else posterior.joint.head(rows).sample().cpu().numpy()
    units = log_density_factor(table, estimator.columns_)
    parts["x_obs"] += units
    likelihood = _evidence(posterior, n_samples, generator) + units
    if not posterior.joint.has_mask_term:
        likelihood += _mask_at_random(estimator, table)
    completed = np.where(observed, table, original(rows.cpu().numpy(), estimator.columns_))
    replicated = simulate(estimator, X, n_samples, codes, random_state)
    new = simulate(estimator, X, n_samples, "prior", random_state)
    groups: dict[str, dict[str, Variable]] = {
        "posterior": {"z": _each("row", "latent", value=codes.numpy()), "x": _each("row", "column", value=completed)},
        "posterior_predictive": _predicted(replicated, None if head is None else estimator._target_as_given(head)),
        "log_likelihood": {"x_obs_and_s": _each("row", value=likelihood)},
        "log_likelihood_parts": {name: _each("row", value=value) for name, value in parts.items()},
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
            "s": (("row", "column"), observed.astype(np.int8)),
            **({} if target is None else {"y": (("row",), target)}),
        },
        "constant_data": {"observed": (("row", "column"), observed)},
    }
    coords = {"row": _row_names(X, len(table)), "column": list(estimator.columns_.names)}
    attributes = {"inference_library": "pyro_mnar", "inference_library_version": __version__}
    return grouped({name: _dataset(group, coords, attributes) for name, group in groups.items()})


def _draws(
    posterior: Posterior, n_samples: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, dict[str, FloatArray]]:
    """Draws that count equally: codes (S, n, L), completed rows (S, n, p), standardised, and their log densities."""
    joint, batch = posterior.joint, posterior.batch
    if code_carries_weight(joint, batch):
        codes = posterior.codes(n_samples, generator)
        given = joint.rows_given_code(codes.to(batch.x))
        rows = draw_missing(joint, batch, codes.to(batch.x), given)
    else:
        codes = torch.empty(n_samples, batch.n_rows, joint.latent_dim, dtype=torch.float64)
        rows = batch.x.new_empty(n_samples, *batch.x.shape)
        for draws in posterior.draws():
            assert draws.x is not None
            chosen = resample(draws.log_weights, n_samples, generator=generator).unsqueeze(-1)
            codes[:, draws.rows.cpu()] = draws.z.gather(0, chosen.expand(-1, -1, codes.shape[-1])).cpu()
            rows[:, draws.rows] = draws.x.gather(0, chosen.expand(-1, -1, rows.shape[-1]))
        given = joint.rows_given_code(codes.to(batch.x))
    parts = {"x_obs": given.observed_part(batch.observed).log_prob(batch.x).cpu().numpy()}
    if batch.limits is not None and batch.censored is not None:
        parts["limits"] = LimitEvidence(given, batch.censored).log_prob(batch.limits).cpu().numpy()
    if joint.has_mask_term:
        mask = joint.mask_given_row(rows, codes.to(batch.x), batch, n_inner=1)
        parts["s"] = mask.log_prob(batch.observed).cpu().numpy()
    return codes, rows, parts


def _evidence(posterior: Posterior, n_samples: int, generator: torch.Generator) -> FloatArray:
    """Log p(x_obs, s) with its Monte Carlo error, shape (S, n), nats, of standardised values.

    Quantiles of a normal in random order: draws at random would have tails that now and then look heavy, and make
    ArviZ warn of rows of which nothing is wrong.
    """
    # The relative variance of a mean of K weights.
    error = np.sqrt(np.maximum(1 / posterior.ess - 1 / posterior.n_draws, 0))
    quantiles = torch.special.ndtri((torch.arange(n_samples, dtype=torch.float64) + 0.5) / n_samples)
    order = torch.rand(n_samples, posterior.n_rows, generator=generator).argsort(0)
    return np.asarray(posterior.log_evidence + error * quantiles[order].numpy())


def _mask_at_random(estimator: Fitted, table: FloatArray) -> FloatArray:
    """Log probability of each row's mask where the model has none of its own, shape (n,), nats."""
    active = estimator.joint_.active.cpu().numpy()
    chance = probability_from_other_rows(table, active, estimator.columns_.missing_rate)
    return np.asarray(mask_log_score(chance, table)[:, active].sum(1))


def _each(*dims: str, value: npt.NDArray[Any]) -> Variable:
    """A variable with one value per draw, dealt to the chains."""
    chains = math.gcd(len(value), _CHAINS)
    return ("chain", "draw", *dims), value.reshape(chains, -1, *value.shape[1:])


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
