"""pyro_mnar: deep generative models for data that are missing because of their own values."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyro_mnar.estimators import MNARImputer

__all__ = ["MNARImputer"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, and the command line answers `--help` and refuses bad input without it.
    if name in __all__:
        from pyro_mnar import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module 'pyro_mnar' has no attribute {name!r}")
