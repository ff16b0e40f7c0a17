"""Manifests of older formats, rewritten as those of this one."""

from collections.abc import Mapping
from typing import Any

from pyro_mnar.errors import FileFormatError
from pyro_mnar.estimators.parameters import MOST_FOR_LABELS
from pyro_mnar.estimators.settings import TrainingSettings

#: Parameters of an imputer of tables that one of images does not have.
_OF_TABLES = (*("decoder", "log_columns", "discrete_output", "keep_empty_features", "add_indicator"),)


def upgraded(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest, of this format or an older one, as this version writes it.

    Format 1 had the settings of training among the estimator's parameters, images in ``MNARImputer``, and lists of
    columns in ``categorical`` and ``binary`` where ``types`` is now. Its code had a dimension less than the model
    columns, however many. FileFormatError for a model that this version does not have.

    Examples
    --------
    >>> old = {"version": 1, "class": "MNARImputer", "parameters": {"latent_dim": 2, "tol": 0.1}}
    >>> upgraded(old)["parameters"]
    {'latent_dim': 2, 'training': {'record': 'TrainingSettings', 'fields': {'tol': 0.1}}}
    """
    found = dict(manifest)
    if found["version"] == 1 and isinstance(found["parameters"], dict):
        images = found["parameters"].get("decoder") == "conv"
        found["class"] = "MNARImageImputer" if images else found["class"]
        found["parameters"] = _parameters(found["parameters"], images)
        p = len(found["columns"]) if isinstance(found.get("columns"), list) else 0
        if found["parameters"].get("latent_dim") is None and p - 1 > MOST_FOR_LABELS:
            found["parameters"]["latent_dim"] = p - 1
    return found


def _parameters(flat: Mapping[str, Any], images: bool) -> dict[str, Any]:
    parameters = dict(flat)
    if parameters.pop("likelihood", "auto") != "auto":
        raise FileFormatError("the model has likelihood='truncated', which only version 0.1 of pyro_mnar has")
    if not images:
        parameters.pop("pixel_noise", None)
    parameters.pop("round_integers", None)
    types = _types(parameters.pop("categorical", None), parameters.pop("binary", "auto"))
    if types and not images:
        parameters["types"] = {"map": types}
    for name in _OF_TABLES if images else ():
        parameters.pop(name, None)
    names = TrainingSettings().get_params(deep=False)
    settings = {name: parameters.pop(name) for name in names if name in parameters}
    if settings.get("start") == "unscaled":
        # It mattered in the fit alone: the scales are in the fitted columns.
        settings["start"] = "neutral"
    return {**parameters, "training": {"record": "TrainingSettings", "fields": settings}}


def _types(categorical: Any, binary: Any) -> list[list[Any]]:
    """The entries of ``types`` that say the same, as a manifest has them."""
    groups = _items(categorical) or []
    found: list[list[Any]] = [
        [f"group {k}", {"record": "OneHot", "fields": {"columns": group}}] for k, group in enumerate(groups)
    ]
    return [*found, *([column, "binary"] for column in _items(binary) or [])]


def _items(packed: Any) -> list[Any] | None:
    """The items of a list or tuple in a manifest; None of anything else."""
    if isinstance(packed, dict):
        packed = packed.get("tuple")
    return packed if isinstance(packed, list) else None
