"""Public data sets as DataFrames: verified originals, from a local folder or downloaded once into a cache."""

from pyro_mnar.datasets.survey import make_survey
from pyro_mnar.datasets.uci import Dataset, banknote, breast_cancer, concrete, covertype, load, wine_red, wine_white

__all__ = [
    "Dataset",
    "banknote",
    "breast_cancer",
    "concrete",
    "covertype",
    "load",
    "make_survey",
    "wine_red",
    "wine_white",
]
