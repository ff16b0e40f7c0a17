"""Steps of a pass have one size: a rest of one row would make a step as long as the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from pyro_mnar import MNARImputer
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.inference.training import Run
from pyro_mnar.model.batch import Batch
from tests.support.estimators import table


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Rows of each step that is made."""
    made, step = list[int](), Run.one_step

    def noted(run: Run, batch: Batch) -> None:
        made.append(batch.n_rows)
        step(run, batch)

    monkeypatch.setattr(Run, "one_step", noted)
    yield made


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "expected"),
    [
        (129, 128, [65, 64]),
        (41, 10, [9, 8, 8, 8, 8]),
        (40, 10, [10] * 4),
        (7, 10, [7]),
        # Of one's own accord: a quarter of the rows, between 128 and 256.
        (100, None, [100]),
        (569, None, [143, 142, 142, 142]),
        (1030, None, [206] * 5),
    ],
)
def test_the_rows_of_each_step(n_rows: int, batch_size: int | None, expected: list[int], sizes: list[int]) -> None:
    settings = TrainingSettings(batch_size=batch_size)
    MNARImputer("ignorable", max_iter=1, training=settings, random_state=0).fit(table(n_rows))
    assert sorted(sizes, reverse=True) == expected


def test_a_row_beyond_a_multiple_of_the_batch_does_no_harm() -> None:
    """The model that 129 rows give predicts as well as that of 128, which has no rest."""
    rng = np.random.default_rng(0)
    complete = rng.normal(size=(129, 2)) @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(129, 6))
    lost = rng.random(complete.shape) < 0.3
    errors = []
    for n in (128, 129):
        settings = TrainingSettings(batch_size=64)
        holed = np.where(lost, np.nan, complete)[:n]
        done = MNARImputer("ignorable", training=settings, random_state=0, n_draws_posterior=200).fit_transform(holed)
        errors.append(float(np.sqrt(((done - complete[:n])[lost[:n]] ** 2).mean())))
    assert errors[1] < 1.05 * errors[0]
