"""Whoever forces self-masking on a table that is missing for other reasons is told so."""

import warnings

import numpy as np
import pandas as pd
import pytest

from pyro_mnar import MNARImputer, ppc
from pyro_mnar.studies.field.masks import lose
from tests.support.copulas import copula_table
from tests.support.validation import record

MASKS = ("mcar", "mar", "muzellec", "both-tails", "soft-mixed")
#: RMSE over that of the ignorable model from which forcing did harm.
HARM = 1.1


def forced(seed: int, mask: str) -> tuple[float, bool]:
    """RMSE of forced self-masking over that of the ignorable model, and whether a check or a warning speaks."""
    complete = copula_table(seed)
    cells = lose(complete.to_numpy(), "copula", mask, seed).cells
    table = complete.mask(cells)

    def completed(mechanism: str) -> tuple[MNARImputer, pd.DataFrame]:
        imputer = MNARImputer(mechanism, random_state=0).fit(table)
        return imputer, imputer.transform(table)

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        imputer, ours = completed("self-masking")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, ignorable = completed("ignorable")
        flagged = bool(ppc.check(imputer, table, n_tables=200)["flagged"].any())
    errors = [((part - complete) / complete.std()).to_numpy()[cells] for part in (ours, ignorable)]
    ratio = float(np.sqrt(np.mean(errors[0] ** 2) / np.mean(errors[1] ** 2)))
    return ratio, flagged or bool(said)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_harm_of_a_forced_mechanism_is_said() -> None:
    found = [forced(seed, mask) for seed in range(3) for mask in MASKS]
    harmful = [told for ratio, told in found if ratio > HARM]
    figure = (
        f"{sum(harmful)} of {len(harmful)} harmful fits of {len(found)}; largest ratio {max(r for r, _ in found):.2f}"
    )
    record("forced self-masking: ppc.check or a warning speaks where it does harm", figure, "all", all(harmful))
    assert len(harmful) >= 3 and all(harmful)
