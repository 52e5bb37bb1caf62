"""Appending to a run that this process owns, until it is certain what stands there."""

import asyncio
import logging
from collections.abc import Callable

from armonik_agent.errors import Fenced
from armonik_agent.site import Site
from armonik_agent.transitions import split
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.journal import Head
from armonik_sdk.dataplane.objects import expand, slim

log = logging.getLogger(__name__)

_MIN_DELAY, _MAX_DELAY = 0.2, 5.0


class Committer:
    """Appends to one run for one ownership; knows the head it stands on."""

    def __init__(self, site: Site, run: RunId, head: Head, *, prefix: str) -> None:
        self.head = head.record
        self.epoch = head.record.epoch + 1
        self.prefix = prefix
        """Where this ownership's objects go; never used before."""
        self._sequence = head.sequence
        self._site, self._run = site, run
        self._seen = site.connection.reconnects
        self._ended = False
        self._lock = asyncio.Lock()

    async def append(self, make: Callable[[Record], Record]) -> Record:
        """Append the successor that `make` derives from the head; again from the new one after a note.

        Waits for NATS as long as it takes: the commit stays buffered and the head decides on return.

        Raises:
            Fenced: the run is no longer this process's; also after what ended its ownership here.
            StoreUnavailable: a manifest could not be written.
        """
        async with self._lock:
            if self._ended:
                raise Fenced(f"{self._run.journal} was ended or given up here already")
            if self._site.connection.reconnects != self._seen:
                await self._refresh()
            while True:
                record = make(self.head)
                try:
                    self._sequence = await self._send(await slim(self._site.store, record, self.prefix))
                except Conflict as conflict:
                    await self._adopt(conflict.head)
                else:
                    self.head = record
                    self._ended = record.kind.terminal or not record.kind.owned
                    return record

    async def split(self, at: int) -> bool:
        """Give `[at, end)` of the run away (protocol rule 6); False when it was not, as far as is known.

        A batch whose answer was lost may still arrive: then the next append finds it, and goes on from it.

        Raises:
            Fenced: the run is no longer this process's.
            StoreUnavailable: a manifest could not be written.
        """
        async with self._lock:
            if self._ended:
                return False
            if self._site.connection.reconnects != self._seen:
                await self._refresh()
            pair = split(self.head, at)
            if pair is None:
                return False
            kept, given = pair
            slimmed = await slim(self._site.store, kept, self.prefix)
            try:
                self._sequence = await self._site.journal.split(self._run, slimmed, self._sequence, given)
            except (Conflict, QueueUnavailable) as error:
                log.info("%s is not split at %d: %s", self._run.journal, at, error)
                head = await self._read_head()
                if head is not None and head.record.record_id == kept.record_id:
                    self._sequence = head.sequence
                elif head is not None and self._stands_on(head):
                    return False
                else:
                    await self._adopt(head)
                    return False
            self.head = kept
            return True

    async def refresh(self) -> None:
        """Read the head; before the first append after a reconnect, and after a gap in the renewals.

        Raises:
            Fenced: the run is no longer this process's.
        """
        async with self._lock:
            await self._refresh()

    async def _refresh(self) -> None:
        self._seen = self._site.connection.reconnects
        head = await self._read_head()
        if head is None or not self._stands_on(head):
            await self._adopt(head)

    def _stands_on(self, head: Head) -> bool:
        """Both: a journal that lost its newest records gives their sequences away again (rule 12)."""
        return head.sequence == self._sequence and head.record.record_id == self.head.record_id

    async def _send(self, record: Record) -> int:
        delay = _MIN_DELAY
        while True:
            try:
                return await self._site.journal.append(
                    self._run, record, self._sequence, after=self.head.record_id
                )
            except QueueUnavailable as error:
                log.warning("commit of %s waits: %s", self._run.journal, error)
            head = await self._read_head()
            if head is not None and head.record.record_id == record.record_id:
                return head.sequence
            if head is None or not self._stands_on(head):
                raise Conflict(f"{self._run.journal} has another head", head)
            await asyncio.sleep(delay)
            delay = min(_MAX_DELAY, delay * 2)

    async def _read_head(self) -> Head | None:
        delay = _MIN_DELAY
        while True:
            try:
                return await self._site.journal.head(self._run)
            except QueueUnavailable as error:
                log.warning("head of %s: %s", self._run.journal, error)
                await asyncio.sleep(delay)
                delay = min(_MAX_DELAY, delay * 2)

    async def _adopt(self, head: Head | None) -> None:
        owner = head.record.owner if head is not None and head.record.kind.owned else None
        if (
            head is None
            or owner is None
            or not owner.same_process(self._site.me)
            or head.record.epoch != self.epoch
        ):
            raise Fenced(f"{self._run.journal} is no longer ours at epoch {self.epoch}")
        self.head, self._sequence = await expand(self._site.store, head.record), head.sequence
