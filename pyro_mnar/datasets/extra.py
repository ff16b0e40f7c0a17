"""The packages that public data take, and imputation does not: the extra ``studies``."""

import importlib
from typing import Any

from pyro_mnar.errors import DatasetError


def needed(module: str) -> Any:
    """A module of the extra.

    Raises
    ------
    DatasetError
        It is not installed.

    Examples
    --------
    >>> needed("pooch").__name__
    'pooch'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise DatasetError(
            f"public data are read with {module.partition('.')[0]}, which is not installed: pip install "
            "'pyro-mnar[studies]'"
        ) from error
