"""``pyro-mnar transform``: a saved model and a table in, the completed table out."""

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.large import complete, opened, read_in_blocks
from pyro_mnar.cli.options import (
    CompletedTable,
    Data,
    Decimal,
    Draws,
    Force,
    HowImputed,
    Jobs,
    MissingSigns,
    SavedModel,
    Separator,
    Strategy,
    TextOptions,
    Thousands,
)
from pyro_mnar.errors import InvalidInputError


def transform(
    model: SavedModel,
    data: Data,
    out: CompletedTable,
    strategy: HowImputed = Strategy.MEAN,
    n_draws: Draws = None,
    na_values: MissingSigns = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    thousands: Thousands = "",
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Complete a table with a model that was fitted before: the same columns, other rows.

    Columns that the model does not have are copied; observed cells come back as they are, in a CSV file character for
    character. Parquet and Arrow files are completed block by block, and the same command goes on where it was killed.
    """
    from pyro_mnar.cli.tables import read_table
    from pyro_mnar.data.atomic import check_destination

    check_destination(out, overwrite=force, inputs=[data, model])
    large, text = read_in_blocks(data, out), TextOptions(na_values, sep, decimal, thousands)
    if not large:
        table = read_table(data, text)

    from pyro_mnar.cli.saved import loaded, rows_for
    from pyro_mnar.estimators import MNARImputer
    from pyro_mnar.estimators.supervised import SupervisedEstimator

    imputer = loaded(model)
    if not isinstance(imputer, MNARImputer):
        raise InvalidInputError(
            f"{model} holds a {type(imputer).__name__}; transform needs an MNARImputer"
            + (", and 'pyro-mnar predict' takes this one" if isinstance(imputer, SupervisedEstimator) else "")
        )
    imputer.set_params(strategy=str(strategy), add_indicator=False)
    if n_draws is not None:
        imputer.set_params(n_draws_posterior=n_draws)
    if large:
        with opened(data, text) as source:
            complete(imputer, source, out, force, jobs)
        say(f"Completed: {out}")
        return
    table, rows = rows_for(imputer, data, table)
    completed = imputer.transform(rows)
    table.write_filled(out, completed)
    say(f"{table.completed_cells(completed)[0]} cells imputed: {out}")
