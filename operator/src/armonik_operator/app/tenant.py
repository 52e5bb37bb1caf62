"""A tenant: the namespaces that share one account of NATS, with all that works for them and for no others.

Caches, the fold, the work queue, buckets and the sweep belong to one tenant. What it loses, and how it starts
again from its journal, affects no other. Tenants share the operator's process, its connection to the
apiserver, and the bounds in bytes of its memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from nats.aio.client import Client

from armonik_operator.app.composition import Composition, keep_up
from armonik_operator.app.health import TenantHealth
from armonik_operator.app.journal_start import RETRY_SECONDS, JournalStart, Prepared
from armonik_operator.app.store_readiness import StoreReadiness
from armonik_operator.cache.inbox import Inbox
from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.partition_load import PartitionLoads
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.availability import BUSY_SECONDS, Availability, busy, probe_until_up
from armonik_operator.clients.events import EventRecorder
from armonik_operator.clients.kube import PARTITIONS, SESSIONS, Kube
from armonik_operator.clients.servers import OUTAGE_ERRORS, Clients
from armonik_operator.clients.store_usage import StoreUsage, TotalUse
from armonik_operator.clients.stream_identity import shows_loss
from armonik_operator.errors import AccountError, ConnectionEnded, JournalLost, KubeError, KubeUnavailable
from armonik_operator.provisioning.credentials import Provision
from armonik_operator.settings import Settings
from armonik_operator.sources.cache_sync import CacheSync
from armonik_operator.sources.intake import Intake
from armonik_operator.sources.journal import JournalReader
from armonik_operator.sources.pod_events import PodEvents
from armonik_operator.status.outage import OutageReporter
from armonik_operator.util.commons import Commons
from armonik_operator.util.concurrency import in_turns
from armonik_operator.util.work_queue import WorkQueue
from armonik_sdk.api.names import JOURNAL, NamespacedName
from armonik_sdk.backoff import Backoff
from armonik_sdk.dataplane.credentials import Credentials
from armonik_sdk.dataplane.nats.connection import close_nats, connect_nats
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

WORKERS = 16
"""Handlers that a namespace has at a time."""
FOLLOW = 0.3
"""Seconds after which a Partition follows its load; changes come in bursts."""
RARELY = 15.0
"""Seconds between attempts to have an account, after many; the namespace may be gone."""
SUM = 0.5
"""Seconds after which a Session looks at the sums of its Tasks; they change in bursts too."""


@dataclass(frozen=True)
class Common:
    """What all tenants share once the operator works."""

    kube: Kube
    events: EventRecorder
    provision: Provision
    store: S3Store
    total: TotalUse
    """What the accounts of all tenants hold together."""


class Tenant:
    """Takes in events at any time; works on them once its journal is replayed."""

    def __init__(
        self, settings: Settings, dependencies: Availability, health: TenantHealth, commons: Commons
    ) -> None:
        """`settings.watch_namespaces` are those of the tenant; empty: all."""
        self._settings = settings
        self._dependencies = dependencies
        self.health = health
        self._queue: WorkQueue[WorkKey] = WorkQueue(self._handle, WORKERS, lambda key: key.namespace)
        self._state = ClusterState(
            settings,
            PartitionLoads(time.monotonic, self._load_changed),
            self._sums_changed,
            commons=commons,
            inbox=Inbox(commons),
        )
        self._whole = False
        self._sweep_now = asyncio.Event()
        self._watched = CacheSync(self.on_event)
        self._intake = Intake(self._state, self._queue.add)
        self._handlers: dict[str, Any] = {}
        self._running = 0
        self._tasks_mended: Callable[[str], None] = lambda _: None
        self._on_reconnect: list[Callable[[], None]] = []
        """Called when the connection to NATS is there again."""
        self._store = StoreReadiness(self._state, self._queue.add, self._mended)
        self._ended = asyncio.Event()
        self._outage: OutageReporter

    def _sums_changed(self, session: NamespacedName) -> None:
        self._queue.add_after(WorkKey("session", *session), SUM)

    def _load_changed(self, place: NamespacedName) -> None:
        self._queue.add_after(WorkKey("partition", *place), FOLLOW)

    def on_event(self, plural: str, type_: str | None, obj: dict[str, Any]) -> None:
        """Take in an event of the apiserver."""
        deleted = type_ == "DELETED"
        self._watched.note(plural, obj, deleted=deleted)
        self._intake.event(plural, obj, deleted=deleted, listed=type_ is None)

    def used(self) -> set[str]:
        """Its namespaces with Sessions or Partitions."""
        return {name.namespace for name in (*self._state.sessions, *self._state.partitions)}

    async def _handle(self, key: WorkKey) -> float | None:
        self._running += 1
        self.health.queue.waits()
        try:
            with self._dependencies.door.handler():
                again: float | None = await self._handlers[key.kind](key)
        except OUTAGE_ERRORS as error:
            if shows_loss(error):
                self._sweep_now.set()
            await self._report_outage(key, error)
            raise
        except Exception as error:
            if busy(error):
                return BUSY_SECONDS
            raise
        finally:
            self._running -= 1
            self.health.queue.moved(idle=not self._running)
        if key.kind == "task" and (task := self._state.tasks.get(key.name)) is not None:
            self._state.count(task)
        return again

    async def _report_outage(self, key: WorkKey, error: BaseException) -> None:
        """Tasks say it themselves, with what they wait for."""
        name = NamespacedName(key.namespace, key.name)
        if key.kind == "session" and (session := self._state.sessions.get(name)) is not None:
            await self._outage.report(SESSIONS, session, error)
        if key.kind == "partition" and (partition := self._state.partitions.get(name)) is not None:
            await self._outage.report(PARTITIONS, partition, error)

    async def run(self, common: Common) -> None:
        """Work until cancelled.

        Raises:
            ConnectionEnded: the connection to NATS has ended permanently; the process must end.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_without_nats())
            group.create_task(self._serve_lives(common))

    async def _serve_lives(self, common: Common) -> None:
        """Serve; once the journal has lost what was folded, start again with what is known of it."""
        while True:
            lost = False
            try:
                await self._serve(common)
            except* JournalLost as group:
                log.warning("starting again: %s", group.exceptions)
                lost = self._whole = True
            if not lost:
                return
            self._state.start_afresh()
            async for uid, task in in_turns(self._state.tasks.items()):
                self._queue.add(WorkKey("task", task.namespace, uid))
            for name in self._state.sessions:
                self._queue.add(WorkKey("session", *name))
            for name in self._state.partitions:
                self._queue.add(WorkKey("partition", *name))

    async def _serve(self, common: Common) -> None:
        kube, deps = common.kube, self._dependencies
        self._on_reconnect = [self._sweep_now.set]
        outage = self._outage = OutageReporter(kube, self._state, common.events, self._settings.nats_url)
        reporting = asyncio.create_task(outage.report_all())
        client: Client | None = None
        deps.on_store_change.append(self._note_store)
        self._state.isolation = common.provision.isolation
        try:
            credentials = await self._credentials(common.provision, outage)
            store = common.store
            client = await self._connect(credentials)
            start = JournalStart(kube, self._state, self._watched)
            prepared = await start.prepare(client, outage, whole=self._whole)
            reporting.cancel()
            rooms = self._rooms(common)
            servers = Clients(kube, client, store, common.events, rooms)
            parts = Composition(servers, store, common.provision, self._state, self._queue.add, self._intake)
            await self._work(servers, store, parts, start, prepared)
        finally:
            deps.on_store_change.remove(self._note_store)
            self.health.working = False
            self.health.fold.moved(idle=True)
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            if client is not None:
                await close_nats(client)

    def _rooms(self, common: Common) -> StoreUsage:
        namespaces = common.provision.namespaces
        if namespaces is None:
            return StoreUsage(common.total)
        own = self._settings.watch_namespaces[0]
        return StoreUsage(common.total, partial(namespaces.bounds, own), own)

    async def _credentials(self, provision: Provision, outage: OutageReporter) -> Credentials:
        """The operator's, once the tenant's account is there."""
        backoff = Backoff(RETRY_SECONDS, RARELY)
        while True:
            try:
                return await provision.credentials(self._settings)
            except (AccountError, KubeError, KubeUnavailable) as error:
                log.warning("no account on NATS yet: %s; trying again", error)
                outage.error = error
            await asyncio.sleep(backoff.failed())

    def _note_store(self) -> None:
        self._store.note(self._dependencies.store.error)

    async def _connect(self, credentials: Credentials) -> Client:
        nats = self.health.nats

        async def reconnected() -> None:
            nats.answered()
            for each in self._on_reconnect:
                each()

        async def disconnected() -> None:
            nats.down("the connection is lost")

        async def closed() -> None:
            self._ended.set()

        client = await connect_nats(
            credentials,
            "operator",
            on_closed=closed,
            on_disconnected=disconnected,
            on_reconnected=reconnected,
        )
        nats.answered()
        return client

    async def _work(
        self, servers: Clients, store: S3Store, parts: Composition, start: JournalStart, prepared: Prepared
    ) -> None:
        """Read the journal up to its end as it is now, then handle keys until cancelled."""
        client, replay = servers.client, prepared.replay
        self._handlers, self._tasks_mended = parts.handlers, parts.mended
        info = await client.jetstream(timeout=10).stream_info(JOURNAL)
        reader = JournalReader(client.jetstream(timeout=5), self._state, self._queue, replay)
        self._on_reconnect += [parts.reconnected, reader.reconnected.set]
        self.health.fold.waits()
        reader.beat = self.health.fold.moved
        of = parts.partitions
        events = PodEvents(servers.kube, self._state, of.worker_down, of.worker_silent, of.worker_about)
        await events.serve(client)
        async with asyncio.TaskGroup() as group:
            group.create_task(reader.run(int(info.state.last_seq)))
            await reader.caught_up.wait()
            log.info("the journal is replayed up to %d; working", info.state.last_seq)
            await start.check_statuses(replay, reader.read)
            self._state.keep_names(replay.names)
            reader.over()
            group.create_task(self._queue.run())
            group.create_task(events.run())
            self.health.working = True
            group.create_task(self._store.make_bucket(store))
            group.create_task(probe_until_up(self._dependencies.store, store.probe))
            for name, job in parts.periodic(self._sweep_now, prepared.snapshots).items():
                group.create_task(keep_up(name, job))

    def _mended(self, cause: str) -> None:
        """What held Tasks back does so no more."""
        self._tasks_mended(cause)

    async def _end_without_nats(self) -> None:
        await self._ended.wait()
        raise ConnectionEnded("the connection to NATS has ended permanently")
