"""Public data sets as DataFrames: verified originals, from a local folder or downloaded once into a cache."""

from pyro_mnar.studies.sources.uci import Dataset, load

__all__ = ["Dataset", "load"]
