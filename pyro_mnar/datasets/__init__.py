"""Tables to try the package on: simulated surveys, public tables, columns of known answers, holes on purpose."""

from pyro_mnar.datasets.household import make_household_survey
from pyro_mnar.datasets.mixed_survey import make_mixed_survey
from pyro_mnar.datasets.self_masked import SelfMasked, make_self_masked
from pyro_mnar.datasets.survey import make_survey
from pyro_mnar.datasets.tables import load_table

__all__ = ["SelfMasked", "load_table", "make_household_survey", "make_mixed_survey", "make_self_masked", "make_survey"]
