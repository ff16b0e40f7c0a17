"""A normal cell under a self-masking mechanism: the mask integral in closed form, and what it leaves behind.

``x ~ N(m, v)`` goes missing with probability ``F(w (x - b))``. :func:`log_missing` and :func:`log_observed`
integrate ``x`` out; :class:`TiltedNormal` is the law of ``x`` given that the cell is missing.
"""

from pyro_mnar.tilted.distribution import TiltedNormal
from pyro_mnar.tilted.marginal import log_missing, log_observed

__all__ = ["TiltedNormal", "log_missing", "log_observed"]
