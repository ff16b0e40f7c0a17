"""``pyro-mnar impute``: a table with holes in, a completed table out."""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.large import check_outputs, complete, opened, read_in_blocks
from pyro_mnar.cli.options import (
    CompletedTable,
    Data,
    Decimal,
    Directions,
    Draws,
    Excluded,
    Force,
    HowImputed,
    Jobs,
    Kinds,
    MechanismName,
    MissingSigns,
    Passes,
    RandomState,
    Separator,
    Strategy,
    TextOptions,
    Thousands,
    WhyMissing,
    WithLimits,
)
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.data.kinds.declared import Kind
    from pyro_mnar.estimators import MNARImputer
    from pyro_mnar.model.mechanisms import Direction, Mechanism


def impute(
    data: Data,
    out: CompletedTable,
    mechanism: WhyMissing = MechanismName.AUTO,
    direction: Directions = None,
    exclude: Excluded = None,
    types: Kinds = None,
    censored: WithLimits = None,
    strategy: HowImputed = Strategy.MEAN,
    random_state: RandomState = 0,
    n_draws: Draws = None,
    max_iter: Passes = None,
    na_values: MissingSigns = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    thousands: Thousands = "",
    report: Annotated[Path | None, typer.Option(help="Write the learned mechanism to this CSV file.")] = None,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Complete a table: fit a model of the values and of why they are missing, and fill the holes.

    Observed cells come back as they are, in a CSV file character for character. The mechanism that was found is
    printed: see whether it makes sense. Parquet and Arrow files are completed block by block, and the same command goes
    on where it was killed.
    """
    from pyro_mnar.cli.tables import read_table, read_types, text_columns
    from pyro_mnar.data.atomic import check_destination, replacing, same_place

    text = TextOptions(na_values, sep, decimal, thousands)
    if report is not None and same_place(out, report):
        raise InvalidInputError(f"--out and --report are both {out}; give two paths")
    if read_in_blocks(data, out):
        with opened(data, text, exclude or (), censored or ()) as source:
            check_outputs(out, report, source, force)
            declared = read_types(types or (), source.columns)
            chosen = build_mechanism(mechanism, direction or (), source.columns, censored or ())
            started = start()
            imputer = new_imputer(chosen, declared, random_state, strategy, n_draws, max_iter).fit(source)
            complete(imputer, source, out, force, jobs)
        tell(imputer, report)
        say(f"Completed in {time.perf_counter() - started:.0f} s: {out}")
        return
    table = read_table(data, text).with_limits(censored or ())
    for path in (out, report):
        if path is not None:
            check_destination(path, overwrite=force, inputs=[data])
    declared = read_types(types or (), table.names)
    rows = table.frame(exclude or (), text_columns(declared))
    if not censored and not rows.isna().to_numpy().any():
        with replacing(out) as temporary:
            shutil.copyfile(data, temporary)
        say(f"No cell of {data} is missing: {out} is a copy" + (", and there is no report." if report else "."))
        return
    chosen = build_mechanism(mechanism, direction or (), list(rows.columns), censored or ())

    from pyro_mnar.cli.show import say_notes

    started = start()
    imputer = new_imputer(chosen, declared, random_state, strategy, n_draws, max_iter).fit(rows)
    completed = imputer.transform(rows)
    table.write_filled(out, completed)
    n_cells, n_columns = table.completed_cells(completed)
    seconds = time.perf_counter() - started
    say_notes(imputer, rows)
    tell(imputer, report)
    say(f"Imputed {n_cells} cells in {n_columns} of {rows.shape[1]} columns ({seconds:.0f} s): {out}")


def start() -> float:
    """Let this process use the cores that are there; the time."""
    from pyro_mnar.studies.environment import available_cores, limit_threads

    limit_threads(available_cores())
    return time.perf_counter()


def new_imputer(
    mechanism: "str | Mechanism | dict[str, str | Mechanism]",
    types: "dict[str, Kind]",
    random_state: int,
    strategy: Strategy | None = None,
    n_draws: int | None = None,
    max_iter: int | None = None,
) -> "MNARImputer":
    """An imputer with what the options say, None for its defaults."""
    from pyro_mnar.estimators import MNARImputer

    imputer = MNARImputer(mechanism, types=types or None, random_state=random_state)
    given = {"strategy": strategy and str(strategy), "n_draws_posterior": n_draws, "max_iter": max_iter}
    return imputer.set_params(**{name: value for name, value in given.items() if value is not None})


def tell(imputer: "MNARImputer", report: Path | None) -> None:
    """Say what was learned of why cells are missing, and write it to a file if one is given."""
    from pyro_mnar.cli.show import print_words
    from pyro_mnar.data.atomic import replacing

    found = imputer.mechanism_report()
    if report is not None:
        with replacing(report) as temporary:
            found.to_csv(temporary, index=False)
    say("Why cells are missing, as learned:")
    print_words(found)


def build_mechanism(
    name: MechanismName, directions: Sequence[str], columns: list[str], censored: Sequence[str] = ()
) -> "str | Mechanism | dict[str, str | Mechanism]":
    """The mechanism that ``--mechanism``, ``--direction`` and ``--censored`` ask for.

    Raises
    ------
    InvalidInputError
        A direction that cannot be read, is for an unknown column, or for a mechanism that has none; a censored column
        that has a direction, or is excluded.
    """
    chosen = one_mechanism(name, directions, columns)
    if not censored:
        return chosen
    told = {text.rpartition("=")[0] for text in directions}
    for column in censored:
        if column in told:
            raise InvalidInputError(f"--direction and --censored both name {column!r}; leave one of them")
        if column not in columns:
            raise InvalidInputError(f"--exclude and --censored both name {column!r}; leave one of them")
    return {"default": chosen, **dict.fromkeys(censored, "censored")}


def one_mechanism(name: MechanismName, directions: Sequence[str], columns: list[str]) -> "str | Mechanism":
    """The mechanism of the columns that are not censored."""
    if not directions:
        return str(name)
    if name not in (MechanismName.AUTO, MechanismName.SELF_MASKING):
        raise InvalidInputError(
            f"--direction belongs to the mechanisms auto and self-masking, not to {name}; leave one of them"
        )

    from pyro_mnar.model.given import direction_signs
    from pyro_mnar.model.mechanisms import Nested, SelfMasking

    made = Nested if name is MechanismName.AUTO else SelfMasking
    if len(directions) == 1 and directions[0] in ("high", "low"):
        return made(direction=_high_or_low(directions[0], directions[0]))
    by_column: dict[str, Direction] = {}
    for text in directions:
        column, _, value = text.rpartition("=")
        if column in by_column:
            raise InvalidInputError(f"--direction names the column {column!r} twice; give it once")
        by_column[column] = _high_or_low(value, text)
    direction_signs(by_column, columns)
    return made(direction=by_column)


def _high_or_low(value: str, text: str) -> "Direction":
    if value == "high":
        return "high"
    if value == "low":
        return "low"
    raise InvalidInputError(f"--direction {text!r} cannot be read; write COLUMN=high or COLUMN=low, or high or low")
