"""Targets as users have them: labels to codes, numbers to float64."""

import warnings
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import type_of_target

from pyro_mnar.data.columns import FloatArray
from pyro_mnar.data.foreign import reading, sorted_if_possible
from pyro_mnar.data.raw import LARGEST
from pyro_mnar.errors import InvalidInputError


class ClassCodes(NamedTuple):
    """Labels as class numbers: the codes, int64, shape (n,), and the labels, sorted, shape (C,)."""

    codes: npt.NDArray[np.int64]
    classes: npt.NDArray[Any]


def read_classes(y: Any, n_rows: int) -> ClassCodes:
    """Labels of any hashable type to class numbers, in sorted order (in that of first appearance if they have none).

    InvalidInputError for no y, a missing label, a wrong length, or numbers that are no labels.

    Examples
    --------
    >>> read_classes(["b", "a", "b"], 3)
    ClassCodes(codes=array([1, 0, 1]), classes=array(['a', 'b'], dtype='<U1'))
    """
    labels = _one_column(y, n_rows)
    if labels.dtype.kind == "f" and type_of_target(labels) == "continuous":
        raise InvalidInputError(
            "Unknown label type: y holds numbers that are not whole; a classifier needs labels: bin them, or use "
            "MNARRegressor"
        )
    if labels.dtype.kind != "O":
        classes, codes = np.unique(labels, return_inverse=True)
        return ClassCodes(codes.astype(np.int64), classes)
    found: dict[Hashable, int] = {}
    for row, label in enumerate(labels):
        if not isinstance(label, Hashable):
            raise InvalidInputError(f"y holds {label!r} in row {row}, which is not hashable; labels must be")
        found.setdefault(label, len(found))
    ordered = sorted_if_possible(list(found))
    number = {label: position for position, label in enumerate(ordered)}
    classes = np.empty(len(ordered), object)
    classes[:] = ordered
    return ClassCodes(np.array([number[label] for label in labels], np.int64), classes)


def read_values(y: Any, n_rows: int) -> FloatArray:
    """Numbers to predict, float64, shape (n,).

    InvalidInputError for no y, text, a wrong length, and values that are missing, infinite, complex, or too large to be
    squared.
    """
    column = _one_column(y, n_rows)
    text = next((row for row, value in enumerate(column) if isinstance(value, (str, bytes, complex))), None)
    if text is not None:
        raise InvalidInputError(
            f"y holds {column[text].item() if isinstance(column[text], np.generic) else column[text]!r} in row {text}, "
            "which is no real number; a regressor needs numbers: convert it, or use MNARClassifier"
        )
    try:
        values: FloatArray = column.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"y holds something that is no number ({error}); a regressor needs numbers: convert it, or use "
            "MNARClassifier"
        ) from error
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InvalidInputError(f"Input y contains infinity or NaN: {values[row]} in row {row}; drop such rows")
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(np.argmax(large))
        raise InvalidInputError(
            f"y holds {values[row]:g} in row {row}; magnitudes must not exceed {LARGEST:g}: give y in a larger unit"
        )
    return values


def _one_column(y: Any, n_rows: int) -> npt.NDArray[Any]:
    if y is None:
        raise InvalidInputError("the estimator requires y to be passed, but the target y is None")
    with reading("y"):
        column = _as_array(y)
    if column.ndim == 2 and column.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; pass y.ravel()",
            DataConversionWarning,
            stacklevel=5,
        )
        column = column[:, 0]
    if column.ndim != 1:
        raise InvalidInputError(f"y should be a 1d array of shape (n,), got an array of shape {column.shape} instead")
    if len(column) != n_rows:
        raise InvalidInputError(
            f"Found input variables with inconsistent numbers of samples: the table has {n_rows} rows, y has "
            f"{len(column)} entries"
        )
    absent = np.array([_is_absent(value) for value in column]) if column.dtype.kind == "O" else pd.isna(column)
    if absent.any():
        row = int(np.argmax(absent))
        raise InvalidInputError(f"Input y contains NaN: {column[row]!r} in row {row}; drop rows without a target")
    if column.dtype.kind == "f" and np.isinf(column).any():
        row = int(np.argmax(np.isinf(column)))
        raise InvalidInputError(f"Input y contains infinity in row {row}; drop such rows")
    if column.dtype.kind == "O" and all(isinstance(value, str) for value in column):
        return column.astype(str)
    return column


def _as_array(y: Any) -> npt.NDArray[Any]:
    """An array with one entry per target: a sequence of tuples is a sequence of labels, not a matrix."""
    if isinstance(y, (pd.Series, pd.DataFrame)):
        return y.to_numpy()
    if isinstance(y, (list, tuple)) and any(isinstance(label, tuple) for label in y):
        column = np.empty(len(y), object)
        column[:] = list(y)
        return column
    return np.asarray(y)


def _is_absent(value: object) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))
