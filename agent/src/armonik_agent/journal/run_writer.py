"""Appends records to a run that this process owns; repeats until the head shows which record was stored."""

import asyncio
import logging
from collections.abc import Callable

from armonik_agent.context import AgentContext
from armonik_agent.errors import Fenced
from armonik_agent.journal.transitions import begun_of, split
from armonik_sdk.api.bounds import MAX_RUN_BYTES
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import Record, RecordKind
from armonik_sdk.backoff import Backoff
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.head import Head
from armonik_sdk.dataplane.record_overflow import BULKY, salvaged, spill

log = logging.getLogger(__name__)

_MIN_DELAY, _MAX_DELAY = 0.2, 5.0


class RunWriter:
    """Appends to one run during one ownership; keeps the head that the next record follows."""

    def __init__(self, site: AgentContext, run: RunId, head: Head, *, prefix: str) -> None:
        self.head = head.record
        self.epoch = head.record.epoch + 1
        self.prefix = prefix
        """Where this ownership's objects go; never used before."""
        self._sequence = head.sequence
        self._site, self._run = site, run
        self._seen = site.connection.reconnects
        self._ended = False
        self._lock = asyncio.Lock()

    def attempt(self, index: int) -> int:
        """Number of the next execution of an element, by the head."""
        return begun_of(self.head, index) + 1

    async def append(self, make: Callable[[Record], Record]) -> Record:
        """Append the successor that `make` derives from the head; again from the new one after a note.

        Waits for NATS as long as it takes: the commit stays buffered and the head decides on return.

        Raises:
            Fenced: the run is no longer this process's; also after what ended its ownership here.
            StoreUnavailable: a manifest could not be written.
            TooLarge: the record would take more than `MAX_RUN_BYTES`.
        """
        async with self._lock:
            if self._ended:
                raise Fenced(f"run {self._run.journal} was ended or given up here already")
            if self._site.connection.reconnects != self._seen:
                await self._refresh()
            while True:
                record = make(self.head)
                try:
                    slimmed = await spill(self._site.store, record, self.prefix, MAX_RUN_BYTES)
                    self._sequence = await self._send(slimmed)
                except Conflict as conflict:
                    await self._adopt(conflict.head)
                else:
                    log.info("%s", _transition(self.head, record, self._run))
                    self.head = record
                    self._ended = record.kind.terminal or not record.kind.owned
                    return record

    async def split(self, at: int) -> bool:
        """Give `[at, end)` of the run away (protocol rule 6); False when it was not, as far as is known.

        A batch whose answer was lost may still arrive: then the next append finds it, and continues from it.

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
            slimmed = await spill(self._site.store, kept, self.prefix)
            try:
                self._sequence = await self._site.journal.split(self._run, slimmed, self._sequence, given)
            except (Conflict, QueueUnavailable) as error:
                log.info("run %s is not split at %d: %s", self._run.journal, at, error)
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
        backoff = Backoff(_MIN_DELAY, _MAX_DELAY)
        while True:
            try:
                return await self._site.journal.append(
                    self._run, record, self._sequence, after=self.head.record_id
                )
            except QueueUnavailable as error:
                log.warning("commit of run %s waits for NATS: %s", self._run.journal, error)
            head = await self._read_head()
            if head is not None and head.record.record_id == record.record_id:
                return head.sequence
            if head is None or not self._stands_on(head):
                raise Conflict(f"{self._run.journal} has another head", head)
            await asyncio.sleep(backoff.failed())

    async def _read_head(self) -> Head | None:
        backoff = Backoff(_MIN_DELAY, _MAX_DELAY)
        while True:
            try:
                return await self._site.journal.head(self._run)
            except QueueUnavailable as error:
                log.warning("head of run %s not read, trying again: %s", self._run.journal, error)
                await asyncio.sleep(backoff.failed())

    async def _adopt(self, head: Head | None) -> None:
        owner = head.record.owner if head is not None and head.record.kind.owned else None
        if (
            head is None
            or owner is None
            or not owner.same_process(self._site.me)
            or head.record.epoch != self.epoch
        ):
            raise Fenced(
                f"run {self._run.journal} was taken over: it is not owned by this agent at epoch {self.epoch}"
            )
        record, lost = await salvaged(self._site.store, head.record, self._run)
        if lost:  # the operator's note keeps the manifest of what was appended here
            record = record.model_copy(update={name: getattr(self.head, name) for name in BULKY})
        self.head, self._sequence = record, head.sequence


_TRANSITIONS = {
    RecordKind.DISPATCHED: "dispatched",
    RecordKind.PROGRESS: "committed",
    RecordKind.DONE: "committed, all elements have ended",
    RecordKind.RELEASED: "released",
    RecordKind.CANCELLED: "cancelled",
    RecordKind.PAUSED: "paused",
}


def _transition(before: Record, after: Record, run: RunId) -> str:
    """Line of the log for a record that was appended."""
    taken = after.kind is RecordKind.DISPATCHED and before.kind.owned
    word = "taken over" if taken else _TRANSITIONS.get(after.kind, str(after.kind))
    task, left = after.task_name or run.task, len(after.remaining)
    return f"task {task}: run {run.journal} is {word} (epoch {after.epoch}, {left} elements left)"
