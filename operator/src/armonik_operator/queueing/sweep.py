"""Checks regularly that the streams exist and open runs are queued (protocol rules 4 and 12)."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from functools import partial

from nats.aio.client import Client

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import SERVER_ERRORS, Clients
from armonik_operator.clients.stream_identity import lost
from armonik_operator.errors import JournalLost
from armonik_operator.journal.fold import TaskFold
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.util.concurrency import Turns, gather_bounded
from armonik_operator.util.index_set import IndexSet
from armonik_sdk.api.const import ConditionType
from armonik_sdk.api.names import (
    ALL_QUEUED,
    CONTROL,
    QUEUE,
    TASKS,
    NamespacedName,
    RunId,
    band_of_queue,
    bucket_stream,
    control_key,
    inventory_key,
)
from armonik_sdk.api.records import RecordKind
from armonik_sdk.dataplane.nats import streams
from armonik_sdk.dataplane.nats.queue import purge
from armonik_sdk.dataplane.nats.subjects import pages

log = logging.getLogger(__name__)

PAUSE = 2.0
"""Seconds between two sweeps at least."""
MOST_VOID = 1_000
"""Messages of ended runs that are removed in a sweep."""


class Sweep:
    """Sweeps once in a while, and when `now` is set."""

    def __init__(
        self,
        state: ClusterState,
        enqueue: Callable[[WorkKey], None],
        mended: Callable[[str], None],
        now: asyncio.Event,
    ) -> None:
        """`mended` is called with a condition that ends."""
        self._state = state
        self._enqueue = enqueue
        self._mended = mended
        self._now = now
        self._missing: dict[str, float] = {}
        self._void: set[str] = set()
        """Messages of ended runs that the last sweep has seen."""
        self._session = self._task = ""
        """UIDs of a Session and of a Task whose entries the last sweep has seen."""

    async def run(
        self, servers: Clients, bands: PriorityBands, snapshots: Mapping[str, streams.Snapshot]
    ) -> None:
        """Sweep until cancelled; `snapshots` is what there was at the start.

        Raises:
            JournalLost: a stream or bucket was deleted or emptied.
        """
        begun = -PAUSE
        while True:
            self._now.clear()
            await asyncio.sleep(max(0.0, begun + PAUSE - time.monotonic()))
            begun = time.monotonic()
            try:
                snapshots = await self._see_streams(servers.client, snapshots)
                await self._see_entries(servers)
                await self._queue_missing(servers.client, bands)
                waited = servers.rooms.waits
                await self._measure(servers)
                if waited and not servers.rooms.waits:
                    self._mended(ConditionType.QUEUE_FULL)
            except SERVER_ERRORS as error:
                log.warning("the sweep is repeated later: %s", error)
            # Not wait_for: on Python 3.11 it may swallow a cancellation, and the operator would never end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._state.settings.sweep_seconds):
                    await self._now.wait()

    async def _measure(self, servers: Clients) -> None:
        settings = self._state.settings
        if settings.nats_accounts:
            await servers.rooms.measure_account(servers.client)
        else:
            await servers.rooms.measure(servers.client, settings.nats_store_bytes)

    async def _see_streams(
        self, client: Client, before: Mapping[str, streams.Snapshot]
    ) -> Mapping[str, streams.Snapshot]:
        """The streams that exist now."""
        now, why = await self._look(client, before)
        if why:  # the first Task may have been admitted between the look at its bucket and that at the folds
            now, why = await self._look(client, before)
        if why:
            raise JournalLost(why)
        return now

    async def _look(
        self, client: Client, before: Mapping[str, streams.Snapshot]
    ) -> tuple[Mapping[str, streams.Snapshot], str]:
        """The streams that exist now, and what of them seems to be lost."""
        now = await streams.take_snapshots(client)
        oldest = await self._oldest_head()
        filled = [bucket_stream(TASKS)] if oldest is not None else []
        if any(map(self._session_stays, self._state.session_names)):
            filled.append(bucket_stream(CONTROL))
        return now, lost(before, now, oldest, filled)

    async def _oldest_head(self) -> int | None:
        """Sequence of the oldest head of an open run. Heads only grow while others are looked at."""
        oldest, turns = None, Turns()
        for uid in list(self._state.tasks):
            await turns.step()
            fold = self._state.folds.get(uid)
            if fold is None or fold.session in self._state.leaving:
                continue
            for run in list(fold.open_runs):
                await turns.step()
                oldest = run.sequence if oldest is None else min(oldest, run.sequence)
        return oldest

    async def _see_entries(self, servers: Clients) -> None:
        """Whether the entries are still there that the last sweep has seen, of what still lives.

        A bucket that was purged may have new entries, so that it is empty to nobody.

        Raises:
            JournalLost: one is gone.
        """
        self._session = await self._see_entry(
            CONTROL,
            self._session,
            self._state.session_names,
            self._session_stays,
            partial(self._control_of, servers),
        )
        self._task = await self._see_entry(
            TASKS, self._task, self._state.tasks, self._task_stays, partial(self._inventory_of, servers)
        )

    async def _see_entry(
        self,
        bucket: str,
        seen: str,
        living: Iterable[str],
        stays: Callable[[str], bool],
        entry_of: Callable[[str], Awaitable[object | None]],
    ) -> str:
        """UID of an object that has an entry: the one seen before, as long as it lives."""
        if stays(seen):
            if await entry_of(seen) is not None:
                return seen
            if stays(seen):  # also now that its entry was read
                raise JournalLost(
                    f"the stream {bucket_stream(bucket)} was emptied: {seen} has no entry any more"
                )
        uid = next(filter(stays, living), "")
        return uid if uid and await entry_of(uid) is not None else ""

    def _session_stays(self, uid: str) -> bool:
        """Whether a Session lives and its data is not being removed."""
        return uid in self._state.session_names and uid not in self._state.leaving

    def _task_stays(self, uid: str) -> bool:
        fold = self._state.folds.get(uid)
        return uid in self._state.tasks and fold is not None and fold.session not in self._state.leaving

    async def _control_of(self, servers: Clients, session: str) -> object | None:
        namespace = self._state.session_names[session].namespace
        return await servers.control.get(control_key(namespace, session))

    async def _inventory_of(self, servers: Clients, task: str) -> object | None:
        return await servers.inventory.get(inventory_key(self._state.namespace_of(task) or "", task))

    async def _queue_missing(self, client: Client, bands: PriorityBands) -> None:
        """Find open runs whose queue message is missing."""
        found = QueuedRuns(self._state.folds, self._state.ended)
        left = pages(client, QUEUE, ALL_QUEUED)
        while page := await left.next():
            found.add(page)
        self._missing = await self._report_missing(found)
        await self._remove_void(client, found.void)
        for name, band in found.places:
            if name in self._state.partitions:  # CONTROL may have lost which bands are in use
                await bands.open(name, band)

    async def _report_missing(self, found: "QueuedRuns") -> dict[str, float]:
        """Have the runs queued that have no message; since when each of them has had none."""
        now, turns = time.monotonic(), Turns()
        missing: dict[str, float] = {}
        for uid in list(self._state.folds):
            await turns.step()
            fold = self._state.folds.get(uid)
            overdue = set[int]()
            for run in list(fold.open_runs) if fold is not None and uid in self._state.tasks else ():
                await turns.step()
                if run.kind is RecordKind.PAUSED or found.has(uid, run.start):
                    continue
                since = missing.setdefault(f"{uid}/{run.start}", self._missing.get(f"{uid}/{run.start}", now))
                if not run.kind.owned or now - since >= 2 * streams.ACK_WAIT:
                    overdue.add(run.start)
            task = self._state.tasks.get(uid)
            if task is not None and overdue:
                self._state.republish.setdefault(uid, set()).update(overdue)
            if task is not None and uid in self._state.republish:
                self._enqueue(WorkKey("task", task.namespace, uid))
        return missing

    async def _remove_void(self, client: Client, void: set[str]) -> None:
        """Remove messages of ended runs that the sweep before has seen too (protocol rule 4).

        Any agent drops them. But the last one of a Partition may have ended before its acknowledgement was
        received, and nobody comes after it.
        """
        again = void & self._void
        self._void = void - again
        if again:
            log.info("removing %d messages of runs that have ended", len(again))
            await gather_bounded(partial(purge, client), sorted(again))


class QueuedRuns:
    """Which open runs have a message in the queue, and in which places: a few spans for each Task."""

    def __init__(self, folds: Mapping[str, TaskFold], ended: Container[str]) -> None:
        """`ended`: UIDs of Tasks that have finished."""
        self._folds = folds
        self._ended = ended
        self.void: set[str] = set()
        """Some of the messages whose runs have ended, or were submitted again."""
        self._there: dict[str, IndexSet] = {}
        self.places: set[tuple[NamespacedName, int]] = set()
        """Partitions and bands of priority with messages."""

    def add(self, subjects: Iterable[str]) -> None:
        """Take in subjects of QUEUE."""
        for subject in subjects:
            try:
                ref, n = RunId.from_queue(subject)
                band = band_of_queue(subject)
            except ValueError:
                log.debug("%r is no subject of a run", subject)
                continue
            self.places.add((NamespacedName(*subject.split(".")[2:4]), band))
            fold = self._folds.get(ref.task)
            run = fold.runs.get(ref.start) if fold is not None else None
            over = run is not None and (run.kind.terminal or n < run.n)
            if (over or ref.task in self._ended) and len(self.void) < MOST_VOID:
                self.void.add(subject)
            if run is not None and run.n == n:
                # Its whole span: those of neighbours become one.
                self._there.setdefault(ref.task, IndexSet()).add(run.start, run.end)

    def has(self, task: str, start: int) -> bool:
        """Whether the newest submission of the run is queued."""
        return task in self._there and start in self._there[task]
