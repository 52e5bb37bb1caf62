"""Carries out what a Session asks for: acceptance, states for the agents, summary, deletion."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from armonik_operator.adapters.kube import SESSIONS, TASKS
from armonik_operator.errors import NotFound
from armonik_operator.reconcile.session import session_status
from armonik_operator.state import Key, Named, Servers, State
from armonik_sdk.api.const import SESSION_FINALIZER
from armonik_sdk.api.kinds import Session
from armonik_sdk.api.names import (
    JOURNAL,
    RESULTS,
    bucket_stream,
    bucket_subject,
    control_key,
    journal_of_session,
    queue_of_session,
    results_of_session,
)
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.kv import put_control
from armonik_sdk.dataplane.queue import purge

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two summaries."""


class SessionWorker:
    """Handles the keys of Sessions."""

    def __init__(
        self,
        servers: Servers,
        state: State,
        enqueue: Callable[[Key], None],
        furnish: Callable[[str], Awaitable[None]],
    ) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        self._furnish = furnish
        self._told: dict[str, int] = {}

    async def handle(self, key: Key) -> float | None:
        """Bring one Session forward; returns the seconds after which to look again."""
        session = self._state.sessions.get(Named(key.namespace, key.name))
        if session is None:
            return None
        if session.metadata.deletion_timestamp is not None:
            await self._delete(key.namespace, session)
            return None
        finalizers = session.metadata.finalizers
        if SESSION_FINALIZER not in finalizers:
            body = {"metadata": {"uid": session.metadata.uid, "finalizers": [*finalizers, SESSION_FINALIZER]}}
            await self._servers.kube.patch(SESSIONS, key.name, body, key.namespace)
        uid, generation = session.metadata.uid, session.metadata.generation
        if self._told.get(uid) != generation:
            await self._furnish(key.namespace)
            state = DesiredState(session.spec.desired_state)
            wanted = Control(state=state, generation=generation, at=time.time())
            await put_control(self._servers.control, control_key(key.namespace, uid), wanted)
            self._told[uid] = generation
            for task in self._state.tasks_of(session):
                self._enqueue(Key("task", key.namespace, task.metadata.uid))
        return await self._summarise(key, session)

    async def _summarise(self, key: Key, session: Session) -> float | None:
        last, now = self._state.written.get(session.metadata.uid), time.monotonic()
        if last is not None and now - last < INTERVAL:
            return INTERVAL - (now - last)
        counts = [
            self._state.fold(task.metadata.uid).counts(task.spec.total)
            for task in self._state.tasks_of(session)
        ]
        status = session_status(session, counts, datetime.now(UTC))
        body = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        old = session.status
        if old is not None and old.model_dump(mode="json", by_alias=True, exclude_none=True) == body:
            return None
        self._state.written[session.metadata.uid] = now
        try:
            await self._servers.kube.patch(SESSIONS, key.name, {"status": body}, key.namespace, status=True)
        except NotFound:
            log.debug("session %s/%s was deleted meanwhile", key.namespace, key.name)
        return None

    async def _delete(self, namespace: str, session: Session) -> None:
        """Protocol steps L1 to L5; each may be repeated."""
        uid, name = session.metadata.uid, session.metadata.name
        if SESSION_FINALIZER not in session.metadata.finalizers:
            return
        wanted = Control(state=DesiredState.DELETED, at=time.time())
        await put_control(self._servers.control, control_key(namespace, uid), wanted)
        await self._servers.kube.delete_collection(TASKS, namespace, fields=f"status.sessionUid={uid}")
        for task in self._state.tasks_of(session):  # those whose status was never written
            if not (task.status and task.status.session_uid) and self._state.fold(task.metadata.uid).session:
                await self._servers.kube.delete(TASKS, task.metadata.name, namespace, uid=task.metadata.uid)
        await purge(self._servers.client, queue_of_session(namespace, uid))
        js = self._servers.client.jetstream(timeout=10)
        await js.purge_stream(JOURNAL, subject=journal_of_session(namespace, uid))
        await js.purge_stream(
            bucket_stream(RESULTS), subject=bucket_subject(RESULTS, results_of_session(namespace, uid))
        )
        await self._servers.objects.delete_many(f"{namespace}/{uid}/")
        left = [entry for entry in session.metadata.finalizers if entry != SESSION_FINALIZER]
        body = {"metadata": {"uid": uid, "finalizers": left}}
        try:
            await self._servers.kube.patch(SESSIONS, name, body, namespace)
        except NotFound:
            log.debug("session %s/%s was gone already", namespace, name)
        self._told.pop(uid, None)
        log.info("session %s/%s and its data are deleted", namespace, name)
