"""A simulated household survey as people have them: text, counts, zeros, a percentage, and holes of three kinds."""

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import seed_of, whole_number

_REGIONS = np.array(["North", "East", "South", "West"])
#: Monthly incomes above it are not stated.
_UNSTATED = 3600.0


def make_household_survey(n: int = 800, random_state: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate a survey of households with columns of many kinds, of which one hides its own values.

    Incomes above 3,600 a month are not stated. Satisfaction is missing more often where people are old, rent in 18 %
    of the rows whatever they are, and three more columns in about 5 %.

    Parameters
    ----------
    n : int
        Households.
    random_state : int
        Seed.

    Returns
    -------
    survey : DataFrame
        Shape (n, 9), with holes: person (a name), region (text), age and education_years (whole), income and rent (a
        month), doctor_visits (a count), donations (a year; half of them 0), satisfaction_percent (0 to 100).
    complete : DataFrame
        The same without holes.

    Raises
    ------
    InvalidInputError
        ``n`` below 1 or above 100,000, or a seed that is no whole number from 0 on.

    Examples
    --------
    >>> survey, complete = make_household_survey(500)
    >>> int(complete["income"].mask(survey["income"].notna()).min()) > 3600
    True
    >>> survey.columns[survey.isna().any()].tolist()
    ['region', 'income', 'rent', 'doctor_visits', 'donations', 'satisfaction_percent']
    """
    n = whole_number("n", n, most=100_000)
    generator = np.random.default_rng(seed_of("random_state", random_state, or_none=True))

    def noise(size: float) -> np.ndarray:
        return size * generator.normal(size=n)

    standing, stage = generator.normal(size=(2, n))
    age = np.clip(np.rint(44 + 13 * (0.3 * standing + 0.9 * stage) + noise(4.0)), 18, 90)
    education = np.clip(np.rint(12 + 2.5 * (0.75 * standing - 0.3 * stage) + noise(1.5)), 6, 20)
    means = 0.8 * standing + 0.35 * stage + noise(0.45)
    utility = np.column_stack([0.8 * standing, 0 * standing, -0.8 * standing, 0.3 * stage])
    gives = generator.random(n) < 1 / (1 + np.exp(0.2 - 0.9 * means))
    satisfied = 100 / (1 + np.exp(-0.6 - 0.7 * standing + noise(0.6)))
    complete = pd.DataFrame(
        {
            "person": [f"P{i:05d}" for i in generator.permutation(100_000)[:n]],
            "region": _REGIONS[np.argmax(utility + generator.gumbel(size=(n, 4)), axis=1)],
            "age": age.astype(int),
            "education_years": education.astype(int),
            "income": np.round(np.exp(7.9 + 0.42 * means), -1),
            "rent": np.rint(np.exp(6.5 + 0.21 * means + noise(0.18))),
            "doctor_visits": generator.poisson(np.exp(0.7 + 0.35 * stage - 0.2 * standing)),
            "donations": np.where(gives, np.rint(np.exp(4 + 0.48 * means + noise(0.6))), 0.0),
            "satisfaction_percent": np.clip(np.rint(1.04 * satisfied), 0, 100),
        }
    )
    survey = complete.copy()
    survey["income"] = complete["income"].mask(complete["income"] > _UNSTATED)
    survey["satisfaction_percent"] = complete["satisfaction_percent"].mask(
        generator.random(n) < 1 / (1 + np.exp(6 - age / 10))
    )
    for name, share in {"rent": 0.18, "doctor_visits": 0.06, "donations": 0.05, "region": 0.04}.items():
        survey[name] = complete[name].mask(generator.random(n) < share)
    return survey, complete
