"""Whether values read from a file are of the types that their record's fields are annotated with."""

import math
import types
from collections.abc import Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

#: No whole number of a model comes near it.
_MOST = 2**63


def wrong_field(record: Any) -> str | None:
    """The first field of a NamedTuple or dataclass that holds something else than its annotation says; or None.

    Examples
    --------
    >>> from pyro_mnar.data.columns import Support
    >>> wrong_field(Support(0.0, 1.0)), wrong_field(Support(0.0, "x")), wrong_field(Support(whole=1))
    (None, 'highest', 'whole')
    """
    hints = get_type_hints(type(record))
    return next((name for name, hint in hints.items() if not holds(getattr(record, name), hint)), None)


def holds(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotation's type, at any depth. A float may be a whole number, and is no NaN.

    Examples
    --------
    >>> holds((1.0, 2), tuple[float, ...]), holds((1.0, "x"), tuple[float, ...]), holds(True, int)
    (True, False, False)
    """
    origin, args = get_origin(hint), get_args(hint)
    alias = getattr(origin if args else hint, "__value__", None)
    if alias is not None:
        # A `type` statement: numpy 2.5 writes NDArray as one.
        return holds(value, alias[args] if args else alias)
    if hint is Any:
        return True
    if hint is float:
        # A whole number may be too large for a float.
        return (type(value) is float and not math.isnan(value)) or (type(value) is int and -_MOST <= value < _MOST)
    if hint is int:
        return type(value) is int and -_MOST <= value < _MOST
    if origin in (Union, types.UnionType):
        return any(holds(value, arg) for arg in args)
    if origin is Literal:
        return isinstance(value, str) and value in args
    if origin is tuple and args[-1:] != (...,):
        return isinstance(value, tuple) and len(value) == len(args) and all(map(holds, value, args))
    if origin in (tuple, list):
        return isinstance(value, origin) and all(holds(item, args[0]) for item in value)
    if origin is Sequence:
        items = value.tolist() if isinstance(value, np.ndarray) else value
        return isinstance(items, list | tuple) and all(holds(item, args[0]) for item in items)
    if origin is np.ndarray:
        return isinstance(value, np.ndarray) and value.dtype == np.float64
    return isinstance(value, hint)
