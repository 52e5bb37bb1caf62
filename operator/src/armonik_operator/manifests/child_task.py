"""The child Task of a worker's commit: one many-element Task per element and group. Pure."""

from typing import Any

from armonik_sdk.api.const import (
    GROUP_VERSION,
    PARENT_INDEX_ANNOTATION,
    PARENT_LABEL,
    PARENT_NAME_ANNOTATION,
    PARENT_RUN_ANNOTATION,
    SESSION_LABEL,
    TASK_KIND,
)
from armonik_sdk.api.kinds import Task, TaskOptions, TaskParent, merge_options
from armonik_sdk.api.records import ChildGroup


def build_child(
    group: ChildGroup,
    *,
    session_name: str,
    parent_uid: str,
    parent_name: str,
    run: int,
    inherited: TaskOptions,
) -> dict[str, Any]:
    """The Task to create; its name is deterministic, so creating it twice is refused.

    Args:
        group: the sub-tasks.
        session_name: name of the parent's Session.
        parent_uid: UID of the Task whose worker submitted them.
        parent_name: its name, if known.
        run: first index of the run whose commit they ride with.
        inherited: what is in force for the parent's element; what the worker set takes precedence.
    """
    own = TaskOptions.model_validate(
        {
            name: value
            for name, value in (
                ("partition", group.partition or None),
                ("priority", group.priority if group.priority > 0 else None),
                ("max_retries", group.max_retries if group.max_retries >= 0 else None),
                (
                    "max_duration_seconds",
                    group.max_duration_seconds if group.max_duration_seconds > 0 else None,
                ),
            )
            if value is not None
        }
    )
    options = merge_options(own, inherited).to_object()
    spec: dict[str, Any] = {
        "session": session_name,
        "itemsRef": {"object": group.items, "count": group.count},
    }
    annotations = {PARENT_RUN_ANNOTATION: str(run), PARENT_INDEX_ANNOTATION: str(group.element)}
    return {
        "apiVersion": GROUP_VERSION,
        "kind": TASK_KIND,
        "metadata": {
            "name": group.name,
            "labels": {PARENT_LABEL: parent_uid, SESSION_LABEL: session_name},
            "annotations": annotations | ({PARENT_NAME_ANNOTATION: parent_name} if parent_name else {}),
        },
        "spec": spec | ({"options": options} if options else {}),
    }


def is_same_child(existing: dict[str, Any], child: dict[str, Any]) -> bool:
    """Whether an existing Task is the child to be created: same element, same items.

    Its name and label alone do not say so: anybody may create a Task with them beforehand.
    """
    meta, wanted = existing["metadata"], child["metadata"]
    notes = meta.get("annotations") or {}
    same = all(
        notes.get(key) == wanted["annotations"][key]
        for key in (PARENT_RUN_ANNOTATION, PARENT_INDEX_ANNOTATION)
    )
    spec = existing.get("spec") or {}
    return same and all(spec.get(key) == child["spec"][key] for key in ("session", "itemsRef"))


def parent_of(task: Task) -> TaskParent | None:
    """What `status.parent` shows, from the labels and annotations of a child."""
    uid = task.metadata.labels.get(PARENT_LABEL)
    if not uid:
        return None
    notes = task.metadata.annotations
    run, index = notes.get(PARENT_RUN_ANNOTATION, ""), notes.get(PARENT_INDEX_ANNOTATION, "")
    return TaskParent(
        uid=uid,
        name=notes.get(PARENT_NAME_ANNOTATION),
        run=int(run) if run.isdecimal() else None,
        index=int(index) if index.isdecimal() else None,
    )
