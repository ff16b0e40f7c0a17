"""The one place where ArviZ is imported, and where its two generations differ: 0.x with InferenceData, 1.x without."""

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from pyro_mnar.data.columns import FloatArray


def arviz() -> ModuleType:
    """ArviZ, imported on first use because that takes seconds.

    ArviZ 0.23 announces its successor once a day, and remembers the day in a file of the user's cache folder: on that
    one import, and not on the next, a user of this package would be told of a change that does not concern them.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing a major refactor", FutureWarning)
        import arviz as library
    return library


def is_modular(library: ModuleType) -> bool:
    """Whether this is ArviZ 1.x, which keeps groups in an ``xarray.DataTree``."""
    # By its number: the successor answers to the old names too, with a warning.
    return int(library.__version__.partition(".")[0]) >= 1


def grouped(groups: Mapping[str, xr.Dataset]) -> Any:
    """The groups as the installed ArviZ keeps them: ``arviz.InferenceData``, or ``xarray.DataTree`` from 1.0 on."""
    library = arviz()
    if is_modular(library):
        return xr.DataTree.from_dict(dict(groups))
    data = library.InferenceData()
    data.add_groups(dict(groups))
    return data


def elpd_of_rows(rows: FloatArray, pareto_k: FloatArray, n_samples: int, good_k: float, warning: bool) -> Any:
    """Log predictive densities of held-out rows, shape (n,), nats, in the form that ``az.compare`` takes.

    It goes by the name "loo", because that is the one that ``az.compare`` reads; p (the effective number of parameters,
    not defined for rows that were held out) is NaN. ``pareto_k`` is that of each row's ``n_samples`` importance
    weights, ``good_k`` its limit, and ``warning`` whether a row exceeds it.
    """
    library = arviz()
    n = len(rows)
    common = {
        "se": float(rows.std(ddof=1) * np.sqrt(n)) if n > 1 else np.nan,
        "n_samples": n_samples,
        "n_data_points": n,
        "warning": warning,
        "scale": "log",
        "good_k": good_k,
        "pareto_k": xr.DataArray(pareto_k, dims="row", name="pareto_k"),
    }
    if is_modular(library):
        each = xr.DataArray(rows, dims="row", name="elpd_i")
        return library.ELPDDataLOO(elpd=float(rows.sum()), p=np.nan, elpd_i=each, **common)
    from arviz.stats.stats_utils import ELPDData

    each = xr.DataArray(rows, dims="row", name="loo_i")
    values = {"elpd_loo": float(rows.sum()), "p_loo": np.nan, "loo_i": each, **common}
    return ELPDData(data=list(values.values()), index=list(values))
