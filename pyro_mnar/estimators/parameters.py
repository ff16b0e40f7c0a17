"""The constructor's parameters, checked before anything long starts."""

import inspect
import itertools
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import InvalidParameterError as SklearnParameterError
from sklearn.utils._param_validation import validate_parameter_constraints

from pyro_mnar.data.arguments import fits_in_memory
from pyro_mnar.data.foreign import shown
from pyro_mnar.errors import InvalidInputError, one_line
from pyro_mnar.estimators.start.plan import rows_per_step
from pyro_mnar.inference.processes import check_devices
from pyro_mnar.model.mechanisms import by_name

AnyClass = TypeVar("AnyClass", bound=type)


class InvalidParameterError(InvalidInputError, SklearnParameterError):
    """A constructor parameter of an estimator that breaks its rule (scikit-learn's error of that name too)."""


#: Dimensions of z up to which each label of a column counts as a column.
MOST_FOR_LABELS = 16


def short_signature(cls: AnyClass) -> AnyClass:
    """Leave the types out of the signatures that ``help`` shows: they stand beside each parameter in the text."""
    for base in cls.__mro__:
        own = vars(base).items() if base.__module__.startswith("pyro_mnar") else ()
        for name, method in own:
            if inspect.isfunction(method) and (name == "__init__" or not name.startswith("_")):
                signature = inspect.signature(method)
                bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
                method.__signature__ = inspect.Signature(bare)  # type: ignore[attr-defined]
    return cls


def check_parameters(estimator: Any) -> None:
    """Check what the constructor was given against the estimator's ``_parameter_constraints``.

    InvalidParameterError names the parameter, its rule and the value.
    """
    name = type(estimator).__name__
    for owner in (estimator, estimator.training):
        if owner is not None:
            _check_constraints(owner)
    # The names in it, and what belongs to none, before a table is read.
    by_name(estimator.mechanism)
    check_widths(estimator.hidden_units, "hidden_units", name)
    training = estimator.training
    devices, folder = (1, None) if training is None else (training.devices, training.checkpoint_dir)
    check_devices(devices, checked_device(estimator.device))
    if folder is None:
        return
    if any(place.exists() and not place.is_dir() for place in (Path(folder), *Path(folder).parents)):
        raise InvalidParameterError(f"checkpoint_dir is {str(folder)!r}, which is not a folder; give a folder")
    if not isinstance(estimator.random_state, Integral):
        raise InvalidParameterError(
            f"The 'random_state' parameter of {name} must be a whole number when checkpoint_dir is given: a run can "
            f"only go on if its seed is known. Got {estimator.random_state!r} instead."
        )


def _check_constraints(owner: Any) -> None:
    parameters, name = owner.get_params(deep=False), type(owner).__name__
    try:
        validate_parameter_constraints(owner._parameter_constraints, parameters, caller_name=name)
    except SklearnParameterError as error:
        raise InvalidParameterError(one_line(error)) from error


def code_size(latent_dim: int | None, p: int, n_columns: int) -> int:
    """Dimension of z: what was asked for, or one less than the model's p columns.

    A column of labels is a column of the model for each label, which are one thing to know of a row all the same:
    beyond 16 dimensions those of the table are counted.

    Examples
    --------
    >>> code_size(None, 10, 10), code_size(None, 15, 10), code_size(None, 68, 15), code_size(None, 68, 40)
    (9, 14, 16, 39)
    """
    if latent_dim is not None:
        return latent_dim
    return max(1, min(p - 1, max(n_columns - 1, MOST_FOR_LABELS)))


def check_size(estimator: Any, shape: tuple[int, ...], n_columns: int) -> None:
    """See that the model and a step of its training can be held, before a long fit finds out: InvalidInputError.

    ``shape`` are rows and columns of the model's table, and ``n_columns`` the columns of the user's behind these. The
    estimator's parameters have been checked.
    """
    n_rows, p = float(shape[0]), float(shape[1])
    training = estimator.training_used
    decoder = estimator.get_params(deep=False).get("decoder")
    latent = float(code_size(estimator.latent_dim, shape[1], n_columns))
    widths = [float(width) for width in estimator.hidden_units]
    if decoder is None:  # images
        weights = 2 * latent * widths[-1]
    else:
        straight = latent * p if decoder in ("linear", "residual") or not widths else 0.0
        inside = sum(a * b for a, b in itertools.pairwise(widths))
        ends = 2 * p * widths[0] + 2 * latent * widths[-1] + latent * widths[0] + p * widths[-1] if widths else 0.0
        weights = ends + 2 * inside + straight
    name = estimator.mechanism if isinstance(estimator.mechanism, str) else type(estimator.mechanism).__name__.lower()
    weights += p * p if name == "linear" else 0.0
    # Weight, gradient and Adam's two moments in single precision; a copy in double precision answers.
    fits_in_memory(
        24.0 * weights,
        f"a model of {int(p):,} columns with about {weights:,.0f} weights",
        "give a smaller latent_dim or hidden_units, or leave columns out",
    )
    batch_size = rows_per_step(training.batch_size, shape[0])
    held = float(training.n_draws) * min(float(batch_size), n_rows) * (p * (2 + training.n_inner) + latent)
    fits_in_memory(
        16.0 * held,
        f"a step of training with n_draws={training.n_draws}, batch_size={batch_size} and n_inner={training.n_inner}",
        "make one of them smaller",
    )


def checked_device(name: str) -> torch.device:
    """The torch device of a name, after asking it for memory; InvalidParameterError where that fails."""
    if not isinstance(name, str | torch.device):
        raise InvalidParameterError(f"device is {shown(name)}; it must be the name of a torch device, such as 'cpu'")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    # torch raises AssertionError where it was built without the device, and its own errors where there is none.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = one_line(str(error).splitlines()[0])
        raise InvalidParameterError(f"device is {name!r}, which cannot be used here ({reason}); use 'cpu'") from error
    return device


def drawn_seed(random_state: int | np.random.RandomState | None) -> int:
    """One seed for everything random in a fit: from ``random_state``, or from the system when it is None.

    NumPy's global generator, which scikit-learn would move for None, is left alone.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0] % (2**31 - 1))
    return int(check_random_state(random_state).randint(2**31 - 1))


def check_widths(hidden_units: Sequence[object], parameter: str, name: str) -> None:
    """See that the widths of a network's layers are whole numbers from 1 on; InvalidParameterError names another."""
    for width in hidden_units:
        if not isinstance(width, Integral) or width < 1:
            raise InvalidParameterError(
                f"The {parameter!r} parameter of {name} must be whole numbers of at least 1. Got {width!r} among "
                f"{list(hidden_units)} instead."
            )
