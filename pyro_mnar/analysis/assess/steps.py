"""What an assessment has done already, in a folder, so that an interrupted one goes on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyro_mnar import __version__
from pyro_mnar.data.atomic import replacing
from pyro_mnar.errors import FileFormatError
from pyro_mnar.estimators import MNARImputer
from pyro_mnar.persistence import load, save


class Steps:
    """Finished steps of one assessment; of another table, or with other settings, none is finished.

    They are kept in ``folder`` (None keeps nothing), under the ``key`` that tells this assessment from others.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self.folder = None if folder is None else folder / key
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def model(self, fitted: Callable[[], MNARImputer]) -> MNARImputer:
        """The saved model, or the one that ``fitted`` makes, saved."""
        if self.folder is None:
            return fitted()
        place = self.folder / "model"
        if place.exists():
            try:
                found = load(place)
                assert isinstance(found, MNARImputer)
                return found
            except FileFormatError:
                # Damaged: made again.
                pass
        imputer = fitted()
        save(imputer, place, overwrite=True)
        return imputer

    def frame(self, name: str, made: Callable[[], pd.DataFrame]) -> pd.DataFrame:
        """The stored table of that name, or the one that ``made`` makes, stored."""
        if self.folder is None:
            return made()
        path = self.folder / f"{name}.json"
        if path.exists():
            try:
                stored = json.loads(path.read_text(encoding="utf-8"))
                index = pd.Index(stored["index"], name=stored["name"])
                return pd.DataFrame(stored["data"], index=index, columns=stored["columns"])
            except (ValueError, KeyError):
                pass
        frame = made()
        content = frame.astype(object).to_dict("split") | {"name": frame.index.name}
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, default=_plain), encoding="utf-8")
        return frame


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be stored")


def key_of(X: pd.DataFrame, settings: dict[str, Any]) -> str:
    """What tells an assessment from others: its table, its settings and the version, as 12 hex digits."""
    digest = hashlib.sha256(f"{__version__} {sorted(settings.items())} {list(X.columns)} {list(X.dtypes)}".encode())
    digest.update(pd.util.hash_pandas_object(X.astype(object).where(X.notna(), None).astype(str)).to_numpy().tobytes())
    return digest.hexdigest()[:12]
