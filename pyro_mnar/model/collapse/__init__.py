"""The mask term with x_mis integrated out: p(s | z, x_obs) and p(x_mis | z, s, x_obs) in closed form.

Exists for mechanisms in which each cell goes missing by its own value (``Mechanism.curve``); the integral then
factorises over features given z. It tightens the bound, removes a source of gradient noise, and the second
distribution gives exact imputations given z.
"""

from pyro_mnar.model.collapse.blocks import can_collapse, collapsed_mask, tilted_rows
from pyro_mnar.model.collapse.discrete import BernoulliMask, CategoricalMask
from pyro_mnar.model.collapse.gaussian import GaussianMask, TiltedGaussian

__all__ = [
    "BernoulliMask",
    "CategoricalMask",
    "GaussianMask",
    "TiltedGaussian",
    "can_collapse",
    "collapsed_mask",
    "tilted_rows",
]
