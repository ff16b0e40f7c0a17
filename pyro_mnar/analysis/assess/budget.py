"""What an assessment may spend."""

from typing import Any, Literal, NamedTuple, get_args

from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError
from pyro_mnar.inference.posterior.refine import Refinement

Budget = Literal["quick", "standard", "thorough"]


class Effort(NamedTuple):
    """What a budget buys."""

    #: Importance draws per row behind the imputations.
    n_draws: int
    #: Tables that are simulated to check the fit.
    n_tables: int
    #: Completed tables behind the pooled answer.
    n_imputations: int
    #: How strongly the varied column hides its own values, logits per standard deviation; the direction gives signs.
    slopes: tuple[float, ...]
    #: Fits to bootstrap samples for each of these slopes, and their settings.
    refits: int
    refit: dict[str, Any]
    #: Fits of each mechanism that are compared on rows that were held out; 0: none is.
    compared_fits: int
    #: Rows on which a fit is checked and mechanisms are compared.
    most_rows: int = 5000
    #: Rows with uneven weights that are given a proposal of their own, and what is spent on each of them.
    most_refined: int = 5000
    refinement: Refinement = Refinement()


EFFORTS: dict[str, Effort] = {
    "quick": Effort(
        n_draws=300,
        n_tables=100,
        n_imputations=20,
        slopes=(0.0, 2.0, 4.0),
        refits=2,
        refit={"decoder": "linear", "max_iter": 25, "n_draws_posterior": 90},
        compared_fits=0,
        most_rows=2000,
        most_refined=1500,
        refinement=Refinement(steps=40, rounds=(300, 300), n_draws=1000, n_inner=8),
    ),
    "standard": Effort(1000, 300, 20, (0.0, 0.5, 1.0, 2.0, 4.0), 5, {"decoder": "linear", "n_draws_posterior": 200}, 2),
    "thorough": Effort(
        2000, 500, 50, (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), 20, {"n_draws_posterior": 500}, 3, most_refined=10**9
    ),
}


def effort(budget: str) -> Effort:
    """What a budget buys; InvalidInputError where there is no such budget."""
    if not isinstance(budget, str) or budget not in get_args(Budget):
        raise InvalidInputError(f"budget is {shown(budget)}; it must be one of {', '.join(get_args(Budget))}")
    return EFFORTS[budget]
