"""Sets Ready=False on Sessions, Partitions and Tasks while NATS or the object store cannot be reached.

While the operator starts, nothing is reconciled before both answer; later a Session or Partition may need
one that does not. Without the condition, objects would look as if no operator were running.
"""

import asyncio
import logging
from datetime import UTC, datetime

from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.events import EventRecorder
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.manifests.event import About
from armonik_operator.util.concurrency import in_turns
from armonik_sdk.api.const import ConditionType, Reason, TaskPhase
from armonik_sdk.api.kinds import (
    Partition,
    Session,
    Task,
    condition,
    find_condition,
    is_true,
    set_condition,
)
from armonik_sdk.dataplane.errors import StoreUnavailable

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that a server may take to answer before the objects say so."""
INTERVAL = 2.0
"""Seconds between two searches for objects without the condition."""
RATE = 20.0
"""Objects that are written to in a second, at most."""


class OutageReporter:
    """Writes the condition; the next reconcile of the object removes it."""

    def __init__(self, kube: Kube, state: ClusterState, events: EventRecorder, nats_url: str) -> None:
        self._kube = kube
        self._state = state
        self._events = events
        self._at = nats_url
        self.error: BaseException | None = None
        """Why the operator still waits; None while it waits for NATS."""

    async def report_all(self) -> None:
        """Write the condition of every object that has not finished, until cancelled."""
        await asyncio.sleep(PATIENCE)
        while True:
            kinds: list[tuple[Kind, list[Session | Partition | Task]]] = [
                (SESSIONS, list(self._state.sessions.values())),
                (PARTITIONS, list(self._state.partitions.values())),
                (TASKS, list(self._state.tasks.values())),
            ]
            for kind, objects in kinds:
                async for obj in in_turns(objects):
                    if await self.report(kind, obj, self.error):
                        await asyncio.sleep(1.0 / RATE)
            await asyncio.sleep(INTERVAL)

    async def report(self, kind: Kind, obj: Session | Partition | Task, error: BaseException | None) -> bool:
        """Write the condition of one object, unless it has it; returns whether it was written."""
        conditions = obj.status.conditions if obj.status else []
        reason, message = self._condition(error)
        current = find_condition(conditions, ConditionType.READY)
        over = is_true(conditions, ConditionType.FINISHED) or obj.metadata.deletion_timestamp is not None
        if over or (current is not None and current.reason == reason):
            return False
        generation = obj.metadata.generation
        outage = condition(
            ConditionType.READY, False, reason, message, generation=generation, now=datetime.now(UTC)
        )
        status = {
            "observedGeneration": generation,
            "conditions": [
                c.model_dump(mode="json", by_alias=True, exclude_none=True)
                for c in set_condition(conditions, outage)
            ],
        }
        if kind is TASKS and obj.status is None:
            status["phase"] = TaskPhase.CREATING
        body = {"metadata": {"uid": obj.metadata.uid}, "status": status}
        try:
            await self._kube.patch(kind, obj.metadata.name, body, obj.metadata.namespace, status=True)
        except (KubeError, KubeUnavailable) as refused:
            log.warning("condition of %s %s not written: %s", kind.plural, obj.metadata.name, refused)
        else:
            self._events.record(About.of(obj), conditions, [outage])
        return True

    def _condition(self, error: BaseException | None) -> tuple[Reason, str]:
        if isinstance(error, StoreUnavailable):
            return Reason.STORE_UNAVAILABLE, store_message(self._state.settings.s3_endpoint, error)
        detail = str(error) if error is not None else ""
        mend = detail or "see its pod, or the address that the operator was installed with"
        text = f"NATS at {self._at} cannot be reached; work starts when it is back: {mend}"
        return Reason.QUEUE_UNAVAILABLE, text


def full_message(error: object) -> str:
    """Message of a condition when NATS has no room."""
    return (
        f"{error}. New work starts when there is room: queued work still runs; finished Tasks free room "
        "when they are deleted (ttlSecondsAfterFinished); nats.jetstream.maxFileStore gives more, or the "
        "annotation armonik.io/nats-store of a namespace that has a limit of its own"
    )


def store_message(address: str, error: object) -> str:
    """Message of a condition when the object store does not answer."""
    return f"the object store at {address} cannot be reached; work resumes when it is back: {error}"
