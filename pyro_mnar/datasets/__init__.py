"""Tables to try the package on: two simulated surveys, and holes made on purpose in any table."""

from pyro_mnar.datasets.mixed_survey import make_mixed_survey
from pyro_mnar.datasets.survey import make_survey

__all__ = ["make_mixed_survey", "make_survey"]
