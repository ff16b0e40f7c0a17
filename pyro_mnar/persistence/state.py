"""The attributes that a fit leaves, read from a manifest: each checked by itself, and against the others."""

from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator

from pyro_mnar.data.columns import ColumnInfo, Layout, LostTail, Support
from pyro_mnar.data.kinds.column import ColumnKind, KindName
from pyro_mnar.data.kinds.schema import Schema
from pyro_mnar.errors import FileFormatError
from pyro_mnar.estimators.start.nested import Finding
from pyro_mnar.inference.history import History
from pyro_mnar.persistence.typed import holds
from pyro_mnar.persistence.values import Unpacker, short

#: The attributes and their types; ``joint_`` is the weights.
STATE: dict[str, Any] = {
    "n_features_in_": int,
    "columns_": ColumnInfo,
    "layout_": Layout,
    "image_shape_": tuple[int, int],
    "history_": History,
    "findings_": tuple[Finding, ...],
    "n_iter_": int,
    "_seed": int,
    "_schema": Schema,
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
    "classes_",
    "y_center_",
    "y_scale_",
}
#: What an estimator cannot answer without.
NEEDED = {
    "MNARImageImputer": {"image_shape_"},
    "MNARClassifier": {"classes_"},
    "MNARRegressor": {"y_center_", "y_scale_"},
}
#: What format 1 had in the place of the schema.
OF_FORMAT_1: dict[str, Any] = {"_has_values": np.ndarray, "_labels": dict, "_whole": np.ndarray}
_CONTAINERS = ("default", "pandas", "polars")


def checked_state(manifest: dict[str, Any], unpacker: Unpacker) -> dict[str, Any]:
    """The attributes by name.

    FileFormatError for one that is unknown or missing, of another type, or that contradicts the others.
    """
    packed = manifest["state"]
    if not isinstance(packed, dict):
        raise FileFormatError("the state in the manifest is no table of names and values")
    types = STATE if "_schema" in packed or manifest["version"] > 1 else {**STATE, **OF_FORMAT_1}
    optional = OPTIONAL if types is STATE else (OPTIONAL | {"_schema", "_labels", "_whole"})
    unknown = sorted(set(packed) - set(types))
    missing = sorted((set(types) - optional | NEEDED.get(manifest["class"], set())) - set(packed))
    if unknown or missing:
        raise FileFormatError(f"the state in the manifest has the unknown keys {unknown} and lacks {missing}")
    state = {key: unpacker.unpack(value) for key, value in packed.items()}
    for key, value in state.items():
        if not holds(value, types[key]):
            raise FileFormatError(f"{key} in the manifest is {short(value)}, which is of another type")
    if "_schema" not in state:
        state = _with_schema(state)
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
    _check(all(np.isfinite(v).all() for v in numbers), "its columns")
    _check(bool((columns.scale > 0).all() and (columns.missing_rate >= 0).all()), "its columns")
    _check(len(columns.transforms) in (0, p) and len(columns.supports) in (0, p), "its columns")
    _check(len(state.get("findings_", ())) in (0, p), "what was found of its columns")
    _check(all(holds_numbers(support) for support in columns.supports), "the supports of its columns")
    _check(all(_is_tail(tail, p) for tail in columns.tails), "its columns")
    shares = columns.within_limits
    _check(len(shares) in (0, p) and all(0 <= share <= 1 for share in shares), "the limits of its columns")
    if columns.beside is not None:
        beside = columns.beside
        numbers = (beside.center, beside.scale, beside.missing_rate)
        _check({np.shape(value) for value in numbers} == {(len(beside.names),)}, "the columns beside the model")
        _check(all(np.isfinite(v).all() for v in numbers), "the columns beside the model")
        _check(bool((beside.scale > 0).all()) and beside.beside is None, "the columns beside the model")
        _check(not beside.transforms and not beside.supports, "the columns beside the model")
    layout: Layout = state["layout_"]
    others = [*(levels.column for levels in layout.levels), *(atoms.column for atoms in layout.atoms)]
    _check(sorted([*layout.continuous, *layout.discrete, *others]) == list(range(p)), "the kinds of its columns")
    shape = state.get("image_shape_", (1, p))
    if min(shape) < 1 or shape[0] * shape[1] != p:
        raise FileFormatError(f"the image shape in the manifest, {shape}, is not that of {p} pixels")


def _is_tail(tail: LostTail, p: int) -> bool:
    numbers = np.isfinite([0.0 if tail.end is None else tail.end, tail.spread]).all()
    return bool(numbers) and 0 <= tail.column < p and tail.spread >= 0 and tail.sign in (1, -1)


def _check_table(state: dict[str, Any]) -> None:
    """The columns of the table against those of the model."""
    p, n_features, schema = len(state["columns_"].names), state["n_features_in_"], state["_schema"]
    if len(schema.columns) != n_features or len(schema.model_names()) != p:
        raise FileFormatError("the number of columns in the manifest differs from that of the model")
    _check(all(holds_numbers(column.support) for column in schema.columns), "the supports of the table's columns")
    labels = [(*column.labels, *column.pooled) for column in schema.columns]
    _check(all(holds(part, tuple[str | float | bool, ...]) for part in labels), "the labels of the table's columns")
    _check(all(0 <= j < n_features for group in schema.groups for j in group), "its one-hot groups")
    names = () if state["columns_"].beside is None else state["columns_"].beside.names
    fits = all(0 <= j < n_features and kind.modelled for j, kind in schema.beside)
    _check(fits and tuple(schema.of_beside().model_names()) == names, "the columns beside the model")
    if "feature_names_in_" in state:
        _check(state["feature_names_in_"].shape == (n_features,), "the names of the table's columns")
    if "indicator_" in state:
        _check(state["indicator_"].n_features_in_ == n_features, "the indicator of missing cells")


def _with_schema(state: dict[str, Any]) -> dict[str, Any]:
    """The attributes of format 1 with a schema: it had numbers, 0 and 1, and categories."""
    kept = {key: value for key, value in state.items() if key not in OF_FORMAT_1}
    has_values, labels, n_features = state["_has_values"], state.get("_labels", {}), state["n_features_in_"]
    _check(has_values.shape == (n_features,) and all(isinstance(value, list) for value in labels.values()), "its table")
    names = list(state.get("feature_names_in_", [f"x{j}" for j in range(n_features)]))
    grouped = [group.columns for group in state["layout_"].groups if not group.one_cell]
    columns, starts, place = [], {}, 0
    for j, name in enumerate(names):
        kind: KindName = "continuous" if has_values[j] else "empty"
        if has_values[j] and j in labels:
            columns.append(ColumnKind(name, "nominal", "categories", labels=tuple(labels[j]), holds="label"))
        else:
            binary = place in state["layout_"].binary and bool(has_values[j])
            one_hot = bool(has_values[j]) and any(place in group for group in grouped)
            columns.append(ColumnKind(name, "binary" if binary else "one-hot" if one_hot else kind, "an older format"))
        starts[place] = j
        place += columns[-1].width
    groups = tuple(tuple(starts[start] for start in group) for group in grouped)
    return {**kept, "_schema": Schema(tuple(columns), groups)}


def _check_rest(state: dict[str, Any]) -> None:
    _check(0 <= state["_seed"] < 2**63, "its seed")
    history = state["history_"]
    _check(state["n_iter_"] == len(history.bound) > 0, "its history")
    if "classes_" in state:
        _check(state["classes_"].ndim == 1 and len(state["classes_"]) > 0, "its classes")
    if "y_scale_" in state:
        _check(bool(np.isfinite([state["y_center_"], state["y_scale_"]]).all() and state["y_scale_"] > 0), "its target")
    output = state.get("_sklearn_output_config", {})
    _check(set(output) <= {"transform"} and set(output.values()) <= {*_CONTAINERS, None}, "its output's container")


def holds_numbers(support: Support) -> bool:
    """Whether there is a number between its ends."""
    return support.lowest <= support.highest and support.lowest < np.inf and support.highest > -np.inf


def _check(right: bool, what: str) -> None:
    if not right:
        raise FileFormatError(f"the state in the manifest is inconsistent in {what}")
