"""``pyro-mnar impute``: a CSV with holes in, a completed CSV out."""

import shutil
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.mechanisms import Direction, Mechanism


class MechanismName(StrEnum):
    """The short names of the mechanisms."""

    SELF_MASKING = "self-masking"
    LINEAR = "linear"
    NONLINEAR = "nonlinear"
    IGNORABLE = "ignorable"


class Strategy(StrEnum):
    """What to put into a missing cell."""

    MEAN = "mean"
    MEDIAN = "median"
    SAMPLE = "sample"


def impute(
    data: Annotated[Path, typer.Argument(help="CSV file with a header; empty cells and NA, NaN, null are missing.")],
    out: Annotated[Path, typer.Option(help="Where to write the completed table.")],
    mechanism: Annotated[
        MechanismName,
        typer.Option(
            help="Why cells are missing. self-masking: because of their own value; linear, nonlinear: of all values of "
            "the row; ignorable: not because of missing values (MAR)."
        ),
    ] = MechanismName.SELF_MASKING,
    direction: Annotated[
        list[str] | None,
        typer.Option(
            help="What is known of self-masking: 'income=high' (high incomes go missing), repeated for other columns; "
            "or 'high' or 'low' for all columns.",
            metavar="COLUMN=high|low",
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="A column that is copied but not modelled (names, keys); repeatable.")
    ] = None,
    strategy: Annotated[
        Strategy, typer.Option(help="Impute the mean or the median given what is seen, or one random draw.")
    ] = Strategy.MEAN,
    random_state: Annotated[int, typer.Option(min=0, help="The same number gives the same result.")] = 0,
    n_draws: Annotated[
        int | None, typer.Option(min=1, help="Draws per row behind each imputation (not those in training).")
    ] = None,
    max_iter: Annotated[int | None, typer.Option(min=1, help="Passes over the data in training.")] = None,
    na_values: Annotated[
        list[str] | None, typer.Option(help="Another text that means missing, such as -999; repeatable.")
    ] = None,
    sep: Annotated[str, typer.Option(help="What separates the columns; 'tab' for a tab.")] = ",",
    report: Annotated[Path | None, typer.Option(help="Write the learned mechanism to this CSV file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Complete a CSV file: fit a model of the values and of why they are missing, and fill the holes.

    Seen cells come back character for character. The mechanism that was found is printed: look whether it makes sense.
    """
    from pyro_mnar.atomic import check_destination, replacing
    from pyro_mnar.cli.tables import read_table

    sep = {"tab": "\t", "\\t": "\t"}.get(sep, sep)
    destinations = [path for path in (out, report) if path is not None]
    if len({path.resolve() for path in destinations}) < len(destinations):
        raise InvalidInputError(f"--out and --report are both {out}; give two paths")
    table = read_table(data, sep, na_values or ())
    for path in destinations:
        check_destination(path, overwrite=force)
    if not table.missing.any():
        with replacing(out) as temporary:
            shutil.copyfile(data, temporary)
        typer.echo(f"No cell of {data} is missing: {out} is a copy" + (", and there is no report." if report else "."))
        return
    numbers = table.numbers(exclude or ())
    if numbers.shape[1] == 0:
        raise InvalidInputError("--exclude leaves no column to model; exclude fewer columns")
    chosen = build_mechanism(mechanism, direction or (), [str(name) for name in numbers.columns])

    from pyro_mnar.cli.show import print_words
    from pyro_mnar.estimators import MNARImputer
    from pyro_mnar.experiments.environment import available_cores, limit_threads

    limit_threads(available_cores())
    started = time.perf_counter()
    imputer = MNARImputer(chosen, random_state=random_state, verbose=sys.stdout.isatty())
    given = {"strategy": str(strategy), "n_draws_posterior": n_draws, "max_iter": max_iter}
    imputer.set_params(**{name: value for name, value in given.items() if value is not None})
    imputer.fit(numbers)
    completed = imputer.transform(numbers)
    with replacing(out) as temporary:
        temporary.write_text(table.filled(completed, sep), encoding="utf-8", newline="")
    found = imputer.mechanism_report()
    if report is not None:
        with replacing(report) as temporary:
            found.to_csv(temporary, index=False)
    n_cells = int(numbers.isna().to_numpy().sum())
    n_columns = int(numbers.isna().any().sum())
    seconds = time.perf_counter() - started
    typer.echo("Why cells are missing, as learned:")
    print_words(found)
    typer.echo(f"Imputed {n_cells} cells in {n_columns} of {numbers.shape[1]} columns ({seconds:.0f} s): {out}")


def build_mechanism(name: MechanismName, directions: list[str] | tuple[()], columns: list[str]) -> "str | Mechanism":
    """The mechanism that ``--mechanism`` and ``--direction`` ask for.

    Raises
    ------
    InvalidInputError
        A direction that cannot be read, is for an unknown column, or for a mechanism that has none.
    """
    if not directions:
        return str(name)
    if name is not MechanismName.SELF_MASKING:
        raise InvalidInputError(f"--direction belongs to the mechanism self-masking, not to {name}; leave one of them")

    from pyro_mnar.directions import direction_signs
    from pyro_mnar.mechanisms import SelfMasking

    if len(directions) == 1 and directions[0] in ("high", "low"):
        return SelfMasking(direction=_high_or_low(directions[0], directions[0]))
    by_column: dict[str, Direction] = {}
    for text in directions:
        column, _, value = text.rpartition("=")
        if column in by_column:
            raise InvalidInputError(f"--direction names the column {column!r} twice; give it once")
        by_column[column] = _high_or_low(value, text)
    direction_signs(by_column, columns)
    return SelfMasking(direction=by_column)


def _high_or_low(value: str, text: str) -> "Direction":
    if value == "high":
        return "high"
    if value == "low":
        return "low"
    raise InvalidInputError(f"--direction {text!r} cannot be read; write COLUMN=high or COLUMN=low, or high or low")
