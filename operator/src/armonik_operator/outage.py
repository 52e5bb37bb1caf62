"""Tells users that NATS is away while the operator starts, when nothing else of it works yet."""

import asyncio
import logging
from datetime import UTC, datetime

from armonik_operator.adapters.kube import SESSIONS, TASKS, Kind, Kube
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.events import Events
from armonik_operator.state import State
from armonik_sdk.api.const import ConditionType, Reason, SessionPhase, TaskPhase
from armonik_sdk.api.kinds import Session, Task, condition

log = logging.getLogger(__name__)

PATIENCE = 4.0
"""Seconds of silence before anything is said."""
INTERVAL = 1.0


class Outage:
    """Runs beside the start; cancelled when it is over. Writes only to what has no status yet."""

    def __init__(self, kube: Kube, state: State, address: str) -> None:
        self._kube = kube
        self._state = state
        self._events = Events(kube)
        self._message = (
            f"NATS at {address} cannot be reached; work starts when it is back:"
            " see its pod, or the address that the operator was installed with"
        )

    async def tell(self) -> None:
        """Until cancelled."""
        await asyncio.sleep(PATIENCE)
        while True:
            for session in [s for s in self._state.sessions.values() if s.status is None]:
                await self._write(SESSIONS, session, SessionPhase.PENDING)
            for task in [t for t in self._state.tasks.values() if t.status is None]:
                await self._write(TASKS, task, TaskPhase.CREATING)
            await asyncio.sleep(INTERVAL)

    async def _write(self, kind: Kind, about: Session | Task, phase: str) -> None:
        meta = about.metadata
        reason = Reason.QUEUE_UNAVAILABLE
        said = condition(
            ConditionType.READY,
            False,
            reason,
            self._message,
            generation=meta.generation,
            now=datetime.now(UTC),
        )
        status = {
            "phase": phase,
            "observedGeneration": meta.generation,
            "conditions": [said.model_dump(mode="json", by_alias=True, exclude_none=True)],
        }
        body = {"metadata": {"uid": meta.uid}, "status": status}
        try:
            await self._kube.patch(kind, meta.name, body, meta.namespace, status=True)
        except (KubeError, KubeUnavailable) as error:
            log.warning("status of %s %s/%s: %s", about.kind, meta.namespace, meta.name, error)
        else:
            await self._events.warn(about, reason, self._message)
