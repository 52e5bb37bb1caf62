"""What all runs of one agent process share."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import nats.js.errors
from nats.aio.client import Client
from nats.js.api import ConsumerInfo

from armonik_agent.data.object_cache import ObjectCache
from armonik_agent.desired_state import ControlWatch
from armonik_agent.http_endpoints import Metrics
from armonik_agent.server_clock import ServerClock
from armonik_agent.settings import Settings
from armonik_agent.worker.agent_service import AgentService
from armonik_agent.worker.client import Worker
from armonik_sdk.api.kinds import WorkerInfo
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import DEFAULT_BAND, QUEUE, consumer, event_subject
from armonik_sdk.api.records import Control, Owner
from armonik_sdk.dataplane.errors import QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.nats.buckets import Bucket
from armonik_sdk.dataplane.nats.journal import Journal
from armonik_sdk.dataplane.nats.requests import REQUEST_TIMEOUT, UNREACHABLE, bounded, fitting
from armonik_sdk.dataplane.s3.store import ObjectStore

log = logging.getLogger(__name__)

STORE_PATIENCE = 30.0
"""Seconds for which finished work waits for an object store that is down, before its run is released."""
STORE_PAUSE = 2.0
TEXT_PAUSE = 60.0
"""Seconds for which nothing that elements print goes to the object store once it has not taken something."""

T = TypeVar("T")


class Drain:
    """Whether the agent drains: it takes no new runs; running elements may end, within a limit if any."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.limited = asyncio.Event()
        """The process is to end, too (SIGTERM)."""
        self._deadline = 0.0

    def begin(self) -> None:
        """Let the elements that run end, however long they take; the rest is for others."""
        self.begun.set()

    def end(self, seconds: float) -> None:
        """Let running elements continue for at most `seconds`, then end the process."""
        if not self.limited.is_set():
            self._deadline = time.monotonic() + seconds
        self.begun.set()
        self.limited.set()

    async def overdue(self) -> None:
        """Wait until the limit is over; without an end, if none is set."""
        await self.limited.wait()
        await asyncio.sleep(max(0.0, self._deadline - time.monotonic()))


class Connection:
    """State of the connection to NATS: present, lost or silent, and how often it came back."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.present = asyncio.Event()
        self.present.set()
        self._lost_at = 0.0
        self._only_silent = False

    def lost(self) -> None:
        """The connection has ended; it is there again when `back` says so."""
        self.silent(time.monotonic())
        self._only_silent = False

    def silent(self, since: float) -> None:
        """A request of `since` (monotonic) got no answer; the connection counts as lost since then."""
        if self.present.is_set():
            self._lost_at = since
            self._only_silent = True
        self.present.clear()

    def answered(self) -> None:
        """A request was answered: a connection that was only silent is there again."""
        if self._only_silent:
            self.back()

    def back(self) -> None:
        """NATS is back, perhaps restored from an older state."""
        self.reconnects += 1
        self._only_silent = False
        self.present.set()

    @property
    def away(self) -> float:
        """Seconds since it was lost; 0 while it is there."""
        return 0.0 if self.present.is_set() else time.monotonic() - self._lost_at


class TextOutage:
    """Whether the object store has lately not taken what elements printed: work is not held for that."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def lasts(self) -> bool:
        """Whether texts are left out without another attempt."""
        return time.monotonic() < self._until

    def begin(self) -> None:
        """It has not taken one."""
        self._until = time.monotonic() + TEXT_PAUSE


@dataclass
class AgentContext:
    """What all runs of this process share."""

    settings: Settings
    me: Owner
    client: Client
    journal: Journal
    control: Bucket[Control]
    store: ObjectStore
    worker: Worker
    service: AgentService
    watch: ControlWatch
    drain: Drain
    metrics: Metrics
    connection: Connection = field(default_factory=Connection)
    clock: ServerClock = field(default_factory=ServerClock)
    text_outage: TextOutage = field(default_factory=TextOutage)
    objects: ObjectCache | None = None
    """Inputs that earlier runs of this pod have read; None keeps none."""
    bands: tuple[int, ...] = ()
    """Bands of priority in use, beside the lowest one."""

    async def publish_event(self, kind: str, reason: str, worker: WorkerInfo | None = None) -> None:
        """Send the operator an event about this pod; a hint, so a lost one is only logged."""
        pod_event = PodEvent(pod=self.me.pod, name=self.me.name, reason=reason, worker=worker)
        event = fitting(pod_event, "reason")
        log.info("event %s to the operator: %s", kind, reason)
        try:
            await self.client.publish(event_subject(self.settings.namespace, kind), bounded(kind, event))
        except UNREACHABLE as error:
            log.warning("event %s not sent: %s", kind, error)

    async def idle(self) -> int:
        """How many agents of the Partition wait for work.

        Raises:
            QueueUnavailable: no usable answer.
        """
        info = await self._consumer(DEFAULT_BAND)
        return 0 if info.num_pending else int(info.num_waiting or 0)

    async def outranked(self, band: int) -> bool:
        """Whether something of a higher band of priority waits: then nobody is idle, or it would be taken."""
        try:
            for higher in self.bands:
                if higher > band and (await self._consumer(higher)).num_pending:
                    return True
        except QueueUnavailable as error:
            log.info("whether higher bands of priority have work is not known: %s", error)
        return False

    async def _consumer(self, band: int) -> ConsumerInfo:
        name = consumer(self.settings.namespace, self.settings.partition, band)
        try:
            info: ConsumerInfo = await self.client.jetstream(timeout=REQUEST_TIMEOUT).consumer_info(
                QUEUE, name
            )
        except (*UNREACHABLE, nats.js.errors.Error) as error:
            raise QueueUnavailable(f"what waits at {name} is not known: {error}") from error
        return info

    async def patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do something with the object store, again for a while when it is down.

        Raises:
            StoreUnavailable: it stayed down, or the process is to end.
        """
        until = time.monotonic() + STORE_PATIENCE
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                if time.monotonic() > until or self.drain.limited.is_set():
                    raise
                log.warning("finished work waits for the object store: %s", error)
            await asyncio.sleep(STORE_PAUSE)
