"""Says on the objects that NATS or the object store cannot be reached.

While the operator starts, nothing can be worked on before both answer; later a Session or Partition may need
one that does not. Without a word, objects would look as if nobody cared for them.
"""

import asyncio
import logging
from datetime import UTC, datetime

from armonik_operator.adapters.kube import PARTITIONS, SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.events import Announcer
from armonik_operator.resources.event import About
from armonik_operator.state import State
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
"""Seconds between two looks for objects that do not say so yet."""
RATE = 20.0
"""Objects that are written to in a second, at most."""


class Outage:
    """Writes the condition; the normal course of things takes it away."""

    def __init__(self, kube: Kube, state: State, events: Announcer, nats_url: str) -> None:
        self._kube = kube
        self._state = state
        self._events = events
        self._at = nats_url
        self.error: BaseException | None = None
        """Why the operator still waits; None while it waits for NATS."""

    async def tell_all(self) -> None:
        """Tell every object that is not over, for as long as the operator waits; until cancelled."""
        await asyncio.sleep(PATIENCE)
        while True:
            kinds: list[tuple[Kind, list[Session | Partition | Task]]] = [
                (SESSIONS, list(self._state.sessions.values())),
                (PARTITIONS, list(self._state.partitions.values())),
                (TASKS, list(self._state.tasks.values())),
            ]
            for kind, objects in kinds:
                for obj in objects:
                    if await self.tell(kind, obj, self.error):
                        await asyncio.sleep(1.0 / RATE)
            await asyncio.sleep(INTERVAL)

    async def tell(self, kind: Kind, obj: Session | Partition | Task, error: BaseException | None) -> bool:
        """Tell one object, unless it says so already; whether it was written to."""
        conditions = obj.status.conditions if obj.status else []
        reason, message = self._words(error)
        said = find_condition(conditions, ConditionType.READY)
        over = is_true(conditions, ConditionType.FINISHED) or obj.metadata.deletion_timestamp is not None
        if over or (said is not None and said.reason == reason):
            return False
        generation = obj.metadata.generation
        told = condition(
            ConditionType.READY, False, reason, message, generation=generation, now=datetime.now(UTC)
        )
        status = {
            "observedGeneration": generation,
            "conditions": [
                c.model_dump(mode="json", by_alias=True, exclude_none=True)
                for c in set_condition(conditions, told)
            ],
        }
        if kind is TASKS and obj.status is None:
            status["phase"] = TaskPhase.CREATING
        body = {"metadata": {"uid": obj.metadata.uid}, "status": status}
        try:
            await self._kube.patch(kind, obj.metadata.name, body, obj.metadata.namespace, status=True)
        except (KubeError, KubeUnavailable) as refused:
            log.info("%s %s is not told of the outage: %s", kind.plural, obj.metadata.name, refused)
        else:
            self._events.tell(About.of(obj), conditions, [told])
        return True

    def _words(self, error: BaseException | None) -> tuple[Reason, str]:
        if isinstance(error, StoreUnavailable):
            return Reason.STORE_UNAVAILABLE, store_message(self._state.settings.s3_endpoint, error)
        detail = str(error) if error is not None else ""
        mend = detail or "see its pod, or the address that the operator was installed with"
        text = f"NATS at {self._at} cannot be reached; work starts when it is back: {mend}"
        return Reason.QUEUE_UNAVAILABLE, text


def full_message(error: object) -> str:
    """What a condition says when NATS has no room."""
    return (
        f"{error}. Work goes on as room appears: what is queued is worked off; Tasks that are over make room "
        "when they are deleted (ttlSecondsAfterFinished); nats.jetstream.maxFileStore gives more"
    )


def store_message(address: str, error: object) -> str:
    """What a condition says of an object store that does not answer."""
    return f"the object store at {address} cannot be reached; work goes on when it is back: {error}"
