"""References that no schema can check: to what is not there, or is not what it is taken for.

The object is accepted, and a condition says what is wrong; most of them end when it is corrected.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from manifests import partition, pods, session, task

Object = dict[str, Any]


@dataclass(frozen=True)
class Reference:
    """An object whose condition must have this reason, and a message with these words."""

    name: str
    """Of the object, too."""
    field: str
    spec: Object
    """Of a Task, unless `manifest` is there. `UID OF x` is replaced by the UID of the Task x,
    `FOLDER x` for the key x below the folder of the Session demo."""
    reason: str
    message: str
    condition: str = "Ready"
    kind: str = "Task"
    beside: tuple[Object, ...] = ()
    """What is created before it."""
    stored: dict[str, str] = field(default_factory=dict)
    """Objects put into the store before it."""

    @property
    def manifest(self) -> Object:
        """The object."""
        if self.kind == "Session":
            return session(self.spec, self.name)
        if self.kind == "Partition":
            return partition(self.spec, self.name)
        return task(self.spec, self.name)


def with_uids(manifest: Object, uids: dict[str, str], folder: str) -> Object:
    """The manifest with the UIDs of Tasks that exist, and the Session's folder, in their places."""
    text = json.dumps(manifest).replace("FOLDER ", folder)
    for name, uid in uids.items():
        text = text.replace(f"UID OF {name}", uid)
    made: Object = json.loads(text)
    return made


def _needs(**dependency: Any) -> Object:
    return {"dependsOn": [dependency]}


TWO = task({"count": 2}, "two")
"""Two elements that never run, each with the output `result`."""
ELSEWHERE = session({}, "other"), task({"session": "other"}, "elsewhere")
NOTHING_SUCH = "does not exist"

_TASKS = [
    Reference(
        "no-session",
        "spec.session",
        {"session": "nowhere"},
        "SessionNotFound",
        "session nowhere does not exist in this namespace; create it",
    ),
    Reference(
        "submission-closed",
        "spec.session",
        {"session": "shut"},
        "SubmissionClosed",
        "session shut accepts no more tasks; use another",
        beside=(session({"submission": {"client": "Closed"}}, "shut"),),
    ),
    Reference(
        "session-closed",
        "spec.session",
        {"session": "closed"},
        "Cancelled",
        "session closed is closed",
        condition="Finished",
        beside=(session({"desiredState": "Closed"}, "closed"),),
    ),
    Reference(
        "session-cancelled",
        "spec.session",
        {"session": "cancelled"},
        "Cancelled",
        "session cancelled is cancelled",
        condition="Finished",
        beside=(session({"desiredState": "Cancelled"}, "cancelled"),),
    ),
    Reference(
        "no-partition",
        "spec.options.partition",
        {"session": "two-partitions", "options": {"partition": "later"}},
        "PartitionNotFound",
        "partition later does not exist in this namespace; create it",
        beside=(
            session(
                {"partitions": ["default", "later"], "taskDefaults": {"partition": "default"}},
                "two-partitions",
            ),
        ),
    ),
    Reference(
        "foreign-partition",
        "spec.options.partition",
        {"options": {"partition": "gpu"}},
        "PartitionNotInSession",
        "partition gpu is not one of session demo's: default",
    ),
    Reference(
        "no-task",
        "spec.dependsOn[0].task",
        _needs(task="nobody"),
        "DependencyNotFound",
        "task nobody does not exist in session demo; create it",
    ),
    Reference(
        "no-such-element",
        "spec.dependsOn[0].index",
        _needs(task="two", index=2),
        "DependencyInvalid",
        "has no element 2, only 0 to 1",
    ),
    Reference(
        "no-such-output",
        "spec.dependsOn[0].output",
        _needs(task="two", output="log"),
        "DependencyInvalid",
        "has no output log, only result",
    ),
    Reference(
        "task-of-another-session",
        "spec.dependsOn[0].task",
        _needs(task="elsewhere"),
        "DependencyInvalid",
        "is of session other, not of demo",
        beside=ELSEWHERE,
    ),
    Reference(
        "no-result",
        "spec.dependsOn[0].result",
        _needs(result="no-such"),
        "DependencyNotFound",
        "result no-such does not exist in session demo; create it",
    ),
    Reference(
        "result-of-no-element",
        "spec.dependsOn[0].result",
        _needs(result="UID OF two.5.result"),
        "DependencyInvalid",
        "has no element 5",
    ),
    Reference(
        "no-task-of-an-item",
        "spec.items[1].dependsOn[0].task",
        {"items": [{}, _needs(task="nobody")]},
        "DependencyNotFound",
        "element 1: task nobody does not exist in session demo; create it",
    ),
    Reference(
        "circle",
        "spec.dependsOn[0].task",
        _needs(task="round"),
        "DependencyCycle",
        "a dependency cycle; cancel or delete one of them",
        beside=(task(_needs(task="circle"), "round"),),
    ),
    Reference(
        "what-was-cancelled",
        "spec.dependsOn[0].task",
        _needs(task="given-up"),
        "Failed",
        "element 0 of task given-up ended as Cancelled",
        condition="Finished",
        beside=(task({"desiredState": "Cancelled"}, "given-up"),),
    ),
    Reference(
        "no-payload",
        "spec.payload.object.key",
        {"payload": {"object": {"key": "FOLDER nowhere"}}},
        "PayloadNotFound",
        "/nowhere does not exist in the store; upload it",
    ),
    Reference(
        "foreign-payload",
        "spec.payload.object.key",
        {"payload": {"object": {"key": "team-a/1234/client/data"}}},
        "PayloadNotFound",
        "payload.object.key: the object key 'team-a/1234/client/data' is not below ",
    ),
    Reference(
        "foreign-payload-of-an-item",
        "spec.items[1].payload.object.key",
        {"items": [{}, {"payload": {"object": {"key": "team-a/1234/client/data"}}}]},
        "PayloadNotFound",
        "items[1].payload.object.key: the object key 'team-a/1234/client/data' is not below ",
    ),
    Reference(
        "foreign-items",
        "spec.itemsRef.object",
        {"itemsRef": {"object": "FOLDER ../1234/items", "count": 2}},
        "PayloadNotFound",
        "has a part that is empty, '.' or '..'; upload the data below that prefix, delete the task",
    ),
    Reference(
        "no-payload-result",
        "spec.payload.result",
        {"payload": {"result": "no-such-payload"}},
        "DependencyNotFound",
        "result no-such-payload does not exist in session demo; create it",
    ),
    Reference(
        "no-items",
        "spec.itemsRef.object",
        {"itemsRef": {"object": "FOLDER nowhere", "count": 2}},
        "PayloadNotFound",
        "/nowhere does not exist in the store; upload it",
    ),
    Reference(
        "bad-items",
        "spec.itemsRef.object",
        {"itemsRef": {"object": "FOLDER bad", "count": 2}},
        "PayloadNotFound",
        "/bad, line 2: payload.inline:",
        stored={"FOLDER bad": '{"payload": {"inline": "a"}}\n{"payload": {"inline": 7}}\n'},
    ),
    Reference(
        "items-with-partitions",
        "spec.itemsRef.object",
        {"itemsRef": {"object": "FOLDER placed", "count": 2}},
        "PayloadNotFound",
        "/placed, line 2: options.partition: all elements run in the partition of their task",
        stored={"FOLDER placed": '{}\n{"options": {"partition": "default"}}\n'},
    ),
    Reference(
        "items-with-environments",
        "spec.itemsRef.object",
        {"itemsRef": {"object": "FOLDER equipped", "count": 1}},
        "PayloadNotFound",
        "/equipped, line 1: options.environment: all elements import from the environment of their task",
        stored={
            "FOLDER equipped": '{"options": {"environment": {"object": "a/b", "sha256": "%s"}}}\n'
            % ("0" * 64)
        },
    ),
    Reference(
        "few-items",
        "spec.itemsRef.count",
        {"itemsRef": {"object": "FOLDER few", "count": 3}},
        "PayloadNotFound",
        "/few has 2 lines, but itemsRef.count is 3; upload an object with as many items",
        stored={"FOLDER few": "{}\n{}\n"},
    ),
]
_SESSIONS = [
    Reference(
        "waits-for-its-partition",
        "spec.partitions",
        {"partitions": ["not-yet"]},
        "PartitionNotFound",
        "not-yet",
        kind="Session",
    ),
]
_PARTITIONS = [
    Reference(
        "no-priority-class",
        "spec.template.spec.priorityClassName",
        pods({"priorityClassName": "nowhere"})["spec"],
        "TemplateInvalid",
        "no PriorityClass with name nowhere was found",
        kind="Partition",
    ),
    Reference(
        "no-runtime-class",
        "spec.template.spec.runtimeClassName",
        pods({"runtimeClassName": "nowhere"})["spec"],
        "TemplateInvalid",
        'RuntimeClass "nowhere" not found',
        kind="Partition",
    ),
    Reference(
        "mounts-nothing",
        "spec.template.spec.worker.volumeMounts[0].name",
        pods({}, {"volumeMounts": [{"name": "nowhere", "mountPath": "/data"}]})["spec"],
        "TemplateInvalid",
        "nowhere",
        kind="Partition",
    ),
    Reference(
        "asks-beyond-its-limit",
        "spec.template.spec.worker.resources.requests",
        pods({}, {"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}})["spec"],
        "TemplateInvalid",
        "memory limit",
        kind="Partition",
    ),
]

REFERENCES = [*_TASKS, *_SESSIONS, *_PARTITIONS]
