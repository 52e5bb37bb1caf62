"""The child Task of a worker's commit: one many-element Task per element and group. Pure."""

from typing import Any

from armonik_sdk.api.const import (
    GROUP_VERSION,
    PARENT_LABEL,
    PARENT_RUN_ANNOTATION,
    SESSION_LABEL,
    TASK_KIND,
)
from armonik_sdk.api.records import ChildGroup


def build_child(group: ChildGroup, *, session_name: str, parent_uid: str, run: int) -> dict[str, Any]:
    """The Task to create; its name is deterministic, so creating it twice is refused."""
    options: dict[str, Any] = {}
    if group.partition:
        options["partition"] = group.partition
    if group.priority > 0:
        options["priority"] = group.priority
    if group.max_retries >= 0:
        options["maxRetries"] = group.max_retries
    if group.max_duration_seconds > 0:
        options["maxDurationSeconds"] = group.max_duration_seconds
    spec: dict[str, Any] = {
        "session": session_name,
        "itemsRef": {"object": group.items, "count": group.count},
    }
    return {
        "apiVersion": GROUP_VERSION,
        "kind": TASK_KIND,
        "metadata": {
            "name": group.name,
            "labels": {PARENT_LABEL: parent_uid, SESSION_LABEL: session_name},
            "annotations": {PARENT_RUN_ANNOTATION: str(run)},
        },
        "spec": spec | ({"options": options} if options else {}),
    }
