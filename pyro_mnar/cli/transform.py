"""``pyro-mnar transform``: a saved model and a table in, the completed table out."""

from collections.abc import Mapping

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.large import complete, of_text, opened, read_in_blocks
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
    Thousands,
    separator,
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
    from pyro_mnar.data.atomic import check_destination, replacing
    from pyro_mnar.data.notation import checked_notation

    sep = separator(sep)
    check_destination(out, overwrite=force, inputs=[data, model])
    large = read_in_blocks(data, out)
    if not large:
        table = read_table(data, sep, na_values or (), checked_notation(decimal, thousands))

    from pyro_mnar.estimators import MNARImputer
    from pyro_mnar.model.mechanisms import by_name
    from pyro_mnar.model.per_column import declared_limits
    from pyro_mnar.persistence import load
    from pyro_mnar.studies.environment import available_cores, limit_threads

    limit_threads(available_cores())
    imputer = load(model)
    if not isinstance(imputer, MNARImputer):
        raise InvalidInputError(f"{model} holds a {type(imputer).__name__}; transform needs an MNARImputer")
    if not hasattr(imputer, "feature_names_in_"):
        raise InvalidInputError(f"{model} was fitted to a table without column names; use it from Python")
    imputer.set_params(strategy=str(strategy), add_indicator=False)
    if n_draws is not None:
        imputer.set_params(n_draws_posterior=n_draws)
    if large:
        with opened(data, of_text(na_values, sep, decimal, thousands)) as source:
            complete(imputer, source, out, force, jobs)
        say(f"Completed: {out}")
        return
    names = list(imputer.feature_names_in_)
    missing = [name for name in names if name not in table.names]
    if missing:
        raise InvalidInputError(f"{data} has no column {missing[0]!r}; the model has the columns {names}")
    text = [column.name for column in imputer._schema.columns if column.holds == "label"]
    limits = declared_limits(by_name(imputer.mechanism))
    table = table.with_limits(list(limits) if isinstance(limits, Mapping) else ())
    rows = table.frame([name for name in table.names if name not in names], text)[names]
    completed = imputer.transform(rows)
    with replacing(out) as temporary:
        temporary.write_text(table.filled(completed, sep), encoding="utf-8", newline="")
    say(f"{table.completed_cells(completed)[0]} cells imputed: {out}")
