"""Tables on the disk at the command line: Parquet and Arrow files, of which a block of rows is in memory at a time."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pyro_mnar.cli.faults import say
from pyro_mnar.cli.options import TextOptions, check_columns
from pyro_mnar.errors import InvalidInputError

if TYPE_CHECKING:
    from pyro_mnar.data.sources import Source
    from pyro_mnar.estimators import MNARImputer


def read_in_blocks(data: Path, out: Path | None = None) -> bool:
    """Whether a table is read block by block: unless a CSV file is written as one, character for character.

    Examples
    --------
    >>> read_in_blocks(Path("a.parquet")), read_in_blocks(Path("a.csv"), Path("b.csv"))
    (True, False)
    """
    from pyro_mnar.data.sources import FORMATS

    return any(path is not None and FORMATS.get(path.suffix.lower(), "csv") != "csv" for path in (data, out))


@contextmanager
def opened(
    data: Path, text: TextOptions, exclude: Collection[str] = (), censored: Collection[str] = ()
) -> "Iterator[Source]":
    """The table, in a file or in those of a glob, without the excluded columns.

    Raises
    ------
    InvalidInputError
        An option for text was given, or a column is unknown, or none is left.
    """
    from pyro_mnar.data.sources import open_source

    for option in text.given():
        raise InvalidInputError(f"{option} is for CSV files that are written as CSV files; {data} is read as it is")
    with open_source(data) as source:
        check_columns("--exclude", exclude, source.columns)
        check_columns("--censored", censored, source.columns)
        source = source.without(exclude)
        if not source.columns:
            raise InvalidInputError("--exclude leaves no column to model; exclude fewer columns")
        yield source


def complete(imputer: "MNARImputer", source: "Source", out: Path, force: bool, jobs: int | None) -> None:
    """Write the completed table, in one process for each core unless told otherwise."""
    from pyro_mnar.studies.environment import available_cores

    try:
        imputer.transform(source, out=out, overwrite=force, n_jobs=jobs or available_cores())
    except KeyboardInterrupt:
        say(f"Finished blocks of rows are kept in {out}.parts: the same command goes on there.")
        raise


def check_outputs(out: Path, report: Path | None, source: "Source", force: bool) -> None:
    """See, before a long fit, that these can be written."""
    from pyro_mnar.data.atomic import check_destination
    from pyro_mnar.estimators.streaming import check_out

    check_out(out, source, force)
    if report is not None:
        check_destination(report, overwrite=force, inputs=source.files)
