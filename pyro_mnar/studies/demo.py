"""The main job: imputers side by side on a real table, half of whose columns lose every value above their mean.

Breast cancer (569 rows, 30 features, shipped with scikit-learn) with the protocol of Ipsen, Mattei & Frellsen 2021,
arXiv:2006.12871, section 4.2: the first half of the features lose every value above the feature's mean. The true values
are used for nothing but the last column of the table.
"""

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pyro_mnar.analysis.metrics import imputation_rmse
from pyro_mnar.data.atomic import check_destination
from pyro_mnar.datasets.amputation import self_mask
from pyro_mnar.errors import MNARWarning, StudyError
from pyro_mnar.studies.environment import available_cores
from pyro_mnar.studies.records import versions, write_files
from pyro_mnar.studies.runner import in_processes

MEAN, KNN, MICE, MIWAE = "mean", "KNN", "MICE", "MIWAE"
KNOWN, UNKNOWN = "not-MIWAE, direction known", "not-MIWAE, direction unknown"
METHODS = (MEAN, KNN, MICE, MIWAE, UNKNOWN, KNOWN)
DEEP = (MIWAE, UNKNOWN, KNOWN)
FILES = ("summary.csv", "mechanism.csv", "settings.json", "distributions.png")
#: Shown in the figure: a size, a texture, and two shapes.
SHOWN = ("mean radius", "mean texture", "mean smoothness", "mean concavity")


@dataclass(frozen=True)
class DemoSettings:
    """What the demo runs.

    ``random_state`` is of every method; ``max_iter`` are passes of the deep models (None: the package's default);
    ``workers`` is how many methods run side by side (None: two, or one on a single core; more would take over 2 GB).
    """

    random_state: int = 0
    max_iter: int | None = None
    workers: int | None = None


class Outcome(NamedTuple):
    """What one method gave: a completed table and the mechanism that was learned, in original units, and its warnings.

    ``seconds`` are processor time for fitting and imputing on one thread: what it takes when the core has nothing else
    to do.
    """

    method: str
    completed: pd.DataFrame
    seconds: float
    mechanism: pd.DataFrame | None
    warnings: list[str]


class DemoResult(NamedTuple):
    """The demo's tables: ``summary`` (one row per method) and ``mechanism`` (one row per model and holed feature)."""

    summary: pd.DataFrame
    mechanism: pd.DataFrame


def prepare_folder(folder: Path) -> None:
    """Make the folder, and find out before anything long is done whether the results can be written there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        check_destination(folder / name, overwrite=True)


def complete_table() -> pd.DataFrame:
    """The table without holes, original units, shape (569, 30)."""
    from sklearn.datasets import load_breast_cancer

    table: pd.DataFrame = load_breast_cancer(as_frame=True).data
    return table


def run(settings: DemoSettings, folder: Path, finished: Callable[[Outcome], None] = lambda outcome: None) -> DemoResult:
    """Run every method, and write ``summary.csv``, ``mechanism.csv``, ``settings.json`` and ``distributions.png``.

    ``finished`` is called with each method's outcome as it comes. Raises OSError if the folder, which is made if need
    be, cannot be written.
    """
    prepare_folder(folder)
    started = time.perf_counter()
    table = complete_table()
    holed = self_mask(table, columns="first-half")
    observed = holed.notna().to_numpy()
    outcomes = {}
    for outcome in _side_by_side(holed, settings):
        finished(outcome)
        outcomes[outcome.method] = outcome
    scale = table.std(ddof=0).to_numpy()
    rmse = {name: imputation_rmse(table, outcomes[name].completed, observed, scale=scale) for name in METHODS}
    summary = pd.DataFrame(
        {
            "method": list(METHODS),
            "rmse": [rmse[name] for name in METHODS],
            "seconds": [outcomes[name].seconds for name in METHODS],
        }
    )
    mechanism = mechanism_beside_truth(outcomes, table)
    write_files(folder, {"summary.csv": summary}, "%.4f")
    write_files(folder, {"mechanism.csv": mechanism}, "%.6g")
    write_files(folder, {"distributions.png": partial(draw_distributions, table, holed, outcomes)})
    record = _record(settings, time.perf_counter() - started)
    write_files(folder, {"settings.json": json.dumps(record, indent=2) + "\n"})
    return DemoResult(summary, mechanism)


def impute_with(method: str, holed: pd.DataFrame, settings: DemoSettings) -> Outcome:
    """Complete the table by one method, with the settings that anyone would start from."""
    started = time.process_time()
    mechanism = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if method in DEEP:
            imputer = _deep_imputer(method, settings).fit(holed)
            completed = imputer.transform(holed)
            mechanism = None if method == MIWAE else imputer.mechanism_report()
        else:
            completed = _completed_classically(method, holed, settings)
    told = sorted({str(w.message) for w in caught if issubclass(w.category, MNARWarning)})
    return Outcome(method, completed, time.process_time() - started, mechanism, told)


def mechanism_beside_truth(outcomes: dict[str, Outcome], table: pd.DataFrame) -> pd.DataFrame:
    """The learned mechanisms of the holed features, with the cut that made the holes."""
    parts = []
    for name in (KNOWN, UNKNOWN):
        found = outcomes[name].mechanism
        assert found is not None
        found = found[found["missing_rate"] > 0]
        cut = table[list(found["feature"])].mean().to_numpy()
        parts.append(found.assign(model=name, true_threshold=cut, true_direction="high"))
    together = pd.concat(parts, ignore_index=True)
    return together[["model", *(name for name in together if name != "model")]]


def draw_distributions(table: pd.DataFrame, holed: pd.DataFrame, outcomes: dict[str, Outcome], file: Path) -> None:
    """Histograms of the missing values of four features: true, by MIWAE, and by not-MIWAE with known direction."""
    from matplotlib.figure import Figure

    from pyro_mnar.analysis.plots import parts

    # A figure of its own, not pyplot's: no global state, and no display needed.
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(SHOWN)), SHOWN, strict=True):
        lost = holed[name].isna()
        bins = np.linspace(table[name].min(), table[name].quantile(0.995), 40)
        axes.hist(table.loc[~lost, name], bins, color=parts.OBSERVED, label="observed")
        axes.hist(table.loc[lost, name], bins, color=parts.TRUE, label="missing: true values")
        for method, colour in ((MIWAE, parts.MIWAE), (KNOWN, parts.NOT_MIWAE)):
            label = f"imputed by {method.partition(',')[0]}"
            axes.hist(
                outcomes[method].completed.loc[lost, name], bins, histtype="step", lw=1.8, color=colour, label=label
            )
        axes.axvline(table[name].mean(), color="k", ls=":", lw=1)
        axes.set_xlabel(name)
    figure.axes[0].set_ylabel("rows")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(file, dpi=110)


def _deep_imputer(method: str, settings: DemoSettings) -> Any:
    from pyro_mnar.estimators import MNARImputer
    from pyro_mnar.model.mechanisms import Ignorable, SelfMasking

    mechanism = {MIWAE: Ignorable(), UNKNOWN: SelfMasking()}.get(method, SelfMasking(direction="high"))
    imputer = MNARImputer(mechanism, random_state=settings.random_state)
    return imputer if settings.max_iter is None else imputer.set_params(max_iter=settings.max_iter)


def _completed_classically(method: str, holed: pd.DataFrame, settings: DemoSettings) -> pd.DataFrame:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer known
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
    from sklearn.preprocessing import StandardScaler

    imputer = {
        MEAN: SimpleImputer(),
        KNN: KNNImputer(),
        MICE: IterativeImputer(random_state=settings.random_state),
    }[method]
    # Distances and penalties need one scale for all columns; the observed cells give it.
    scaler = StandardScaler().fit(holed)
    # MICE stops at its default of 10 rounds and warns; that is what people use, and 30 rounds change the error by 0.03.
    filled = imputer.fit_transform(scaler.transform(holed))
    return pd.DataFrame(scaler.inverse_transform(filled), index=holed.index, columns=holed.columns)


def _side_by_side(holed: pd.DataFrame, settings: DemoSettings) -> Iterator[Outcome]:
    """The methods' outcomes as they come, the slow ones begun first."""
    tasks = [(method, holed, settings) for method in reversed(METHODS)]
    try:
        for _, future in in_processes(impute_with, tasks, settings.workers or min(2, available_cores())):
            yield future.result()
    except BrokenProcessPool as error:
        raise StudyError("a process of the demo died (out of memory, or killed); try --workers 1") from error


def _record(settings: DemoSettings, seconds: float) -> dict[str, Any]:
    from pyro_mnar.estimators.settings import flat_parameters

    parameters = flat_parameters(_deep_imputer(KNOWN, settings))
    return {
        "data": "breast cancer (scikit-learn), 569 x 30",
        "missing": "the first 15 features lose every value above their mean",
        "demo": asdict(settings),
        "estimator": {name: _plain(value) for name, value in parameters.items() if name != "mechanism"},
        "versions": versions(),
        "cores": available_cores(),
        "seconds": round(seconds, 1),
    }


def _plain(value: object) -> object:
    """A constructor's parameter as JSON has it."""
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and math.isnan(value):
        return "NaN"  # JSON has no such number
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__
