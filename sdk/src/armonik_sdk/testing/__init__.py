"""A grid of processes on this machine, for tests of programs that use functions on the grid."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armonik_sdk.testing.local_grid import LocalGrid

__all__ = ["LocalGrid"]


def __getattr__(name: str) -> Any:
    """Imported when it is used: the plugin is loaded by each run of pytest."""
    if name == "LocalGrid":
        return importlib.import_module("armonik_sdk.testing.local_grid").LocalGrid
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
