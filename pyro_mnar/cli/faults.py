"""Faults at the command line: one clear line on standard error and an exit code, never a traceback."""

import functools
import os
import warnings
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TextIO

import typer

from pyro_mnar.cli.wording import as_options
from pyro_mnar.errors import MNARError, one_line, printable

P = ParamSpec("P")

#: Set it to see where in the code an error came from.
TRACEBACK_VARIABLE = "PYRO_MNAR_TRACEBACK"
FAILED = 1
INTERRUPTED = 130
#: Characters of a message that are shown.
MOST = 2000


def one_line_errors(command: Callable[P, None]) -> Callable[P, None]:
    """The command with errors and warnings shown as one line each; with errors it ends with code 1 (Ctrl-C: 130)."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        if os.environ.get(TRACEBACK_VARIABLE):
            command(*args, **kwargs)
            return
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            try:
                command(*args, **kwargs)
            except MNARError as error:
                _fail(str(error))
            except OSError as error:
                _fail(_of_the_system(error))
            except MemoryError:
                _fail("not enough memory for this table; try fewer draws (--n-draws) or fewer rows")
            except KeyboardInterrupt:
                _fail("interrupted; unfinished files were removed", INTERRUPTED)
            except (typer.Exit, typer.Abort):
                raise
            except Exception as error:
                _fail(f"unexpected {type(error).__name__}: {error} (set {TRACEBACK_VARIABLE}=1 to see where)")

    return guarded


def say(text: str) -> None:
    """Show a line; what users named stands in it without characters that steer a terminal."""
    typer.echo(printable(text))


def _fail(message: str, code: int = FAILED) -> NoReturn:
    typer.echo(f"pyro-mnar: {one_line(as_options(message), MOST)}", err=True)
    raise typer.Exit(code)


def _of_the_system(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    typer.echo(f"pyro-mnar: warning: {one_line(as_options(str(message)), MOST)}", err=True)
