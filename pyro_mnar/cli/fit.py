"""``pyro-mnar fit``: a table in, a saved model out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.impute import build_mechanism, new_imputer, start
from pyro_mnar.cli.large import of_text, opened, read_in_blocks
from pyro_mnar.cli.options import (
    Data,
    Decimal,
    Directions,
    Excluded,
    Kinds,
    MechanismName,
    MissingSigns,
    Passes,
    RandomState,
    Separator,
    Thousands,
    WhyMissing,
    WithLimits,
    separator,
)
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

    from pyro_mnar.data.kinds.declared import Kind
    from pyro_mnar.data.sources import Source


def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the model: a manifest and its weights.")],
    mechanism: WhyMissing = MechanismName.AUTO,
    direction: Directions = None,
    exclude: Excluded = None,
    types: Kinds = None,
    censored: WithLimits = None,
    random_state: RandomState = 0,
    max_iter: Passes = None,
    na_values: MissingSigns = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    thousands: Thousands = "",
    checkpoint_dir: Annotated[
        Path | None, typer.Option(help="Folder for the state of training: after a kill the same command goes on.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a model that exists.")] = False,
) -> None:
    """Fit a model of the values and of why they are missing, and save it for 'transform' and 'report'."""
    from pyro_mnar.cli.tables import read_table, read_types, text_columns
    from pyro_mnar.data.atomic import same_place
    from pyro_mnar.data.notation import checked_notation

    if same_place(data, out) or (checkpoint_dir is not None and same_place(out, checkpoint_dir)):
        raise InvalidInputError(f"--out is {out}, which is the data or --checkpoint-dir too; give it a path of its own")

    def fitted_and_saved(rows: "pd.DataFrame | Source", n_rows: int, types: "dict[str, Kind]") -> None:
        import pandas as pd

        from pyro_mnar.cli.show import print_mechanism, say_notes
        from pyro_mnar.estimators import TrainingSettings
        from pyro_mnar.persistence import check_place, save

        chosen = build_mechanism(mechanism, direction or (), list(rows.columns), censored or ())
        check_place(out, overwrite=force)
        started = start()
        imputer = new_imputer(chosen, types, random_state, max_iter=max_iter)
        imputer.set_params(training=TrainingSettings(checkpoint_dir=checkpoint_dir)).fit(rows)
        imputer.set_params(verbose=False, training=None)
        save(imputer, out, overwrite=force)
        if isinstance(rows, pd.DataFrame):
            say_notes(imputer, rows)
        print_mechanism(imputer.mechanism_report())
        say(f"Fitted to {n_rows} rows in {time.perf_counter() - started:.0f} s and saved: {out}")

    if read_in_blocks(data):
        texts = of_text(na_values, sep, decimal, thousands)
        with opened(data, texts, exclude or (), censored or ()) as source:
            fitted_and_saved(source, source.count(), read_types(types or (), source.columns))
        return
    notation = checked_notation(decimal, thousands)
    table = read_table(data, separator(sep), na_values or (), notation).with_limits(censored or ())
    declared = read_types(types or (), table.names)
    rows = table.frame(exclude or (), text_columns(declared))
    if rows.shape[1] == 0:
        raise InvalidInputError("--exclude leaves no column to model; exclude fewer columns")
    fitted_and_saved(rows, len(rows), declared)
