"""Builds the Kubernetes Event of a condition. Pure."""

from datetime import datetime
from typing import Any, NamedTuple, Self

from armonik_sdk.api.const import FIELD_MANAGER, GROUP_VERSION, ConditionStatus, ConditionType, Reason
from armonik_sdk.api.kinds import Condition
from armonik_sdk.api.kinds.meta import Resource

_QUIET = frozenset({Reason.STARTING})
_FAILURES = frozenset({Reason.FAILED, Reason.TIMED_OUT})
_ALARMS = frozenset(
    {ConditionType.QUEUE_FULL, ConditionType.CHILDREN_BLOCKED, ConditionType.CHILDREN_REFUSED}
)


class About(NamedTuple):
    """The object that an Event is about."""

    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, obj: Resource) -> Self:
        """Of one of our objects."""
        meta = obj.metadata
        return cls(obj.kind, meta.namespace or "", meta.name, meta.uid)


def is_bad(condition: Condition) -> bool:
    """Whether the condition is worth an Event: something is missing or broken, or work failed."""
    true = condition.status is ConditionStatus.TRUE
    match condition.type:
        case ConditionType.READY:
            return not true and condition.reason not in _QUIET
        case ConditionType.FINISHED:
            return true and condition.reason in _FAILURES
        case _:
            return true and condition.type in _ALARMS


def build_event(about: About, condition: Condition, now: datetime) -> dict[str, Any]:
    """A Warning with the condition's reason and message."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{about.name}."},
        "type": "Warning",
        "reason": condition.reason,
        "message": condition.message or condition.reason,
        "involvedObject": {
            "apiVersion": GROUP_VERSION,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
    }
