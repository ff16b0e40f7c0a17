"""The error types keep the base classes that callers catch."""

from __future__ import annotations

import pytest

from pyro_mnar import errors


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_every_error_is_an_mnar_error(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.MNARError)


def test_builtin_bases_that_callers_rely_on() -> None:
    assert issubclass(errors.InvalidInputError, ValueError)
    assert issubclass(errors.DownloadError, OSError)
    assert issubclass(errors.ChecksumError, errors.DatasetError)
    assert issubclass(errors.UnreliableWeightsWarning, errors.MNARWarning)
    assert issubclass(errors.MNARWarning, UserWarning)


def test_all_lists_every_public_class() -> None:
    public = {n for n, v in vars(errors).items() if isinstance(v, type) and not n.startswith("_")}
    assert public == set(errors.__all__)
