"""The parts of an assessment."""

from dataclasses import dataclass

import pandas as pd

from pyro_mnar.analysis.assess.answers import Answers
from pyro_mnar.analysis.assess.conclusion import Conclusion
from pyro_mnar.analysis.assess.summary import Summary
from pyro_mnar.estimators import MNARImputer


@dataclass(frozen=True, repr=False)
class Findings(Answers):
    """What an assessment holds; see :class:`~pyro_mnar.analysis.assess.assessment.Assessment`."""

    title: str
    budget: str
    random_state: int
    X: pd.DataFrame
    profile: pd.DataFrame
    patterns: pd.DataFrame
    masks: pd.DataFrame
    evidence: pd.DataFrame
    comparison: pd.DataFrame
    checks: pd.DataFrame
    conclusion: Conclusion | None
    summary: Summary
    imputer: MNARImputer
    notes: tuple[str, ...]
    seconds: float
