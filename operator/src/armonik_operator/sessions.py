"""Carries out what a Session asks for: acceptance, states for the agents, summary, purge, end, deletion."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from armonik_operator.adapters.kube import SESSIONS, TASKS
from armonik_operator.errors import NotFound
from armonik_operator.outage import store_message
from armonik_operator.reconcile.session import deleting_status, gives_up, session_plan, session_status
from armonik_operator.reconcile.task import PATIENCE
from armonik_operator.results import ResultBook
from armonik_operator.sessiondata import UNANSWERED, remove_data
from armonik_operator.state import Key, Named, Servers, State
from armonik_operator.writing import write_status
from armonik_sdk.api.const import SESSION_FINALIZER, Reason
from armonik_sdk.api.kinds import Session, SessionState
from armonik_sdk.api.names import control_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.kv import put_control

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two summaries."""


class SessionWorker:
    """Handles the keys of Sessions."""

    def __init__(
        self,
        servers: Servers,
        state: State,
        book: ResultBook,
        enqueue: Callable[[Key], None],
        furnish: Callable[[str], Awaitable[None]],
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
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
        await self._accept(key.namespace, session)
        elements = self._state.tally.of(session)
        made = session_plan(session, elements, datetime.now(UTC))
        if made.expire:
            log.info("session %s/%s: its time after the end is over", key.namespace, key.name)
            await self._servers.kube.delete(SESSIONS, key.name, key.namespace, uid=session.metadata.uid)
            return None
        if made.purge:
            await remove_data(self._servers, key.namespace, session.metadata.uid, purging=True)
            log.info("the data of session %s/%s is purged", key.namespace, key.name)
        later = await self._summarise(session, purged=made.purge)
        waits = [wait for wait in (later, made.again) if wait is not None]
        return min(waits) if waits else None

    async def _accept(self, namespace: str, session: Session) -> None:
        """The finalizer before anything else, then the state that agents read."""
        meta = session.metadata
        if SESSION_FINALIZER not in meta.finalizers:
            body = {"metadata": {"uid": meta.uid, "finalizers": [*meta.finalizers, SESSION_FINALIZER]}}
            await self._servers.kube.patch(SESSIONS, meta.name, body, namespace)
        if self._told.get(meta.uid) == meta.generation:
            return
        await self._furnish(namespace)
        state = DesiredState(session.spec.desired_state)
        wanted = Control(state=state, generation=meta.generation, at=time.time())
        await put_control(self._servers.control, control_key(namespace, meta.uid), wanted)
        if session.spec.desired_state is SessionState.CANCELLED:
            await self._book.abort_all(namespace, meta.uid, {""}, f"session {meta.name} is cancelled")
        self._told[meta.uid] = meta.generation
        for task in self._state.tasks_of(session):
            self._enqueue(Key("task", namespace, task.metadata.uid))

    async def _summarise(self, session: Session, *, purged: bool) -> float | None:
        uid, now = session.metadata.uid, time.monotonic()
        last = self._state.written.get(uid)
        if last is not None and now - last < INTERVAL and not purged:
            return INTERVAL - (now - last)
        namespace, wall = session.metadata.namespace or "", datetime.now(UTC)
        missing = {p for p in session.spec.partitions if Named(namespace, p) not in self._state.partitions}
        created = session.metadata.creation_timestamp
        if missing and created is not None and (wall - created).total_seconds() < PATIENCE:
            return PATIENCE
        elements = self._state.tally.of(session)
        down = self._state.store_error
        store = store_message(self._state.settings.s3_endpoint, down) if down else ""
        status = session_status(session, elements, wall, missing=missing, store=store, purged=purged)
        if await write_status(self._servers, SESSIONS, session, status):
            self._state.written[uid] = now
        return None

    async def _delete(self, namespace: str, session: Session) -> None:
        """Protocol steps L1 to L5; each may be repeated. No server is waited for for ever."""
        uid, name = session.metadata.uid, session.metadata.name
        if SESSION_FINALIZER not in session.metadata.finalizers:
            return
        self._state.leave(uid)
        try:
            wanted = Control(state=DesiredState.DELETED, at=time.time())
            await put_control(self._servers.control, control_key(namespace, uid), wanted)
            await self._delete_tasks(namespace, session)
            await self._say_deleting(session, Reason.DELETING_DATA)
            await remove_data(self._servers, namespace, uid)
        except UNANSWERED as error:
            if not gives_up(session, datetime.now(UTC)):
                raise
            log.warning(
                "session %s/%s goes, its data later: a server does not answer: %s", namespace, name, error
            )
            await self._delete_tasks(namespace, session)
        left = [entry for entry in session.metadata.finalizers if entry != SESSION_FINALIZER]
        body = {"metadata": {"uid": uid, "finalizers": left}}
        try:
            await self._servers.kube.patch(SESSIONS, name, body, namespace)
        except NotFound:
            log.debug("session %s/%s was gone already", namespace, name)
        self._told.pop(uid, None)
        self._state.written.pop(uid, None)
        log.info("session %s/%s and its data are deleted", namespace, name)

    async def _say_deleting(self, session: Session, step: Reason) -> None:
        await write_status(
            self._servers, SESSIONS, session, deleting_status(session, step, datetime.now(UTC))
        )

    async def _delete_tasks(self, namespace: str, session: Session) -> None:
        uid = session.metadata.uid
        await self._say_deleting(session, Reason.DELETING_TASKS)
        await self._servers.kube.delete_collection(TASKS, namespace, fields=f"status.sessionUid={uid}")
        for task in self._state.tasks_of(session):  # those whose status was never written
            if not (task.status and task.status.session_uid) and self._state.fold(task.metadata.uid).session:
                await self._servers.kube.delete(TASKS, task.metadata.name, namespace, uid=task.metadata.uid)
