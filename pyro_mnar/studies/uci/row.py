"""Run one row: mask the table, fit, impute, and compare with what was masked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import RandomForestRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from pyro_mnar.analysis.metrics import imputation_rmse, interval_coverage
from pyro_mnar.data.columns import ColumnInfo, FloatArray, original
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.estimators.settings import flat_parameters, with_training
from pyro_mnar.estimators.start.begin import Described
from pyro_mnar.estimators.start.plan import passes
from pyro_mnar.inference.importance import log_weights, paired_traces
from pyro_mnar.model.mechanisms import SelfMasking
from pyro_mnar.studies.sources import load
from pyro_mnar.studies.uci.design import BASELINES, POSTERIOR_DRAWS, UCIRow

BINS = 40
ROWS_AT_ONCE = 100


class Masked(NamedTuple):
    """A table before and after masking."""

    complete: FloatArray
    holed: pd.DataFrame
    observed: np.ndarray

    @property
    def sd(self) -> FloatArray:
        """Standard deviation of each complete column: the unit of the errors."""
        sd: FloatArray = self.complete.std(0)
        return sd

    def standardised(self) -> Masked:
        """The same with every column standardised by its COMPLETE values, as the published protocol has it."""
        mean = self.complete.mean(0)
        return Masked((self.complete - mean) / self.sd, (self.holed - mean) / self.sd, self.observed)


def masked_table(dataset: str, data_home: Path | None = None, rows: int | None = None) -> Masked:
    """The published protocol: the first half of the columns lose every value above their mean.

    Concrete's strength is a column like the others, as the published MICE figure shows it must have been.

    Examples
    --------
    >>> masked = masked_table("breast_cancer")
    >>> masked.complete.shape, round(float(1 - masked.observed.mean()), 3)
    ((569, 30), 0.199)
    """
    source = load(dataset, data_home)
    table = source.with_target() if dataset == "concrete" else source.data
    table = table.iloc[:rows].reset_index(drop=True)
    holed = self_mask(table, columns="first-half", threshold="mean")
    return Masked(table.to_numpy(), holed, holed.notna().to_numpy())


def run_row(spec: UCIRow, data_home: Path | None) -> Mapping[str, Any]:
    """Fit and judge; see :class:`~pyro_mnar.studies.study.Study`."""
    masked = masked_table(spec.dataset, data_home, spec.rows)
    if spec.method in BASELINES:
        return _errors(masked, _baseline(spec, masked))
    if spec.settings.get("start") == "unscaled":
        masked = masked.standardised()
    imputer = _imputer(spec, len(masked.complete))
    imputer.fit(masked.holed)
    # Plain draws, as ``transform`` takes them: refining every row would take several times as long as the fits.
    posterior = imputer.posterior(masked.holed, POSTERIOR_DRAWS, refine=False)
    if spec.settings.get("imputation") == "decoder-mean":
        imputed = decoder_means(imputer, masked.holed.to_numpy(), POSTERIOR_DRAWS, spec.seed)
    else:
        imputed = posterior.mean()
    lower, upper = posterior.quantile([0.05, 0.95])
    report = imputer.mechanism_report()[~np.asarray(masked.observed.all(0))]
    result = {
        **_errors(masked, imputed),
        "bound": float(posterior.log_evidence.mean()),
        "coverage90": interval_coverage(masked.complete, lower, upper, masked.observed),
        "reliable_share": float(np.mean(posterior.reliable)),
        "passes": imputer.n_iter_,
        "fit_seconds": imputer.history_.seconds[-1],
        "log_columns": [imputer.columns_.names[j] for j in imputer.columns_.logged],
        "parameters": {name: _json(value) for name, value in flat_parameters(imputer).items()},
    }
    if "direction" in report:
        result["slope_per_sd"] = _numbers(report["slope_per_sd"])
        result["threshold"] = _numbers(report["threshold"])
        result["direction"] = list(report["direction"])
    if spec.method == "default" and spec.seed == 0:
        result["histograms"] = _histograms(masked, imputed)
    return result


@torch.no_grad()
def decoder_means(imputer: MNARImputer, table: FloatArray, n_draws: int, seed: int = 0) -> FloatArray:
    """The table completed with the authors' average of E[x | z], which leaves out what s says of x_mis given z."""
    joint, batch = imputer.joint_, imputer.batch(table)
    means = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for start in range(0, batch.n_rows, ROWS_AT_ONCE):
            rows = batch.rows(slice(start, start + ROWS_AT_ONCE))
            model_trace, guide_trace = paired_traces(joint.model, joint.guide, rows, n_draws)
            share = log_weights(model_trace, guide_trace, (n_draws, rows.n_rows)).softmax(0)
            given = joint.rows_given_code(guide_trace.nodes["z"]["value"])
            means.append(torch.einsum("kr,krp->rp", share, given.mean))
    filled = original(torch.cat(means).cpu().numpy().astype(np.float64), imputer.columns_)
    return np.where(np.isnan(table), filled, table)


class UnscaledImputer(MNARImputer):
    """The imputer without its own scales and start, for columns standardised by their complete values."""

    def _describe(self, table: FloatArray, beside: ColumnInfo | None) -> Described:
        described = super()._describe(table, beside)
        zeros = np.zeros(table.shape[1])
        return Described(described.layout, described.columns._replace(center=zeros, scale=zeros + 1))


def _imputer(spec: UCIRow, n_rows: int) -> MNARImputer:
    settings = dict(spec.settings)
    steps, direction, link = (settings.pop(name, None) for name in ("steps", "direction", "link"))
    settings.pop("imputation", None)
    unscaled = settings.get("start") == "unscaled"
    if unscaled:
        settings["start"] = "neutral"
    imputer = (UnscaledImputer if unscaled else MNARImputer)(random_state=spec.seed, **with_training(settings))
    if direction is not None or link is not None:
        imputer.set_params(mechanism=SelfMasking(direction=direction, link=link or "probit"))
    if steps is not None:
        imputer.set_params(max_iter=passes(steps, n_rows, imputer.training_used.batch_size))
    return imputer


def _baseline(spec: UCIRow, masked: Masked) -> FloatArray:
    """On standardised columns, as distances and penalties need them."""
    forest = RandomForestRegressor(n_estimators=50, max_features="sqrt", min_samples_leaf=2, random_state=spec.seed)
    imputer = {
        "mean": SimpleImputer(),
        "knn": KNNImputer(),
        "mice": IterativeImputer(max_iter=50, random_state=spec.seed),
        "missforest": IterativeImputer(forest, max_iter=5, random_state=spec.seed),
    }[spec.method]
    table = (masked.holed.to_numpy() - masked.complete.mean(0)) / masked.sd
    imputed: FloatArray = imputer.fit_transform(table)
    return imputed * masked.sd + masked.complete.mean(0)


def _errors(masked: Masked, imputed: FloatArray) -> dict[str, Any]:
    features = {}
    for j, name in enumerate(masked.holed.columns):
        if not masked.observed[:, j].all():
            at = np.s_[:, j : j + 1]
            features[str(name)] = imputation_rmse(
                masked.complete[at], imputed[at], masked.observed[at], scale=masked.sd[j : j + 1]
            )
    rmse = imputation_rmse(masked.complete, imputed, masked.observed, scale=masked.sd)
    return {"rmse": rmse, "rmse_by_feature": features}


def _histograms(masked: Masked, imputed: FloatArray) -> dict[str, Any]:
    """Counts of observed, true and imputed values per masked column, in standard deviations from the cut."""
    found = {}
    cut = masked.complete.mean(0)
    for j, name in enumerate(masked.holed.columns):
        missing = ~masked.observed[:, j]
        if not missing.any():
            continue
        z = (masked.complete[:, j] - cut[j]) / masked.sd[j]
        values = (imputed[missing, j] - cut[j]) / masked.sd[j]
        edges = np.linspace(min(z.min(), values.min()), min(max(z.max(), values.max()), 6.0), BINS + 1)
        counts = {"observed": z[~missing], "true": z[missing], "imputed": values}
        found[str(name)] = {
            "edges": _numbers(edges),
            **{kind: np.histogram(v, edges)[0].tolist() for kind, v in counts.items()},
        }
    return found


def _numbers(values: Any) -> list[float | None]:
    return [round(float(v), 6) if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]


def _json(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
