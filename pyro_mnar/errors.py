"""Errors and warnings of the package: each names the value, the rule and the fix."""

from __future__ import annotations

__all__ = [
    "ChecksumError",
    "DataWarning",
    "DatasetError",
    "DownloadError",
    "FileFormatError",
    "FitDivergedError",
    "ForkedProcessError",
    "ImputationWarning",
    "InvalidInputError",
    "InvalidTypeError",
    "InvalidWeightsError",
    "LostProcessError",
    "MNARError",
    "MNARWarning",
    "StudyError",
    "TrainingWarning",
    "UnreliableWeightsWarning",
    "UnsupportedModelError",
]


class MNARError(Exception):
    """Base of every error that the package raises on purpose.

    Examples
    --------
    >>> issubclass(InvalidInputError, MNARError)
    True
    """


class InvalidInputError(MNARError, ValueError):
    """A value given by the caller breaks a stated rule; found before any long work starts.

    It is a ``ValueError`` too, which is what scikit-learn's checks and callers expect.
    """


class InvalidTypeError(InvalidInputError, TypeError):
    """A value given by the caller is of a type that cannot be used (a ``TypeError`` too)."""


class UnsupportedModelError(MNARError, ValueError):
    """The parts of a model are valid one by one but cannot be trained or asked together."""


class FitDivergedError(MNARError, RuntimeError):
    """Training met losses or gradients that are not finite and could not recover."""


class ForkedProcessError(MNARError, RuntimeError):
    """The process was forked while torch had threads, and would wait for them for ever."""


class LostProcessError(MNARError, RuntimeError):
    """One of the processes that train a model together ended; the message says which and how."""


class InvalidWeightsError(MNARError, ValueError):
    """Importance weights hold NaN, or none of a row's weights is positive."""


class DatasetError(MNARError):
    """A data set is not there, or its content is not what its description says."""


class DownloadError(DatasetError, OSError):
    """A data file could not be fetched."""


class ChecksumError(DatasetError, ValueError):
    """A file's sha256 differs from the expected one; the message names both."""


class FileFormatError(MNARError, ValueError):
    """A saved file or folder is not in the format that this version reads."""


class StudyError(MNARError, RuntimeError):
    """Rows of a study failed, or a process that ran them died; finished rows are kept."""


class MNARWarning(UserWarning):
    """Base of every warning that the package gives."""


class DataWarning(MNARWarning):
    """Part of the table cannot be learnt from; the message names the columns and says what is done instead."""


class TrainingWarning(MNARWarning):
    """Training met a fault and went on; the message says what was lost."""


class ImputationWarning(MNARWarning):
    """Imputed values lie where no data speak for them; the message names the columns."""


class UnreliableWeightsWarning(MNARWarning):
    """Importance weights of some rows are too uneven for the answers to be trusted."""


def one_line(error: BaseException | str, most: int = 300) -> str:
    r"""What an error says, on one line, without characters that steer a terminal.

    Parameters
    ----------
    error : BaseException or str
        An error of another library, or its text.
    most : int
        Characters that are kept.

    Examples
    --------
    >>> one_line(ValueError("Expected 2D array, got 1D array instead:\n[1. 2.]"))
    'Expected 2D array, got 1D array instead: [1. 2.]'
    """
    text = printable(" ".join(str(error).split()))
    # The end often says what to do.
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[len(text) - most // 2 :]}"


def printable(text: object) -> str:
    r"""A text without characters that steer a terminal: they stand as Python writes them.

    Parameters
    ----------
    text : object
        What a user named, or its name.
    """
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(text))
