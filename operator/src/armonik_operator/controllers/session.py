"""Reconciles Sessions: acceptance, states for the agents, summary, purge, end, deletion."""

import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import SESSIONS, TASKS
from armonik_operator.clients.servers import SERVER_ERRORS, Clients
from armonik_operator.errors import Conflicted, NotFound
from armonik_operator.gc.session_data import remove_data
from armonik_operator.planning.session import (
    came_before_end,
    deleting_status,
    gives_up,
    session_plan,
    session_status,
)
from armonik_operator.planning.task import PATIENCE
from armonik_operator.results.store import ResultStore
from armonik_operator.status.outage import store_message
from armonik_operator.status.writer import write_status
from armonik_operator.util.concurrency import in_turns
from armonik_sdk.api.const import SESSION_FINALIZER, Reason
from armonik_sdk.api.kinds import Session, SessionState
from armonik_sdk.api.names import NamespacedName, control_key
from armonik_sdk.api.records import Control, DesiredState
from armonik_sdk.dataplane.nats.buckets import put_control

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""How often finalizers that others change too are read and written again."""
INTERVAL = 1.0
"""Seconds between two summaries."""


class SessionReconciler:
    """Handles the keys of Sessions."""

    def __init__(
        self,
        servers: Clients,
        state: ClusterState,
        book: ResultStore,
        enqueue: Callable[[WorkKey], None],
        furnish: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._servers = servers
        self._state = state
        self._book = book
        self._enqueue = enqueue
        self._furnish = furnish
        self._published: dict[str, int] = {}
        self._written: dict[str, float] = {}
        """When a status was last written, by UID and the monotonic clock."""

    async def handle(self, key: WorkKey) -> float | None:
        """Bring one Session forward; returns the seconds after which to look again."""
        again = await self._forward(key)
        for gone in self._state.departed.of((key.namespace, key.name)):
            await self._clear(key.namespace, gone)
        return again

    async def _forward(self, key: WorkKey) -> float | None:
        session = self._state.sessions.get(NamespacedName(key.namespace, key.name))
        if session is None:
            return None
        if session.metadata.deletion_timestamp is not None:
            await self._delete(key.namespace, session)
            return None
        await self._accept(key.namespace, session)
        elements = self._state.tally.of(session)
        plan = session_plan(session, elements, datetime.now(UTC))
        if plan.expire:
            log.info("session %s/%s is deleted: its time after the end is over", key.namespace, key.name)
            await self._servers.kube.delete(SESSIONS, key.name, key.namespace, uid=session.metadata.uid)
            return None
        if plan.purge:
            await remove_data(self._servers, key.namespace, session.metadata.uid, purging=True)
            log.info("the data of session %s/%s is purged", key.namespace, key.name)
        later = await self._summarise(session, purged=plan.purge)
        # As it was just written: what follows from it must not wait for the watch.
        current = self._state.session_with(session.metadata.uid) or session
        plan = session_plan(current, elements, datetime.now(UTC))
        waits = [wait for wait in (later, 0.0 if plan.expire else plan.again) if wait is not None]
        return min(waits) if waits else None

    async def _accept(self, namespace: str, session: Session) -> None:
        """The finalizer before anything else, then the state that agents read."""
        meta = session.metadata
        if SESSION_FINALIZER not in meta.finalizers:
            await self._change_finalizers(namespace, session, add=True)
        await self._furnish(namespace, meta.uid)
        if self._published.get(meta.uid) == meta.generation:
            return
        state = DesiredState(session.spec.desired_state)
        wanted = Control(state=state, generation=meta.generation, at=time.time())
        await put_control(self._servers.control, control_key(namespace, meta.uid), wanted)
        if session.spec.desired_state is SessionState.CANCELLED:
            await self._book.abort_all(namespace, meta.uid, {""}, f"session {meta.name} is cancelled")
        self._published[meta.uid] = meta.generation
        async for task in in_turns(self._state.tasks_of(session)):
            self._enqueue(WorkKey("task", namespace, task.metadata.uid))

    async def _summarise(self, session: Session, *, purged: bool) -> float | None:
        uid, now = session.metadata.uid, time.monotonic()
        last = self._written.get(uid)
        if last is not None and now - last < INTERVAL and not purged:
            return INTERVAL - (now - last)
        namespace, wall = session.namespace, datetime.now(UTC)
        missing = {
            p for p in session.spec.partitions if NamespacedName(namespace, p) not in self._state.partitions
        }
        created = session.metadata.creation_timestamp
        if missing and created is not None and (wall - created).total_seconds() < PATIENCE:
            return PATIENCE
        elements = self._state.tally.of(session)
        down = self._state.store_error
        store = store_message(self._state.settings.s3_endpoint, down) if down else ""
        status = session_status(session, elements, wall, missing=missing, store=store, purged=purged)
        if await write_status(self._servers, SESSIONS, session, status):
            self._written[uid] = now
            self._state.show_session(session, status)
        return None

    async def _delete(self, namespace: str, session: Session) -> None:
        """Fence, delete Tasks, then data (protocol rules 7 and 14); gives up on an unreachable server.

        Each step may be repeated: the finalizer goes last.
        """
        uid, name = session.metadata.uid, session.metadata.name
        if SESSION_FINALIZER not in session.metadata.finalizers:
            return
        self._state.leave(uid)
        try:
            wanted = Control(state=DesiredState.DELETED, at=time.time())
            await put_control(self._servers.control, control_key(namespace, uid), wanted)
            await self._say_deleting(session, Reason.DELETING_TASKS)
            await self._delete_tasks(namespace, session)
            await self._say_deleting(session, Reason.DELETING_DATA)
            await remove_data(self._servers, namespace, uid)
            self._state.departed.settle(uid)
        except SERVER_ERRORS as error:
            if not gives_up(session, datetime.now(UTC)):
                raise
            log.warning(
                "session %s/%s is deleted, its data later: a server does not answer: %s",
                namespace,
                name,
                error,
            )
            await self._say_deleting(session, Reason.DELETING_TASKS)
            await self._delete_tasks(namespace, session)
        await self._change_finalizers(namespace, session, add=False)
        self._forget(uid)
        log.info("session %s/%s and its data are deleted", namespace, name)

    async def _clear(self, namespace: str, gone: Session) -> None:
        """The same of a Session that has gone already: somebody took the finalizer away, or we gave up."""
        uid, meta = gone.metadata.uid, gone.metadata
        if meta.deletion_timestamp is None:
            meta = meta.model_copy(update={"deletion_timestamp": datetime.now(UTC)})
        wanted = Control(state=DesiredState.DELETED, at=time.time())
        await put_control(self._servers.control, control_key(namespace, uid), wanted)
        await self._delete_tasks(namespace, gone.model_copy(update={"metadata": meta}))
        await remove_data(self._servers, namespace, uid)
        self._state.departed.settle(uid)
        self._forget(uid)
        log.warning("session %s/%s was deleted before its data, which is removed now", namespace, meta.name)

    def _forget(self, uid: str) -> None:
        self._published.pop(uid, None)
        self._written.pop(uid, None)

    async def _change_finalizers(self, namespace: str, session: Session, *, add: bool) -> None:
        """Add ours, or take it away: other controllers' finalizers of that very moment stay.

        Raises:
            Conflicted: somebody changed the Session in between, each time.
        """
        uid, name, kube = session.metadata.uid, session.metadata.name, self._servers.kube
        for attempt in range(1, ATTEMPTS + 1):
            try:
                found = (await kube.get(SESSIONS, name, namespace))["metadata"]
                finalizers = found.get("finalizers", [])
                if found["uid"] != uid or (SESSION_FINALIZER in finalizers) == add:
                    return
                wanted = [entry for entry in finalizers if entry != SESSION_FINALIZER]
                wanted += [SESSION_FINALIZER] if add else []
                meta = {"uid": uid, "resourceVersion": found["resourceVersion"], "finalizers": wanted}
                await kube.patch(SESSIONS, name, {"metadata": meta}, namespace)
            except NotFound:
                log.debug("session %s/%s was gone already", namespace, name)
            except Conflicted:
                if attempt == ATTEMPTS:
                    raise
                continue
            return

    async def _say_deleting(self, session: Session, step: Reason) -> None:
        await write_status(
            self._servers, SESSIONS, session, deleting_status(session, step, datetime.now(UTC))
        )

    async def _delete_tasks(self, namespace: str, session: Session) -> None:
        uid = session.metadata.uid
        await self._servers.kube.delete_collection(TASKS, namespace, fields=f"status.sessionUid={uid}")
        for task in self._state.tasks_of(session):  # those whose status was never written
            if task.status and task.status.session_uid:
                continue
            named = task.spec.session_uid == uid
            if named or self._state.fold(task.metadata.uid).session or came_before_end(task, session):
                await self._servers.kube.delete(TASKS, task.metadata.name, namespace, uid=task.metadata.uid)
