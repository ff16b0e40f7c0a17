"""Save a fitted estimator to a folder, and load it back."""

import os
import platform
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from pyro import __version__ as pyro_version
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pyro_mnar import __version__
from pyro_mnar.data.columns import ColumnInfo, Layout
from pyro_mnar.data.encoding import Kinds
from pyro_mnar.errors import FileFormatError, InvalidInputError, MNARError
from pyro_mnar.estimators import MNARClassifier, MNARImputer, MNARRegressor
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.parameters import check_parameters
from pyro_mnar.inference.training import History
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Mechanism
from pyro_mnar.persistence.files import (
    FORMAT,
    MANIFEST,
    VERSION,
    Spec,
    flush,
    limited_allocation,
    read_manifest,
    read_specs,
    read_tensors,
    write_files,
)
from pyro_mnar.persistence.values import Packer, Unpacker

#: The classes that a manifest may name.
CLASSES: dict[str, type[JointEstimator]] = {cls.__name__: cls for cls in (MNARImputer, MNARClassifier, MNARRegressor)}

#: The attributes that a fit leaves, and their types; ``joint_`` is the weights.
STATE: dict[str, type | tuple[type, ...]] = {
    "n_features_in_": int,
    "columns_": ColumnInfo,
    "layout_": Layout,
    "image_shape_": tuple,
    "history_": History,
    "n_iter_": int,
    "_seed": int,
    "_has_values": np.ndarray,
    "_whole": np.ndarray,
    "_labels": dict,
    "feature_names_in_": np.ndarray,
    "indicator_": MissingIndicator,
    "classes_": np.ndarray,
    "y_center_": float,
    "y_scale_": float,
    "_sklearn_output_config": dict,
}
OPTIONAL = {
    "image_shape_",
    "feature_names_in_",
    "indicator_",
    "_sklearn_output_config",
    "_whole",
    "_labels",
    "classes_",
    "y_center_",
    "y_scale_",
}
#: Weights of the pair have this before their name; ``active`` is needed to build it.
PAIR = "joint."
ACTIVE = "joint.active"


def save(estimator: JointEstimator, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Save a fitted estimator to a folder.

    It is written beside its place and moved there when it is whole: a full disk or a kill leaves what was there.
    A ``random_state`` that is a generator is saved as the seed that it gave to the fit.

    Parameters
    ----------
    estimator : MNARImputer
        Fitted.
    folder : path
        Where the folder is to be.
    overwrite : bool
        Replace a saved estimator that is there.

    Raises
    ------
    NotFittedError
        The estimator is not fitted.
    InvalidInputError
        Something else is at ``folder``, or the estimator holds what the format cannot.
    OSError
        The disk is full, or the place cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> X = np.random.default_rng(0).normal(size=(50, 2))
    >>> X[X[:, 0] > 0.5, 0] = np.nan
    >>> imputer = MNARImputer(max_iter=2, random_state=0).fit(X)
    >>> folder = Path(tempfile.mkdtemp()) / "model"
    >>> save(imputer, folder)
    >>> bool((load(folder).transform(X) == imputer.transform(X)).all())
    True
    """
    check_is_fitted(estimator)
    name = type(estimator).__name__
    if CLASSES.get(name) is not type(estimator):
        raise InvalidInputError(f"{name} cannot be saved; save takes a fitted {' or '.join(CLASSES)}")
    final = Path(folder)
    check_place(final, overwrite)
    manifest, tensors = _contents(estimator)
    temporary = final.with_name(f".{final.name}-{secrets.token_hex(6)}")
    temporary.mkdir()
    try:
        write_files(temporary, manifest, tensors)
        _move(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load(
    folder: str | os.PathLike[str], mechanism: Mechanism | None = None, device: str | None = None
) -> JointEstimator:
    """The estimator that was saved; it answers bit for bit as before, on the same versions and threads.

    Parameters
    ----------
    folder : path
        Made by :func:`save`. It may come from anywhere: no code in it is run.
    mechanism : Mechanism or None
        Needed for a mechanism of your own, or one that holds a function: an instance made with the same arguments as
        the one that was fitted. Its fitted weights are in the file, its code is not.
    device : str or None
        torch device for the model; None takes the one that it was fitted on.

    Returns
    -------
    MNARImputer

    Raises
    ------
    FileFormatError
        The folder is not one of this format, was changed, or names what this version does not have; nothing of the
        size of the weights has been allocated by then.

    Examples
    --------
    >>> load("no-such-folder")
    Traceback (most recent call last):
    ...
    pyro_mnar.errors.FileFormatError: no-such-folder/manifest.json is missing; a saved estimator is a folder that ...
    """
    path = Path(folder)
    manifest = read_manifest(path)
    specs = read_specs(path)
    n_numbers = sum(int(np.prod(shape)) for shape, _ in specs.values())
    try:
        arrays = read_tensors(path, [key for key in specs if not key.startswith(PAIR)])
        with limited_allocation(n_numbers + 1024):
            estimator = _untrained(manifest, arrays, mechanism, device, len(specs))
            joint = estimator._new_joint(read_tensors(path, [ACTIVE])[ACTIVE])
        _check_shapes(joint, {key.removeprefix(PAIR): spec for key, spec in specs.items() if key.startswith(PAIR)})
        weights = read_tensors(path, [key for key in specs if key.startswith(PAIR)])
        _check_finite(weights)
        joint.load_state_dict({key.removeprefix(PAIR): value for key, value in weights.items()})
        estimator.joint_ = joint.eval()
        return estimator
    except FileFormatError:
        raise
    except (MNARError, TypeError, ValueError, KeyError, IndexError, AttributeError, RuntimeError) as error:
        raise FileFormatError(f"{path / MANIFEST} describes no model that can be built: {error}") from error


def _contents(estimator: JointEstimator) -> tuple[dict[str, Any], dict[str, Tensor]]:
    packer = Packer()
    parameters = estimator.get_params(deep=False)
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = estimator._seed
    state = {key: value for key, value in vars(estimator).items() if key not in parameters and key != "joint_"}
    unknown = [key for key in state if key not in STATE]
    if unknown:
        raise InvalidInputError(f"the estimator has the attributes {unknown}, which a file does not keep; delete them")
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "class": type(estimator).__name__,
        "libraries": {
            "pyro_mnar": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "pyro": pyro_version,
            "numpy": np.__version__,
            "pandas": pd.__version__,
            "scikit-learn": sklearn.__version__,
        },
        "columns": list(estimator.columns_.names),
        "parameters": {key: packer.pack(value, f"parameters.{key}") for key, value in parameters.items()},
        "state": {key: packer.pack(value, f"state.{key}") for key, value in state.items()},
    }
    weights = {f"{PAIR}{key}": value for key, value in estimator.joint_.state_dict().items()}
    return manifest, {**packer.arrays, **weights}


def _untrained(
    manifest: dict[str, Any], arrays: dict[str, Tensor], mechanism: Mechanism | None, device: str | None, n_tensors: int
) -> JointEstimator:
    """The estimator with all its attributes but the pair."""
    unpacker = Unpacker(arrays, mechanism)
    estimator = _made(manifest, unpacker, device, n_tensors)
    for key, value in _state(manifest, unpacker).items():
        setattr(estimator, key, value)
    unused = sorted(set(arrays) - unpacker.used)
    if unused:
        raise FileFormatError(f"the weights hold {unused}, which the manifest does not name")
    return estimator


def _check_shapes(joint: Joint, found: dict[str, Spec]) -> None:
    expected = {key: (tuple(value.shape), value.dtype) for key, value in joint.state_dict().items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise FileFormatError(
            f"the weights {wrong} do not fit the model that the manifest describes: {found.get(wrong[0])} where "
            f"{expected.get(wrong[0])} is needed"
        )


def _check_finite(weights: dict[str, Tensor]) -> None:
    for key, value in weights.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FileFormatError(f"the weight {key!r} holds numbers that are not finite")


def _made(manifest: dict[str, Any], unpacker: Unpacker, device: str | None, n_tensors: int) -> JointEstimator:
    """The estimator with its parameters, unfitted."""
    cls = CLASSES.get(manifest["class"]) if isinstance(manifest["class"], str) else None
    if cls is None:
        raise FileFormatError(f"the manifest names the class {manifest['class']!r}; it must be {' or '.join(CLASSES)}")
    packed = manifest["parameters"]
    names = list(cls().get_params(deep=False))
    # A parameter that is newer than the file has its default, which is what there was before it.
    unknown = sorted(set(packed) - set(names)) if isinstance(packed, dict) else ["no table of names"]
    if unknown:
        raise FileFormatError(f"the parameters {unknown} in the manifest are not those of {cls.__name__}: {names}")
    parameters = {key: unpacker.unpack(value) for key, value in packed.items()}
    if device is not None:
        parameters["device"] = device
    estimator = cls(**parameters)
    check_parameters(estimator)
    n_layers = len(estimator.get_params(deep=False)["hidden_units"])
    if n_layers > n_tensors:
        raise FileFormatError(f"hidden_units has {n_layers} entries for {n_tensors} weights")
    return estimator


def _state(manifest: dict[str, Any], unpacker: Unpacker) -> dict[str, Any]:
    packed = manifest["state"]
    if not isinstance(packed, dict):
        raise FileFormatError("the state in the manifest is no table of names and values")
    unknown = sorted(set(packed) - set(STATE))
    missing = sorted(set(STATE) - OPTIONAL - set(packed))
    if unknown or missing:
        raise FileFormatError(f"the state in the manifest has the unknown keys {unknown} and lacks {missing}")
    state = {key: unpacker.unpack(value) for key, value in packed.items()}
    for key, value in state.items():
        if not isinstance(value, STATE[key]) or isinstance(value, bool):
            raise FileFormatError(f"{key} in the manifest is a {type(value).__name__}")
    columns: ColumnInfo = state["columns_"]
    p = len(columns.names)
    shapes = {np.shape(columns.center), np.shape(columns.scale), np.shape(columns.missing_rate)}
    if shapes != {(p,)} or manifest["columns"] != list(columns.names):
        raise FileFormatError("the columns in the manifest differ in number from their means, or in name")
    has_values = state["_has_values"]
    if has_values.shape != (state["n_features_in_"],) or has_values.dtype != bool:
        raise FileFormatError("the number of columns in the manifest differs from that of the model")
    labels = state.setdefault("_labels", {})
    if len(Kinds(np.arange(len(has_values)).astype(object), has_values, labels).model_names()) != p:
        raise FileFormatError("the number of columns in the manifest differs from that of the model")
    shape = state.get("image_shape_", (1, p))
    if len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape) or shape[0] * shape[1] != p:
        raise FileFormatError(f"the image shape in the manifest, {shape}, is not that of {p} pixels")
    return state


def check_place(folder: str | os.PathLike[str], overwrite: bool) -> None:
    """Find out, before anything long is done, whether an estimator can be saved at a place.

    Parameters
    ----------
    folder, overwrite
        As for :func:`save`.

    Raises
    ------
    InvalidInputError
        Something is there that must not be replaced, or there is no folder to put it in.
    """
    final = Path(folder)
    if not final.parent.is_dir():
        raise InvalidInputError(f"{final.parent} is not a folder; make it first")
    if not final.exists() or (final.is_dir() and not any(final.iterdir())):
        return
    if not overwrite:
        raise InvalidInputError(f"{final} exists; give another place, or overwrite=True to replace a saved estimator")
    if not (final / MANIFEST).is_file():
        raise InvalidInputError(f"{final} is not a saved estimator, so it is not replaced; give another place")


def _move(temporary: Path, final: Path) -> None:
    """Put a finished folder in its place; an old one is there until then."""
    if not final.exists():
        os.rename(temporary, final)
    else:
        old = temporary.with_name(f"{temporary.name}-old")
        os.rename(final, old)
        try:
            os.rename(temporary, final)
        except OSError:
            os.rename(old, final)
            raise
        shutil.rmtree(old)
    flush(final.parent)
