"""Tables to try the package on: a simulated survey, and holes made on purpose in any table."""

from pyro_mnar.datasets.survey import make_survey

__all__ = ["make_survey"]
