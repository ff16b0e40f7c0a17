"""Parameters and fitted attributes as JSON, with arrays kept apart: plain values and a fixed table of records."""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.impute import MissingIndicator
from torch import Tensor

from pyro_mnar.data.columns import Atoms, ColumnInfo, FloatArray, Group, Layout, Levels, LostTail, Support
from pyro_mnar.data.kinds.column import ColumnKind
from pyro_mnar.data.kinds.declared import KINDS, OneHot
from pyro_mnar.data.kinds.schema import Schema
from pyro_mnar.data.transforms import Identity, Log, Logit, Tabulated, WithAtoms, YeoJohnson
from pyro_mnar.errors import FileFormatError, InvalidInputError
from pyro_mnar.estimators.settings import TrainingSettings
from pyro_mnar.estimators.start.nested import Finding
from pyro_mnar.inference.history import History
from pyro_mnar.model import mechanisms
from pyro_mnar.model.mechanisms import Mechanism
from pyro_mnar.persistence.typed import wrong_field

#: What a manifest may name; anything else in a file is an error.
RECORDS: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        *(ColumnInfo, LostTail, Support, Group, Levels, Atoms, Layout, History, TrainingSettings, Finding),
        *(Identity, Log, YeoJohnson, Logit, Tabulated, WithAtoms),
        *(Schema, ColumnKind, OneHot, *KINDS.values()),
    )
}
MECHANISMS: dict[str, type[Mechanism]] = {
    cls.__name__: cls
    for cls in (
        mechanisms.Censored,
        mechanisms.Ignorable,
        mechanisms.Latent,
        mechanisms.Nested,
        mechanisms.SelfMasking,
        mechanisms.Linear,
        mechanisms.Nonlinear,
        mechanisms.Fixed,
    )
}
ARRAY_KINDS = "biuf"


class Packer:
    """Turns values into JSON; arrays go to ``arrays`` under the path at which they were found."""

    def __init__(self) -> None:
        self.arrays: dict[str, Tensor] = {}

    def pack(self, value: Any, path: str) -> Any:
        """The JSON of a value; InvalidInputError names where one is that the format cannot hold."""
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, np.generic):
            return self.pack(value.item(), path)
        if isinstance(value, int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else {"number": str(value)}
        if value is pd.NA:
            return {"number": "NA"}
        if isinstance(value, list) and (numbers := _numbers(value)) is not None:
            self.arrays[path] = torch.as_tensor(numbers)
            return {"list": path}
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            items = [self.pack(item, f"{path}.{i}") for i, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, Mapping):
            return {"map": [[self.pack(k, path), self.pack(v, f"{path}.{k}")] for k, v in value.items()]}
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if isinstance(value, Mechanism):
            return self._mechanism(value, path)
        if isinstance(value, MissingIndicator):
            return {"indicator": self.pack([value.features_, value.n_features_in_], path)}
        if isinstance(value, np.random.RandomState):
            raise InvalidInputError(f"{path} is a generator, which has no value to save; give a number")
        return self._record(value, path)

    def _array(self, value: npt.NDArray[Any], path: str) -> Any:
        if value.dtype.kind in ARRAY_KINDS:
            # A copy: the array may be read-only or a view.
            self.arrays[path] = torch.as_tensor(np.array(value, order="C"))
            return {"array": path}
        if value.ndim == 1 and all(isinstance(item, str) for item in value):
            return {"text": [str(item) for item in value], "object": value.dtype == object}
        raise InvalidInputError(f"{path} is an array of {value.dtype}, which cannot be saved")

    def _mechanism(self, value: Mechanism, path: str) -> Any:
        name = type(value).__name__
        by_caller = {"mechanism": name, "parameters": None}
        if type(value) not in MECHANISMS.values():
            return by_caller
        parameters = {key: getattr(value, key) for key in constructor_parameters(type(value))}
        if any(callable(parameter) for parameter in parameters.values()):
            return by_caller
        return {"mechanism": name, "parameters": self.pack(parameters, f"{path}.{name}")}

    def _record(self, value: Any, path: str) -> Any:
        for name, cls in RECORDS.items():
            if type(value) is cls:
                return {
                    "record": name,
                    "fields": {field: self.pack(getattr(value, field), f"{path}.{field}") for field in fields(cls)},
                }
        raise InvalidInputError(
            f"{path} is a {type(value).__name__}, which cannot be saved; save holds numbers, text, arrays and the "
            "package's own mechanisms"
        )


class Unpacker:
    """Turns JSON back into values, with the arrays of the file.

    ``mechanism`` is the instance for a mechanism that is not the package's own.
    """

    def __init__(self, arrays: Mapping[str, Tensor], mechanism: Mechanism | None = None) -> None:
        self.arrays = arrays
        self.mechanism = mechanism
        self.used: set[str] = set()

    def unpack(self, packed: Any) -> Any:
        """The value of a JSON; FileFormatError if it is not the JSON of one."""
        if packed is None or isinstance(packed, (bool, int, float, str)):
            return packed if not isinstance(packed, str) else _text(packed)
        if isinstance(packed, list):
            return [self.unpack(item) for item in packed]
        match packed:
            case {"number": "nan" | "inf" | "-inf" as number, **rest} if not rest:
                return float(number)
            case {"number": "NA", **rest} if not rest:
                return pd.NA
            case {"tuple": list(items), **rest} if not rest:
                return tuple(self.unpack(item) for item in items)
            case {"map": list(items), **rest} if not rest:
                return {self.unpack(key): self.unpack(value) for key, value in items}
            case {"array": str(path), **rest} if not rest and path in self.arrays:
                self.used.add(path)
                return self.arrays[path].numpy()
            case {"list": str(path), **rest} if not rest and path in self.arrays:
                self.used.add(path)
                return self.arrays[path].tolist()
            case {"text": list(items), "object": bool(as_object), **rest} if not rest:
                if not all(isinstance(item, str) for item in items):
                    raise FileFormatError("a list of texts in the manifest holds something else")
                return np.array([_text(item) for item in items], dtype=object if as_object else str)
            case {"mechanism": str(name), "parameters": parameters, **rest} if not rest:
                return self._mechanism(name, parameters)
            case {"indicator": list(parts), **rest} if not rest:
                return self._indicator(*self.unpack(parts))
            case {"record": str(name), "fields": dict(values), **rest} if not rest and name in RECORDS:
                cls = RECORDS[name]
                values = _upgraded(name, values)
                if not set(values) <= set(fields(cls)):
                    raise FileFormatError(f"{name} in the manifest has the fields {list(values)}, not {fields(cls)}")
                # A field that is newer than the file has its default; one without a default is a TypeError.
                record = cls(**{field: self.unpack(value) for field, value in values.items()})
                wrong = None if cls is TrainingSettings else wrong_field(record)
                if wrong is not None:
                    held = short(getattr(record, wrong))
                    raise FileFormatError(f"{name} in the manifest holds {held} in {wrong}, which is of another type")
                return record
        raise FileFormatError(f"the manifest holds {short(packed)}, which is no value of this format")

    def _mechanism(self, name: str, parameters: Any) -> Mechanism:
        if parameters is None:
            if self.mechanism is None:
                raise FileFormatError(
                    f"the model has the mechanism {name}, which is not one of the package's own or holds a function, "
                    f"and code is never read from a file; give it: load(folder, mechanism={name}(...))"
                )
            if type(self.mechanism).__name__ != name:
                raise FileFormatError(
                    f"mechanism is a {type(self.mechanism).__name__}, but the model was saved with {name}"
                )
            return self.mechanism
        if name not in MECHANISMS:
            raise FileFormatError(f"the manifest names the mechanism {name!r}, which this version does not have")
        cls = MECHANISMS[name]
        values = self.unpack(parameters)
        # A parameter that is newer than the file has its default.
        if not isinstance(values, dict) or not set(values) <= set(constructor_parameters(cls)):
            raise FileFormatError(f"the parameters of {name} in the manifest are not {constructor_parameters(cls)}")
        return cls(**values)

    def _indicator(self, features: Any, n_features: Any) -> MissingIndicator:
        """A fitted indicator: it is fitted to one row in which the same columns have holes."""
        most = max((value.numel() for value in self.arrays.values()), default=0)
        valid = type(n_features) is int and 0 < n_features <= most and isinstance(features, np.ndarray)
        if not valid or features.dtype.kind not in "iu" or not ((features >= 0) & (features < n_features)).all():
            raise FileFormatError(f"the indicator of missing cells in the manifest is not that of {n_features} columns")
        row = np.zeros((1, n_features))
        row[0, features] = np.nan
        return MissingIndicator(error_on_new=False).fit(row)


def _upgraded(name: str, packed: dict[str, Any]) -> dict[str, Any]:
    """The fields of a record as this version has them: the first files listed the columns of logarithms."""
    if name != "ColumnInfo" or "logged" not in packed:
        return packed
    match packed["names"], packed["logged"]:
        case {"tuple": list(names)}, {"tuple": list(logged)}:
            kinds = ["Log" if j in logged else "Identity" for j in range(len(names))] if logged else []
            transforms = {"tuple": [{"record": kind, "fields": {}} for kind in kinds]}
            return {key: value for key, value in packed.items() if key != "logged"} | {"transforms": transforms}
    raise FileFormatError(f"the manifest holds {short(packed['logged'])}, which names no columns")


def constructor_parameters(cls: type) -> list[str]:
    """Names of what a class is made with."""
    return list(inspect.signature(cls).parameters) if "__init__" in vars(cls) else []


def fields(cls: type) -> list[str]:
    """Names of the fields of a NamedTuple, a dataclass or the settings of training, in order."""
    if dataclasses.is_dataclass(cls):
        return [field.name for field in dataclasses.fields(cls)]
    return list(getattr(cls, "_fields", ())) or constructor_parameters(cls)


def _numbers(values: list[Any]) -> FloatArray | None:
    """Lists of floats, nested or not, as an array; None for other lists."""
    kinds = {type(value) for value in values}
    if kinds == {list}:
        parts = [_numbers(value) for value in values]
        same = len({len(value) for value in values}) == 1
        return np.array(parts) if same and all(part is not None for part in parts) else None
    return np.array(values) if kinds == {float} else None


def _text(text: str) -> str:
    """A text, if it is one: JSON can hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FileFormatError(f"the manifest holds {short(ascii(text))}, which is no text") from error
    return text


def short(value: Any) -> str:
    """A value in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
