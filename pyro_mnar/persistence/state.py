"""The attributes that a fit leaves, read from a manifest: each checked by itself, and against the others."""

from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator

from pyro_mnar.data.columns import ColumnInfo, Layout, Support
from pyro_mnar.data.encoding import Kinds
from pyro_mnar.data.transforms import Transform
from pyro_mnar.errors import FileFormatError
from pyro_mnar.inference.training import History
from pyro_mnar.persistence.values import Unpacker

#: The attributes and their types; ``joint_`` is the weights.
STATE: dict[str, type | tuple[type, ...]] = {
    "n_features_in_": int,
    "columns_": ColumnInfo,
    "layout_": Layout,
    "image_shape_": tuple,
    "history_": History,
    "findings_": tuple,
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
    "findings_",
    "feature_names_in_",
    "indicator_",
    "_sklearn_output_config",
    "_whole",
    "_labels",
    "classes_",
    "y_center_",
    "y_scale_",
}
#: What an estimator cannot answer without.
NEEDED = {
    "MNARImputer": {"_whole"},
    "MNARImageImputer": {"image_shape_"},
    "MNARClassifier": {"classes_"},
    "MNARRegressor": {"y_center_", "y_scale_"},
}
_CONTAINERS = ("default", "pandas", "polars")


def checked_state(manifest: dict[str, Any], unpacker: Unpacker) -> dict[str, Any]:
    """The attributes by name.

    Raises
    ------
    FileFormatError
        An attribute that is unknown or missing, of another type, or that contradicts the others.
    """
    packed = manifest["state"]
    if not isinstance(packed, dict):
        raise FileFormatError("the state in the manifest is no table of names and values")
    unknown = sorted(set(packed) - set(STATE))
    missing = sorted((set(STATE) - OPTIONAL | NEEDED.get(manifest["class"], set())) - set(packed))
    if unknown or missing:
        raise FileFormatError(f"the state in the manifest has the unknown keys {unknown} and lacks {missing}")
    state = {key: unpacker.unpack(value) for key, value in packed.items()}
    for key, value in state.items():
        if not isinstance(value, STATE[key]) or isinstance(value, bool):
            raise FileFormatError(f"{key} in the manifest is a {type(value).__name__}")
    _check_columns(state, manifest["columns"])
    _check_table(state)
    _check_rest(state)
    return state


def _check_columns(state: dict[str, Any], named: Any) -> None:
    columns: ColumnInfo = state["columns_"]
    p = len(columns.names)
    numbers = (columns.center, columns.scale, columns.missing_rate)
    if {np.shape(value) for value in numbers} != {(p,)} or named != list(columns.names):
        raise FileFormatError("the columns in the manifest differ in number from their means, or in name")
    _check(all(isinstance(name, str) for name in columns.names), "the names of its columns")
    _check(all(isinstance(v, np.ndarray) and v.dtype == float and np.isfinite(v).all() for v in numbers), "its columns")
    _check(bool((columns.scale > 0).all() and (columns.missing_rate >= 0).all()), "its columns")
    for found, kind in ((columns.transforms, Transform), (columns.supports, Support)):
        _check(len(found) in (0, p) and all(isinstance(value, kind) for value in found), "its columns")
    layout: Layout = state["layout_"]
    cut = [levels.column for levels in layout.levels]
    _check(sorted([*layout.continuous, *layout.discrete, *cut]) == list(range(p)), "the kinds of its columns")
    _check({atoms.column for atoms in layout.atoms} <= set(range(p)), "the kinds of its columns")
    shape = state.get("image_shape_", (1, p))
    if len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape) or shape[0] * shape[1] != p:
        raise FileFormatError(f"the image shape in the manifest, {shape}, is not that of {p} pixels")


def _check_table(state: dict[str, Any]) -> None:
    """The columns of the table against those of the model."""
    p, n_features, has_values = len(state["columns_"].names), state["n_features_in_"], state["_has_values"]
    labels = state.setdefault("_labels", {})
    _check(all(isinstance(j, int) and 0 <= j < n_features and isinstance(v, list) for j, v in labels.items()), "labels")
    if has_values.shape != (n_features,) or has_values.dtype != bool or len(_model_names(has_values, labels)) != p:
        raise FileFormatError("the number of columns in the manifest differs from that of the model")
    if "feature_names_in_" in state:
        _check(state["feature_names_in_"].shape == (n_features,), "the names of the table's columns")
    if "_whole" in state:
        _check(state["_whole"].shape == (p,) and state["_whole"].dtype == bool, "which columns hold whole numbers")
    if "indicator_" in state:
        _check(state["indicator_"].n_features_in_ == n_features, "the indicator of missing cells")


def _check_rest(state: dict[str, Any]) -> None:
    _check(0 <= state["_seed"] < 2**63, "its seed")
    history = state["history_"]
    _check(all(isinstance(entries, list) for entries in vars(history).values()), "its history")
    _check(state["n_iter_"] == len(history.bound) > 0, "its history")
    if "classes_" in state:
        _check(state["classes_"].ndim == 1 and len(state["classes_"]) > 0, "its classes")
    if "y_scale_" in state:
        _check(bool(np.isfinite([state["y_center_"], state["y_scale_"]]).all() and state["y_scale_"] > 0), "its target")
    output = state.get("_sklearn_output_config", {})
    _check(set(output) <= {"transform"} and set(output.values()) <= {*_CONTAINERS, None}, "its output's container")


def _model_names(has_values: np.ndarray, labels: dict[int, list[Any]]) -> list[str]:
    return Kinds(np.arange(len(has_values)).astype(object), has_values, labels).model_names()


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise FileFormatError(f"the state in the manifest is inconsistent in {what}")
