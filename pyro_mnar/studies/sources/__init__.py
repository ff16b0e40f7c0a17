"""Public data sets as DataFrames: verified originals, from a local folder or downloaded once into a cache."""

from pyro_mnar.studies.sources.uci import (
    Dataset,
    banknote,
    breast_cancer,
    concrete,
    covertype,
    load,
    wine_red,
    wine_white,
)

__all__ = [
    "Dataset",
    "banknote",
    "breast_cancer",
    "concrete",
    "covertype",
    "load",
    "wine_red",
    "wine_white",
]
