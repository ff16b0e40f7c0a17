"""What an assessment may spend."""

from typing import Any, Literal, NamedTuple, get_args

from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError

Budget = Literal["quick", "standard", "thorough"]


class Effort(NamedTuple):
    """What a budget buys.

    Attributes
    ----------
    n_draws : int
        Importance draws per row behind the imputations.
    n_tables : int
        Tables that are simulated to check the fit.
    n_imputations : int
        Completed tables behind the pooled answer.
    slopes : tuple of float
        How strongly the varied column hides its own values, logits per standard deviation; signs come with the
        direction.
    refits : int
        Fits to bootstrap samples for each of these slopes.
    refit : dict
        Settings of these fits.
    compared_fits : int
        Fits of each mechanism that are compared on rows that were held out; 0: none is.
    """

    n_draws: int
    n_tables: int
    n_imputations: int
    slopes: tuple[float, ...]
    refits: int
    refit: dict[str, Any]
    compared_fits: int


EFFORTS: dict[str, Effort] = {
    "quick": Effort(
        300, 100, 20, (0.0, 2.0, 4.0), 2, {"decoder": "linear", "max_iter": 25, "n_draws_posterior": 90}, 0
    ),
    "standard": Effort(1000, 300, 20, (0.0, 0.5, 1.0, 2.0, 4.0), 5, {"decoder": "linear", "n_draws_posterior": 200}, 2),
    "thorough": Effort(2000, 500, 50, (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 20, {"n_draws_posterior": 500}, 3),
}


def effort(budget: str) -> Effort:
    """What a budget buys.

    Raises
    ------
    InvalidInputError
        There is no such budget.

    Examples
    --------
    >>> effort("quick").n_tables
    100
    """
    if not isinstance(budget, str) or budget not in get_args(Budget):
        raise InvalidInputError(f"budget is {shown(budget)}; it must be one of {', '.join(get_args(Budget))}")
    return EFFORTS[budget]
