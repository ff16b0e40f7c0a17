"""``pyro-mnar predict``: a saved model with a target and a table with holes in, predictions out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.options import (
    Decimal,
    Draws,
    Force,
    MissingSigns,
    SavedModel,
    Separator,
    TextOptions,
    Thousands,
)
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.estimators import MNARClassifier, MNARRegressor

#: Probability inside the interval of a predicted number, unless told.
COVERAGE = 0.9


def predict(
    model: SavedModel,
    data: Annotated[Path, typer.Argument(help="CSV file with the columns that the model was fitted to; with holes.")],
    out: Annotated[Path, typer.Option(help="Where to write the table with its predictions.")],
    coverage: Annotated[
        float | None,
        typer.Option(help=f"Probability inside the interval of a predicted number, {COVERAGE} by default."),
    ] = None,
    n_draws: Draws = None,
    na_values: MissingSigns = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    thousands: Thousands = "",
    force: Force = False,
) -> None:
    """Predict the target of a model that 'fit --target' made, from rows of which cells may be missing.

    The file comes back character for character with new columns at its end: 'predicted', and 'probability_LABEL' for
    each label, or 'low' and 'high', between which a number lies with the probability --coverage.
    """
    from pyro_mnar.cli.large import read_in_blocks
    from pyro_mnar.cli.tables import read_table
    from pyro_mnar.data.arguments import within_0_and_1
    from pyro_mnar.data.atomic import check_destination

    check_destination(out, overwrite=force, inputs=[data, model])
    if read_in_blocks(data, out):
        raise InvalidInputError(f"predict reads and writes CSV files, not {data} and {out}; use the model from Python")
    inside = None if coverage is None else within_0_and_1("--coverage", coverage)
    table = read_table(data, TextOptions(na_values, sep, decimal, thousands))

    from pyro_mnar.cli.saved import loaded, rows_for
    from pyro_mnar.estimators import MNARClassifier, MNARRegressor

    estimator = loaded(model)
    if not isinstance(estimator, MNARClassifier | MNARRegressor):
        raise InvalidInputError(
            f"{model} holds a {type(estimator).__name__}, which has no target; fit one with --target COLUMN"
        )
    if inside is not None and isinstance(estimator, MNARClassifier):
        raise InvalidInputError(f"--coverage is for a target of numbers; {model} predicts labels, with probabilities")
    if n_draws is not None:
        estimator.set_params(n_draws_posterior=n_draws)
    names = _names(estimator)
    taken = [name for name in names if name in table.names]
    if taken:
        raise InvalidInputError(f"{data} has a column {taken[0]!r}, as the predictions have; rename it")
    table, rows = rows_for(estimator, data, table)
    write = table.notation.write
    if isinstance(estimator, MNARClassifier):
        # Once, for labels and probabilities both.
        probability = estimator.predict_proba(rows)
        labels = estimator.classes_[probability.argmax(1)]
        cells = [[str(label), *map(write, row)] for label, row in zip(labels, probability.tolist(), strict=True)]
    else:
        means = estimator.predict(rows)
        bounds = estimator.predict_interval(rows, COVERAGE if inside is None else inside)
        cells = [[write(float(x)) for x in (mean, *pair)] for mean, pair in zip(means, bounds, strict=True)]
    table.write_beside(out, names, cells)
    say(f"Predicted for {len(rows)} rows: {out}")


def _names(estimator: "MNARClassifier | MNARRegressor") -> list[str]:
    """The columns that predictions have."""
    if hasattr(estimator, "classes_"):
        return ["predicted", *(f"probability_{label}" for label in estimator.classes_)]
    return ["predicted", "low", "high"]
