"""The guided way: from a table to what it can and cannot say, in one call."""

from pyro_mnar.analysis.assess.assessment import Assessment
from pyro_mnar.analysis.assess.run import assess

__all__ = ["Assessment", "assess"]
