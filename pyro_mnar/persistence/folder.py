"""Save a fitted estimator to a folder, and load it back."""

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import torch
from pyro import __version__ as pyro_version
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pyro_mnar import __version__
from pyro_mnar.data.arguments import instance_only, path_only
from pyro_mnar.errors import FileFormatError, InvalidInputError, one_line
from pyro_mnar.estimators import MNARClassifier, MNARImageImputer, MNARImputer, MNARRegressor, TrainingSettings
from pyro_mnar.estimators.base import JointEstimator
from pyro_mnar.estimators.parameters import check_parameters, checked_device
from pyro_mnar.inference.forks import check_process
from pyro_mnar.model.joint import Joint
from pyro_mnar.model.mechanisms import Mechanism, by_name
from pyro_mnar.persistence.files import (
    FORMAT,
    MANIFEST,
    VERSION,
    Content,
    Spec,
    limited_work,
    opened,
    read_manifest,
    weights_file,
)
from pyro_mnar.persistence.place import check_place, put
from pyro_mnar.persistence.state import STATE, checked_state
from pyro_mnar.persistence.trial import check_answers
from pyro_mnar.persistence.upgrade import upgraded
from pyro_mnar.persistence.values import Packer, Unpacker

#: The classes that a manifest may name.
CLASSES: dict[str, type[JointEstimator]] = {
    cls.__name__: cls for cls in (MNARImputer, MNARImageImputer, MNARClassifier, MNARRegressor)
}
#: Weights that the first files held, and that follow from others.
FORMER = {"mechanism.center", "mechanism.unit"}
#: Weights of the pair have this before their name; ``active`` is needed to build it.
PAIR = "joint."
ACTIVE = "joint.active"


def save(estimator: JointEstimator, folder: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Save a fitted estimator to a folder.

    One valid model is there at any moment: a full disk or a kill leaves the one that was there. Other files in the
    folder of a model that is replaced stay, and a link stays a link. Kept are the fit and what it was asked for, not
    the machine: ``device``, ``devices`` and ``checkpoint_dir`` are left out, and a ``random_state`` that is a
    generator is saved as the seed that it gave to the fit.

    Parameters
    ----------
    estimator : MNARImputer
        Fitted.
    folder : path
        Where the folder is to be.
    overwrite : bool
        Replace a saved estimator that is there, by its content one of this package's.

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
    instance_only("estimator", estimator, JointEstimator, f"a fitted {' or '.join(CLASSES)}")
    check_is_fitted(estimator)
    check_place(folder, overwrite)
    name = type(estimator).__name__
    if CLASSES.get(name) is not type(estimator):
        raise InvalidInputError(f"{name} cannot be saved; save takes a fitted {' or '.join(CLASSES)}")
    mechanism = by_name(estimator.mechanism)
    put(_contents(estimator), folder, overwrite, check=lambda written: _loaded(written, mechanism, "cpu"))


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
        torch device for the model; None takes the CPU, wherever it was fitted.

    Returns
    -------
    MNARImputer

    Raises
    ------
    FileFormatError
        The folder is not one of this format, was changed, or names what this version does not have; nothing of the
        size of the weights has been allocated by then.
    InvalidInputError
        A device that is not there.

    Examples
    --------
    >>> load("no-such-folder")
    Traceback (most recent call last):
    ...
    pyro_mnar.errors.FileFormatError: no-such-folder/manifest.json is missing; a saved estimator is a folder that ...
    """
    check_process()
    path_only("folder", folder)
    if mechanism is not None:
        instance_only("mechanism", mechanism, Mechanism, "None, or an instance of a mechanism")
    path = Path(folder)
    chosen = checked_device("cpu" if device is None else device)
    while True:
        before = _stamp(path)
        try:
            return _loaded(path, mechanism, str(chosen))
        except (FileFormatError, FileNotFoundError):
            # Unless another model took its place while this one was read.
            if _stamp(path) == before:
                raise


def _stamp(folder: Path) -> tuple[int, ...]:
    """Inode, size and times of the manifest: they differ once another takes its place."""
    try:
        found = (folder / MANIFEST).lstat()
    except OSError:
        return ()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _loaded(folder: Path, mechanism: Mechanism | None, device: str) -> JointEstimator:
    manifest = read_manifest(folder)
    try:
        manifest = upgraded(manifest)
        with opened(weights_file(folder, manifest)) as weights:
            specs = weights.specs
            arrays = weights.tensors(key for key in specs if not key.startswith(PAIR))
            with limited_work(specs):
                estimator = _untrained(manifest, arrays, mechanism, device, len(specs))
                joint = estimator._new_joint(weights.tensors([ACTIVE])[ACTIVE])
            _check_shapes(joint, {key.removeprefix(PAIR): spec for key, spec in specs.items() if key.startswith(PAIR)})
            tensors = weights.tensors(key for key in specs if key.startswith(PAIR))
        _check_finite(tensors)
        state = {key.removeprefix(PAIR): value for key, value in tensors.items()}
        joint.load_state_dict({key: state[key] for key in joint.state_dict()})
        estimator.joint_ = joint.eval()
        check_answers(estimator)
        return estimator
    except (FileFormatError, OSError):
        raise
    # Whatever a description makes go wrong, it is the description that is wrong.
    except Exception as error:
        reason = one_line(error)
        raise FileFormatError(f"{folder / MANIFEST} describes no model that can be built: {reason}") from error


def _contents(estimator: JointEstimator) -> Content:
    packer = Packer()
    parameters = estimator.get_params(deep=False)
    if isinstance(parameters["random_state"], np.random.RandomState):
        parameters["random_state"] = estimator._seed
    parameters = _elsewhere(parameters, "cpu")
    state = {key: value for key, value in vars(estimator).items() if key not in parameters and key != "joint_"}
    unknown = [key for key in state if key not in STATE]
    if unknown:
        raise InvalidInputError(f"the estimator has the attributes {unknown}, which a file does not keep; delete them")
    manifest: dict[str, Any] = {
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
    return Content(manifest, {**packer.arrays, **weights})


def _elsewhere(parameters: dict[str, Any], device: str) -> dict[str, Any]:
    """Parameters for another machine: a file does not say where a fit runs, and none that does is followed."""
    training = parameters.get("training")
    if isinstance(training, TrainingSettings):
        training = TrainingSettings(**training.get_params(deep=False) | {"checkpoint_dir": None, "devices": 1})
    return {**parameters, "training": training, "device": device}


def _untrained(
    manifest: dict[str, Any], arrays: dict[str, Tensor], mechanism: Mechanism | None, device: str, n_tensors: int
) -> JointEstimator:
    """The estimator with all its attributes but the pair."""
    unpacker = Unpacker(arrays, mechanism)
    estimator = _made(manifest, unpacker, device, n_tensors)
    for key, value in checked_state(manifest, unpacker).items():
        setattr(estimator, key, value)
    unused = sorted(set(arrays) - unpacker.used)
    if unused:
        raise FileFormatError(f"the weights hold {unused}, which the manifest does not name")
    return estimator


def _check_shapes(joint: Joint, found: dict[str, Spec]) -> None:
    expected = {key: (tuple(value.shape), value.dtype) for key, value in joint.state_dict().items()}
    found = {key: spec for key, spec in found.items() if key in expected or key not in FORMER}
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


def _made(manifest: dict[str, Any], unpacker: Unpacker, device: str, n_tensors: int) -> JointEstimator:
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
    estimator = cls(**_elsewhere(parameters, device))
    check_parameters(estimator)
    n_layers = len(estimator.get_params(deep=False)["hidden_units"])
    if n_layers > n_tensors:
        raise FileFormatError(f"hidden_units has {n_layers} entries for {n_tensors} weights")
    return estimator
