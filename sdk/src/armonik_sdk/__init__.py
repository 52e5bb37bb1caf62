"""Functions on the grid, blocking (`import armonik_sdk as ak`), and what client, workers and operator share.

The names of `armonik_sdk.sync` are here, each imported when it is used first: operator, agent and workers
import nothing of it. In a worker, which has no client, `task` and `current_task` are those of the worker.
"""

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from armonik_sdk.sync import *  # noqa: F403 - the names of that package, for type checkers
    from armonik_sdk.sync import __all__ as __all__

logging.getLogger("armonik_sdk").addHandler(logging.NullHandler())  # a library does not print

_OF_WORKERS = {
    "task": "armonik_sdk.worker.functions.declared",
    "current_task": "armonik_sdk.worker.functions",
}


def __getattr__(name: str) -> Any:
    if name in _OF_WORKERS and _in_worker():
        return getattr(importlib.import_module(_OF_WORKERS[name]), name)
    if not name.startswith("_") or name == "__all__":
        found = getattr(importlib.import_module("armonik_sdk.sync"), name, None)
        if found is not None:
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *importlib.import_module("armonik_sdk.sync").__all__])


def _in_worker() -> bool:
    """Whether an element is executed here."""
    context = sys.modules.get("armonik_sdk.worker.functions.context")
    return context is not None and context.current_task() is not None
