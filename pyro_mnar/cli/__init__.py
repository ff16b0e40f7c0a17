"""The command line ``pyro-mnar``: one function per command, each in a module of its own.

A new command is a function with typer's annotations in ``cli/NAME.py`` and one line in ``COMMANDS`` below. It raises
the package's errors: :func:`~pyro_mnar.cli.faults.one_line_errors` turns them into one line and an exit code. What is
slow to import (torch, pandas) is imported inside the function, so that ``--help`` answers at once.
"""

from typing import Annotated

import typer

from pyro_mnar import __version__
from pyro_mnar.cli.assess import assess
from pyro_mnar.cli.demo import demo
from pyro_mnar.cli.faults import one_line_errors
from pyro_mnar.cli.fit import fit
from pyro_mnar.cli.impute import impute
from pyro_mnar.cli.predict import predict
from pyro_mnar.cli.report import report
from pyro_mnar.cli.reproduce import reproduce
from pyro_mnar.cli.transform import transform

COMMANDS = (assess, impute, fit, transform, predict, report, demo)

app = typer.Typer(
    name="pyro-mnar",
    help="Impute tables whose values are missing because of what they are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(one_line_errors(command))
app.add_typer(reproduce)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pyro-mnar {__version__}")
        raise typer.Exit


@app.callback()
def common_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Impute tables whose values are missing because of what they are (MNAR), with deep latent-variable models."""
