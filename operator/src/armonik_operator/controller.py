"""The operator's life: Lease, Secrets, servers, replay, then work until the end."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from armonik_operator import lease
from armonik_operator.adapters.kube import PARTITIONS, SESSIONS, TASKS, Kube
from armonik_operator.bands import Bands
from armonik_operator.children import Children
from armonik_operator.clientresults import ResultWorker
from armonik_operator.crds import apply_crds
from armonik_operator.errors import JournalLost, KubeUnavailable
from armonik_operator.events import Announcer
from armonik_operator.folding import FoldLoop
from armonik_operator.housekeeping import Housekeeper
from armonik_operator.life import Life
from armonik_operator.load import Loads, Place
from armonik_operator.losses import belied
from armonik_operator.outage import Outage
from armonik_operator.partitions import PartitionWorker
from armonik_operator.podevents import PodEvents
from armonik_operator.provision import Provision
from armonik_operator.sessiondata import UNANSWERED, UNREACHABLE
from armonik_operator.sessions import SessionWorker
from armonik_operator.settings import Settings
from armonik_operator.state import Gone, Key, Named, Servers, State
from armonik_operator.tasks import TaskWorker
from armonik_operator.watched import Watched
from armonik_operator.workqueue import WorkQueue
from armonik_sdk.api.const import PARTITION_LABEL
from armonik_sdk.api.errors import InvalidManifest
from armonik_sdk.api.kinds import Partition, Session, Task, TaskStatus
from armonik_sdk.api.names import JOURNAL, RunId
from armonik_sdk.api.records import RecordKind
from armonik_sdk.dataplane import topology
from armonik_sdk.dataplane.connect import close_nats, connect_nats
from armonik_sdk.dataplane.errors import DataPlaneError
from armonik_sdk.dataplane.objects import S3Store
from armonik_sdk.dataplane.queue import queued

log = logging.getLogger(__name__)

WORKERS = 16
FOLLOW = 0.3
"""Seconds after which a Partition follows its load; changes come in bursts."""
SUM = 0.5
"""Seconds after which a Session looks at the sums of its Tasks; they change in bursts too."""
SWEEP = 60.0
INVENTORY = 600.0
TIDY = 1800.0
"""Seconds between two collections of what belongs to nobody."""


class Controller:
    """Takes in events at any time; works on them once the Lease is held and the journal replayed."""

    def __init__(self, settings: Settings, holder: str) -> None:
        self._settings = settings
        self._holder = holder
        self._queue: WorkQueue[Key] = WorkQueue(self._handle, WORKERS)
        self._state = State(settings, Loads(time.monotonic, self._load_changed), self._sums_changed)
        self._missing: dict[str, float] = {}
        self._sweep_now = asyncio.Event()
        self._watched = Watched()
        self._handlers: dict[str, Any] = {}
        self._outage: Outage

    def _sums_changed(self, session: Named) -> None:
        self._queue.add_after(Key("session", *session), SUM)

    def _load_changed(self, place: Place) -> None:
        self._queue.add_after(Key("partition", *place), FOLLOW)

    def on_event(self, plural: str, type_: str | None, obj: dict[str, Any]) -> None:
        """Take in what the apiserver tells about an object."""
        self._watched.note(obj["metadata"]["uid"], deleted=type_ == "DELETED")
        try:
            self._on_event(plural, type_ == "DELETED", obj)
        except InvalidManifest as error:
            log.warning("%s %s is not understood: %s", plural, obj["metadata"].get("name"), error)

    def _on_event(self, plural: str, deleted: bool, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        version = meta.get("resourceVersion")
        name = Named(meta.get("namespace", ""), meta["name"])
        match plural:
            case "tasks":
                before = self._state.tasks.get(meta["uid"])
                if not deleted and before is not None and before.metadata.resource_version == version:
                    return  # our own write, taken in from its answer
                task = Task.from_object(obj)
                if deleted:
                    self._state.drop_task(task)
                else:
                    self._state.put_task(task)
                self._queue.add(Key("task", name.namespace, task.metadata.uid))
                self._queue.add(Key("session", name.namespace, task.spec.session))
            case "sessions":
                session = Session.from_object(obj)
                known = self._state.drop_session(name) if deleted else self._state.put_session(session)
                self._queue.add(Key("session", *name))
                if deleted or known is None or known.metadata.generation != session.metadata.generation:
                    self._wake(name.namespace, self._state.by_session.get(name, ()))
            case "partitions":
                known_before = name in self._state.partitions
                if deleted:
                    self._state.partitions.pop(name, None)
                else:
                    self._state.partitions[name] = Partition.from_object(obj)
                self._queue.add(Key("partition", *name))
                if deleted or not known_before:
                    self._wake(name.namespace, self._state.by_partition.get(name, ()))
                    for session_name, session in self._state.sessions.items():
                        if session_name.namespace == name.namespace and name.name in session.spec.partitions:
                            self._queue.add(Key("session", *session_name))
            case "pods":
                ended = obj.get("status", {}).get("phase") in ("Failed", "Succeeded")
                if deleted or ended:
                    self._queue.add(Key("pod", name.namespace, meta["uid"]))
                self._queue.add(Key("partition", name.namespace, meta["labels"][PARTITION_LABEL]))

    def _wake(self, namespace: str, uids: Iterable[str]) -> None:
        for uid in uids:
            self._queue.add(Key("task", namespace, uid))

    async def _handle(self, key: Key) -> float | None:
        try:
            again: float | None = await self._handlers[key.kind](key)
        except UNREACHABLE as error:
            await self._tell_outage(key, error)
            raise
        if key.kind == "task" and (task := self._state.tasks.get(key.name)) is not None:
            self._state.count(task)
        return again

    async def _tell_outage(self, key: Key, error: BaseException) -> None:
        """Tasks say it themselves, with what they wait for."""
        name = Named(key.namespace, key.name)
        if key.kind == "session" and (session := self._state.sessions.get(name)) is not None:
            await self._outage.tell(SESSIONS, session, error)
        if key.kind == "partition" and (partition := self._state.partitions.get(name)) is not None:
            await self._outage.tell(PARTITIONS, partition, error)

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            LeaseLost: another operator took over; the process must end.
        """
        kube = await Kube.connect()
        settings = self._settings
        try:
            await lease.acquire(kube, settings.namespace, settings.lease, self._holder)
            async with asyncio.TaskGroup() as group:
                group.create_task(lease.keep(kube, settings.namespace, settings.lease, self._holder))
                group.create_task(self._serve_lives(kube))
        finally:
            await lease.release(kube, settings.namespace, settings.lease, self._holder)
            await kube.close()

    async def _serve_lives(self, kube: Kube) -> None:
        """Serve; once the journal has lost what was folded, start afresh with what is known of it."""
        while True:
            lost = False
            try:
                await self._serve(kube)
            except* JournalLost as group:
                log.warning("starting afresh: %s", group.exceptions)
                lost = True
            if not lost:
                return
            self._state.start_afresh()
            for uid, task in self._state.tasks.items():
                self._queue.add(Key("task", task.metadata.namespace or "", uid))
            for name in self._state.sessions:
                self._queue.add(Key("session", *name))
            for name in self._state.partitions:
                self._queue.add(Key("partition", *name))

    async def _serve(self, kube: Kube) -> None:
        provision = Provision(kube, self._settings)
        credentials = await provision.prepare()  # before all else: the servers' pods wait for it
        if self._settings.manage_crds:
            await apply_crds(kube, Path(self._settings.crds_dir))
        renew: list[Callable[[], None]] = [self._sweep_now.set]

        async def reconnected() -> None:
            for each in renew:
                each()

        events = Announcer(kube)
        outage = self._outage = Outage(kube, self._state, events, credentials.nats_url)
        telling = asyncio.create_task(outage.tell_all())
        announcing = asyncio.create_task(events.run())
        client: Client | None = None
        store = S3Store(credentials)
        try:
            client = await connect_nats(credentials, "operator", on_reconnected=reconnected)
            await self._prepare_servers(kube, client, outage)
            telling.cancel()
            servers = Servers(kube, client, store, events)
            bands = Bands(servers)
            children, partitions = self._make_handlers(servers, provision, bands)
            renew.append(partitions.reconnected)
            info = await client.jetstream(timeout=10).stream_info(JOURNAL)
            fold_loop = FoldLoop(client.jetstream(timeout=5), self._state, self._queue)
            renew.append(fold_loop.reconnected.set)
            await PodEvents(servers.kube, partitions.worker_down).serve(client)
            async with asyncio.TaskGroup() as group:
                group.create_task(fold_loop.run(int(info.state.last_seq)))
                await fold_loop.caught_up.wait()
                await self._watched.all(kube, self._settings.spaces)
                log.info("the journal is replayed up to %d; working", info.state.last_seq)
                self._believe_statuses(fold_loop.read)
                group.create_task(self._queue.run())
                group.create_task(self._make_bucket(store))
                group.create_task(self._sweep_for_ever(client))
                group.create_task(self._inventory_for_ever(servers, children))
                keeper = Housekeeper(servers, bands, store, self._settings, time.time)
                group.create_task(self._tidy_for_ever(keeper))
        finally:
            for task in (telling, announcing):
                task.cancel()
            await asyncio.gather(telling, announcing, return_exceptions=True)
            if client is not None:
                await close_nats(client)

    def _make_handlers(
        self, servers: Servers, provision: Provision, bands: Bands
    ) -> tuple[Children, PartitionWorker]:
        tasks = TaskWorker(servers, self._state, self._queue.add, bands)
        partitions = PartitionWorker(servers, self._state, self._queue.add, provision.furnish, bands)
        sessions = SessionWorker(servers, self._state, tasks.book, self._queue.add, provision.furnish)
        self._handlers = {
            "task": tasks.handle,
            "expired": tasks.expire,
            "result": ResultWorker(servers, self._state, tasks.book).handle,
            "session": sessions.handle,
            "partition": partitions.handle,
            "pod": partitions.mark_gone,
        }
        return tasks.children, partitions

    async def _make_bucket(self, store: S3Store) -> None:
        """Work goes on without a store; Sessions, and Tasks that need it, say so."""
        while True:
            before = self._state.store_error
            try:
                await store.ensure_bucket()
            except DataPlaneError as error:
                log.warning("the object store is not ready: %s; trying again", error)
                self._state.store_error = str(error)
            else:
                self._state.store_error = ""
            if bool(before) != bool(self._state.store_error):
                for name in self._state.sessions:
                    self._queue.add(Key("session", *name))
            if not self._state.store_error:
                return
            await asyncio.sleep(2.0)

    async def _prepare_servers(self, kube: Kube, client: Client, outage: Outage) -> None:
        while True:
            try:
                await topology.ensure(client, store_bytes=self._settings.nats_store_bytes)
                created, last = await topology.journal_state(client)
                statuses = await self._statuses(kube)
            except KubeUnavailable as error:
                log.warning("the apiserver does not answer: %s; trying again", error)
                await asyncio.sleep(2.0)
            except UNANSWERED as error:
                log.warning("the servers are not ready: %s; trying again", error)
                outage.error = error
                await asyncio.sleep(2.0)
            else:
                self._live(Life.of(int(created.timestamp()), last, statuses, self._state.life))
                return

    def _believe_statuses(self, read: int) -> None:
        """Before anything of what was read is worked on."""
        state = self._state
        for uid, task in state.tasks.items():
            if belied(task, state.received.get(uid, ()), state.life, read):
                log.warning("the journal has lost records that the status of task %s knows", uid)
                self._live(state.life.after_loss())
                return

    def _live(self, life: Life) -> None:
        """Go on with what this life of the journal makes of the statuses."""
        if self._state.life != life:
            log.info("life of the journal: %s", life)
        self._state.life = life
        for task in list(self._state.tasks.values()):
            self._state.put_task(task)

    async def _statuses(self, kube: Kube) -> list[TaskStatus]:
        spaces = self._settings.spaces
        found = [Task.from_object(obj) for space in spaces for obj in await kube.list(TASKS, space)]
        return [task.status for task in found if task.status is not None]

    async def _sweep_for_ever(self, client: Client) -> None:
        while True:
            self._sweep_now.clear()
            try:
                await self._sweep(client)
            except DataPlaneError as error:
                log.warning("the sweep comes again in a minute: %s", error)
            # Not wait_for: on Python 3.11 it may swallow a cancellation, and the operator would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP):
                    await self._sweep_now.wait()

    async def _sweep(self, client: Client) -> None:
        """Find open runs whose queue message is missing (protocol rule 4)."""
        subjects, now = await queued(client), time.monotonic()
        there = {(run.task, run.start, n) for run, n in map(RunId.from_queue, subjects)}
        missing: dict[str, float] = {}
        for uid, fold in self._state.folds.items():
            task = self._state.tasks.get(uid)
            for run in fold.open_runs if task is not None else ():
                if (uid, run.start, run.n) in there or run.kind is RecordKind.PAUSED:
                    continue
                since = missing.setdefault(f"{uid}/{run.start}", self._missing.get(f"{uid}/{run.start}", now))
                if not run.kind.owned or now - since >= 2 * topology.ACK_WAIT:
                    self._state.republish.setdefault(uid, set()).add(run.start)
            if task is not None and uid in self._state.republish:
                self._queue.add(Key("task", task.metadata.namespace or "", uid))
        self._missing = missing

    async def _inventory_for_ever(self, servers: Servers, children: Children) -> None:
        while True:
            try:
                await self._compare_inventory(servers, children)
            except (DataPlaneError, KubeUnavailable) as error:
                log.warning("the inventory is compared later: %s", error)
            await asyncio.sleep(INVENTORY)

    async def _tidy_for_ever(self, keeper: Housekeeper) -> None:
        while True:
            await asyncio.sleep(TIDY)
            await keeper.tidy()

    async def _compare_inventory(self, servers: Servers, children: Children) -> None:
        """Find Tasks that were deleted while nobody watched (protocol rule 9)."""
        keys = [key.split(".") for key in await servers.inventory.keys("*.*")]
        spaces = self._settings.spaces
        living = {obj["metadata"]["uid"] for space in spaces for obj in await servers.kube.list(TASKS, space)}
        for namespace, uid in keys:
            if uid in living or not self._settings.serves(namespace):
                continue
            entry = await servers.inventory.get(f"{namespace}.{uid}")
            if entry is not None:
                self._state.deleted[uid] = Gone(namespace, entry[0].session, entry[0].name, entry[0].parent)
                self._queue.add(Key("task", namespace, uid))
        await children.abort_orphans(living)
