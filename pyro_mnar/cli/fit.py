"""``pyro-mnar fit``: a table in, a saved model out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.impute import build_mechanism, new_imputer, start
from pyro_mnar.cli.large import opened, read_in_blocks
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
    Task,
    TextOptions,
    Thousands,
    WhyMissing,
    WithLimits,
)
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

    from pyro_mnar.cli.target import Target
    from pyro_mnar.data.kinds.declared import Kind
    from pyro_mnar.data.sources import Source
    from pyro_mnar.estimators.base import JointEstimator


def fit(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the model: a manifest and its weights.")],
    mechanism: WhyMissing = MechanismName.AUTO,
    direction: Directions = None,
    exclude: Excluded = None,
    types: Kinds = None,
    censored: WithLimits = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="A column that is to be predicted from the others: the model is then for 'predict'. Rows in which it "
            "is missing are left out. CSV files only.",
            metavar="COLUMN",
        ),
    ] = None,
    task: Annotated[
        Task | None,
        typer.Option(
            help="Whether the target is a label or a number; by default text, and what has two values at most, is "
            "taken for labels."
        ),
    ] = None,
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
    """Fit a model of the values and of why they are missing, and save it for 'transform' and 'report'.

    With --target the model also predicts that column, and is for 'predict' and 'report'.
    """
    from pyro_mnar.cli.tables import read_table, read_types, text_columns
    from pyro_mnar.cli.target import new_predictor, read_target
    from pyro_mnar.data.atomic import same_place

    if same_place(data, out) or (checkpoint_dir is not None and same_place(out, checkpoint_dir)):
        raise InvalidInputError(f"--out is {out}, which is the data or --checkpoint-dir too; give it a path of its own")

    if task is not None and target is None:
        raise InvalidInputError("--task says what --target is; give --target COLUMN too")

    def fitted_and_saved(
        rows: "pd.DataFrame | Source", n_rows: int, types: "dict[str, Kind]", wanted: "Target | None" = None
    ) -> None:
        import pandas as pd

        from pyro_mnar.cli.show import print_mechanism, say_notes
        from pyro_mnar.estimators import TrainingSettings
        from pyro_mnar.persistence import check_place, save

        chosen = build_mechanism(mechanism, direction or (), list(rows.columns), censored or ())
        check_place(out, overwrite=force)
        started = start()
        settings = TrainingSettings(checkpoint_dir=checkpoint_dir)
        estimator: JointEstimator
        if wanted is None or not isinstance(rows, pd.DataFrame):
            estimator = new_imputer(chosen, types, random_state, max_iter=max_iter).set_params(training=settings)
            estimator.fit(rows)
        else:
            estimator = new_predictor(wanted.task, chosen, types, random_state, max_iter).set_params(training=settings)
            estimator.fit(rows, wanted.values)
            say(wanted.words())
        estimator.set_params(verbose=False, training=None)
        save(estimator, out, overwrite=force)
        if isinstance(rows, pd.DataFrame):
            say_notes(estimator, rows)
        print_mechanism(estimator.mechanism_report())
        say(f"Fitted to {n_rows} rows in {time.perf_counter() - started:.0f} s and saved: {out}")

    text = TextOptions(na_values, sep, decimal, thousands)
    if read_in_blocks(data):
        if target is not None:
            raise InvalidInputError(f"--target is for CSV files, not {data}; fit the model from Python")
        with opened(data, text, exclude or (), censored or ()) as source:
            fitted_and_saved(source, source.count(), read_types(types or (), source.columns))
        return
    table = read_table(data, text).with_limits(censored or ())
    declared = read_types(types or (), table.names)
    excluded = list(exclude or ())
    wanted = None
    if target is not None:
        for option, named in (("--exclude", excluded), ("--types", declared), ("--censored", censored or ())):
            if target in named:
                raise InvalidInputError(f"--target and {option} both name {target!r}; leave one of them")
        wanted = read_target(table, target, task)
        table = table.at(wanted.rows)
        excluded.append(target)
    rows = table.frame(excluded, text_columns(declared))
    fitted_and_saved(rows, len(rows), declared, wanted)
