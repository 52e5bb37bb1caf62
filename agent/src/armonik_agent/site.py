"""What all runs of one agent process share."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import nats.js.errors
from nats.aio.client import Client

from armonik_agent.clock import ServerClock
from armonik_agent.control import ControlWatch
from armonik_agent.http import Metrics
from armonik_agent.settings import Settings
from armonik_agent.worker import Worker
from armonik_agent.worker_api import AgentService
from armonik_sdk.api.messages import PodEvent
from armonik_sdk.api.names import QUEUE, consumer, event_subject
from armonik_sdk.api.records import Control, Owner
from armonik_sdk.dataplane.errors import QueueUnavailable, StoreUnavailable
from armonik_sdk.dataplane.journal import Journal
from armonik_sdk.dataplane.kv import Bucket
from armonik_sdk.dataplane.objects import ObjectStore
from armonik_sdk.dataplane.requests import REQUEST_TIMEOUT, UNREACHABLE

log = logging.getLogger(__name__)

STORE_PATIENCE = 30.0
"""Seconds for which finished work waits for an object store that is down, before its run is released."""
STORE_PAUSE = 2.0

T = TypeVar("T")


class Drain:
    """Take nothing new; what runs may end, within a limit if there is one."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.limited = asyncio.Event()
        """The process is to end, too (SIGTERM)."""
        self._deadline = 0.0

    def begin(self) -> None:
        """Let the elements that run end, however long they take; the rest is for others."""
        self.begun.set()

    def end(self, seconds: float) -> None:
        """Let them go on for so many seconds, then end the process."""
        if not self.limited.is_set():
            self._deadline = time.monotonic() + seconds
        self.begun.set()
        self.limited.set()

    async def overdue(self) -> None:
        """Wait until the limit is over; for ever, if none is set."""
        await self.limited.wait()
        await asyncio.sleep(max(0.0, self._deadline - time.monotonic()))


class Connection:
    """What is known about the connection to NATS."""

    def __init__(self) -> None:
        self.reconnects = 0
        self.present = asyncio.Event()
        self.present.set()
        self._lost_at = 0.0

    def lost(self) -> None:
        """NATS does not answer any more."""
        if self.present.is_set():
            self._lost_at = time.monotonic()
        self.present.clear()

    def back(self) -> None:
        """NATS is back, perhaps restored from an older state."""
        self.reconnects += 1
        self.present.set()

    @property
    def away(self) -> float:
        """Seconds since it was lost; 0 while it is there."""
        return 0.0 if self.present.is_set() else time.monotonic() - self._lost_at


@dataclass
class Site:
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

    async def tell(self, kind: str, reason: str) -> None:
        """Tell the operator something about this pod; a hint, so a lost one is only logged."""
        event = PodEvent(pod=self.me.pod, name=self.me.name, reason=reason)
        log.info("telling the operator %s: %s", kind, reason)
        try:
            await self.client.publish(event_subject(self.settings.namespace, kind), event.encode())
        except UNREACHABLE as error:
            log.warning("event %s not sent: %s", kind, error)

    async def idle(self) -> int:
        """How many agents of the Partition wait for work.

        Raises:
            QueueUnavailable: no usable answer.
        """
        name = consumer(self.settings.namespace, self.settings.partition)
        try:
            info = await self.client.jetstream(timeout=REQUEST_TIMEOUT).consumer_info(QUEUE, name)
        except (*UNREACHABLE, nats.js.errors.Error) as error:
            raise QueueUnavailable(f"who waits at {name} is not known: {error}") from error
        return 0 if info.num_pending else int(info.num_waiting or 0)

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
