"""Options that several commands have, each in one place."""

from collections.abc import Collection, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from pyro_mnar.errors import InvalidInputError


class MechanismName(StrEnum):
    """The short names of the mechanisms."""

    AUTO = "auto"
    SELF_MASKING = "self-masking"
    LATENT = "latent"
    LINEAR = "linear"
    NONLINEAR = "nonlinear"
    IGNORABLE = "ignorable"


class Strategy(StrEnum):
    """What to put into a missing cell."""

    MEAN = "mean"
    MEDIAN = "median"
    SAMPLE = "sample"


class Task(StrEnum):
    """What is predicted."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


Data = Annotated[
    Path,
    typer.Argument(
        help="CSV file with a header; empty cells and NA, NaN, null are missing. Or Parquet or Arrow files, which need "
        "not fit in memory: one, or several as 'folder/*.parquet'."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes that complete blocks of a Parquet or Arrow table at a time; one for each core by default.",
    ),
]
CompletedTable = Annotated[Path, typer.Option(help="Where to write the completed table.")]
SavedModel = Annotated[Path, typer.Argument(help="Folder that 'pyro-mnar fit' or pyro_mnar.save made.")]
WhyMissing = Annotated[
    MechanismName,
    typer.Option(
        help="Why cells are missing. auto: because of their own value in the columns where the table shows it, else of "
        "what the row has in common; self-masking: because of their own value; linear, nonlinear: of all values of the "
        "row; ignorable: not because of missing values (MAR)."
    ),
]
Directions = Annotated[
    list[str] | None,
    typer.Option(
        help="What is known: 'income=high' (high incomes go missing), repeated for other columns; "
        "or 'high' or 'low' for all columns.",
        metavar="COLUMN=high|low",
    ),
]
Excluded = Annotated[
    list[str] | None, typer.Option(help="A column that is copied but not modelled (names, keys); repeatable.")
]
WithLimits = Annotated[
    list[str] | None,
    typer.Option(
        help="A column of numbers and limits, such as '<0.5', '>200' or '0.1-0.5': such cells are completed within "
        "their limits; repeatable."
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        help="What a column is, where that is not found: 'age=count', 'hour=count(23)', 'score=bounded(0, 100)', "
        "'spend=semicontinuous(0)', 'answer=ordinal(no|some|yes)', or continuous, discrete, nominal, binary, date, "
        "identifier; repeatable.",
        metavar="COLUMN=KIND",
    ),
]
HowImputed = Annotated[
    Strategy, typer.Option(help="Impute the mean or the median given the observed cells, or one random draw.")
]
RandomState = Annotated[int, typer.Option(min=0, help="The same number gives the same result.")]
Draws = Annotated[int | None, typer.Option(min=1, help="Draws per row behind each imputation (not those in training).")]
Passes = Annotated[int | None, typer.Option(min=1, help="Passes over the data in training.")]
MissingSigns = Annotated[
    list[str] | None, typer.Option(help="Another text that means missing, such as -999; repeatable.")
]
Separator = Annotated[str, typer.Option(help="What separates the columns; 'tab' for a tab.")]
Decimal = Annotated[str, typer.Option(help="What separates decimals, as ',' in 0,5.")]
Thousands = Annotated[str, typer.Option(help="What separates thousands, as ',' in 1,200; nothing by default.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]


class TextOptions(NamedTuple):
    """What the options say of how a CSV file is written."""

    na_values: list[str] | None = None
    sep: str = ","
    decimal: str = "."
    thousands: str = ""

    def given(self) -> list[str]:
        """The options that are not as they are by default."""
        told = [name for name, value in self._asdict().items() if (value or "") != (self._field_defaults[name] or "")]
        return [f"--{name.replace('_', '-')}" for name in told]


def check_columns(option: str, given: Collection[str], names: Sequence[str]) -> None:
    """See that the columns that an option names are there; InvalidInputError names one that is not."""
    unknown = [name for name in given if name not in names]
    if unknown:
        raise InvalidInputError(f"{option} names the unknown column {unknown[0]!r}; the columns are {list(names)}")
