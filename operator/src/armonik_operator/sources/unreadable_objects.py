"""Reports objects that the apiserver accepted and this operator cannot read, with a condition.

They were stored under another schema, or the models here are stricter than the schema, which is a fault.
Such an object is not worked on and keeps nothing else from being worked on. Its status is patched raw, as
there is no model of it.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from armonik_operator.cache.keys import WorkKey
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import Conflicted, NotFound, Refused
from armonik_sdk.api.const import ConditionType, Reason, SessionPhase, TaskPhase
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import condition

log = logging.getLogger(__name__)

_MENDS = {
    TASKS: "delete the Task and create it corrected, as its spec cannot be changed",
    SESSIONS: "correct the field",
    PARTITIONS: "correct the field",
}
_PHASES = {TASKS: TaskPhase.CREATING, SESSIONS: SessionPhase.PENDING}
_FIRST = (ConditionType.FINISHED, ConditionType.DELETING)
_KEPT = 10_000
"""Objects whose condition waits to be written; a message above that is logged alone."""

KIND = "unreadable"
"""Kind of the keys in the work queue."""


@dataclass(frozen=True)
class _Found:
    kind: Kind
    name: str
    namespace: str
    uid: str
    body: dict[str, Any]
    """Patch of the status."""


class Unreadable:
    """Unreadable objects, until their condition is written."""

    def __init__(self) -> None:
        self._found: dict[str, _Found] = {}

    def take(self, kind: Kind, obj: dict[str, Any], error: InvalidManifest) -> WorkKey | None:
        """Note an object; returns the key to work on, unless its condition is up to date."""
        meta = obj["metadata"]
        log.warning("%s %s/%s cannot be read: %s", kind.plural, meta.get("namespace"), meta["name"], error)
        body = unreadable_status(kind, obj, error, datetime.now(UTC))
        if body is None or len(self._found) >= _KEPT:
            return None
        namespace = meta.get("namespace", "")
        self._found[meta["uid"]] = _Found(kind, meta["name"], namespace, meta["uid"], body)
        return WorkKey(KIND, namespace, meta["uid"])

    def forget(self, uid: str) -> None:
        """Drop an object that was deleted, or can be read now."""
        self._found.pop(uid, None)

    async def write_condition(self, kube: Kube, key: WorkKey) -> float | None:
        """Write the condition of an object."""
        found = self._found.get(key.name)
        if found is None:
            return None
        body = {"metadata": {"uid": found.uid}, "status": found.body}
        try:
            await kube.patch(found.kind, found.name, body, found.namespace, status=True)
        except (NotFound, Conflicted):
            log.debug("%s %s/%s was deleted meanwhile", found.kind.plural, found.namespace, found.name)
        except Refused as refused:  # the whole object breaks the schema of today; the log says what
            log.warning("%s %s/%s: %s", found.kind.plural, found.namespace, found.name, refused)
        if self._found.get(key.name) is found:
            del self._found[key.name]
        return None


def unreadable_status(
    kind: Kind, obj: dict[str, Any], error: InvalidManifest, now: datetime
) -> dict[str, Any] | None:
    """The status patch that says what cannot be read and how to correct it; None if it is up to date."""
    generation = obj["metadata"].get("generation", 0)
    problems = "; ".join(str(problem) for problem in error.problems)
    message = f"{problems}. The operator cannot read this object and does not work on it: {_MENDS[kind]}"
    ready = condition(
        ConditionType.READY, False, Reason.MANIFEST_INVALID, message, generation=generation, now=now
    )
    wanted = ready.model_dump(mode="json", by_alias=True, exclude_none=True)
    status = obj.get("status")
    status = status if isinstance(status, dict) else {}
    standing = [c for c in _listed(status.get("conditions")) if isinstance(c, dict)]
    if status.get("observedGeneration") == generation and any(
        _same(condition, wanted) for condition in standing
    ):
        return None
    others = [c for c in standing if c.get("type") != ready.type]
    conditions = [c for c in others if c.get("type") in _FIRST] + [wanted]
    conditions += [c for c in others if c.get("type") not in _FIRST]
    phase = {"phase": _PHASES[kind]} if kind in _PHASES and not status.get("phase") else {}
    return {"observedGeneration": generation, "conditions": conditions[:16], **phase}


def _same(condition: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(condition.get(field) == wanted.get(field) for field in ("type", "reason", "message"))


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []
