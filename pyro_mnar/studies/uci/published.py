"""Numbers of others, for orientation beside the study's own: RMSE in standard deviations, lower is better."""

from __future__ import annotations

from pyro_mnar.studies.uci.design import DATASETS

SOURCE = "Ipsen, Mattei & Frellsen 2021, arXiv:2006.12871, Table 1"
#: By the name of the method in this study, in the order of DATASETS.
_ROWS: dict[str, tuple[float, ...]] = {
    "mean": (1.73, 1.85, 1.83, 1.74, 1.82),
    "mice": (1.41, 1.70, 1.68, 1.41, 1.17),
    "missforest": (1.28, 1.76, 1.64, 1.63, 1.57),
    "miwae": (1.19, 1.66, 1.62, 1.55, 1.20),
    "agnostic": (0.80, 2.63, 1.30, 1.37, 1.10),
    "self-masking": (1.88, 1.26, 1.08, 1.04, 0.74),
    "self-masking-known": (0.74, 1.12, 1.07, 1.04, 0.76),
    "self-masking-known-ppca": (0.57, 1.31, 1.13, 0.99, 0.72),
    "official settings": (0.74, 1.12, 1.07, 1.04, 0.76),
}
PUBLISHED: dict[tuple[str, str], float] = {
    (dataset, method): value
    for method, values in _ROWS.items()
    for dataset, value in zip(DATASETS, values, strict=True)
}
BEST_PUBLISHED = dict(zip(DATASETS, (0.57, 1.12, 1.07, 0.99, 0.72), strict=True))
AIM = dict(zip(DATASETS, (0.45, 0.80, 0.95, 0.85, 0.64), strict=True))
#: A regressor that was shown the true values of the missing cells, 10-fold cross-validation; none for red wine.
FLOOR: dict[str, float | None] = dict(zip(DATASETS, (0.31, 0.18, None, 0.69, 0.61), strict=True))
