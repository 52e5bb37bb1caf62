"""Options of tasks, from the names of the command line to those of manifests."""

from collections.abc import Mapping
from typing import Any, Final

_NAMES: Final = {
    "default_partition": "partition",
    "partition": "partition",
    "priority": "priority",
    "max_retries": "maxRetries",
    "timeout": "maxDurationSeconds",
}


def task_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as the manifest has it; empty when nothing was."""
    found = {_NAMES[name]: value for name, value in given.items() if name in _NAMES and value is not None}
    if settings := dict(given.get("settings") or ()):
        found["options"] = settings
    return found
