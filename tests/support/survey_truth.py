"""What the law by which the mixed survey is simulated says of two of its missing columns, by quadrature."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import expit, ndtr

_REGIONS = ("east", "north", "south", "west")
_EDUCATION = ("primary", "secondary", "college", "university")
_STANDING, _STAGE = (part.ravel() for part in np.meshgrid(*2 * [np.linspace(-4.2, 4.2, 61)], indexing="ij"))
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(12)


def true_means(survey: pd.DataFrame) -> pd.DataFrame:
    """E[children | what is observed] and the same of satisfaction, with the mask, shape (n, 2).

    Ages are whole years, so that the stage of life is known up to rounding.
    """
    return pd.DataFrame([_of_person(person) for _, person in survey.iterrows()], survey.index)


def _own(standing: float, stage: float) -> float:
    return float(np.sqrt(1 - standing**2 - stage**2))


def _of_person(person: pd.Series) -> dict[str, float]:
    seen, s, t = person.notna(), _STANDING, _STAGE
    old = (person["age"] - 46) / 15
    weight = np.exp(-0.5 * (s**2 + t**2 + ((old - 0.1 * s - 0.9 * t) / _own(0.1, 0.9)) ** 2))
    children = np.exp(0.2 + 0.7 * min(old, 1.0) - 0.2 * s)
    satisfied = _levels(0.7 * s + 0.25 * t, _own(0.7, 0.25), [-1.2, -0.4, 0.4, 1.1])
    buys, income = ndtr((0.7 * s - 0.1 * t + 0.5) / _own(0.7, 0.1)), 0.8 * s + 0.3 * t
    if seen["sex"]:
        weight *= ndtr((1 if person["sex"] == "male" else -1) * 0.5 * s / _own(0.5, 0.0))
    if seen["region"]:
        lean = np.exp(np.stack([1.6 * s, -1.6 * s, np.full_like(s, 1.6 * old), 0 * s]))
        weight *= lean[_REGIONS.index(person["region"])] / lean.sum(0)
    if seen["education"]:
        levels = _levels(0.8 * s - 0.3 * t, _own(0.8, 0.3), [-0.8, 0.2, 1.0])
        weight *= levels[_EDUCATION.index(person["education"])]
    if seen["children"]:
        weight *= children ** float(person["children"]) * np.exp(-children)
    if seen["satisfaction"]:
        weight *= satisfied[int(person["satisfaction"]) - 1]
    if seen["spend"] and person["spend"] > 0:
        weight *= buys * np.exp(-0.5 * (((np.log(person["spend"]) - 4.5) / 0.6 - 0.8 * s) / 0.6) ** 2)
    elif seen["spend"]:
        weight *= 1 - buys
    if seen["income"]:
        weight *= np.exp(-0.5 * (((np.log(person["income"]) - 8) / 0.5 - income) / _own(0.8, 0.3)) ** 2)
    else:
        u = income[:, None] + _own(0.8, 0.3) * _NODES
        weight *= expit(3.0 * (u - 0.4)) @ _WEIGHTS
    weight /= weight.sum()
    return {"children": float(weight @ children), "satisfaction": float(np.arange(1, 6) @ satisfied @ weight)}


def _levels(mean: np.ndarray, own: float, cuts: list[float]) -> np.ndarray:
    """Probability of each level, shape (levels, points)."""
    below = np.stack([np.zeros_like(mean), *(ndtr((cut - mean) / own) for cut in cuts), np.ones_like(mean)])
    return np.diff(below, axis=0)
