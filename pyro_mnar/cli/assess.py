"""``pyro-mnar assess``: a CSV in; a page, a completed table and what they rest on, out."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.impute import one_mechanism
from pyro_mnar.cli.options import (
    Data,
    Decimal,
    Directions,
    Excluded,
    Kinds,
    MechanismName,
    MissingSigns,
    RandomState,
    Separator,
    TextOptions,
    Thousands,
    WhyMissing,
)
from pyro_mnar.cli.wording import as_options
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.analysis.assess import Assessment
    from pyro_mnar.cli.tables import TextTable

#: What is written beside the page.
PAGE, COMPLETED, STEPS = "report.html", "completed.csv", "steps"
#: Rows up to which a second thread costs more than it brings: 800 rows took 42 seconds with one and 55 with two.
_FEW_ROWS = 5000


class BudgetName(StrEnum):
    """How much to spend."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


def assess(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the page and the tables; the same command goes on in it.")],
    quantity: Annotated[
        str | None,
        typer.Option(
            help="What it is about: a column (its mean), or COLUMN=LEVEL "
            "(the share of a level). Without it: the mean of "
            "the column of numbers that most needs it."
        ),
    ] = None,
    budget: Annotated[
        BudgetName, typer.Option(help="How much to spend: up to a minute for a thousand rows, some minutes, an hour.")
    ] = BudgetName.QUICK,
    vary: Annotated[
        str | None,
        typer.Option(help="Whose missing values are varied; without it, those that matter for the quantity."),
    ] = None,
    reference: Annotated[
        float | None, typer.Option(help="The value of the quantity at which your conclusion changes.")
    ] = None,
    mechanism: WhyMissing = MechanismName.AUTO,
    direction: Directions = None,
    exclude: Excluded = None,
    types: Kinds = None,
    random_state: RandomState = 0,
    na_values: MissingSigns = None,
    sep: Separator = ",",
    decimal: Decimal = ".",
    thousands: Thousands = "",
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that holds other files.")] = False,
) -> None:
    """Say what is missing from a CSV file, why, what to put there, and what a conclusion rests on: one page.

    The folder gets report.html (open it in a browser, or mail it: it needs nothing else), completed.csv, and tables.
    """
    from pyro_mnar.cli.tables import read_table, read_types, text_columns
    from pyro_mnar.data.signs import in_words, signs_of_missing

    table = read_table(data, TextOptions(na_values, sep, decimal, thousands))
    declared = read_types(types or (), table.names)
    rows = table.frame(exclude or (), text_columns(declared))
    if not rows.isna().to_numpy().any():
        signs = signs_of_missing(rows)
        hint = f"if {in_words(signs)} marks missing ones, give --na-values {str(signs[0].sign)!r}" if signs else ""
        raise InvalidInputError(
            f"no cell of {data} is missing; {hint or 'if a sign such as -999 marks them, give --na-values -999'}"
        )
    _check_folder(out, data, force)
    chosen = one_mechanism(mechanism, direction or (), list(rows.columns))

    from pyro_mnar.analysis.assess import assess as assessed
    from pyro_mnar.studies.environment import available_cores, limit_threads

    limit_threads(1 if len(rows) <= _FEW_ROWS else available_cores())
    out.mkdir(parents=True, exist_ok=True)
    found = assessed(
        rows,
        quantity,
        budget=str(budget),  # type: ignore[arg-type]
        mechanism=chosen,
        types=declared or None,
        vary=vary,
        reference=reference,
        title=data.name,
        folder=out / STEPS,
        random_state=random_state,
    )
    _write(found, table, out)
    for line in str(found.summary).splitlines():
        say(line)
    for note in found.notes:
        say(f"Note: {as_options(note)}")
    say(f"The page: {out / PAGE} ({found.seconds:.0f} s)")


def _check_folder(out: Path, data: Path, force: bool) -> None:
    """See that nothing of the user's is overwritten.

    Raises
    ------
    InvalidInputError
        ``out`` is a file, holds the data, or other files than those of an assessment.
    """
    if out.exists() and not out.is_dir():
        raise InvalidInputError(f"{out} is a file; give a folder")
    if not out.is_dir():
        return
    if data.resolve().parent == out.resolve():
        raise InvalidInputError(f"{out} holds {data.name}, which is read; give a folder of its own")
    if any(out.iterdir()) and not (out / STEPS).is_dir() and not force:
        raise InvalidInputError(f"{out} holds other files; give another folder, or --force to write into it")


def _write(found: "Assessment", table: "TextTable", out: Path) -> None:
    """The page and the tables."""
    from pyro_mnar.data.atomic import replacing

    found.to_html(out / PAGE)
    table.write_filled(out / COMPLETED, found.completed)
    tables = {
        "intervals.csv": found.cells,
        "evidence.csv": found.evidence,
        "rows.csv": found.rows.reset_index(names="row"),
        "checks.csv": found.checks,
    }
    if found.conclusion is not None:
        tables["shifts.csv"] = found.conclusion.delta.reset_index(names="shift")
        if len(found.conclusion.sweep):
            tables["slopes.csv"] = found.conclusion.sweep.reset_index(names="slope")
    if len(found.comparison):
        tables["mechanisms.csv"] = found.comparison.reset_index(names="mechanism")
    for name, frame in tables.items():
        with replacing(out / name) as temporary:
            frame.to_csv(temporary, index=False)
    with replacing(out / "summary.txt") as temporary:
        temporary.write_text(f"{found.summary}\n", encoding="utf-8")
