"""Tables of columns with many shapes that depend on each other: what the sentences of a report are judged on."""

import numpy as np
import pandas as pd
from scipy import stats

_SHAPES = (
    stats.gamma(2.0),
    stats.lognorm(0.6, scale=np.exp(3.0)),
    stats.beta(2, 2, scale=100),
    stats.norm(10, 3),
    stats.t(5),
    stats.uniform(),
)


def copula_table(seed: int, n: int = 1000, p: int = 8) -> pd.DataFrame:
    """Three common factors and as much noise, each column bent into one of six shapes; complete.

    Parameters
    ----------
    seed : int
        Of everything.
    n, p : int
        Rows and columns.
    """
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 3)) @ rng.normal(size=(3, p)) + rng.normal(size=(n, p))
    u = stats.norm.cdf(z / z.std(0)).clip(1e-6, 1 - 1e-6)
    return pd.DataFrame({f"x{j}": _SHAPES[rng.integers(len(_SHAPES))].ppf(u[:, j]) for j in range(p)})
