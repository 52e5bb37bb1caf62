"""Compares the cache with the apiserver and TASKS: finds missed deletions (protocol rule 9).

A deletion may happen while no operator runs, or while the watch is interrupted for longer than the apiserver
keeps events: kopf then lists existing objects, and no event reports the deleted ones.
"""

import asyncio
import contextlib
import logging
import sys
from collections.abc import Collection
from dataclasses import dataclass, field

from armonik_operator.cache.keys import DeletedTask, WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, TASKS, Kind
from armonik_operator.clients.servers import SERVER_ERRORS, Clients
from armonik_operator.commits.child_tasks import ChildTasks
from armonik_operator.errors import KubeError, KubeUnavailable
from armonik_operator.gc import revived_data
from armonik_operator.settings import Settings
from armonik_operator.sources.intake import Intake
from armonik_operator.util.concurrency import in_turns
from armonik_sdk.api.const import PARENT_LABEL
from armonik_sdk.api.names import inventory_key
from armonik_sdk.api.records import Inventory

log = logging.getLogger(__name__)

INTERVAL = 600.0
"""Seconds between two comparisons."""
AGAIN = 5.0
"""Seconds until another one when a server did not answer."""


@dataclass
class CachedUids:
    """UIDs of the objects in the cache, by kind."""

    sessions: set[str] = field(default_factory=set)
    partitions: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, state: ClusterState) -> "CachedUids":
        """Objects that are in the cache now."""
        partitions = {partition.metadata.uid for partition in state.partitions.values()}
        return cls(set(state.session_names), partitions, {*state.tasks, *state.ended})


class InventoryCheck:
    """Finds objects that were deleted without an event."""

    def __init__(self, servers: Clients, state: ClusterState, settings: Settings, intake: Intake) -> None:
        self._servers = servers
        self._state = state
        self._settings = settings
        self._intake = intake
        self._now = asyncio.Event()

    def reconnected(self) -> None:
        """NATS is connected again, perhaps with data that was removed before: compare soon."""
        self._now.set()

    async def run(self, children: ChildTasks) -> None:
        """Compare every `INTERVAL` seconds until cancelled; after an error sooner."""
        while True:
            wait = INTERVAL
            self._now.clear()
            try:
                await self.compare(children)
            except (*SERVER_ERRORS, KubeUnavailable, KubeError) as error:
                log.warning("comparing the inventory failed, trying again later: %s", error)
                wait = AGAIN
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._now.wait()

    async def compare(self, children: ChildTasks) -> None:
        """Compare once. The cache is read before the lists, so that no new object is taken for deleted."""
        known = CachedUids.of(self._state)
        keys = await self._keys()
        traces = await revived_data.read_traces(self._servers)
        await self._restore(keys.keys())
        living, sessions = await self._uids_of(TASKS), await self._uids_of(SESSIONS)
        await self._drop_ghosts(known, sessions, await self._uids_of(PARTITIONS), living)
        async for uid, namespace in in_turns(keys.items()):
            if uid in living or uid in self._state.deleted or not self._settings.serves(namespace):
                continue
            entry = await self._servers.inventory.get(f"{namespace}.{uid}")
            if entry is not None:
                gone = DeletedTask(namespace, entry[0].session, entry[0].name, entry[0].parent)
                self._state.deleted[uid] = gone
                self._intake.add(WorkKey("task", namespace, uid))
        for key in await revived_data.remove(self._servers, self._state, traces, sessions, living):
            self._intake.add(key)
        await children.abort_orphans(living)

    async def _keys(self) -> dict[str, str]:
        """Namespaces of the Tasks with an entry, by UID; read page by page."""
        found: dict[str, str] = {}
        pages = self._servers.inventory.key_pages("*.*")
        while page := await pages.next():
            for key in page:
                namespace, uid = key.split(".")
                found[uid] = sys.intern(namespace)
        return found

    async def _restore(self, there: Collection[str]) -> None:
        """Create the lost TASKS entries of Tasks that have records in the journal."""
        state = self._state
        lost = {
            uid: Inventory(uid=uid, name=ended.name, session=ended.session_uid, parent=ended.parent)
            async for uid, ended in in_turns(state.ended.items())
            if uid not in there and ended.sequence
        }
        async for uid, task in in_turns(state.tasks.items()):
            if uid not in there and task.status is not None and task.status.journal_sequence:
                session, parent = state.session_of(task), task.metadata.labels.get(PARENT_LABEL, "")
                lost[uid] = Inventory(uid=uid, name=task.metadata.name, session=session, parent=parent)
        for uid, entry in lost.items():
            if (namespace := state.namespace_of(uid)) is not None and uid not in state.deleted:
                await self._servers.inventory.create(inventory_key(namespace, uid), entry)

    async def _drop_ghosts(
        self, known: CachedUids, sessions: set[str], partitions: set[str], tasks: set[str]
    ) -> None:
        """Handle cached objects that are not listed as deleted."""
        async for uid in in_turns(known.tasks - tasks):
            if (task := self._state.living(uid)) is not None:
                name = task.namespaced_name
                log.warning("task %s/%s was deleted without an event", *name)
                self._intake.task_gone(task)
        async for uid in in_turns(known.sessions - sessions):
            if (session := self._state.session_with(uid)) is not None:
                name = self._state.session_names[session.metadata.uid]
                log.warning("session %s/%s was deleted without an event", *name)
                self._intake.session_gone(name)
        gone = known.partitions - partitions
        async for name in in_turns(n for n, p in self._state.partitions.items() if p.metadata.uid in gone):
            log.warning("partition %s/%s was deleted without an event", *name)
            self._intake.partition_gone(name)

    async def _uids_of(self, kind: Kind) -> set[str]:
        spaces, kube = self._settings.spaces, self._servers.kube
        return {meta["uid"] for space in spaces async for meta in kube.metadata(kind, space)}
