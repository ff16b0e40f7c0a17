"""A simulated survey whose incomes are missing because of what they are, with its truth: for examples and notebooks."""

import numpy as np
import pandas as pd

from pyro_mnar.data.arguments import seed_of, whole_number

_COLUMNS = ("income", "spending", "age", "education", "rooms")
_MEAN = np.array([3200.0, 2100.0, 46.0, 13.0, 4.0])
_SD = np.array([900.0, 500.0, 13.0, 2.5, 1.2])
#: Two factors, standing and stage of life, and what each column has of its own.
_LOADINGS = np.array([[0.80, 0.30], [0.75, 0.15], [0.10, 0.90], [0.75, -0.30], [0.55, 0.55]])
_SLOPE, _CUT = 3.0, 0.4


def make_survey(n: int = 1000, random_state: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulate a survey in which high incomes tend not to be stated.

    The columns are normal with two common factors. Income is missing with probability
    ``sigmoid(3 (u - 0.4))``, u being the standardised income (so half of the incomes of 3,560 are stated); a tenth
    of the spending cells is missing completely at random.

    Parameters
    ----------
    n : int
        Persons.
    random_state : int
        Seed.

    Returns
    -------
    survey : DataFrame
        Shape (n, 5), NaN = missing: income and spending (per month), age, education (years) and rooms.
    complete : DataFrame
        The same without holes.

    Raises
    ------
    InvalidInputError
        ``n`` below 1, or a seed that is no whole number from 0 on.

    Examples
    --------
    >>> survey, complete = make_survey(500)
    >>> survey.isna().mean().round(2).tolist()
    [0.35, 0.11, 0.0, 0.0, 0.0]
    """
    n = whole_number("n", n)
    generator = np.random.default_rng(seed_of("random_state", random_state, or_none=True))
    own = np.sqrt(1 - (_LOADINGS**2).sum(1))
    u = generator.normal(size=(n, 2)) @ _LOADINGS.T + own * generator.normal(size=(n, 5))
    complete = pd.DataFrame(_MEAN + _SD * u, columns=list(_COLUMNS))
    survey = complete.copy()
    unstated = generator.random(n) < 1 / (1 + np.exp(-_SLOPE * (u[:, 0] - _CUT)))
    survey["income"] = complete["income"].mask(unstated)
    survey["spending"] = complete["spending"].mask(generator.random(n) < 0.1)
    return survey, complete
