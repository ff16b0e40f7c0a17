"""Make missing values on purpose: completely at random, at random, and because of the values themselves."""

from pyro_mnar.datasets.amputation.mechanisms import mar, mcar, self_mask

__all__ = ["mar", "mcar", "self_mask"]
