"""Writing to a run that this process owns: outputs to the object store, then the record, then no doubt."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from armonik_agent.errors import Fenced
from armonik_agent.transitions import Change
from armonik_sdk.api.const import MAX_RESULT_INLINE_BYTES
from armonik_sdk.api.kinds import ObjectRef
from armonik_sdk.api.messages import MAX_MESSAGE_BYTES
from armonik_sdk.api.names import RunId
from armonik_sdk.api.records import ChildGroup, Outcome, Owner, Piece, Record
from armonik_sdk.dataplane.errors import Conflict, QueueUnavailable
from armonik_sdk.dataplane.journal import Head, Journal
from armonik_sdk.dataplane.objects import ObjectStore, expand

log = logging.getLogger(__name__)

_MAX_DELAY = 5.0


@dataclass(frozen=True)
class Ended:
    """An element that has ended here and is not committed yet."""

    outcome: Outcome
    outputs: dict[str, bytes | ObjectRef] = field(default_factory=dict)
    """By name; small ones as bytes, large ones uploaded already."""
    made: dict[str, bytes | ObjectRef] = field(default_factory=dict)
    """By result id."""
    children: tuple[ChildGroup, ...] = ()


async def pack(store: ObjectStore, key: str, ended: list[Ended], inline: bool) -> Change:
    """Upload the buffered outputs as one object and name every byte.

    Raises:
        StoreUnavailable: the object store gives no usable answer.
    """
    body = bytearray()
    objects: list[str] = []

    def place(name: str) -> int:
        if name not in objects:
            objects.append(name)
        return objects.index(name)

    def piece(data: bytes | ObjectRef) -> Piece:
        if isinstance(data, ObjectRef):
            return Piece(object=place(data.key), length=data.length or 0, sha256=data.sha256 or "")
        offset = len(body)
        body.extend(data)
        small = inline and len(data) <= MAX_RESULT_INLINE_BYTES
        return Piece(
            object=place(key),
            offset=offset,
            length=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            inline=base64.b64encode(data).decode() if small else None,
        )

    outcomes = [
        element.outcome.model_copy(
            update={
                "outputs": {name: piece(data) for name, data in element.outputs.items()},
                "made": {name: piece(data) for name, data in element.made.items()},
            }
        )
        for element in ended
    ]
    if key in objects:
        await store.put(key, bytes(body))
    children = tuple(child for element in ended for child in element.children)
    return Change(outcomes=tuple(outcomes), objects=tuple(objects), children=children)


class Committer:
    """Appends to one run for one ownership; knows the head it stands on."""

    def __init__(
        self,
        journal: Journal,
        store: ObjectStore,
        run: RunId,
        me: Owner,
        head: Head,
        *,
        prefix: str,
        reconnects: Callable[[], int],
    ) -> None:
        self.head = head.record
        self.epoch = head.record.epoch + 1
        self.prefix = prefix
        """Where this ownership's objects go; never used before."""
        self._sequence = head.sequence
        self._journal, self._store, self._run, self._me = journal, store, run, me
        self._reconnects = reconnects
        self._seen = reconnects()
        self._manifests = 0

    async def append(self, make: Callable[[Record], Record]) -> Record:
        """Append the successor that `make` derives from the head; again from the new one after a note.

        Waits for NATS as long as it takes: the commit stays buffered and the head decides on return.

        Raises:
            Fenced: the run is no longer this process's.
            StoreUnavailable: a manifest could not be written.
        """
        if self._reconnects() != self._seen:
            await self.refresh()
        while True:
            record = make(self.head)
            try:
                self._sequence = await self._send(await self._slim(record))
            except Conflict as conflict:
                await self._adopt(conflict.head)
            else:
                self.head = record
                return record

    async def refresh(self) -> None:
        """Read the head; before the first append after a reconnect, and after a gap in the renewals.

        Raises:
            Fenced: the run is no longer this process's.
        """
        self._seen = self._reconnects()
        head = await self._read_head()
        if head is None or head.sequence != self._sequence:
            await self._adopt(head)

    async def _send(self, record: Record) -> int:
        while True:
            try:
                return await self._journal.append(self._run, record, self._sequence)
            except QueueUnavailable as error:
                log.warning("commit of %s waits: %s", self._run.journal, error)
            head = await self._read_head()
            if head is not None and head.record.record_id == record.record_id:
                return head.sequence
            if head is None or head.sequence != self._sequence:
                raise Conflict(f"{self._run.journal} has another head", head)

    async def _read_head(self) -> Head | None:
        delay = 0.2
        while True:
            try:
                return await self._journal.head(self._run)
            except QueueUnavailable as error:
                log.warning("head of %s: %s", self._run.journal, error)
                await asyncio.sleep(delay)
                delay = min(_MAX_DELAY, delay * 2)

    async def _adopt(self, head: Head | None) -> None:
        owner = head.record.owner if head is not None and head.record.kind.owned else None
        if (
            head is None
            or owner is None
            or not owner.same_process(self._me)
            or head.record.epoch != self.epoch
        ):
            raise Fenced(f"{self._run.journal} is no longer ours at epoch {self.epoch}")
        self.head, self._sequence = await expand(self._store, head.record), head.sequence

    async def _slim(self, record: Record) -> Record:
        record = record.model_copy(update={"manifest": None})
        whole = record.encode()
        if len(whole) <= MAX_MESSAGE_BYTES:
            return record
        self._manifests += 1
        manifest = await self._store.put(f"{self.prefix}/manifest-{self._manifests}", whole)
        return record.model_copy(update={"manifest": manifest, "outcomes": (), "objects": ()})
