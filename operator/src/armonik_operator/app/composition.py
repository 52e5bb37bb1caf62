"""Makes the reconcilers and the periodic work of the operator, and says who handles which kind of key."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from armonik_operator.cache.keys import WorkKey
from armonik_operator.cache.state import ClusterState
from armonik_operator.clients.servers import Clients
from armonik_operator.controllers.partition import PartitionReconciler
from armonik_operator.controllers.result import ResultReconciler
from armonik_operator.controllers.session import SessionReconciler
from armonik_operator.controllers.task import TaskReconciler
from armonik_operator.errors import JournalLost
from armonik_operator.gc import unnamed_objects
from armonik_operator.gc.inventory import InventoryCheck
from armonik_operator.gc.orphans import OrphanCollector
from armonik_operator.provisioning.credentials import Provision
from armonik_operator.queueing import quota
from armonik_operator.queueing.priority_bands import PriorityBands
from armonik_operator.queueing.sweep import Sweep
from armonik_operator.sources import unreadable_objects
from armonik_operator.sources.intake import Intake
from armonik_sdk.api.const import Reason
from armonik_sdk.backoff import Backoff
from armonik_sdk.dataplane.nats.streams import Snapshot
from armonik_sdk.dataplane.s3.store import S3Store

log = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]

AGAIN_SECONDS = 10.0
"""Until periodic work begins again that failed for the first time; twice as many the next time."""
TIDY = 1800.0
"""Seconds between two collections of what belongs to nobody."""


class Composition:
    """All that works with one connection; made again when the journal has lost records."""

    def __init__(
        self,
        servers: Clients,
        store: S3Store,
        provision: Provision,
        state: ClusterState,
        enqueue: Callable[[WorkKey], None],
        intake: Intake,
    ) -> None:
        self._servers = servers
        self._state = state
        self._enqueue = enqueue
        bands = self._bands = PriorityBands(servers)
        self._garbage = unnamed_objects.Garbage(servers, store, state, time.time)
        self._orphans = OrphanCollector(servers, bands, store, state.settings, time.time)
        self._comparison = InventoryCheck(servers, state, state.settings, intake)
        self.partitions = PartitionReconciler(servers, state, enqueue, provision.ensure_namespace, bands)
        tasks = TaskReconciler(servers, state, enqueue, bands)
        sessions = SessionReconciler(servers, state, tasks.book, enqueue, provision.ensure_clients)
        self._children = tasks.children
        self.mended = tasks.mended
        """Called with what held Tasks back and does so no more."""
        self.handlers: dict[str, Callable[[WorkKey], Awaitable[float | None]]] = {
            "task": tasks.handle,
            quota.KIND: tasks.let_in,
            "expired": tasks.expire,
            "result": ResultReconciler(servers, state, tasks.book).handle,
            "session": sessions.handle,
            "partition": self.partitions.handle,
            "pod": self.partitions.mark_gone,
            unnamed_objects.KIND: self._garbage.of_task,
            unreadable_objects.KIND: partial(intake.unreadable.write_condition, servers.kube),
        }
        """By the kind of the key."""

    def reconnected(self) -> None:
        """NATS is back, perhaps without what it had."""
        self.partitions.reconnected()
        self.mended(Reason.QUEUE_UNAVAILABLE)
        self._comparison.reconnected()

    def periodic(self, sweep_now: asyncio.Event, snapshots: Mapping[str, Snapshot]) -> dict[str, Job]:
        """What runs beside the work queue, by name; `snapshots`: streams and buckets at the start."""
        sweep = Sweep(self._state, self._enqueue, self.mended, sweep_now)
        return {
            "sweep": lambda: sweep.run(self._servers, self._bands, snapshots),
            "inventory check": lambda: self._comparison.run(self._children),
            "collection of orphans": lambda: _tidy(self._orphans),
            "removal of unnamed objects": self._garbage.run,
        }


async def keep_up(name: str, job: Job) -> None:
    """Run it; again after an error that nobody expected, which is logged.

    It may be caused by one object, message or key that somebody made. What runs does not depend on this
    job, but a run whose message is missing waits for the sweep: so delays are short again after long work.

    Raises:
        JournalLost: as the job does; everything is read again.
    """
    backoff = Backoff(AGAIN_SECONDS, TIDY)
    while True:
        begun = time.monotonic()
        try:
            await job()
        except JournalLost:
            raise
        except Exception:
            if time.monotonic() - begun > TIDY:
                backoff.reset()
            delay = backoff.failed()
            log.exception("%s failed and is begun again in %.0f s: please report this", name, delay)
            await asyncio.sleep(delay)
        else:
            return


async def _tidy(orphans: OrphanCollector) -> None:
    while True:
        await asyncio.sleep(TIDY)
        await orphans.collect()
