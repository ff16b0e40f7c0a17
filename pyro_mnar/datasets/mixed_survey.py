"""A simulated survey with every kind of column that surveys have, and its truth: for examples and notebooks."""

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import seed_of, whole_number
from pyro_mnar.data.columns import FloatArray

_REGIONS = ("east", "north", "south", "west")
_EDUCATION = ("primary", "secondary", "college", "university")
#: Steepness of the loss of high incomes, per standard deviation of the logarithm, and where half of them are lost.
_SLOPE, _CUT = 3.0, 0.4


def make_mixed_survey(n: int = 800, random_state: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate a survey of numbers, counts, levels and labels in which high incomes tend not to be stated.

    Two factors, standing and stage of life, run through all columns. Income, a log-normal, is missing with probability
    ``sigmoid(3 (u - 0.4))``, u being its standardised logarithm. Education is missing more often at old age
    (at random: age is complete). A tenth to a fifth of sex, region, children, satisfaction and spend is missing
    completely at random.

    Parameters
    ----------
    n : int
        Persons.
    random_state : int
        Seed.

    Returns
    -------
    survey : DataFrame
        Shape (n, 8), with missing cells: age (whole years), sex and region (text), education (an ordered categorical),
        children (a count), satisfaction (1 to 5), spend (per month, many zeros) and income (per month).
    complete : DataFrame
        The same without holes.

    Raises
    ------
    InvalidInputError
        ``n`` below 1, or a seed that is no whole number from 0 on.

    Examples
    --------
    >>> survey, complete = make_mixed_survey(500)
    >>> survey.isna().mean().round(2).to_dict()["age"], complete["satisfaction"].max().item()
    (0.0, 5)
    """
    n = whole_number("n", n)
    generator = np.random.default_rng(seed_of("random_state", random_state, or_none=True))
    standing, stage = generator.normal(size=(2, n))

    def mixed(of_standing: float, of_stage: float) -> FloatArray:
        own = np.sqrt(1 - of_standing**2 - of_stage**2)
        return np.asarray(of_standing * standing + of_stage * stage + own * generator.normal(size=n))

    old = mixed(0.1, 0.9)
    age = np.clip(np.rint(46 + 15 * old), 18, 90).astype(int)
    sex = np.where(mixed(0.5, 0.0) > 0, "male", "female")
    lean = np.column_stack([1.6 * standing, -1.6 * standing, 1.6 * old, np.zeros(n)])
    region = np.array(_REGIONS)[(lean + generator.gumbel(size=(n, 4))).argmax(1)]
    level = np.digitize(mixed(0.8, -0.3), [-0.8, 0.2, 1.0])
    children = generator.poisson(np.exp(0.2 + 0.7 * np.minimum(old, 1.0) - 0.2 * standing))
    satisfaction = 1 + np.digitize(mixed(0.7, 0.25), [-1.2, -0.4, 0.4, 1.1])
    buys = mixed(0.7, -0.1) > -0.5
    spend = np.where(buys, np.round(np.exp(4.5 + 0.6 * mixed(0.8, 0.0)), 2), 0.0)
    u = mixed(0.8, 0.3)
    complete = pd.DataFrame(
        {
            "age": age,
            "sex": sex,
            "region": region,
            "education": pd.Categorical(np.array(_EDUCATION)[level], categories=_EDUCATION, ordered=True),
            "children": children,
            "satisfaction": satisfaction,
            "spend": spend,
            "income": np.rint(np.exp(8.0 + 0.5 * u)),
        }
    )
    lost: dict[str, float | FloatArray] = {
        "sex": 0.1,
        "region": 0.15,
        "education": 1 / (1 + np.exp(-1.5 * (old - 0.9))),
        "children": 0.15,
        "satisfaction": 0.2,
        "spend": 0.2,
        "income": 1 / (1 + np.exp(-_SLOPE * (u - _CUT))),
    }
    survey = complete.astype({"children": "Int64", "satisfaction": "Int64"})
    for name, chance in lost.items():
        survey[name] = survey[name].mask(generator.random(n) < chance)
    return survey, complete
