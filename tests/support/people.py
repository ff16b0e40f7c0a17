"""A table of a new user, with related columns of many kinds."""

from __future__ import annotations

import numpy as np
import pandas as pd

CITIES = ["Lima", "Oslo", "Rome"]


def people(n: int = 600, seed: int = 0) -> pd.DataFrame:
    """A complete table of a new user: related columns of many kinds."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=n)

    def noisy(share: float = 0.6) -> np.ndarray:
        return np.sqrt(1 - share**2) * z + share * generator.normal(size=n)

    answers = np.clip(np.rint(3 + 1.2 * noisy()), 1, 5).astype(int)
    return pd.DataFrame(
        {
            "percent": 100 / (1 + np.exp(-1 - 2 * noisy())),
            "spend": np.where(noisy() < 0.25, 0.0, np.exp(3 + noisy())),
            "satisfaction": answers,
            "share": 0.02 * np.exp(0.8 * noisy()),
            "constant": 7,
            "code": np.where(noisy() > 0, 2, 1),
            "children": generator.poisson(np.exp(0.5 * z)),
            "income": np.exp(10 + 0.6 * noisy()),
            "city": np.array(CITIES)[np.clip(np.rint(1 + noisy()), 0, 2).astype(int)],
            "education": pd.Categorical.from_codes(
                np.clip(np.rint(1 + noisy()), 0, 2).astype(int), ["low", "middle", "high"], ordered=True
            ),
            "member": noisy() > 0.3,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.rint(500 + 100 * noisy()), "D"),
        }
    )


def holed(complete: pd.DataFrame, share: float = 0.2, seed: int = 1) -> pd.DataFrame:
    """The table with cells missing completely at random, in types that know missing cells."""
    lost = np.random.default_rng(seed).random(complete.shape) < share
    nullable = {"satisfaction": "Int64", "constant": "Int64", "code": "Int64", "children": "Int64", "member": "boolean"}
    return complete.astype(nullable).mask(lost)
